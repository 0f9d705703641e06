"""Policies of somebody's own class, saved by Stable-Baselines3 and run by it: their labels are its own."""

# The library is an extra
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("stable_baselines3")

from stable_baselines3 import DQN, PPO, TD3
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.td3.policies import TD3Policy

from kickstarting.algo.moments import clipped_gaussian, parameters
from kickstarting.teachers.origins import load_teacher
from kickstarting.teachers.protocol import Kind, Label
from kickstarting.trust import PICKLE
from kickstarting.types import Inputs

T, B = 4, 3


class Doubling(BaseFeaturesExtractor):
    """An extractor that no archive could tell."""

    def __init__(self, space: gymnasium.Space) -> None:
        super().__init__(space, features_dim=8)
        self.layer = nn.Linear(int(np.prod(space.shape or ())), 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2.0 * torch.relu(self.layer(x.flatten(1)))


class Skipping(ActorCriticPolicy):
    """Its actor's last layer is scaled, which its weights do not tell."""

    def _get_action_dist_from_latent(self, latent_pi: torch.Tensor) -> Any:
        return super()._get_action_dist_from_latent(3.0 * latent_pi)


class Values(DQNPolicy):
    """Only a name."""


class Twin(TD3Policy):
    """Only a name."""


@pytest.fixture(autouse=True)
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kickstarting.trust._trusted", {PICKLE})
    monkeypatch.setitem(sys.modules, "test_sb3_own", sys.modules[__name__])


def saved(tmp_path: Path, algorithm: Any, policy: Any, env: Any, **options: Any) -> tuple[Any, str]:
    kwargs = {"net_arch": [8], "features_extractor_class": Doubling, **options}
    model = algorithm(policy, env, policy_kwargs=kwargs, device="cpu", seed=0)
    model.save(tmp_path / "own.zip")
    return model.policy, f"sb3:{tmp_path / 'own.zip'}"


def labelled(ref: str, width: int) -> tuple[Label, torch.Tensor]:
    teacher = load_teacher(ref)
    x, blank = torch.randn(T, B, width), torch.zeros(T, B)
    label, _ = teacher.label(Inputs({"observation": x}, blank, blank, blank.bool()), teacher.initial_state(B))
    return label, x.flatten(0, 1)


def test_one_of_ppo_says_its_distribution_and_values(tmp_path: Path) -> None:
    policy, ref = saved(tmp_path, PPO, Skipping, "CartPole-v1")
    label, x = labelled(ref, 4)
    torch.testing.assert_close(label.policy.flatten(0, 1), policy.get_distribution(x).distribution.logits)
    assert label.values is not None
    torch.testing.assert_close(label.values.flatten(), policy.predict_values(x)[:, 0])


def test_continuous_actions_are_clipped_into_the_students_units(tmp_path: Path) -> None:
    policy, ref = saved(tmp_path, PPO, Skipping, "Pendulum-v1", log_std_init=0.3)
    label, x = labelled(ref, 3)
    law, one = policy.get_distribution(x).distribution, torch.ones(1)
    expected = parameters(*clipped_gaussian(law.mean / 2, law.stddev / 2, -one, one))
    torch.testing.assert_close(label.policy.flatten(0, 1), expected)


def test_others_say_what_they_would_do(tmp_path: Path) -> None:
    policy, ref = saved(tmp_path, DQN, Values, "CartPole-v1")
    label, x = labelled(ref, 4)
    assert label.kind == Kind.ACTIONS
    assert label.policy.flatten().equal(policy._predict(x, deterministic=True))
    policy, ref = saved(tmp_path, TD3, Twin, "Pendulum-v1")
    label, x = labelled(f"{ref}?std=0.2", 3)
    torch.testing.assert_close(label.policy[..., 0].flatten(), policy._predict(x)[:, 0])
    torch.testing.assert_close(label.policy[..., 1].exp(), torch.full((T, B), 0.2))


def test_it_needs_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ref = saved(tmp_path, PPO, Skipping, "CartPole-v1")
    monkeypatch.setattr("kickstarting.trust._trusted", set())
    with pytest.raises(ValueError, match=r"test_sb3_own\.Skipping, as a pickle; .*--trust-pickle"):
        load_teacher(ref)


def test_one_that_was_changed_since_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, ref = saved(tmp_path, PPO, Skipping, "CartPole-v1")
    monkeypatch.setattr(Doubling, "__init__", lambda self, space: BaseFeaturesExtractor.__init__(self, space, 5))
    with pytest.raises(ValueError, match=r"its policy test_sb3_own\.Skipping cannot be made: RuntimeError"):
        load_teacher(ref)
