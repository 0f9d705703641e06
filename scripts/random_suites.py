"""Draw a suite of MiniGrid and BabyAI tasks, easy to hard, that nobody has tuned for, and measure the random policy on it.

python scripts/random_suites.py 7 --tasks 6 --out runs/robust/suites

The tasks are drawn from all ids of EnvPool that share MiniGrid's observations, in an order that SEED decides, until every
level of difficulty has its share. Difficulty is the success of the uniformly random policy. The same seed and number of
tasks give the same suite. Development suites of experiments/robust have seeds below 100, test suites from 100 on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from kickstarting.envs.pool import envpool_ids
from kickstarting.evaluate import evaluate_ref

LEVELS = {"easy": (0.2, 0.7), "medium": (0.05, 0.2), "hard": (0.005, 0.05), "hardest": (0.0, 0.005)}
"""Success of the random policy. A task that chance solves in more than 70 % of the episodes says nothing about learning."""
SHARES = {"easy": 1, "medium": 2, "hard": 2, "hardest": 1}
"""How many of six tasks come from each level."""


def draw(seed: int, tasks: int, episodes: int) -> list[tuple[str, float]]:
    """Environment ids with the success of the random policy, easy ones first."""
    rng = np.random.default_rng(seed)
    ids = [name for name in sorted(envpool_ids()) if name.startswith(("MiniGrid", "BabyAI")) and "Playground" not in name]
    wanted = _quotas(tasks)
    found: dict[str, list[tuple[str, float]]] = {level: [] for level in LEVELS}
    for env_id in rng.permutation(ids):
        if all(len(found[level]) >= wanted[level] for level in LEVELS):
            break
        (result,) = evaluate_ref("random", str(env_id), episodes=episodes, seed=seed, envs_per_task=64)
        level = next((name for name, (low, high) in LEVELS.items() if low <= result.success < high), None)
        print(f"{env_id:40s} {result.success:.4f}  {level or 'too easy'}", flush=True)
        if level and len(found[level]) < wanted[level]:
            found[level].append((str(env_id), result.success))
    return [entry for level in LEVELS for entry in found[level]]


def _quotas(tasks: int) -> dict[str, int]:
    """SHARES for any number of tasks: the largest remainders get the rest."""
    exact = {level: share * tasks / sum(SHARES.values()) for level, share in SHARES.items()}
    quotas = {level: int(x) for level, x in exact.items()}
    for level in sorted(exact, key=lambda level: quotas[level] - exact[level])[: tasks - sum(quotas.values())]:
        quotas[level] += 1
    return quotas


def to_toml(seed: int, entries: list[tuple[str, float]], episodes: int) -> str:
    lines = [
        f'name = "random-{seed}"',
        f'description = "{len(entries)} tasks drawn by scripts/random_suites.py {seed} --tasks {len(entries)}"',
        f"# random: success of the uniformly random policy in {episodes} episodes",
        "\n[defaults]",
        'metric = "success"\nreference = 1.0',
    ]
    for env_id, random in entries:
        name = env_id.removesuffix("-v0").replace("MiniGrid-", "").replace("BabyAI-", "babyai_")
        lines.append(f'\n[[task]]\nname = "{name}"\nenv_id = "{env_id}"\nrandom = {random:.4f}')
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seed", type=int)
    parser.add_argument("--tasks", type=int, default=6)
    parser.add_argument("--episodes", type=int, default=512)
    parser.add_argument("--out", type=Path, default=Path("runs/robust/suites"))
    arguments = parser.parse_args()
    if arguments.tasks < 1:
        parser.error(f"--tasks is {arguments.tasks}; it must be at least 1")
    path = arguments.out / f"random-{arguments.seed}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_toml(arguments.seed, draw(arguments.seed, arguments.tasks, arguments.episodes), arguments.episodes))
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
