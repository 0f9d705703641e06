"""Learning from scratch and kickstarted on one task of each suite, with the defaults: first a teacher, then students of both kinds.

    python experiments/worlds/sweep.py doom            # one world, 3 seeds; resumes where it was killed
    python experiments/worlds/sweep.py pong --seeds 1 --jobs 1
    python experiments/worlds/sweep.py --table         # what there is, as Markdown; figures beside it

Everything goes to runs/worlds/WORLD; the reports to experiments/worlds/WORLD.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from kickstarting.config import Config
from kickstarting.launch.sweep import run_all
from kickstarting.report import compare_runs, to_rich
from kickstarting.runs.layout import finished

HERE = Path(__file__).parent
RUNS = Path("runs/worlds")


@dataclass(frozen=True)
class World:
    """One task, with budgets that two cores can do; the large network would take hours on Atari's images."""

    suite: str
    frames: int
    """Of a student."""
    teacher_frames: int
    network: str = "large"
    """Of the students; the teacher's is small."""


WORLDS = {
    "breakout": World("atari-57:breakout", 1_000_000, 2_000_000, network="small"),
    "pong": World("atari-57:pong", 4_000_000, 8_000_000, network="small"),
    "coinrun": World("procgen-16-easy:coinrun", 500_000, 1_000_000),
    "doom": World("doom-8:basic", 400_000, 800_000, network="small"),
    "walker": World("dmc-10:walker_walk", 300_000, 600_000),
    "cheetah": World("HalfCheetah-v4", 300_000, 600_000),
}


def configs(name: str, seeds: int) -> dict[Path, Config]:
    world, runs = WORLDS[name], {}
    teacher = RUNS / name / "teacher"
    runs[teacher] = Config.of(world.suite, name="teacher", network="small", seed=1000, total_frames=world.teacher_frames)
    for seed in range(seeds):
        for arm, taught in {"scratch": (), "kickstarted": (str(teacher),)}.items():
            runs[RUNS / name / f"{arm}-{seed}"] = Config.of(
                world.suite, name=arm, network=world.network, seed=seed, total_frames=world.frames, teachers=taught
            )
    return runs


def report(name: str, console: Console) -> None:
    """Compare what has ended."""
    ended = [path for path in sorted((RUNS / name).glob("*-[0-9]*")) if finished(path)]
    if {path.name.partition("-")[0] for path in ended} == {"scratch", "kickstarted"}:
        console.print(to_rich(compare_runs(ended, out=HERE / name, baseline="scratch")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("worlds", nargs="*", choices=[*WORLDS, []], default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="compare what there is, and train nothing")
    arguments, console = parser.parse_args(), Console()
    for name in arguments.worlds or WORLDS:
        if not arguments.table:
            run_all(configs(name, arguments.seeds), jobs=arguments.jobs, console=console)
        report(name, console)


if __name__ == "__main__":
    main()
