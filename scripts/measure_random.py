"""Measure the uniformly random policy on a suite and write its `random` scores into the suite's file.

python scripts/measure_random.py src/kickstarting/suites/grid-8.toml --episodes 1024
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from rich.progress import Progress

from kickstarting.evaluate import TaskResult, evaluate_ref
from kickstarting.suites import load_suite


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", type=Path)
    parser.add_argument("--episodes", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=20_261_121)
    arguments = parser.parse_args()
    suite = load_suite(str(arguments.suite))
    results: list[TaskResult] = []
    with Progress() as bar:
        for task in suite.tasks:  # one by one: they need not fit together
            task_bar = bar.add_task(task.name, total=arguments.episodes)
            results += evaluate_ref(
                "random",
                f"{arguments.suite}:{task.name}",
                episodes=arguments.episodes,
                seed=arguments.seed,
                progress=lambda done, total, of=task_bar: bar.update(of, completed=done, total=total),
            )
    text = arguments.suite.read_text()
    head, *entries = re.split(r"(?m)^(?=\[\[task\]\])", text)
    for i, (task, result) in enumerate(zip(suite.tasks, results, strict=True)):
        measured = result.success if task.metric == "success" else result.mean_return
        entry = re.sub(r"(?m)^random = .*\n", "", entries[i])
        entries[i] = re.sub(r"(?m)^(env_id = .*\n)", rf"\g<1>random = {measured:.4f}\n", entry, count=1)
        print(f"{task.name:20s} {measured:.4f}  ({result.episodes} episodes of {result.length:.0f} steps)")
    arguments.suite.write_text("".join([head, *entries]))


if __name__ == "__main__":
    main()
