"""Stable-Baselines3: RecurrentPPO of sb3-contrib, or PPO without an LSTM; one epoch of one minibatch is one update.

    python stable_baselines3_ppo.py --seconds 15 [--workload W1-no-lstm]

Not called stable_baselines3.py because a script's folder comes first on its import path: it would import itself.

Both trainers act and learn in one process, in series. RecurrentPPO has by default one LSTM for the policy and another for the
value; here they share one (`shared_lstm`), which is the workloads' network and less work. It then does not pass the value's
gradient on to the LSTM, which is less work again, in its favour.
"""

from __future__ import annotations

import os
from typing import Any

import gymnasium
import numpy as np
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv
from workload import Pool, Stopwatch, Workload, parser, workload_of


class Environments(VecEnv):
    """EnvPool as the vectorised environment of Stable-Baselines3. The images stay uint8; the network makes them floats."""

    def __init__(self, workload: Workload, threads: int) -> None:
        self._pool = Pool(workload, threads)
        self._infos: list[dict[str, Any]] = [{} for _ in range(workload.columns)]  # one for all steps: it is only read
        super().__init__(workload.columns, workload.image, gymnasium.spaces.Discrete(workload.actions))

    def reset(self) -> np.ndarray:
        return self._pool.reset()

    def step_async(self, actions: np.ndarray) -> None:
        self._pool.send(actions)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, terminated, truncated = self._pool.recv()
        return observations, rewards, terminated | truncated, self._infos

    def close(self) -> None:
        """Nothing: EnvPool stays open until its process ends."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        if attr_name == "render_mode":
            return [None] * self.num_envs
        raise AttributeError(attr_name)

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


class Features(BaseFeaturesExtractor):
    """The network below the LSTM, as Stable-Baselines3 wants it."""

    def __init__(self, observation_space: gymnasium.Space, workload: Workload) -> None:
        super().__init__(observation_space, features_dim=256)
        self.torso = workload.torso()

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.torso(observations)


class Laps(BaseCallback):
    """Tells the stopwatch of every update, just before the next rollout begins, and ends the run when that has enough."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        super().__init__()
        self._stopwatch = stopwatch
        self._enough = False

    def _on_rollout_start(self) -> None:
        self._enough = self._stopwatch.lap(self.num_timesteps)

    def _on_step(self) -> bool:
        return not self._enough


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--torch-threads", type=int, default=os.cpu_count() or 1)
    arguments = options.parse_args()
    torch.set_num_threads(arguments.torch_threads)
    workload = workload_of(arguments)
    policy: dict[str, Any] = {"features_extractor_class": Features, "features_extractor_kwargs": {"workload": workload}}
    policy |= {"net_arch": [], "normalize_images": False}  # no layers between features and heads
    if workload.lstm:
        policy |= {"lstm_hidden_size": workload.lstm, "shared_lstm": True, "enable_critic_lstm": False}
    trainer, name = (RecurrentPPO, "CnnLstmPolicy") if workload.lstm else (PPO, "CnnPolicy")
    model = trainer(
        name,
        Environments(workload, arguments.env_threads),
        n_steps=workload.unroll,
        batch_size=workload.batch,
        n_epochs=1,
        policy_kwargs=policy,
        device="cpu",
        seed=0,
        verbose=0,
    )
    stopwatch = Stopwatch(arguments.seconds)
    model.learn(10**12, callback=Laps(stopwatch), log_interval=None)
    label = "Stable-Baselines3 " + ("RecurrentPPO" if workload.lstm else "PPO")
    package = "sb3-contrib" if workload.lstm else "stable-baselines3"
    stopwatch.report(label, package, workload, torch_threads=arguments.torch_threads, env_threads=arguments.env_threads)


if __name__ == "__main__":
    main()
