"""What a setting may be, declared where the setting is, and checked by one walk over the declarations.

    discount: Annotated[float, Range(0, 1)] = 0.99

NaN and infinity are in no range. Whoever takes settings calls `check_fields`, or is `checked`, before any work.
"""

from __future__ import annotations

import difflib
import inspect
import os
import types
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any, ClassVar, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

P = ParamSpec("P")
R = TypeVar("R")


class Declaration(ABC):
    """What a value may be, beside its type. It stands in the `Annotated` of a field or a parameter."""

    also: ClassVar[tuple[type, ...]] = ()
    """Types that it takes beside the one that is annotated."""

    @abstractmethod
    def check(self, name: str, value: Any, total_frames: int) -> None:
        """Raise ValueError, with name, value and what it must be. total_frames: what a share of a run refers to."""


@dataclass(frozen=True)
class Range(Declaration):
    """Numbers from `low` to `high`, both included unless they are open. Of a tuple, each element."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        return above and (value < self.high if self.high_open else value <= self.high)

    def __str__(self) -> str:
        if self.high <= 10:
            return f"lie in {'(' if self.low_open else '['}{self.low:g}, {self.high:g}{')' if self.high_open else ']'}"
        return f"be {'above' if self.low_open else 'at least'} {_number(self.low)} and at most {_number(self.high)}"

    def check(self, name: str, value: Any, total_frames: int = 1) -> None:
        if value not in self:
            raise ValueError(f"{name} is {shown(value)}; it must {self}")


class Choice(Declaration):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def check(self, name: str, value: Any, total_frames: int = 1) -> None:
        if value not in self.words:
            close = difflib.get_close_matches(value, self.words, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"{name} is {shown(value)}; known: {', '.join(self.words)}{hint}")


class Name(Declaration):
    """A name of which files and directories are made, see `check_name`; or nothing, for a default."""

    def check(self, name: str, value: Any, total_frames: int = 1) -> None:
        if value:
            check_name(name, value)


class Place(Declaration):
    """A path that is not empty. Whoever reads "" from a command line makes NOWHERE of it, since Path("") is the current one."""

    def check(self, name: str, value: Any, total_frames: int = 1) -> None:
        if "\0" in str(value):
            raise ValueError(
                f"{name} is {shown('' if str(value) == str(NOWHERE) else str(value))}; it must be the path of a file or directory"
            )


NOWHERE = Path("\0")
SEED = Range(0, 2**32 - 1)
FRAMES = Range(1, 10**15)
COUNT = Range(1, 10**6)
THREADS = Range(0, max(1024, os.cpu_count() or 1))
"""0 chooses."""
SECONDS = Range(0, 10**9)
PORT = Range(0, 65_535)
"""0 takes a free one."""
JOBS = Range(0, 1024)
"""0 is one for each core."""


def check(name: str, value: Any, hint: Any, total_frames: int = 1) -> None:
    """Raise ValueError if a value has not the type of an annotation, or is not what is declared in it."""
    kind, declared = bare(hint), list(declarations(hint))
    also = tuple(x for declaration in declared for x in declaration.also)
    if not (_fits(value, kind) or (isinstance(value, also) and not isinstance(value, bool))):
        wanted = ", and ".join([f"be {_in_words(kind)}", *(str(d) for d in declared if isinstance(d, Range))])
        raise ValueError(f"{name} is {shown(value)} ({type(value).__name__}); it must {wanted}")
    for declaration in declared:
        for x in value if isinstance(value, tuple | list) else (value,):
            if x is not None:
                declaration.check(name, x, total_frames)


def check_fields(settings: Any, total_frames: int = 1) -> None:
    """Check every field of a dataclass, and of dataclasses in it. Raises ValueError for the first that is not as declared."""
    hints = hints_of(type(settings))
    for f in fields(settings):
        value, hint = getattr(settings, f.name), hints[f.name]
        check(f.name, value, hint, total_frames)
        if is_dataclass(kind := bare(hint)) and isinstance(kind, type):
            check_fields(value, total_frames)


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The function, whose arguments are checked before it runs; dataclasses are not, whoever takes them does that."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        arguments = inspect.signature(function).bind(*args, **kwargs).arguments
        for name, hint in hints_of(function).items():
            if name in arguments and not is_dataclass(bare(hint)):
                check(name, arguments[name], hint)
        return function(*args, **kwargs)

    return wrapper


def check_name(what: str, name: str) -> None:
    """Raise ValueError unless a file, a directory and a line of text may have this name."""
    check_label(what, name)
    if name in (".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"{what} is {shown(name)}; a name has no path separators, and is not . or ..")
    if len(name) > 100 or len(name.encode()) > 200:
        raise ValueError(f"{what} is {shown(name)}; a name has at most 100 characters, and 200 bytes")


def check_label(what: str, label: str) -> None:
    """Raise ValueError for a name that is empty, or has characters that steer a terminal."""
    if not label.strip():
        raise ValueError(f"{what} is {shown(label)}; it must not be empty")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in label):
        raise ValueError(f"{what} is {shown(label)}; it must have no control characters")


def shown(value: Any) -> str:
    """A value in a message: on one line, and not longer than that line."""
    try:
        text = value if isinstance(value, type) else repr(value)
    except Exception:  # an int of more digits than Python writes; whatever else a user's class raises
        text = f"a {type(value).__name__} that cannot be written"
    line = " ".join(str(text).split())
    return line if len(line) <= 120 else f"{line[:80]} ... {line[-30:]}"


@cache
def hints_of(thing: Any) -> dict[str, Any]:
    """The annotations of a dataclass's fields or a function's parameters, with what is declared in them."""
    hints = get_type_hints(thing, include_extras=True)
    return hints if inspect.isclass(thing) else {name: hint for name, hint in hints.items() if name != "return"}


def declarations(hint: Any) -> Iterable[Declaration]:
    """All that an annotation declares, at any depth."""
    if get_origin(hint) is Annotated:
        yield from (x for x in hint.__metadata__ if isinstance(x, Declaration))
        yield from declarations(hint.__origin__)
    else:
        for part in get_args(hint):
            yield from declarations(part)


def bare(hint: Any) -> Any:
    """Without the outer `Annotated`."""
    return hint.__origin__ if get_origin(hint) is Annotated else hint


def _fits(value: Any, hint: Any) -> bool:
    kind = bare(hint)
    if (origin := get_origin(kind)) in (Union, types.UnionType):
        return any(_fits(value, part) for part in get_args(kind))
    if origin is tuple:
        return isinstance(value, tuple | list) and all(_fits(x, get_args(kind)[0]) for x in value)
    if origin is not None:  # Mapping[str, Any]
        return isinstance(value, origin)
    if kind in (int, float):
        return isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
    return kind is Any or isinstance(value, kind)


_WORDS = {int: "an integer", float: "a number", str: "text", bool: "True or False", Path: "a path", types.NoneType: "None"}


def _in_words(hint: Any) -> str:
    kind = bare(hint)
    if (origin := get_origin(kind)) in (Union, types.UnionType):
        return " or ".join(_in_words(part) for part in get_args(kind) if part is not types.NoneType)
    if origin is tuple:
        return f"a tuple, each of it {_in_words(get_args(kind)[0])}"
    return "a table" if origin else _WORDS.get(kind) or str(kind.__name__)


def _number(x: float) -> str:
    return f"{x:,}" if isinstance(x, int) and x < 10**10 else f"{x:g}".replace("e+0", "e").replace("e+", "e")
