"""What may run code of others: modules that the user named, never those that only a file names, and files of teachers if the
user says so.

Classes of networks are written package.module:Class, environments package.module:Id. To import a module is to run its code.
Whoever reads such a name from a file calls `check_trusted` before anything is made of it. Whoever loads a file in a format that
can run code calls `check_format`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import tyro

_trusted: set[str] = {"kickstarting.ad.tasks"}
"""At first the environments that the package itself registers."""

PICKLE, CODE = "<pickle>", "<code>"
"""What is trusted beside modules: pickles, and programs such as TorchScript. No module has such a name."""


@dataclass(frozen=True)
class TrustConfig:
    """What the user trusts. It is never saved: that a file asks for trust is no reason to give it."""

    trust_modules: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(name="trust-module")] = ()
    """A module whose code may run because a file names it: a teacher's or a run's network, an environment of a suite."""
    trust_pickle: bool = False
    """Read teachers from pickles, which can run any code of whoever made the file."""
    trust_code: bool = False
    """Load teachers that are programs (TorchScript, torch.export), which can run any code of whoever made the file."""

    @property
    def names(self) -> tuple[str, ...]:
        """As `trust` takes them."""
        return (*self.trust_modules, *(PICKLE,) * self.trust_pickle, *(CODE,) * self.trust_code)


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
