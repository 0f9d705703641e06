"""What may run code of others: modules that the user named, never those that only a file names, and files of teachers if the
user says so.

Classes of networks are written package.module:Class, environments package.module:Id. To import a module is to run its code.
Whoever reads such a name from a file calls `check_trusted` before anything is made of it. Whoever loads a file in a format that
can run code calls `check_format`.
"""

from __future__ import annotations

from collections.abc import Iterable

_trusted: set[str] = set()

PICKLE, CODE = "<pickle>", "<code>"
"""What is trusted beside modules: pickles, and programs such as TorchScript. No module has such a name."""


def trust(modules: Iterable[str]) -> None:
    """Allow files to name these modules, and what is below them, for the rest of the process; with PICKLE or CODE among them,
    files of teachers to be these."""
    _trusted.update(module for module in modules if module)


def module_in(name: str) -> str:
    """The module in package.module:Name; empty if the name has none."""
    return name.rpartition(":")[0]


def check_trusted(name: str, named_by: object) -> None:
    """Raise ValueError if a name's module is not among those that the user named. named_by: the file."""
    module = module_in(name)
    parts = module.split(".")
    if module and not any(".".join(parts[:n]) in _trusted for n in range(1, len(parts) + 1)):
        raise ValueError(
            f"{named_by} names {name}, and with it the module {module}, whose code would run; if you trust it, give "
            f"--trust-module {module}"
        )


def check_format(kind: str, what: str, risk: str) -> None:
    """Raise ValueError unless the user trusts files of this kind, PICKLE or CODE. what: the file, and why it is one."""
    if kind not in _trusted:
        raise ValueError(f"{what}; {risk}; if you trust whoever made it, give --trust-{kind.strip('<>')}")
