"""Stable-Baselines3's PPO and A2C, and sb3-contrib's RecurrentPPO, with a teacher: one function makes them listen.

    pip install 'kickstarting[sb3]'
    python examples/sb3_kickstarted.py

    model = kickstarted(PPO)("MlpPolicy", "CartPole-v1", teacher="sb3:old.zip", schedule="linear:1:0:20%")
    model.learn(100_000)

`teacher` is what `kickstart train --teacher` takes, of any origin. `save` and `load` keep its reference, not the teacher. The loss,
its clipping and its optimiser are the library's own: the term is attached to the output of the policy's last layer.
"""

# The libraries are an extra
# pyright: reportMissingImports=false
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ConvertCallback
from torch import Tensor

from kickstarting import Kickstarter, attach_loss


def kickstarted(algorithm: Any) -> Any:
    """PPO, A2C or RecurrentPPO whose loss has the term lambda * H(pi_teacher || pi_student) more."""

    class Kickstarted(algorithm):
        def __init__(
            self, *args: Any, teacher: str = "", teacher_adapters: str = "", schedule: str = "linear:1:0:20%", **kwargs: Any
        ) -> None:
            """Raises ValueError for state-dependent exploration. teacher: none unless given. schedule: lambda over timesteps."""
            if kwargs.get("use_sde"):
                raise ValueError("use_sde is on; the deviation of such a policy is not in its last layer, so switch it off")
            self.teacher, self.teacher_adapters, self.schedule = teacher, teacher_adapters, schedule
            self._kickstarter: Kickstarter | None = None
            self._raw: Raw | None = None
            super().__init__(*args, **kwargs)

        def learn(self, total_timesteps: int, callback: Any = None, **kwargs: Any) -> Any:
            normaliser = self.get_vec_normalize_env()
            self._raw = Raw(normaliser) if normaliser else None
            own = callback if isinstance(callback, list) else [callback]
            callbacks = [x if isinstance(x, BaseCallback) else ConvertCallback(x) for x in own]
            return super().learn(total_timesteps, CallbackList([*callbacks, *([self._raw] if self._raw else [])]), **kwargs)

        def _setup_learn(self, *args: Any, **kwargs: Any) -> Any:
            found = super()._setup_learn(*args, **kwargs)
            if self.teacher:
                space = self._raw.normaliser.venv.observation_space if self._raw else self.observation_space
                self._kickstarter = Kickstarter(
                    self.teacher,
                    space,
                    self.action_space,
                    schedule=self.schedule,
                    total_frames=self._total_timesteps,
                    adapters=self.teacher_adapters,
                )
            return found

        def train(self) -> None:
            if self._kickstarter is None:
                return super().train()
            policy, weights = self._labels(self._kickstarter)
            with attached(self._kickstarter, self.policy, self.rollout_buffer, policy, weights) as crossed:
                super().train()
            self.logger.record("train/teacher_weight", self._kickstarter.weight(self.num_timesteps))
            self.logger.record("train/distillation_loss", float(np.mean(crossed)))
            return None

        def _labels(self, kickstarter: Kickstarter) -> tuple[Tensor, Tensor]:
            """Of the whole rollout, [T, B, A] and [T, B], before the buffer shuffles it."""
            buffer, raw = self.rollout_buffer, self._raw
            actions = buffer.actions.reshape(buffer.buffer_size, buffer.n_envs, *(self.action_space.shape or ()))
            return kickstarter.label(
                raw.unroll() if raw else buffer.observations,
                buffer.episode_starts,
                frames=self.num_timesteps,
                actions=actions,
                rewards=np.stack(raw.rewards) if raw else buffer.rewards,
            )

        def _excluded_save_params(self) -> list[str]:
            return [*super()._excluded_save_params(), "_kickstarter", "_raw"]

    Kickstarted.__name__ = Kickstarted.__qualname__ = f"Kickstarted{algorithm.__name__}"
    return Kickstarted


class Raw(BaseCallback):
    """Keeps what VecNormalize reads: the teacher has statistics of its own."""

    def __init__(self, normaliser: Any) -> None:
        super().__init__()
        self.normaliser = normaliser

    def _on_rollout_start(self) -> None:
        self.observations, self.rewards = [self.normaliser.get_original_obs()], []

    def _on_step(self) -> bool:
        self.observations.append(self.normaliser.get_original_obs())
        self.rewards.append(self.normaliser.get_original_reward())
        return True

    def unroll(self) -> Any:
        """[T, B, ...], by name if it is a dict."""
        steps = self.observations[:-1]
        return {key: np.stack([x[key] for x in steps]) for key in steps[0]} if isinstance(steps[0], dict) else np.stack(steps)


@contextmanager
def attached(kickstarter: Kickstarter, student: Any, buffer: Any, policy: Tensor, weights: Tensor) -> Iterator[list[float]]:
    """While it lasts, every minibatch's loss has the term more. Yields the list of the terms' values."""
    labels = [buffer.swap_and_flatten(x.numpy()) for x in (policy, weights)]  # [T * B, A] and [T * B, 1]
    get_samples, rows, terms = buffer._get_samples, [], []

    def remembered(indices: np.ndarray, *rest: Any) -> Any:
        samples = get_samples(indices, *rest)
        chosen = [torch.from_numpy(x[indices]) for x in labels]
        if hasattr(buffer, "pad"):  # a recurrent policy gets sequences of one length; what fills them up has weight 0
            chosen = [buffer.pad(x.numpy()).flatten(0, 1) for x in chosen]
        rows[:] = chosen[0].to(student.device), chosen[1][:, 0].to(student.device)
        return samples

    def hook(layer: Any, inputs: Any, output: Tensor) -> Tensor:
        continuous = isinstance(student.action_space, spaces.Box)
        said = torch.cat([output, student.log_std.expand_as(output)], -1) if continuous else output
        term = kickstarter.loss(said, *rows)
        terms.append(term.item())
        return attach_loss(output, term)

    buffer._get_samples, handle = remembered, student.action_net.register_forward_hook(hook)
    try:
        yield terms
    finally:
        handle.remove()
        del buffer._get_samples  # the class's own again


def main(total_timesteps: int = 40_000, seeds: int = 3) -> None:
    """A small network learns CartPole, then teaches a larger one, beside the larger one alone."""
    torch.set_num_threads(1)
    settings: dict[str, Any] = {"n_steps": 256, "learning_rate": 1e-3, "gamma": 0.98, "device": "cpu"}
    with tempfile.TemporaryDirectory() as folder:
        small = {"policy_kwargs": {"net_arch": [16, 16]}, **settings}
        PPO("MlpPolicy", "CartPole-v1", seed=100, **small).learn(total_timesteps).save(Path(folder) / "teacher")
        for name, teacher in (("alone", ""), ("with the teacher", f"sb3:{folder}/teacher.zip")):
            returns = []
            for seed in range(seeds):
                model = kickstarted(PPO)("MlpPolicy", "CartPole-v1", seed=seed, teacher=teacher, **settings)
                model.learn(total_timesteps // 4)
                returns.append(np.mean([episode["r"] for episode in model.ep_info_buffer][-20:]))
            print(f"{name}: mean return {', '.join(f'{x:.0f}' for x in returns)} after {total_timesteps // 4} steps", flush=True)


if __name__ == "__main__":
    main()
