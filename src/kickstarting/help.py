"""Help texts of the command that wrap to the terminal's width."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import docstring_parser


@contextmanager
def flowing_help() -> Iterator[None]:
    """Let tyro wrap help texts to the terminal's width.

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
            return docstring

        return parse_flowing

    for name, parse in parsers.items():
        setattr(docstring_parser, name, flowing(parse))
    try:
        yield
    finally:
        for name, parse in parsers.items():
            setattr(docstring_parser, name, parse)
