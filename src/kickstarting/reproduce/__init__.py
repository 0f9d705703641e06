"""The experiments of the paper's section 5 as commands: `kickstart reproduce NAME`. One file each: question, sweep, analysis."""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import nullcontext
from pathlib import Path
from typing import Protocol

from rich.console import Console

from kickstarting.algo.parsing import nearest
from kickstarting.cluster.config import RemoteConfig
from kickstarting.cluster.jobs import OnCluster
from kickstarting.console import say
from kickstarting.launch.sweep import run_all
from kickstarting.report import Comparison, check_out, compare_runs, to_rich
from kickstarting.report.layout import ReportDirectory
from kickstarting.reproduce.lab import SCALES, Lab
from kickstarting.runs.files import make_directory, write_json
from kickstarting.runs.ownership import written_by_us
from kickstarting.runs.versions import versions

__all__ = ["experiments", "reproduce"]


class Experiment(Protocol):
    """What the module of an experiment holds; its docstring is the question."""

    __doc__: str
    BASELINE: str

    def sweep(self, lab: Lab) -> None:
        """Register the runs."""
        ...


def experiments() -> dict[str, Experiment]:
    """Every experiment by its name on the command line."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if module.name != "lab"]
    return {name.replace("_", "-"): importlib.import_module(f"{__name__}.{name}") for name in names}  # type: ignore[misc]


def reproduce(
    name: str,
    *,
    scale: str,
    seeds: int | None,
    out: Path | None,
    resume: bool,
    jobs: int,
    console: Console,
    cluster: str = "",
    record_histories: bool = False,
) -> Comparison:
    """Bring an experiment to its end and write its report to OUT/NAME. record_histories: of all students.

    cluster: where its runs run, instead of processes of this machine; OUT must be seen by all nodes.

    Raises ValueError if there is no such experiment or scale, or OUT holds it already and `resume` is not set.
    """
    known = experiments()
    if name not in known:
        raise ValueError(f"no experiment is called {name!r}; {nearest(name, known)}")
    if scale not in SCALES:
        raise ValueError(f"no scale is called {scale!r}; {nearest(scale, SCALES)}")
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds is {seeds}; it must be at least 1")
    experiment, out = known[name], (out or Path("runs/reproduce") / scale)
    out = out.resolve() if cluster else out  # nodes have other working directories
    report, wanted = out / name, {"scale": scale, "seeds": seeds or SCALES[scale].seeds}
    directory = ReportDirectory(report)
    check_out(report)
    if directory.experiment.exists() and not resume:
        raise ValueError(f"{report} was begun already; add --resume to go on with it, or choose another --out")
    lab = Lab(SCALES[scale], out, wanted["seeds"], record_histories=record_histories)
    experiment.sweep(lab)
    make_directory(report)
    write_json(directory.experiment, {**wanted, "versions": versions()})
    say(console, f"{name}: {' '.join((experiment.__doc__ or '').split())}")
    say(console, f"{len(lab.runs)} runs in {out}, of which {len(lab.compared)} are compared")
    with written_by_us(out), OnCluster(RemoteConfig(cluster)) if cluster else nullcontext() as backend:
        runs = dict(sorted(lab.runs.items(), key=lambda item: _seed_of(item[0])))
        run_all(runs, jobs=jobs, console=console, backend=backend)
    comparison = compare_runs(lab.compared, out=report, baseline=experiment.BASELINE)
    console.print(to_rich(comparison))
    say(console, f"open {directory.page.resolve()}")
    return comparison


def _seed_of(path: Path) -> int:
    """Runs of one seed together, so that an unfinished sweep says something about all arms."""
    return int(path.name.rpartition("-")[2])
