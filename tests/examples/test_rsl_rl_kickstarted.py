"""rsl_rl with a teacher: the gradient is the library's own and the term's, and a student of sensors learns from the state's."""

# The library is none of this package's dependencies
# pyright: reportMissingImports=false
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributions import Normal

pytest.importorskip("rsl_rl")

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from rsl_rl.runners import OnPolicyRunner
from rsl_rl_kickstarted import Cart, KickstartedPPO, configuration

from kickstarting.trust import CODE

STD = 0.3


class Steer(torch.nn.Module):
    """Brings the cart to the middle, in the form of an rsl_rl export."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -2.0 * x[:, :1] - 1.5 * x[:, 1:]

    @torch.jit.export
    def reset(self) -> None:
        pass


@pytest.fixture(autouse=True)
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kickstarting.trust._trusted", {CODE})


@pytest.fixture
def teacher(tmp_path: Path) -> str:
    torch.jit.script(Steer()).save(str(tmp_path / "steer.pt"))
    return f"torch:{tmp_path / 'steer.pt'}?shape=2&observation=state&std={STD}"


def runner(recurrent: bool, kickstart: dict[str, Any] | None, **algorithm: Any) -> OnPolicyRunner:
    torch.manual_seed(0)
    options = {"num_learning_epochs": 1, "num_mini_batches": 1, "max_grad_norm": 1e9, **algorithm}
    options |= {"class_name": KickstartedPPO, "kickstart": kickstart} if kickstart else {}
    config = configuration("sensors", **options)
    if recurrent:
        memory = {"class_name": "RNNModel", "rnn_type": "lstm", "rnn_hidden_dim": 8, "rnn_num_layers": 1}
        config["actor"], config["critic"] = ({**config[part], **memory} for part in ("actor", "critic"))
    return OnPolicyRunner(Cart(8), config, log_dir=None, device="cpu")


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_gradient_gains_that_of_the_term(recurrent: bool, teacher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one minibatch that is the whole unroll, with ends of episodes inside; same weights, same experience."""
    monkeypatch.setattr(Cart, "max_episode_length", 10)
    gradients, kept = [], {}
    for kickstart in ({"teacher": teacher, "schedule": "0.3", "total_frames": 1000}, None):
        made = runner(recurrent, kickstart)
        actor, storage = made.alg.actor, made.alg.storage
        monkeypatch.setattr(made.alg.optimizer, "step", lambda *given: None)
        monkeypatch.setattr(storage, "clear", lambda: None)
        made.learn(1)
        gradients.append([torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in actor.parameters()])
        kept[bool(kickstart)] = storage.observations["state"].clone()
    assert kept[True].equal(kept[False])
    assert "teacher_policy" not in storage.observations
    x, dones = kept[True], storage.dones[..., 0].bool()
    assert dones[:-1].any()
    means, stds = [], []
    actor.reset()
    for t in range(len(x)):
        actor(storage.observations[t], stochastic_output=True)
        means.append(actor.output_mean)
        stds.append(actor.output_std)
        if recurrent:
            actor.rnn.hidden_state = tuple(h * ~dones[t, :, None] for h in actor.get_hidden_state())
    student, steer = Normal(torch.stack(means), torch.stack(stds)), Steer()
    term = 0.3 * torch.distributions.kl_divergence(Normal(steer(x.flatten(0, 1)).unflatten(0, x.shape[:2]), STD), student).mean()
    expected = torch.autograd.grad(term, list(actor.parameters()))
    for with_teacher, without, more in zip(*gradients, expected, strict=True):
        torch.testing.assert_close(with_teacher - without, more, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_student_comes_closer_to_its_teacher(recurrent: bool, teacher: str) -> None:
    options = {"num_learning_epochs": 5, "num_mini_batches": 4, "max_grad_norm": 1.0}
    made = runner(recurrent, {"teacher": teacher, "schedule": "1", "total_frames": 1000}, **options)
    losses: list[float] = []
    update = made.alg.update
    made.alg.update = lambda: losses.append((found := update())["distillation"]) or found
    made.learn(15)
    assert losses[-1] < 0.6 * losses[0]


def test_without_weight_it_is_the_librarys_own(teacher: str) -> None:
    """Bit for bit."""
    weights = []
    for kickstart in (None, {"teacher": teacher, "schedule": "0", "total_frames": 1000}):
        made = runner(False, kickstart, num_mini_batches=4)
        made.learn(2)
        weights.append(torch.cat([p.detach().flatten() for p in made.alg.actor.parameters()]))
    assert weights[0].equal(weights[1])


def test_a_teacher_that_reads_what_is_not_there_is_refused(teacher: str) -> None:
    with pytest.raises(ValueError, match=r"reads 'map' .* no such observation, but sensors, state"):
        runner(False, {"teacher": teacher.replace("=state", "=map"), "total_frames": 1000})
