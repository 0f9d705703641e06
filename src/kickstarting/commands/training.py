"""`kickstart train | population | tune`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kickstarting.config import Config, Frames
from kickstarting.console import say
from kickstarting.help import Anywhere, Where
from kickstarting.population.config import PopulationConfig
from kickstarting.ranges import FRAMES, JOBS
from kickstarting.runs.layout import PopulationDirectory
from kickstarting.settings import flat
from kickstarting.tuning.recipe import apply, read_recipe

console = Console()
TRUST = ("trust_module", "trust_pickle", "trust_code")
"""Options that belong to a command, not to a run."""


def train(
    config: tyro.conf.OmitArgPrefixes[Config],
    out: Where | None = None,
    resume: Anywhere | None = None,
    recipe: Where | None = None,
    profile: bool = False,
    mirror: Anywhere | None = None,
) -> None:
    """Train a student, from scratch or kickstarted by teachers.

    Args:
        config: What to train.
        out: Directory of the run; runs/SUITE/NAME-SEED unless given.
        resume: Continue the killed run in this directory instead, or the one mirrored to this URL, which is brought to --out.
        recipe: A TOML file of settings, as `kickstart tune` writes it, or the name of one of the package (docs/tuning.md).
        profile: Print where the time of an update goes, and write a trace of three updates to trace.json in the run directory.
        mirror: Keep a copy there that is up to date at every checkpoint: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or a shared folder
            (docs/storage.md).
    """
    from kickstarting.runs import run as runs

    if resume:
        given = _only_with_resume(resume, config, "learning_rate", "environment_timeout", "cluster", *TRUST)
        changes = {name: value for name, value in flat(config).items() if name in given - set(TRUST)}
        place = _brought_back(resume, out)
        runs.resume(place, **{**changes, "trust_modules": config.trusted_modules})
        say(console, f"finished; the run is in {place}")
        return
    config = _complete(config, recipe)
    config.check()
    out = out or _default_out(config, config.group)
    runs.run(config, out, profile=profile, mirror=mirror)
    say(console, f"finished; the run is in {out}: compare it with `kickstart compare {out} ...`")


def population(
    config: tyro.conf.OmitArgPrefixes[Config],
    pbt: tyro.conf.OmitArgPrefixes[PopulationConfig],
    out: Where | None = None,
    resume: Anywhere | None = None,
    recipe: Where | None = None,
    mirror: Anywhere | None = None,
) -> None:
    """Evolve a population of students that take turns on this machine (population based training).

    Args:
        config: What each member trains. Strength and horizon of the schedule, shares, learning rate and entropy cost evolve.
        pbt: How the population evolves.
        out: Directory of the population; runs/SUITE/population-SEED unless given.
        resume: Continue the killed population in this directory instead, or the one that is mirrored to this URL, which is brought
            to --out.
        recipe: A TOML file of settings, as `kickstart tune` writes it, or the name of one of the package (docs/tuning.md);
            it holds for every member.
        mirror: As of `train`.
    """
    from kickstarting.population.run import resume_population, run_population

    if resume:
        given = _only_with_resume(resume, config, "environment_timeout", "cluster", *TRUST)
        changes = {name: value for name, value in flat(config).items() if name in given - set(TRUST)}
        out = _brought_back(resume, out)
        resume_population(out, console=console, **{**changes, "trust_modules": config.trusted_modules})
    else:
        config = _complete(config, recipe)
        out = out or _default_out(config, "population")
        run_population(config, pbt, out, console=console, mirror=mirror)
    best = PopulationDirectory(out).best
    say(console, f"finished; the best member is the run {best.path}: its lambda over time is {best.schedule}")


def tune(
    config: tyro.conf.OmitArgPrefixes[Config],
    budget: Annotated[Frames, FRAMES] | None = None,
    out: Where | None = None,
    resume: Where | None = None,
    jobs: Annotated[int, JOBS] = 0,
) -> None:
    """Search around the given settings by successive halving, and write the best as a recipe for `train`.

    Args:
        config: The configuration to search around; --frames is the length of a full run.
        budget: Frames for all runs together, at least twice --frames. It decides how many configurations are tried.
        out: Directory of the tune; runs/SUITE/tune-SEED unless given.
        resume: Continue the killed tune in this directory instead.
        jobs: Runs at a time; one per core unless given.
    """
    from kickstarting.tuning.tune import resume_tune, run_tune

    if resume:
        _only_with_resume(resume, config, "jobs", *TRUST)
        resume_tune(resume, jobs=jobs, console=console, trust_modules=config.trusted_modules)
        return
    config = _complete(config)
    if budget is None:
        raise ValueError(f"give --budget FRAMES for all runs together, at least twice --frames: {2 * config.total_frames}")
    run_tune(config, budget, out or _default_out(config, "tune"), jobs=jobs, console=console)


def _complete(config: Config, recipe: Path | None = None) -> Config:
    if not config.suite:
        raise ValueError("name a suite, a .toml file or an environment id (see `kickstart suites`), or give --resume DIR")
    return apply(config, read_recipe(recipe)) if recipe else config


def _only_with_resume(resume: Path | str, config: Config, *allowed: str) -> set[str]:
    """What was given beside --resume, as names of options. Raises ValueError if anything but these was, even if it changes
    nothing: the configuration in the directory holds."""
    from kickstarting.runs.fetch import is_mirror

    given = {word.partition("=")[0].removeprefix("--").removeprefix("no-") for word in sys.argv[1:] if word.startswith("--")}
    given = {name.replace("-", "_").rpartition(".")[2] for name in given} - {
        "resume",
        *(("out",) if is_mirror(str(resume)) else ()),
    }
    for name in sorted(given - set(allowed)) + ([config.suite] if config.suite else []):
        may = " and ".join(f"--{name.replace('_', '-')}" for name in allowed)
        raise ValueError(
            f"--resume {resume} continues with the configuration in that directory; leave out {name.replace('_', '-')} (only {may} "
            "may be given with it)"
        )
    return given


def _brought_back(resume: str, out: Path | None) -> Path:
    """The directory to go on in: the one that was named, or the one that a mirror is brought to: `out`, or runs/ and the end of
    its URL."""
    from kickstarting.runs.fetch import brought_back, is_mirror

    if not is_mirror(resume):
        return Path(resume)
    out = out or Path("runs") / resume.rstrip("/").rpartition("/")[2]
    return brought_back(resume, out, said=lambda text: say(console, text))


def _default_out(config: Config, name: str) -> Path:
    suite = re.sub(r"[^\w.-]+", "-", config.suite.rpartition("/")[2].replace(".toml", "")).strip("-.")[:60]
    return Path("runs") / (suite or "suite") / f"{name}-{config.seed}"
