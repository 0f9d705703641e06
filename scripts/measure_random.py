"""Measure the uniformly random policy on a suite and write its `random` scores into the suite's file.

python scripts/measure_random.py src/kickstarting/suites/grid-8.toml --episodes 1024
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress

from kickstarting.envs import describe
from kickstarting.evaluate import TaskResult, evaluate_random
from kickstarting.suites import Suite, load_suite


def measure(suite: Suite, episodes: int, seed: int) -> list[TaskResult]:
    """Each task alone, for they need not fit together."""
    results: list[TaskResult] = []
    with Progress() as bar:
        for task in suite.tasks:
            alone, task_bar = replace(suite, tasks=(task,)), bar.add_task(task.name, total=episodes)
            results += evaluate_random(
                alone,
                describe(alone.tasks).distribution.size,
                episodes=episodes,
                seed=seed,
                progress=lambda done, total, of=task_bar: bar.update(of, completed=done, total=total),
            )
    return results


def with_random(text: str, scores: Sequence[float]) -> str:
    """A suite's file with `random` behind every task's `env_id`."""
    head, *entries = re.split(r"(?m)^(?=\[\[task\]\])", text)
    bare = [re.sub(r"(?m)^random = .*\n", "", entry) for entry in entries]
    told = [
        re.sub(r"(?m)^(env_id = .*\n)", rf"\g<1>random = {score:.4f}\n", entry, count=1)
        for entry, score in zip(bare, scores, strict=True)
    ]
    return "".join([head, *told])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--episodes", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=20_261_121)
    arguments = parser.parse_args()
    suite = load_suite(str(arguments.suite))
    results = measure(suite, arguments.episodes, arguments.seed)
    measured = [r.success if task.metric == "success" else r.mean_return for task, r in zip(suite.tasks, results, strict=True)]
    for result, score in zip(results, measured, strict=True):
        print(f"{result.task:20s} {score:.4f}  ({result.episodes} episodes of {result.length:.0f} steps)")
    arguments.suite.write_text(with_random(arguments.suite.read_text(), measured))


if __name__ == "__main__":
    main()
