"""rsl_rl's PPO with a teacher that reads what the student does not: a policy of sensors, taught by one that sees the state.

    pip install rsl-rl-lib
    python examples/rsl_rl_kickstarted.py

Give the runner this algorithm in place of its own, with the teacher's file; all else of the configuration stays as it is:

    cfg["algorithm"]["class_name"] = "rsl_rl_kickstarted:KickstartedPPO"
    cfg["algorithm"]["kickstart"] = {"teacher": "torch:policy.pt?shape=4&observation=state", "schedule": "linear:1:0:50%",
                                     "total_frames": 1_000_000}

The labels travel with the observations into the minibatches, and the term is attached to the critic's output, so that the update is
the library's own, recurrent or not.
"""

# The library is none of this package's dependencies
# pyright: reportMissingImports=false
from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from rsl_rl.algorithms import PPO
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from rsl_rl.utils import unpad_trajectories
from tensordict import TensorDict
from torch import Tensor

from kickstarting import Kickstarter, attach_loss
from kickstarting.trust import CODE, trust

POLICY, WEIGHTS = "teacher_policy", "teacher_weights"
"""Groups of the stored observations while they are learned from."""


class KickstartedPPO(PPO):
    """Its loss has the term lambda * H(pi_teacher || pi_student) more. The policy must be a normal."""

    def __init__(self, actor: Any, critic: Any, storage: Any, *, kickstart: dict[str, Any], **options: Any) -> None:
        """kickstart: options of `Kickstarter`. The teacher reads groups of the environment's observations by their names."""
        super().__init__(actor, critic, storage, **options)
        groups: dict[str, spaces.Space] = {name: _unbounded(x.shape[2:]) for name, x in storage.observations.items()}
        acts = _unbounded(storage.actions.shape[2:])
        self._kickstarter = Kickstarter(observation_space=spaces.Dict(groups), action_space=acts, **kickstart)
        self._starts = torch.ones_like(storage.dones[0])
        self._frames, self._terms = 0, []

    def update(self) -> dict[str, float]:
        stored, self._terms = self.storage.observations, []
        stored[POLICY], stored[WEIGHTS] = self._labels()
        handle = self.critic.register_forward_hook(self._attach, with_kwargs=True)
        try:
            losses = super().update()
        finally:
            handle.remove()
            del stored[POLICY], stored[WEIGHTS]
        return {**losses, "distillation": float(np.mean(self._terms)), "teacher_weight": self._kickstarter.weight(self._frames)}

    def _labels(self) -> tuple[Tensor, Tensor]:
        """[T, B, 2 D] and [T, B, 1]."""
        stored = self.storage
        is_first = torch.cat([self._starts[None], stored.dones[:-1]])[..., 0]
        self._starts = stored.dones[-1].clone()
        self._frames += is_first.numel()
        observations = dict(stored.observations.items())
        policy, weights = self._kickstarter.label(
            observations, is_first, frames=self._frames, actions=stored.actions, rewards=stored.rewards
        )
        return policy, weights[..., None]

    def _attach(self, critic: Any, given: tuple[Any, ...], options: dict[str, Any], values: Tensor) -> Tensor:
        """The critic is asked for a minibatch when the actor has been."""
        policy, weights = given[0][POLICY], given[0][WEIGHTS]
        if (masks := options.get("masks")) is not None:
            policy, weights = (unpad_trajectories(x, masks) for x in (policy, weights))
        student = torch.cat([self.actor.output_mean, self.actor.output_std.log()], -1)
        term = self._kickstarter.loss(student, policy, weights[..., 0])
        self._terms.append(term.item())
        return attach_loss(values, term)


def _unbounded(shape: torch.Size) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, tuple(shape), np.float32)


class Cart(VecEnv):
    """Carts on a rail, which a force must bring to the middle and keep there. The sensors see where a cart is; how fast it is, only
    the state has."""

    num_actions, max_episode_length, device, cfg = 1, 100, "cpu", {}

    def __init__(self, num_envs: int, seed: int = 0) -> None:
        self.num_envs = num_envs
        self._random = torch.Generator().manual_seed(seed)
        self.episode_length_buf = torch.zeros(num_envs, dtype=torch.long)
        self._state = self._fresh(num_envs)

    def _fresh(self, number: int) -> Tensor:
        return torch.rand(number, 2, generator=self._random) * 4 - 2

    def get_observations(self) -> TensorDict:
        return TensorDict({"sensors": self._state[:, :1].clone(), "state": self._state.clone()}, [self.num_envs])

    def step(self, actions: Tensor) -> tuple[TensorDict, Tensor, Tensor, dict[str, Any]]:
        position, speed = self._state.unbind(-1)
        speed = speed + 0.2 * actions[:, 0].clamp(-2, 2)
        self._state = torch.stack([position + 0.1 * speed, speed], -1)
        self.episode_length_buf += 1
        rewards = -0.1 * self._state.square().sum(-1)
        left, late = self._state[:, 0].abs() > 4, self.episode_length_buf >= self.max_episode_length
        dones = left | late
        self._state[dones], self.episode_length_buf[dones] = self._fresh(int(dones.sum())), 0
        return self.get_observations(), rewards - 5.0 * left, dones, {"time_outs": late & ~left}


def configuration(group: str, **algorithm: Any) -> dict[str, Any]:
    """Of a runner whose actor reads one group; the critic reads the state."""
    network = {"class_name": "MLPModel", "hidden_dims": [32, 32], "activation": "elu"}
    normal = {"class_name": "GaussianDistribution", "init_std": 1.0, "std_type": "log"}
    return {
        "num_steps_per_env": 25,
        "save_interval": 1000,
        "obs_groups": {"actor": [group], "critic": ["state"]},
        "actor": {**network, "distribution_cfg": normal},
        "critic": dict(network),
        "algorithm": {"class_name": "PPO", "learning_rate": 3e-3, "schedule": "fixed", **algorithm},
    }


def train(env: Cart, config: dict[str, Any], iterations: int) -> OnPolicyRunner:
    runner = OnPolicyRunner(env, copy.deepcopy(config), log_dir=None, device="cpu")
    runner.learn(iterations)
    return runner


@torch.no_grad()
def mean_return(runner: OnPolicyRunner, episodes: int = 200) -> float:
    """Of whole episodes with the mean action."""
    env, policy, total = Cart(episodes, seed=1), runner.get_inference_policy(), torch.zeros(episodes)
    alive = torch.ones(episodes, dtype=torch.bool)
    for _ in range(env.max_episode_length):
        _, rewards, dones, _ = env.step(policy(env.get_observations()))
        total += rewards * alive
        alive &= ~dones
    return float(total.mean())


def main(iterations: int = 60) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    trust([CODE])  # TorchScript can run code; this file is our own
    with tempfile.TemporaryDirectory() as folder:
        teacher = train(Cart(64), configuration("state"), iterations)
        print(f"the teacher, which reads the state: mean return {mean_return(teacher):.1f}", flush=True)
        teacher.export_policy_to_jit(folder, "policy.pt")
        kickstart = {
            "teacher": f"torch:{Path(folder) / 'policy.pt'}?shape=2&observation=state&std=0.3",
            "schedule": "linear:1:0:50%",
            "total_frames": iterations // 3 * 64 * 25,
        }
        for name, options in (("alone", {}), ("with the teacher", {"class_name": KickstartedPPO, "kickstart": kickstart})):
            student = train(Cart(64), configuration("sensors", **options), iterations // 3)
            print(f"a student of the sensors {name}: mean return {mean_return(student):.1f}", flush=True)


if __name__ == "__main__":
    main()
