"""Stable-Baselines3 with a teacher: the gradient of a minibatch is the library's own and the term's, and the student comes closer."""

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


def collected(algorithm: Any, policy: str, env: Any, teacher: str, **options: Any) -> tuple[Any, Kept]:
    """A model that has learned for one rollout, with its weights as they were."""
    model = kickstarted(algorithm)(policy, env, teacher=teacher, schedule="1", **{**SMALL, **options})
    kept = Kept(model)
    model.learn(model.n_steps * model.n_envs)
    return model, kept


def crossed(model: Any, labels: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """By the definition, of whole rollouts."""
    return -(labels.softmax(-1) * logits.log_softmax(-1)).sum(-1).mean()


@pytest.mark.parametrize("algorithm", [PPO, A2C])
def test_the_gradient_gains_that_of_the_cross_entropy(algorithm: Any) -> None:
    """Of one minibatch that is the whole rollout, once with a teacher and once without; same weights, same experience."""
    options: dict[str, Any] = {"n_epochs": 1, "batch_size": 128} if algorithm is PPO else {}
    keep = {name: x for name, x in SMALL.items() if algorithm is PPO or name not in ("batch_size", "n_epochs")}
    gradients, models = [], []
    for teacher in (CART, ""):
        model = kickstarted(algorithm)("MlpPolicy", cart(), teacher=teacher, schedule="0.3", **{**keep, **options})
        kept = Kept(model)
        model.learn(128)
        models.append(model)
        (own,) = kept.gradients
        gradients.append(own)
    model = models[0]
    x = torch.from_numpy(model.rollout_buffer.observations).float()  # flat, as the buffer left it
    assert np.array_equal(model.rollout_buffer.observations, models[1].rollout_buffer.observations)
    teacher = load_teacher(CART)
    one = torch.zeros(1, len(x))
    label, _ = teacher.label(Inputs({"observation": x[None]}, one, one, one.bool()), ())
    term = 0.3 * crossed(model, label.policy[0], model.policy.get_distribution(x).distribution.logits)
    parameters = list(model.policy.parameters())
    expected = torch.autograd.grad(term, parameters, allow_unused=True)
    for with_teacher, without, more in zip(*gradients, expected, strict=True):
        torch.testing.assert_close(with_teacher - without, torch.zeros_like(without) if more is None else more, atol=1e-5, rtol=1e-3)


def test_a_recurrent_student_gets_the_labels_of_its_own_steps() -> None:
    """Of a recurrent teacher, whatever minibatches cut and pad; its gradient is that of the definition over all steps."""
    gradients, models = [], []
    for teacher in (MAZE, ""):
        model = kickstarted(RecurrentPPO)("MlpLstmPolicy", DummyVecEnv([maze] * 3), teacher=teacher, schedule="1", **{**SMALL, "batch_size": 96, "n_epochs": 1})
        kept = Kept(model)
        model.learn(96)
        models.append(model)
        (own,) = kept.gradients
        gradients.append(own)
    model, buffer = models[0], models[0].rollout_buffer

    def unrolled(x: np.ndarray) -> torch.Tensor:
        """[T, B, ...] of what the buffer has flattened, environment by environment."""
        return torch.from_numpy(x).reshape(3, 32, *x.shape[1:]).transpose(0, 1)

    x, is_first = unrolled(buffer.observations).float(), unrolled(buffer.episode_starts)[..., 0].bool()
    assert is_first[1:].any()
    teacher = load_teacher(MAZE)
    blank = torch.zeros(32, 3)
    label, _ = teacher.label(Inputs({"observation": x}, blank, blank, is_first), teacher.initial_state(3))
    policy, state, logits = model.policy, None, []
    state = tuple(torch.zeros(1, 3, policy.lstm_actor.hidden_size) for _ in range(2))
    for step, first in zip(x, is_first.float(), strict=True):
        distribution, state = policy.get_distribution(step, state, first)
        logits.append(distribution.distribution.logits)
    term = crossed(model, label.policy, torch.stack(logits))
    parameters = list(policy.parameters())
    expected = torch.autograd.grad(term, parameters, allow_unused=True)
    for with_teacher, without, more in zip(*gradients, expected, strict=True):
        torch.testing.assert_close(with_teacher - without, torch.zeros_like(without) if more is None else more, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(
    ("algorithm", "policy", "make", "teacher", "steps"),
    [(PPO, "MlpPolicy", lambda: cart(), CART, 1024), (RecurrentPPO, "MlpLstmPolicy", lambda: DummyVecEnv([maze] * 4), MAZE, 1024)],
    ids=["PPO", "RecurrentPPO"],
)
def test_the_student_comes_closer_to_its_teacher(algorithm: Any, policy: str, make: Any, teacher: str, steps: int) -> None:
    options = {**SMALL, "learning_rate": 3e-3, "n_epochs": 8, "policy_kwargs": {"net_arch": [16]}}
    model = kickstarted(algorithm)(policy, make(), teacher=teacher, schedule="1", **options)
    losses: list[float] = []
    record = lambda given, _: losses.append(given["self"].logger.name_to_value["train/distillation_loss"])  # noqa: E731
    model.learn(steps, callback=lambda given, later: record(given, later) or True)
    seen = [x for x in losses if x]
    assert seen[-1] < 0.8 * seen[0]


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
