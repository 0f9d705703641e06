"""Write tests/teachers/foreign/NAME.cleanrl_model: agents in CleanRL's style as its scripts save them, and what they say.

    python scripts/make_cleanrl_teachers.py        # half a minute

Their classes are those of tests/teachers/own_agents.py. `ppo` learns CartPole by examples/cleanrl_style.py, `ppo-lstm` nothing:
what is tested is that labels are the agent's own. NAME.npz has observations [T, B, ...], `is_first`, the log-probability of every
action and the values, each by a call of the agent as its own loop would make it, step by step.
"""

# The modules lie in folders that are put on the path here
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

ROOT = Path(__file__).parent.parent
OUT = ROOT / "tests" / "teachers" / "foreign"
T, B = 12, 3
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "tests" / "teachers")]


def trained() -> nn.Module:
    """CleanRL's names for the layers of the example's agent."""
    import cleanrl_style
    import own_agents

    learned, _ = cleanrl_style.train(hidden=own_agents.CartPole.hidden, seed=1, total_frames=30_000)
    agent = own_agents.CartPole()
    names = {"policy": "actor", "value": "critic"}
    weights = {f"{names[key.partition('.')[0]]}.{key.partition('.')[2]}": x for key, x in learned.state_dict().items()}
    agent.load_state_dict(weights)
    return agent


def recurrent() -> nn.Module:
    import own_agents

    torch.manual_seed(2)
    return own_agents.Recurrent()


def cart_pole() -> tuple[np.ndarray, np.ndarray]:
    """Observations along random episodes, and where these begin."""
    same_step = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}
    envs = gymnasium.make_vec("CartPole-v1", B, vectorization_mode="sync", vector_kwargs=same_step)
    envs.action_space.seed(3)
    x, is_first, steps = envs.reset(seed=3)[0], np.ones(B, bool), []
    for _ in range(T):
        steps.append((x, is_first))
        x, _, terminated, truncated, _ = envs.step(envs.action_space.sample())
        is_first = terminated | truncated
    return np.stack([x for x, _ in steps]), np.stack([first for _, first in steps])


def noise() -> tuple[np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(4)
    return numbers.integers(0, 256, (T, B, 2, 12, 12), np.uint8), numbers.random((T, B)) < 0.2


@torch.no_grad()
def said(agent: Any, observations: np.ndarray, is_first: np.ndarray) -> dict[str, np.ndarray]:
    """log_probs [T, B, A] and values [T, B], as the agent's loop asks for them: one step of all environments at a time."""
    actions, state = int(agent.action_space.n), None
    if hasattr(agent, "lstm"):
        state = tuple(torch.zeros(agent.lstm.num_layers, B, agent.lstm.hidden_size) for _ in range(2))
    log_probs, values = [], []
    for x, done in zip(torch.from_numpy(observations).float(), torch.from_numpy(is_first).float(), strict=True):
        rest = () if state is None else (state, done)
        answers = [agent.get_action_and_value(x, *rest, action=torch.full((B,), a)) for a in range(actions)]
        state = None if state is None else answers[0][4]
        log_probs.append(torch.stack([answer[1] for answer in answers], -1))
        values.append(answers[0][3].flatten())
    return {"log_probs": torch.stack(log_probs).numpy(), "values": torch.stack(values).numpy()}


def main() -> None:
    torch.set_num_threads(1)
    for name, make, observe in (("ppo", trained, cart_pole), ("ppo-lstm", recurrent, noise)):
        agent, (observations, is_first) = make(), observe()
        torch.save(agent.state_dict(), OUT / f"{name}.cleanrl_model")
        arrays = {"observations": observations, "is_first": is_first, **said(agent, observations, is_first)}
        np.savez_compressed(OUT / f"{name}.npz", **arrays)  # pyright: ignore[reportArgumentType]
        print(f"{name}: {sum(path.stat().st_size for path in OUT.glob(f'{name}.*')) / 1e3:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
