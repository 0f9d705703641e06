"""How adapters are written: NAME or NAME(VALUE,OPTION=VALUE), several joined by `+`.

An adapter is a function. What stands in the parentheses are its arguments, values by place and options by name, each read as the
annotation of its parameter says. `%2C` is a comma in a value, as in a reference.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Union, get_args, get_origin
from urllib.parse import quote, unquote

from kickstarting.algo.parsing import nearest
from kickstarting.ranges import bare, check, hints_of, shown

_WRITTEN = re.compile(r"(\w+)(?:\(([^()]*)\))?")


def split(text: str) -> tuple[str, ...]:
    """The adapters in NAME+NAME(...). Raises ValueError if a parenthesis is without its other."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth not in (0, 1):
            break
        if character == "+" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    if depth:
        raise ValueError(f"adapters {shown(text)} have a parenthesis without its other; write NAME(VALUE,OPTION=VALUE)+NAME")
    return tuple(part.strip() for part in parts if part.strip())


def call(text: str, known: Mapping[str, Callable[..., Any]]) -> Any:
    """What the function of an adapter gives for its arguments in `text`.

    Raises ValueError: for an unknown adapter or option with the nearest names, for a value that does not fit with what it must be.
    """
    name, bound = _bound(text, known)
    hints = hints_of(known[name])
    for parameter, given in bound.arguments.items():
        what, hint = f"{parameter} of adapter {name}", hints[parameter]
        if isinstance(given, tuple):
            bound.arguments[parameter] = tuple(_read(what, value, hint) for value in given)
        elif isinstance(given, dict):
            bound.arguments[parameter] = {key: _read(what, value, hint) for key, value in given.items()}
        else:
            bound.arguments[parameter] = _read(what, given, hint)
    return known[name](*bound.args, **bound.kwargs)


def files_of(text: str, known: Mapping[str, Callable[..., Any]]) -> list[Path]:
    """The files that an adapter reads: its arguments that are paths."""
    name, bound = _bound(text, known)
    return [Path(bound.arguments[parameter]) for parameter, hint in hints_of(known[name]).items() if bare(hint) is Path]


def with_absolute_files(text: str, known: Mapping[str, Callable[..., Any]]) -> str:
    """An adapter, written so that it means the same wherever a later process stands."""
    name, values, options = _parsed(text)
    files = {str(file) for file in files_of(text, known)}
    if not files:
        return text

    def absolute(value: str) -> str:
        return quote(str(Path(value).resolve()) if value in files else value, safe="/:@ ")

    written = [*map(absolute, values), *(f"{option}={absolute(value)}" for option, value in options.items())]
    return f"{name}({','.join(written)})"


def _bound(text: str, known: Mapping[str, Callable[..., Any]]) -> tuple[str, inspect.BoundArguments]:
    """The name of an adapter, and its arguments as they are written, by parameter."""
    name, values, options = _parsed(text)
    if name not in known:
        raise ValueError(f"unknown adapter {shown(name)}; {nearest(name, known)}")
    signature = inspect.signature(known[name])
    named = [p.name for p in signature.parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if not any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values()):
        for option in options:
            if option not in named:
                raise ValueError(
                    f"adapter {name} has no option {shown(option)}; {nearest(option, named) if named else 'it has none'}"
                )
    try:
        return name, signature.bind(*values, **options)
    except TypeError as error:
        raise ValueError(f"adapter {shown(text)}: {error}; it is written {name}{_signature(signature)}") from None


def _parsed(text: str) -> tuple[str, list[str], dict[str, str]]:
    match = _WRITTEN.fullmatch(text)
    if not match:
        raise ValueError(f"adapter {shown(text)} is not NAME or NAME(VALUE,OPTION=VALUE)")
    values: list[str] = []
    options: dict[str, str] = {}
    for argument in (match[2] or "").split(",") if match[2] else ():
        option, equals, value = (unquote(part.strip()) for part in argument.partition("="))
        if not equals:
            values.append(option)
        elif option in options:
            raise ValueError(f"adapter {shown(text)} has {option!r} twice; give it once")
        else:
            options[option] = value
    return match[1], values, options


def _read(what: str, text: str, hint: Any) -> Any:
    """A value of the annotated type. Raises ValueError, with what it must be, if it is none."""
    value: Any = text
    for kind in _kinds(hint):
        try:
            value = {int: int, float: lambda x: float(Fraction(x)), Path: Path, str: str}[kind](text)
            break
        except (ValueError, ZeroDivisionError):
            continue
    check(what, value, hint)
    return value


def _kinds(hint: Any) -> list[type]:
    kind = bare(hint)
    if get_origin(kind) in (Union, types.UnionType):
        return [bare(part) for part in get_args(kind) if part is not types.NoneType]
    return [kind]


def _signature(signature: inspect.Signature) -> str:
    """As a user writes it."""
    shown_as = {
        inspect.Parameter.VAR_POSITIONAL: "{0},{0},...",
        inspect.Parameter.VAR_KEYWORD: "NEW=OLD,...",
        inspect.Parameter.KEYWORD_ONLY: "{0}=...",
        inspect.Parameter.POSITIONAL_OR_KEYWORD: "{0}",
    }
    return f"({','.join(shown_as[p.kind].format(p.name) for p in signature.parameters.values())})"
