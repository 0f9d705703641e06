"""The experiments on Algorithm Distillation as commands: `kickstart ad reproduce NAME`. One file each: question and arms."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Protocol

from rich.console import Console

from kickstarting.ad.findings import to_rich, write_findings
from kickstarting.ad.measured import measure
from kickstarting.ad.plan import SCALES, Plan
from kickstarting.ad.steps import carry_out
from kickstarting.algo.parsing import nearest
from kickstarting.console import say
from kickstarting.machine import use_machine
from kickstarting.report.layout import ReportDirectory
from kickstarting.runs.files import check_writable, make_directory, write_json
from kickstarting.runs.histories import arrow
from kickstarting.runs.ownership import written_by_us
from kickstarting.runs.versions import versions

__all__ = ["experiments", "reproduce"]


class Experiment(Protocol):
    """What the module of an experiment holds; its docstring is the question."""

    __doc__: str

    def arms(self, plan: Plan) -> None:
        """Register the arms."""
        ...


def experiments() -> dict[str, Experiment]:
    """Every experiment by its name on the command line."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return {name.replace("_", "-"): importlib.import_module(f"{__name__}.{name}") for name in names}  # type: ignore[misc]


def question(experiment: Experiment) -> str:
    """In one line."""
    return " ".join((experiment.__doc__ or "").split())


def reproduce(
    name: str,
    *,
    scale: str,
    seeds: int | None = None,
    first_seed: int = 1,
    out: Path | None = None,
    resume: bool = False,
    threads: int = 0,
    console: Console,
) -> ReportDirectory:
    """Bring an experiment to its end and write its report to OUT/NAME. Seeds count from `first_seed`.

    Raises ValueError if there is no such experiment or scale, or OUT holds it already and `resume` is not set.
    """
    known = experiments()
    if name not in known:
        raise ValueError(f"no experiment is called {name!r}; {nearest(name, known)}")
    if scale not in SCALES:
        raise ValueError(f"no scale is called {scale!r}; {nearest(scale, SCALES)}")
    arrow()
    out, wanted = out or Path("runs/ad/reproduce") / scale, seeds or SCALES[scale].seeds
    report = ReportDirectory(out / name)
    check_writable(report.path)
    if report.experiment.exists() and not resume:
        raise ValueError(f"{report.path} was begun already; add --resume to go on with it, or choose another --out")
    plan = Plan(SCALES[scale], out, range(first_seed, first_seed + wanted), threads)
    known[name].arms(plan)
    say(console, f"{name}: {question(known[name])}")
    say(console, f"{len(plan.steps)} steps in {out}, {len(plan.arms)} arms, {wanted} seed{'s' * (wanted > 1)}")
    with written_by_us(out):
        make_directory(report.path)
        write_json(report.experiment, {"scale": scale, "seeds": wanted, "first_seed": first_seed, "versions": versions()})
        use_machine(threads)
        carry_out(plan.steps, console)
        found = measure(plan.arms)
        write_findings(found, report, name, question(known[name]))
    for table in to_rich(found):
        console.print(table)
    say(console, f"open {report.page.resolve()}")
    return report
