"""Help texts of the command that wrap to the terminal's width and say the ranges of numbers, and how it reads paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any

import docstring_parser
import tyro

from kickstarting.ranges import NOWHERE, Place, Range, declarations, hints_of

Where = Annotated[
    Path,
    Place(),
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: Path(words[0]) if words[0].strip() else NOWHERE,
        is_instance=lambda x: isinstance(x, Path),
        str_from_instance=lambda x: [str(x)],
    ),
]
"""A path that is not empty."""

Anywhere = Annotated[
    str,
    Place(),
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH|URL",
        instance_from_str=lambda words: words[0] if words[0].strip() else str(NOWHERE),
        is_instance=lambda x: isinstance(x, str),
        str_from_instance=lambda x: [x],
    ),
]
"""A path that is not empty, or the URL of a place on storage."""


@contextmanager
def flowing_help() -> Iterator[None]:
    """Let tyro wrap help texts to the terminal's width, and end those of a dataclass's numbers with their ranges.

    tyro keeps every line break of an indented docstring. Here the parser of docstrings that tyro calls gives it each
    paragraph as one line.
    """
    parsers = {name: getattr(docstring_parser, name) for name in ("parse", "parse_from_object")}

    def flowing(parse: Callable[..., docstring_parser.Docstring]) -> Callable[..., docstring_parser.Docstring]:
        def parse_flowing(*arguments: Any, **options: Any) -> docstring_parser.Docstring:
            docstring = parse(*arguments, **options)
            for parameter in docstring.params:
                paragraphs = re.split(r"\n\s*\n", parameter.description or "")
                parameter.description = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs) or None
            if arguments and is_dataclass(arguments[0]):
                _add_ranges(docstring, arguments[0])
            return docstring

        return parse_flowing

    for name, parse in parsers.items():
        setattr(docstring_parser, name, flowing(parse))
    try:
        yield
    finally:
        for name, parse in parsers.items():
            setattr(docstring_parser, name, parse)


def _add_ranges(docstring: docstring_parser.Docstring, kind: Any) -> None:
    described = {parameter.arg_name: parameter for parameter in docstring.params}
    for name, hint in hints_of(kind).items():
        for within in (x for x in declarations(hint) if isinstance(x, Range)):
            if name not in described:
                described[name] = docstring_parser.DocstringParam(["attribute", name], None, name, None, None, None)
                docstring.meta.append(described[name])
            described[name].description = f"{described[name].description or ''} It must {within}.".strip()
