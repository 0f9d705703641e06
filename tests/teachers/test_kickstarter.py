"""A teacher in a loop of one's own: its labels are the teacher's, and the term and its gradient are what their definition says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.distributions import Normal

from kickstarting import Kickstarter, load_suite, load_teacher
from kickstarting.algo.distributions import IMPOSSIBLE
from kickstarting.envs import MultiTaskEnv
from kickstarting.envs.actions import Actions
from kickstarting.spaces import Grid
from kickstarting.teachers.protocol import Kind, Label
from kickstarting.types import Inputs

FOREIGN = Path(__file__).parent / "foreign"
T, B = 6, 3
CART = spaces.Box(-np.inf, np.inf, (4,), np.float32)


class Spoken:
    """A teacher that says what it is told, and remembers what it was asked."""

    ref, device = "spoken", "cpu"

    def __init__(self, action_space: gymnasium.Space, say: Any = None, observation_space: spaces.Dict | None = None) -> None:
        self.action_space, self._say = action_space, say
        self.observation_space = observation_space or spaces.Dict(observation=CART)
        self.asked: list[Inputs] = []

    def initial_state(self, batch: int) -> tuple[torch.Tensor, ...]:
        return (torch.zeros(batch),)

    def label(self, inputs: Inputs, state: tuple[torch.Tensor, ...]) -> tuple[Label, tuple[torch.Tensor, ...]]:
        """Counts its steps."""
        self.asked.append(inputs)
        return self._say(inputs, state), (state[0] + len(inputs.is_first),)


def flat(inputs: Inputs, state: Any) -> Label:
    """Nothing in particular, of two actions."""
    return Label(torch.zeros(*inputs.is_first.shape, 2))


def episodes(seed: int) -> torch.Tensor:
    is_first = torch.rand(T, B, generator=torch.Generator().manual_seed(seed)) < 0.3
    is_first[0] |= seed == 0
    return is_first


def test_labels_are_the_teachers_along_unrolls() -> None:
    """Of a recurrent one, whose memory goes from one unroll to the next, and is reset where an episode begins."""
    ref = f"sb3:{FOREIGN / 'recurrent-ppo-maze.zip'}"
    teacher = load_teacher(ref)
    box = spaces.Box(0.0, 1.0, (3,), np.float32)
    kickstarter = Kickstarter(ref, box, spaces.Discrete(3), schedule="linear:1:0:100", total_frames=1000)
    state = teacher.initial_state(B)
    for seed, frames in ((0, 0), (1, 50)):
        x, is_first = torch.rand(T, B, 3), episodes(seed)
        label, state = teacher.label(Inputs({"observation": x}, torch.zeros(T, B), torch.zeros(T, B), is_first), state)
        policy, weights = kickstarter.label(x.numpy(), is_first.numpy(), frames=frames)
        torch.testing.assert_close(policy, label.policy)
        assert weights.eq(1 - frames / 100).all()


def test_the_loops_random_numbers_stay_its_own() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    kickstarter = Kickstarter(f"sb3:{FOREIGN / 'ppo-cartpole.zip'}", CART, spaces.Discrete(2), total_frames=9)
    kickstarter.label(np.zeros((T, B, 4), np.float32), np.zeros((T, B)), frames=0)
    assert torch.rand(3).equal(expected)


def test_a_teacher_without_weight_is_not_asked_and_forgets() -> None:
    teacher = Spoken(spaces.Discrete(2), lambda _, state: Label(state[0].expand(T, B)[..., None].expand(T, B, 2)))
    kickstarter = Kickstarter(teacher, CART, spaces.Discrete(2), schedule="piecewise:0=1;10=0;20=0.5", total_frames=100)
    x, is_first = torch.zeros(T, B, 4), torch.zeros(T, B)
    for frames, began, weight in ((0, 0, 1.0), (5, T, 1.0), (10, 0, 0.0), (20, 0, 0.5)):
        policy, weights = kickstarter.label(x, is_first, frames=frames)
        assert policy.eq(began).all()
        assert weights.eq(weight).all()
    assert len(teacher.asked) == 3


def test_it_reads_what_led_to_each_step() -> None:
    """Actions and rewards are given with the step at which they were taken; Discrete ones count from their start."""
    teacher = Spoken(spaces.Discrete(2), flat)
    kickstarter = Kickstarter(teacher, CART, spaces.Discrete(2, start=5), schedule="1", total_frames=100)
    actions, rewards = np.array([[5], [6], [6], [5]]), np.array([[1.0], [2.0], [3.0], [4.0]])
    for first, expected_actions, expected_rewards in (
        ([[True], [False], [False], [True]], [-1, 0, 1, -1], [0.0, 1.0, 2.0, 0.0]),
        ([[False], [False], [True], [False]], [0, 0, -1, 1], [4.0, 1.0, 0.0, 3.0]),
    ):
        kickstarter.label(np.zeros((4, 1, 4), np.float32), np.array(first), frames=0, actions=actions, rewards=rewards)
        assert teacher.asked[-1].last_actions[:, 0].tolist() == expected_actions
        assert teacher.asked[-1].last_rewards[:, 0].tolist() == expected_rewards
    kickstarter.forget()
    kickstarter.label(np.zeros((4, 1, 4), np.float32), np.array(first), frames=0)
    assert teacher.asked[-1].last_actions.eq(-1).all()


def test_one_step_at_a_time_is_the_same() -> None:
    whole, steps = (Spoken(spaces.Discrete(2), flat) for _ in range(2))
    given = {"observations": np.random.default_rng(0).normal(size=(T, B, 4)).astype(np.float32), "is_first": episodes(0).numpy()}
    given |= {"actions": np.arange(T * B).reshape(T, B) % 2, "rewards": np.ones((T, B), np.float32)}
    Kickstarter(whole, CART, spaces.Discrete(2), schedule="1", total_frames=9).label(frames=0, **given)
    stepwise = Kickstarter(steps, CART, spaces.Discrete(2), schedule="1", total_frames=9)
    for t in range(T):
        stepwise.label(frames=0, **{name: x[t : t + 1] for name, x in given.items()})
    for name in ("last_actions", "last_rewards", "is_first"):
        assert torch.cat([getattr(asked, name) for asked in steps.asked]).equal(getattr(whole.asked[0], name))


def test_a_teacher_of_this_package_reads_minigrid_as_the_library_gives_it(make_policy, suite) -> None:
    """Text, cells and a direction, from Gymnasium's own environments."""
    ref = make_policy(suite)
    import minigrid  # noqa: F401  # registers it

    env = gymnasium.make("BabyAI-GoToObj-v0")
    declared = {"image": Grid(0, 10, (7, 7, 3), np.uint8), "mission": spaces.Text(400)}
    parts = {**env.observation_space.spaces, **declared}  # type: ignore[attr-defined]
    observed, _ = env.reset(seed=0)
    kickstarter = Kickstarter(ref, spaces.Dict(parts), env.action_space, schedule="1", total_frames=9)
    raw = {name: np.array([[x, x]]) for name, x in observed.items()}
    policy, _ = kickstarter.label(raw, np.ones((1, 2)), frames=0)
    ours = MultiTaskEnv(load_suite(suite).tasks, 1, seed=0)
    teacher = load_teacher(ref)
    read = kickstarter._observed(raw, 2, (1, 2))
    assert {name: x.dtype for name, x in read.items()} == {
        name: torch.from_numpy(np.zeros(1, space.dtype)).dtype for name, space in ours.observation_space.items()
    }
    ours.close()
    env.close()
    inputs = Inputs(read, torch.full((1, 2), -1), torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(policy, teacher.label(inputs, teacher.initial_state(2))[0].policy)


def test_the_term_of_continuous_actions_is_the_cross_entropy_in_their_own_units() -> None:
    """Its gradient in mean and deviation; its value up to the constant of the units. A dimension without bounds is as it is."""
    box = spaces.Box(np.array([-2.0, 0.0, -np.inf], np.float32), np.array([2.0, 30.0, np.inf], np.float32))
    half, middle = torch.tensor([2.0, 15.0, 1.0]), torch.tensor([0.0, 15.0, 0.0])
    mean, log_std = torch.tensor([0.5, -0.2, 3.0]), torch.tensor([-1.0, -0.5, 0.3])
    said = torch.cat([mean, log_std]).expand(T, B, 6)
    kickstarter = Kickstarter(Spoken(actions_of(box), lambda *_: Label(said)), CART, box, schedule="0.7", total_frames=9)
    policy, weights = kickstarter.label(np.zeros((T, B, 4), np.float32), np.zeros((T, B)), frames=0)
    torch.manual_seed(1)
    student = torch.cat([torch.randn(T, B, 3) * half + middle, torch.randn(T, B, 3)], -1).requires_grad_()
    theirs, own = Normal(mean * half + middle, log_std.exp() * half), Normal(student[..., :3], student[..., 3:].exp())
    crossed = torch.distributions.kl_divergence(theirs, own) + theirs.entropy()
    expected = 0.7 * crossed.sum(-1).mean()
    loss = kickstarter.loss(student, policy, weights)
    assert (expected - loss).item() == pytest.approx(0.7 * half.log().sum().item(), rel=1e-3)
    torch.testing.assert_close(torch.autograd.grad(loss, student), torch.autograd.grad(expected, student))


def actions_of(space: gymnasium.Space) -> gymnasium.Space:
    """The space in which a policy for it acts."""
    return Actions(space).space


def test_switches_are_bernoulli_logits() -> None:
    space = spaces.MultiBinary(2)
    said = torch.tensor([0.0, 1.5, 0.0, -0.5]).expand(T, B, 4)
    kickstarter = Kickstarter(Spoken(actions_of(space), lambda *_: Label(said)), CART, space, schedule="1", total_frames=9)
    policy, weights = kickstarter.label(np.zeros((T, B, 4), np.float32), np.zeros((T, B)), frames=0)
    student = torch.randn(T, B, 2)
    wanted = torch.sigmoid(torch.tensor([1.5, -0.5])).expand(T, B, 2)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(student, wanted, reduction="none").sum(-1).mean()
    torch.testing.assert_close(kickstarter.loss(student, policy, weights), expected)


def test_steps_without_an_opinion_have_no_weight() -> None:
    known = episodes(3)
    say = lambda inputs, state: Label(torch.zeros(T, B, dtype=torch.long), Kind.ACTIONS, known=known)  # noqa: E731
    kickstarter = Kickstarter(Spoken(spaces.Discrete(2), say), CART, spaces.Discrete(2), schedule="0.5", total_frames=9)
    policy, weights = kickstarter.label(np.zeros((T, B, 4), np.float32), np.zeros((T, B)), frames=0)
    assert weights.equal(0.5 * known)
    assert policy.softmax(-1)[..., 0].allclose(torch.tensor(0.975))
    student = torch.tensor([1.0, IMPOSSIBLE]).repeat(T, B, 1)
    student[known] = 0.0
    assert kickstarter.loss(student, policy, weights).item() == pytest.approx(0.5 * math.log(2))
    assert kickstarter.loss(student, policy, torch.zeros(T, B)).item() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "evidence:1"}, r"schedule 'evidence:1' follows the student's progress, .*; give linear"),
        ({"schedule": "linear:1:-1:50%"}, "falls below 0"),
        ({"schedule": "linar:1"}, "did you mean linear"),
        ({"action_space": spaces.Discrete(3)}, "acts in {'discrete': 2}, the student in {'discrete': 3}"),
        ({"observation_space": spaces.Box(-1, 1, (5,))}, r"reads 'observation' as .*\[4\]"),
        ({"adapters": "stack(x)"}, "stack"),
        ({"teacher": "nowhere"}, "nowhere"),
    ],
)
def test_what_does_not_fit_is_said_at_once(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"teacher": f"sb3:{FOREIGN / 'ppo-cartpole.zip'}", "observation_space": CART}
    given |= {"action_space": spaces.Discrete(2), "total_frames": 100, **changes}
    with pytest.raises(ValueError, match=message):
        Kickstarter(**given)
