"""Stable-Baselines3 with a teacher: the gradient is the library's own and the term's, and the student comes closer."""

# The libraries are an extra
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

ROOT = Path(__file__).parents[2]
FOREIGN = ROOT / "tests" / "teachers" / "foreign"
sys.path.insert(0, str(ROOT / "examples"))

from sb3_contrib import RecurrentPPO  # noqa: E402
from sb3_kickstarted import kickstarted  # noqa: E402
from stable_baselines3 import A2C, PPO  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize  # noqa: E402

from kickstarting import load_teacher  # noqa: E402
from kickstarting.types import Inputs  # noqa: E402

CART, MAZE, PENDULUM = (f"sb3:{FOREIGN / name}.zip" for name in ("ppo-cartpole", "recurrent-ppo-maze", "ppo-pendulum-normalised"))
SMALL: dict[str, Any] = {"n_steps": 32, "batch_size": 64, "n_epochs": 2, "device": "cpu", "seed": 0}


def maze() -> gymnasium.Env:
    import t_maze  # noqa: F401  # registers it

    return gymnasium.make("TMaze-v0", length=4)


def cart(number: int = 4) -> DummyVecEnv:
    return DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * number)


class Kept:
    """The gradients of every step, in place of the optimiser's."""

    def __init__(self, model: Any) -> None:
        self.gradients: list[list[torch.Tensor]] = []
        model.max_grad_norm = 1e9
        self._parameters = list(model.policy.parameters())
        model.policy.optimizer.step = self._step

    def _step(self, *given: Any) -> None:
        self.gradients.append([torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in self._parameters])


def kl(model: Any, teacher: str, x: torch.Tensor, is_first: torch.Tensor) -> torch.Tensor:
    """KL(pi_teacher || pi_student) by the definition, of [T, B, ...] observations, the student asked step by step."""
    source, policy, blank = load_teacher(teacher), model.policy, torch.zeros(is_first.shape)
    label, _ = source.label(Inputs({"observation": x}, blank, blank, is_first), source.initial_state(is_first.shape[1]))
    logits, state = [], ()
    if hasattr(policy, "lstm_actor"):
        state = tuple(torch.zeros(1, is_first.shape[1], policy.lstm_actor.hidden_size) for _ in range(2))
    for step, first in zip(x, is_first.float(), strict=True):
        if state:
            law, state = policy.get_distribution(step, state, first)
        else:
            law = policy.get_distribution(step)
        logits.append(law.distribution.logits)
    said = label.policy.log_softmax(-1)
    return (said.exp() * (said - torch.stack(logits))).sum(-1).mean()


LEARNERS = {
    "PPO": (PPO, "MlpPolicy", lambda: cart(), CART, {"n_epochs": 1, "batch_size": 128}),
    "A2C": (A2C, "MlpPolicy", lambda: cart(), CART, {}),
    "RecurrentPPO": (RecurrentPPO, "MlpLstmPolicy", lambda: DummyVecEnv([maze] * 4), MAZE, {"n_epochs": 1, "batch_size": 128}),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_the_gradient_gains_that_of_the_term(name: str) -> None:
    """Of one minibatch that is the whole rollout, once with a teacher and once without; same weights, same experience."""
    algorithm, policy, make, teacher, options = LEARNERS[name]
    gradients, models = [], []
    for ref in (teacher, ""):
        common = {"n_steps": 32, "device": "cpu", "seed": 0, "policy_kwargs": {"net_arch": [16]}}
        model = kickstarted(algorithm)(policy, make(), teacher=ref, schedule="0.3", **common, **options)
        kept = Kept(model)
        with pytest.MonkeyPatch.context() as patch:  # a recurrent buffer cuts the rollout somewhere, and the gradient through time
            patch.setattr(np.random, "randint", lambda n: 0)
            model.learn(128)
        models.append(model)
        gradients += kept.gradients
    buffers = [model.rollout_buffer for model in models]
    assert np.array_equal(buffers[0].observations, buffers[1].observations)

    def unrolled(x: np.ndarray) -> torch.Tensor:
        """[T, B, ...] of what the buffer has flattened, environment by environment."""
        return torch.from_numpy(x.reshape(4, 32, *x.shape[1:])).transpose(0, 1).float()

    starts = buffers[0].episode_starts  # which only a recurrent one flattens
    is_first = (unrolled(starts)[..., 0] if starts.shape[0] == 128 else torch.from_numpy(starts)).bool()
    assert is_first[1:].any()
    term = 0.3 * kl(models[0], teacher, unrolled(buffers[0].observations), is_first)  # whose gradient the cross-entropy has
    expected = torch.autograd.grad(term, list(models[0].policy.parameters()), allow_unused=True)
    for with_teacher, without, more in zip(*gradients, expected, strict=True):
        wanted = torch.zeros_like(without) if more is None else more
        torch.testing.assert_close(with_teacher - without, wanted, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("name", ["PPO", "RecurrentPPO"])
def test_the_student_comes_closer_to_its_teacher(name: str) -> None:
    """Through many minibatches, which shuffle, cut and pad, with ends of episodes inside."""
    algorithm, policy, make, teacher, _ = LEARNERS[name]
    options = {"n_steps": 32, "batch_size": 64, "n_epochs": 5, "learning_rate": 3e-3, "policy_kwargs": {"net_arch": [16]}}
    model = kickstarted(algorithm)(policy, make(), teacher=teacher, schedule="1", device="cpu", seed=0, **options)
    with np.load(FOREIGN / f"{Path(teacher).stem}.npz") as arrays:
        x, is_first = (torch.from_numpy(arrays[name]) for name in ("observations/observation", "is_first"))
    before = kl(model, teacher, x.float(), is_first).item()
    model.learn(1024)
    assert kl(model, teacher, x.float(), is_first).item() < 0.5 * before
    assert model.logger.name_to_value["train/teacher_weight"] == 1.0


def test_the_teacher_of_a_normalised_student_reads_what_it_was_trained_on() -> None:
    """Raw observations, with its own statistics."""
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("Pendulum-v1")] * 2))
    teacher = f"{PENDULUM}?normalise={FOREIGN / 'ppo-pendulum-normalised.pkl'}"
    model = kickstarted(PPO)("MlpPolicy", env, teacher=teacher, schedule="1", **{**SMALL, "n_epochs": 1})
    asked: list[Any] = []
    model.learn(64, callback=lambda given, _: asked.append(env.get_original_obs()) or True)
    raw = np.stack(model._raw.observations)
    assert np.array_equal(raw[1:], np.stack(asked))
    assert not np.allclose(raw[5], env.normalize_obs(raw[5]))
    x = torch.from_numpy(raw[:-1]).float()
    blank = torch.zeros(x.shape[:2])
    expected, _ = load_teacher(teacher).label(Inputs({"observation": x}, blank, blank, blank.bool()), ())
    found, _ = model._kickstarter.label(raw[:-1], blank, frames=0)
    torch.testing.assert_close(found, expected.policy)
    model.learn(64, reset_num_timesteps=False)


def test_a_saved_one_goes_on(tmp_path: Path) -> None:
    model = kickstarted(PPO)("MlpPolicy", cart(), teacher=CART, schedule="linear:1:0:50%", **SMALL)
    model.learn(128)
    model.save(tmp_path / "student")
    again = kickstarted(PPO).load(tmp_path / "student", env=cart())
    assert (again.teacher, again.schedule, again._kickstarter) == (CART, "linear:1:0:50%", None)
    again.learn(128)
    plain = PPO.load(tmp_path / "student")
    assert plain.predict(np.zeros(4, np.float32))[0] in (0, 1)


def test_without_weight_it_is_the_librarys_own() -> None:
    """Bit for bit."""
    weights = []
    for make, more in ((PPO, {}), (kickstarted(PPO), {"teacher": CART, "schedule": "0"}), (kickstarted(PPO), {})):
        model = make("MlpPolicy", cart(), **SMALL, **more)
        model.learn(256)
        weights.append(torch.cat([p.flatten() for p in model.policy.parameters()]))
    assert weights[0].equal(weights[1])
    assert weights[0].equal(weights[2])


def test_what_cannot_work_is_said_before_any_training() -> None:
    with pytest.raises(ValueError, match="use_sde is on"):
        kickstarted(PPO)("MlpPolicy", "Pendulum-v1", teacher=CART, use_sde=True)
    model = kickstarted(PPO)("MlpPolicy", "Pendulum-v1", teacher=CART, device="cpu")
    with pytest.raises(ValueError, match="acts in"):
        model.learn(64)
