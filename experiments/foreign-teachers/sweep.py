"""How many frames does a teacher of another library save? The same student on its task, alone and with it; see README.md.

    python experiments/foreign-teachers/sweep.py run                     # all arms, seeds 0 to 2
    python experiments/foreign-teachers/sweep.py run --only cartpole --seeds 5
    python experiments/foreign-teachers/sweep.py report                  # of what has finished: results.csv, table and figure

Everything resumes where it was killed. Runs go to runs/experiments/foreign-teachers, what `report` finds to report/ beside this
file. The teachers are those that scripts/make_foreign_teachers.py made for the tests.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from kickstarting.config import Config
from kickstarting.launch.sweep import run_all
from kickstarting.runs.layout import finished

HERE = Path("experiments/foreign-teachers")
TEACHERS = Path("tests/teachers/foreign")
RUNS = Path("runs/experiments/foreign-teachers")
EXAMPLES = Path("examples")
"""Where the T-maze is imported from."""
BASELINE = "scratch"


@dataclass(frozen=True)
class World:
    """A task, and the teachers that others trained on it."""

    suite: str
    frames: int
    teachers: Mapping[str, str]
    """The reference of each, by the name of its arm."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of all arms, where the defaults cannot do the task."""
    adapters: str = ""
    """Between the task and its teachers."""

    @property
    def arms(self) -> dict[str, str]:
        """The baseline first, which has no teacher."""
        return {BASELINE: "", **self.teachers}


WORLDS = {
    "cartpole": World(
        f"{HERE}/tasks.toml:cartpole",
        100_000,
        {"SB3 PPO": f"sb3:{TEACHERS}/ppo-cartpole.zip", "SB3 DQN": f"sb3:{TEACHERS}/dqn-cartpole.zip"},
    ),
    "empty-room": World(
        f"{HERE}/tasks.toml:empty_room",
        40_000,
        {"SB3 PPO": f"sb3:{TEACHERS}/ppo-minigrid.zip"},
        adapters="rename(observation=image)",
    ),
    "t-maze": World(
        f"{HERE}/t_maze.toml",
        60_000,
        {"SB3 RecurrentPPO": f"sb3:{TEACHERS}/recurrent-ppo-maze.zip"},
        {"network_options": ("lstm=64",), "trust_modules": ("t_maze",)},
    ),
    "babyai": World("examples/babyai_bot.toml:go_to_red_ball", 40_000, {"BabyAI's bot": "observation:expert?actions=7"}),
    "pendulum": World(f"{HERE}/tasks.toml:pendulum", 300_000, {"SB3 SAC": f"sb3:{TEACHERS}/sac-pendulum.zip"}),
}


def directory(world: str, arm: str, seed: int) -> Path:
    return RUNS / world / f"{re.sub(r'[^A-Za-z0-9]+', '-', arm).lower()}-{seed}"


def plan(worlds: Iterable[str], seeds: int) -> dict[Path, Config]:
    """Every run; all worlds of a seed before the next seed, so that an unfinished sweep says something about every teacher."""
    runs = {}
    for seed in range(seeds):
        for name in worlds:
            world = WORLDS[name]
            adapters = {"teacher_adapters": (world.adapters,)} if world.adapters else {}
            for arm, ref in world.arms.items():
                taught = {"teachers": (ref,), **adapters} if ref else {}
                settings = {"name": arm, "seed": seed, "total_frames": world.frames, "torch_threads": 1, **world.settings, **taught}
                runs[directory(name, arm, seed)] = Config.of(world.suite, **settings)
    return runs


def importable() -> None:
    """For this process, and those that it starts."""
    sys.path.insert(0, str(EXAMPLES.resolve()))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(EXAMPLES.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--only", nargs="+", default=list(WORLDS), choices=list(WORLDS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=0)
    arguments = parser.parse_args()
    importable()
    runs = plan(arguments.only, arguments.seeds)
    if arguments.what == "run":
        run_all(runs, jobs=arguments.jobs, console=Console())
        return
    from found import write_report  # beside this file

    write_report({name: [out for out in runs if out.parent.name == name and finished(out)] for name in arguments.only}, HERE)


if __name__ == "__main__":
    main()
