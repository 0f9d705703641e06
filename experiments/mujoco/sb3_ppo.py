"""Stable-Baselines3's PPO with the hyperparameters that its authors published for the task, on EnvPool's environment.

    VENV/bin/python sb3_ppo.py HalfCheetah-v4 --frames 1000000 --seed 0 --out episodes.json

They are those of rl-baselines3-zoo's hyperparams/ppo.yml for the tasks' version 3. Needs stable-baselines3 and envpool, in an
environment of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import envpool
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from torch import nn

WIDE = {"log_std_init": -2, "ortho_init": False, "activation_fn": nn.ReLU, "net_arch": {"pi": [256, 256], "vf": [256, 256]}}
PUBLISHED: dict[str, dict[str, Any]] = {
    "HalfCheetah": {
        "batch_size": 64,
        "n_steps": 512,
        "gamma": 0.98,
        "learning_rate": 2.0633e-05,
        "ent_coef": 0.000401762,
        "clip_range": 0.1,
        "n_epochs": 20,
        "gae_lambda": 0.92,
        "max_grad_norm": 0.8,
        "vf_coef": 0.58096,
        "policy_kwargs": WIDE,
    },
    "Hopper": {
        "batch_size": 32,
        "n_steps": 512,
        "gamma": 0.999,
        "learning_rate": 9.80828e-05,
        "ent_coef": 0.00229519,
        "clip_range": 0.2,
        "n_epochs": 5,
        "gae_lambda": 0.99,
        "max_grad_norm": 0.7,
        "vf_coef": 0.835671,
        "policy_kwargs": WIDE,
    },
    "Walker2d": {
        "batch_size": 32,
        "n_steps": 512,
        "gamma": 0.99,
        "learning_rate": 5.05041e-05,
        "ent_coef": 0.000585045,
        "clip_range": 0.1,
        "n_epochs": 20,
        "gae_lambda": 0.95,
        "max_grad_norm": 1,
        "vf_coef": 0.871923,
    },
}


class Environment(VecEnv):
    """EnvPool as a vectorised environment of one, which resets in the step that ends an episode, as the peer wants it."""

    def __init__(self, env_id: str, seed: int) -> None:
        self._pool = envpool.make(env_id, env_type="gymnasium", num_envs=1, seed=seed, num_threads=1)
        self.frames, self.total, self.episodes = 0, 0.0, []
        super().__init__(1, self._pool.observation_space, self._pool.action_space)

    def reset(self) -> np.ndarray:
        return self._pool.reset()[0]

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        x, reward, terminated, truncated, _ = self._pool.step(self._actions)
        self.frames += 1
        self.total += float(reward[0])
        done, info = terminated | truncated, {}
        if done[0]:
            self.episodes.append((self.frames, self.total))
            self.total = 0.0
            info = {"terminal_observation": x[0], "TimeLimit.truncated": bool(truncated[0] & ~terminated[0])}
            x = self._pool.step(self._actions)[0]  # which only resets
        return x, reward, done, [info]

    def close(self) -> None:
        """Nothing: EnvPool stays open until its process ends."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        if attr_name == "render_mode":
            return [None]
        raise AttributeError(attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env_id")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began, published = time.perf_counter(), PUBLISHED[arguments.env_id.partition("-")[0]]
    env = Environment(arguments.env_id, arguments.seed)
    model = PPO("MlpPolicy", VecNormalize(env, gamma=published["gamma"]), seed=arguments.seed, device="cpu", **published)
    model.learn(arguments.frames)
    seconds = time.perf_counter() - began
    arguments.out.write_text(json.dumps({"seconds": seconds, "frames": env.frames, "episodes": env.episodes}) + "\n")


if __name__ == "__main__":
    main()
