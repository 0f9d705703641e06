"""Which source a sequence model learns best from: the runs of README.md, one after the other, each by what its commands do.

python experiments/ad-dark-room/sweep.py --arms policy-gradient posterior --seeds 1 2 3
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kickstarting.ad.collect import CollectConfig, collect
from kickstarting.ad.results import HowEvaluated, compared, write_results
from kickstarting.ad.saved import TrainConfig
from kickstarting.ad.training import train_model


@dataclass(frozen=True)
class Arm:
    """Histories of one source, and how the model learns from them."""

    source: str
    episodes: int
    updates: int
    family: str = "dark-room"
    train: dict[str, Any] = field(default_factory=dict)
    histories: int = 1920
    every: int = 1
    in_context: int = 200


ARMS = {
    "policy-gradient": Arm("policy-gradient", 400, 1500),
    "actor-critic": Arm("actor-critic", 400, 1500, histories=960),
    "q-learning": Arm("q-learning", 600, 1500, histories=960),
    "posterior": Arm("posterior", 20, 800),
    "noise": Arm("noise", 100, 800),
    "expert distillation": Arm("posterior", 40, 800, train={"last": 20}),
    "no skip": Arm("policy-gradient", 400, 800, train={"skip": (1,)}),
    "key-to-door posterior": Arm("posterior", 12, 1500, "key-to-door", {"episodes": 4, "batch": 32}, in_context=50),
}


def run(name: str, seed: int, out: Path) -> None:
    """Collect, train, and look at the test tasks once. A seed is that of everything, also of the split."""
    arm = ARMS[name]
    histories, model = out / f"{name}-{seed}", out / f"{name}-{seed}" / "model"
    spent = {"collect": time.process_time(), "wall": time.perf_counter()}
    config = CollectConfig(
        arm.family, arm.source, histories=arm.histories, episodes=arm.episodes, every=arm.every, seed=seed, split_seed=seed
    )
    collect(config, histories)
    spent["train"] = time.process_time()
    train_model(TrainConfig(updates=arm.updates, seed=seed, threads=1, **arm.train), histories, model)
    spent["evaluate"] = time.process_time()
    rollouts = 1 if arm.family == "key-to-door" else 4
    for choice in ("sample", "mixed"):
        how = HowEvaluated(episodes=arm.in_context, rollouts=rollouts, choice=choice)
        results = compared(model, how, choice == "sample")
        write_results(results, out / f"{name}-{seed}" / choice)
    cpu = {"collect": spent["train"] - spent["collect"], "train": spent["evaluate"] - spent["train"]}
    cpu["evaluate"] = time.process_time() - spent["evaluate"]
    wall = time.perf_counter() - spent["wall"]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    facts = {"arm": name, "seed": seed, "cpu_seconds": cpu, "wall_seconds": wall, "memory_gb": memory}
    (out / f"{name}-{seed}" / "cost.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=Path("runs/experiments/ad-dark-room"))
    given = parser.parse_args()
    for seed in given.seeds:
        for name in given.arms:
            run(name, seed, given.out)
