"""`check`: what is wrong with a teacher is found, of every kind, and a sound one is accused of nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.envs import TaskSpaces, describe
from kickstarting.networks.spec import NetworkSpec
from kickstarting.spaces import Pixels, Vector
from kickstarting.suites import Suite, Task, load_suite
from kickstarting.teachers import Kind, Label, NetworkTeacher, load_teacher
from kickstarting.teachers.check import check_teacher
from kickstarting.teachers.checked import Checked
from kickstarting.teachers.diagnoses import can_teach, findings
from kickstarting.teachers.ensemble import Ensemble
from kickstarting.teachers.layouts import Layout, Rearranged, layouts
from kickstarting.types import Inputs, State
from known import known, register

STEPS = 8


class Choices(gymnasium.Env):
    """Pays 1 for every right choice of eight. A subclass draws observations and says what is right."""

    action_space: Any = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self.draw(), {}

    def step(self, action):
        reward, self.count = float(self.right(action)), self.count + 1
        return self.draw(), reward, self.count == STEPS, False, {}

    def draw(self) -> np.ndarray:
        raise NotImplementedError

    def right(self, action: Any) -> bool:
        raise NotImplementedError


class Colours(Choices):
    """Action 1 if the image is red, whatever else it is."""

    observation_space = Pixels(0, 255, (9, 9, 3), np.uint8)

    def draw(self):
        self.bright = self.np_random.random(3) > 0.5
        noise = self.np_random.integers(0, 60, (9, 9, 3))
        return (self.bright * 190 + noise).astype(np.uint8)

    def right(self, action):
        return action == self.bright[0]


class Frames(Choices):
    """Action 1 if the newest of four frames, the last, is positive."""

    observation_space = Vector(-np.inf, np.inf, (4,), np.float32)

    def draw(self):
        self.x = self.np_random.standard_normal(4)
        return self.x.astype(np.float32)

    def right(self, action):
        return action == (self.x[3] > 0)


class Quarters(Choices):
    """Two numbers far from 0 on scales of their own; the action is the quarter around their mean."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space: Any = spaces.Discrete(4)
    mean, deviation = np.array([100.0, -7.0]), np.array([20.0, 3.0])

    def draw(self):
        self.z = self.np_random.standard_normal(2)
        return (self.mean + self.deviation * self.z).astype(np.float32)

    def right(self, action):
        return action == (self.z[0] > 0) + 2 * (self.z[1] > 0)


class Recall(Choices):
    """The first observation says what is right throughout; the others are 0."""

    observation_space = spaces.Box(-1, 1, (1,), np.float32)

    def draw(self):
        self.cue = self.np_random.integers(2) if self.count == 0 else self.cue
        return np.array([2.0 * self.cue - 1 if self.count == 0 else 0], np.float32)

    def right(self, action):
        return action == self.cue


class Reach(Choices):
    """Move both coordinates as the observation says, to within a half."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space: Any = spaces.Box(-1, 1, (2,), np.float32)

    def draw(self):
        self.x = self.np_random.uniform(-1, 1, 2)
        return self.x.astype(np.float32)

    def right(self, action):
        return bool((np.abs(action - [self.x[0], 0.5 * self.x[1]]) < 0.5).all())


class Forward(Frames):
    """Action 1 is right, whatever is seen."""

    def right(self, action):
        return action == 1


TASKS = {"colours": Colours, "frames": Frames, "quarters": Quarters, "recall": Recall, "reach": Reach, "forward": Forward}
for name, task in TASKS.items():
    register(f"kickstarting-check/{name}-v0", task, disable_env_checker=True)


def suite_of(name: str) -> Suite:
    """In points for the quarters and colours; the others have no scale of scores."""
    random = {"quarters": 2.0, "colours": 4.0}.get(name)
    reference = None if random is None else float(STEPS)
    return Suite(name, (Task(name, f"kickstarting-check/{name}-v0", "gymnasium", random=random, reference=reference),))


class Scripted:
    """A teacher that follows a rule: observations [T, B, ...] to numbers [T, B, A], by way of what it remembers."""

    device = "cpu"

    def __init__(
        self,
        name: str,
        rule: Callable[[Tensor], Tensor],
        kind: Kind = Kind.PARAMETERS,
        remembers: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
        sharp: float = 6.0,
    ) -> None:
        told = describe(suite_of(name).tasks)
        self.ref, self.observation_space, self.action_space = name, told.observation_space, told.action_space
        self.rule, self.kind, self.remembers, self.sharp = rule, kind, remembers, sharp

    def initial_state(self, batch: int) -> State:
        return (torch.zeros(batch, 1),) if self.remembers else ()

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        x = inputs.observations["observation"]
        if self.remembers:
            memories, memory = [], state[0]
            for now, is_first in zip(x, inputs.is_first, strict=True):
                memory = self.remembers(memory, now, is_first)
                memories.append(memory)
            x, state = torch.stack(memories), (memory,)
        said = self.rule(x)
        if self.kind == Kind.ACTIONS:
            return Label(said.argmax(-1), self.kind), state
        said = self.sharp * said if not isinstance(self.action_space, spaces.Box) else said
        return Label(said.softmax(-1) if self.kind == Kind.PROBABILITIES else said, self.kind), state


def two(right: Tensor) -> Tensor:
    """Numbers of two actions, the second one where it is right."""
    return torch.stack([1 - right.float(), right.float()], -1)


def red(threshold: float, channel: int = 0) -> Callable[[Tensor], Tensor]:
    return lambda x: two(x.float().mean((-3, -2))[..., channel] > threshold)


def quarter(x: Tensor) -> Tensor:
    """Of numbers that are normalised."""
    return torch.nn.functional.one_hot((x[..., 0] > 0) + 2 * (x[..., 1] > 0).long(), 4).float()


def normalised(mean: Any, deviation: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: quarter((x - torch.tensor(mean).float()) / torch.tensor(deviation).float())


def recalled(memory: Tensor, now: Tensor, is_first: Tensor) -> Tensor:
    return torch.where(is_first[:, None], now, memory)


def reaching(x: Tensor) -> Tensor:
    mean = torch.stack([x[..., 0], 0.5 * x[..., 1]], -1)
    return torch.cat([mean, torch.full_like(mean, -2.0)], -1)


def trained() -> NetworkTeacher:
    """A small network that has learned in a second to do what a rule says."""
    told = describe(suite_of("frames").tasks)
    torch.manual_seed(0)
    network = NetworkSpec("small", {"hidden": 16}, told.observation_space, told.action_space).build(told.distribution)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(50):
        x = torch.randn(1, 128, 4)
        nothing = torch.zeros(1, 128)
        output, _ = network(Inputs({"observation": x}, nothing.long() - 1, nothing, nothing.bool()), ())
        loss = torch.nn.functional.cross_entropy(output.logits[0], (x[0, :, 3] > 0).long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.requires_grad_(False).eval()
    return NetworkTeacher(network, told.observation_space, told.action_space, "frames")


def checked(teacher: Any, suite: Suite | None = None, episodes: int = 16) -> Checked:
    suite = suite or suite_of(teacher.ref)
    return check_teacher(teacher, (), suite, spaces_of(suite), episodes=episodes, seed=1)


def spaces_of(suite: Suite) -> TaskSpaces:
    return describe(suite.tasks)


SOUND: dict[str, Callable[[], Any]] = {
    "image": lambda: Scripted("colours", red(128)),
    "stack": lambda: Scripted("frames", lambda x: two(x[..., 3] > 0)),
    "normalised": lambda: Scripted("quarters", normalised(Quarters.mean, Quarters.deviation)),
    "memory": lambda: Scripted("recall", lambda x: two(x[..., 0] > 0), remembers=recalled),
    "continuous": lambda: Scripted("reach", reaching),
    "actions": lambda: Scripted("frames", lambda x: two(x[..., 3] > 0), Kind.ACTIONS),
    "probabilities": lambda: Scripted("frames", lambda x: two(x[..., 3] > 0), Kind.PROBABILITIES),
    "constant": lambda: Scripted("forward", lambda x: two(torch.ones_like(x[..., 0]))),
    "doubtful": lambda: Scripted("frames", lambda x: two(x[..., 3] > 0), sharp=1.5),
    "trained": trained,
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_teacher_is_accused_of_nothing(name):
    found = findings(checked(SOUND[name]()))
    assert not found or (name in ("constant", "doubtful") and {f.name for f in found} <= {"greedy_better"}), found


def test_neither_is_the_one_of_the_zoo():
    assert not findings(checked(load_teacher("zoo:grid-8-small"), load_suite("grid-8:unlock"), episodes=16))


def test_certainty_is_a_remark():
    found = findings(checked(Scripted("frames", lambda x: two(x[..., 3] > 0), sharp=100.0)))
    assert [f.name for f in found] == ["saturated"]
    assert can_teach(found)


class Dropping(Scripted):
    """Begins every call without memory."""

    def label(self, inputs, state):
        return super().label(inputs, self.initial_state(inputs.is_first.shape[1]))


class Lasting(Scripted):
    """Never begins anew."""

    def label(self, inputs, state):
        inputs = Inputs(inputs.observations, inputs.last_actions, inputs.last_rewards, torch.zeros_like(inputs.is_first))
        return super().label(inputs, state)


def summed(memory: Tensor, now: Tensor, is_first: Tensor) -> Tensor:
    return torch.where(is_first[:, None], 0.0, memory) + now


def stale(memory: Tensor, now: Tensor, is_first: Tensor) -> Tensor:
    """Recalls the newest frame one step too late."""
    return torch.where(is_first[:, None], 0.0, memory) * 100 + now[:, 3:]


def untrained() -> NetworkTeacher:
    told = describe(suite_of("quarters").tasks)
    torch.manual_seed(0)
    network = NetworkSpec("small", {}, told.observation_space, told.action_space).build(told.distribution)
    return NetworkTeacher(network.requires_grad_(False).eval(), told.observation_space, told.action_space, "quarters")


FAULTY: dict[str, tuple[Callable[[], Any], str, str]] = {
    "wrong normaliser": (lambda: Scripted("quarters", normalised([0.0, 0.0], [1.0, 1.0])), "wrong_layout", "normalised"),
    "shuffled channels": (lambda: Scripted("colours", red(128, 2)), "wrong_layout", "channels of 'observation'"),
    "other image scale": (lambda: Scripted("colours", red(0.5)), "wrong_layout", "from 0 to 1"),
    "permuted actions": (
        lambda: Scripted("quarters", lambda x: normalised(Quarters.mean, Quarters.deviation)(x)[..., [2, 0, 3, 1]]),
        "wrong_layout",
        "its actions 0 to 3 taken as",
    ),
    "opposite sign": (lambda: Scripted("reach", lambda x: reaching(x * torch.tensor([1, -1]))), "wrong_layout", "action 1"),
    "frames in the wrong order": (lambda: Scripted("frames", lambda x: two(x[..., 0] > 0)), "wrong_layout", "reverse order"),
    "state dropped": (lambda: Dropping("recall", lambda x: two(x[..., 0] > 0), remembers=recalled), "state_not_carried", ""),
    "state lasts": (lambda: Lasting("recall", lambda x: two(x[..., 0] > 0), remembers=summed), "state_not_reset", ""),
    "state harms": (lambda: Scripted("frames", lambda x: two(x[..., 0] > 0), remembers=stale), "state_hurts", ""),
    "state unused": (
        lambda: Scripted("recall", lambda x: two(x[..., 0] > 0), remembers=lambda memory, now, first: now),
        "state_unused",
        "",
    ),
    "never trained": (untrained, "never_trained", ""),
    "deaf": (lambda: Scripted("quarters", lambda x: quarter(torch.zeros_like(x))), "deaf", ""),
    "no number": (lambda: Scripted("frames", lambda x: two(x[..., 3] > 0) / 0.0), "not_finite", ""),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_teacher_is_found_out(name):
    make, diagnosis, words = FAULTY[name]
    found = findings(checked(make()))
    assert not can_teach(found)
    (own,) = [finding for finding in found if finding.name == diagnosis]
    assert words in own.seen


def test_members_of_an_ensemble_have_adapters_of_their_own(tmp_path):
    """Which stand between the environments and each of them, whatever is measured around it."""
    members = [Scripted("quarters", quarter, remembers=lambda memory, now, first: now) for _ in range(2)]
    suite = suite_of("quarters")
    np.savez(tmp_path / "statistics.npz", mean=Quarters.mean, var=Quarters.deviation**2)
    adapters = (f"normalise({tmp_path / 'statistics.npz'})",)
    found = check_teacher(Ensemble(members, "both"), adapters, suite, spaces_of(suite), episodes=16, seed=1)
    assert [finding.name for finding in findings(found)] == ["state_unused"]
    assert known(found.ranges)["observation"].root_mean_square == pytest.approx(1, abs=0.2)


def test_channels_that_come_first_are_put_in_order_there():
    """As other libraries have them."""
    teacher = Scripted("colours", red(128))
    teacher.observation_space = spaces.Dict({"observation": spaces.Box(0, 255, (3, 8, 8), np.uint8)})
    found = {layout.name: layout for layout in layouts(teacher, {})}
    x = torch.arange(3).view(3, 1, 1).expand(2, 2, 3, 8, 8)
    swapped = known(found["the channels of 'observation' in the order 2, 1, 0"].read)(x)
    assert swapped[0, 0, :, 0, 0].tolist() == [2, 1, 0]


def test_another_observation_size_is_named_before_any_work():
    teacher = Scripted("frames", lambda x: two(x[..., 3] > 0))
    teacher.observation_space = spaces.Dict({"observation": Vector(-np.inf, np.inf, (3,), np.float32)})
    with pytest.raises(ValueError, match=r"reads 'observation' as .*\[3\].*\[4\]"):
        checked(teacher)


def test_a_layout_and_its_inverse_are_nothing():
    """Both ways: what it reads of our last actions, and what its actions mean."""
    told = describe(suite_of("quarters").tasks)
    torch.manual_seed(0)
    network = NetworkSpec("small", {}, told.observation_space, told.action_space).build(told.distribution)
    torch.nn.init.normal_(network.policy.weight)
    teacher = NetworkTeacher(network, told.observation_space, told.action_space)
    order = (2, 0, 3, 1)
    inverse = tuple(np.argsort(order).tolist())
    twice = Rearranged(Rearranged(teacher, Layout("", actions=order)), Layout("", actions=inverse))
    inputs = Inputs(
        {"observation": torch.randn(3, 5, 2)}, torch.randint(-1, 4, (3, 5)), torch.zeros(3, 5), torch.zeros(3, 5).bool()
    )
    once, _ = Rearranged(teacher, Layout("", actions=order)).label(inputs, ())
    plain, _ = teacher.label(inputs, ())
    torch.testing.assert_close(twice.label(inputs, ())[0].policy, plain.policy)
    assert not torch.allclose(once.policy, plain.policy)
