"""Transitions per second of each source algorithm: all learners at once, and the same learners one after the other.

python benchmarks/ad_sources.py
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from kickstarting.ad.sources import SOURCES, run_episodes
from kickstarting.ad.tasks import find_family

PAIRS = {
    "dark-room": ("policy-gradient", "actor-critic", "q-learning", "posterior", "noise"),
    "key-to-door": ("policy-gradient", "q-learning", "posterior"),
    "bandit": ("ucb",),
    "arena": ("policy-gradient", "posterior"),
}


def speed(family_name: str, source: str, learners: int, episodes: int, repeats: int) -> float:
    """Transitions per second of `repeats` batches of `learners`, one batch after the other."""
    family = find_family(family_name)
    tasks = family.split(0).train
    tasks = tasks[np.arange(learners) % len(tasks)]
    started = time.process_time()
    for seed in range(repeats):
        batch = family.batch(tasks, seed)
        for _ in run_episodes(batch, SOURCES[source](batch, family.actions, episodes, seed), family.horizon, episodes):
            pass
    return repeats * learners * episodes * family.horizon / (time.process_time() - started)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learners", type=int, default=1024)
    parser.add_argument("--episodes", type=int, default=10)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| family | source | together, transitions/CPU-s | one by one | ratio |\n|---|---|---|---|---|")
    for family_name, sources in PAIRS.items():
        for source in sources:
            together = speed(family_name, source, given.learners, given.episodes, 1)
            alone = speed(family_name, source, 1, given.episodes, 4)
            print(f"| {family_name} | {source} | {together:,.0f} | {alone:,.0f} | {together / alone:.0f} |")
