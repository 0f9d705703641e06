"""The agent over [T, B]: its sizes, its recurrence, and what it is built from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from kickstarting.algo.distributions import Categorical, DiagonalGaussian, Distribution, MultiCategorical
from kickstarting.networks import PRESETS, build_network, count_parameters, usual_options
from kickstarting.networks.agent import Agent
from kickstarting.spaces import Grid, Pixels, tokens
from kickstarting.types import Inputs, Output
from known import drawn

MISSION = tokens()
DMLAB = spaces.Dict({"image": Pixels(0, 255, (72, 96, 3), np.uint8), "mission": MISSION})
VIEW = Grid(0, 3, (7, 7, 3), np.uint8)
GRID = spaces.Dict({"image": VIEW, "direction": spaces.Discrete(4), "mission": MISSION})
VECTOR = spaces.Dict({"state": spaces.Box(-np.inf, np.inf, (4,), np.float32)})


class Case(NamedTuple):
    space: spaces.Dict
    distribution: Distribution


CASES = {
    "pixels": Case(spaces.Dict({"image": Pixels(0, 255, (36, 36, 3), np.uint8)}), MultiCategorical((2, 3))),
    "grid": Case(GRID, Categorical(7)),
    "vector": Case(VECTOR, DiagonalGaussian(2)),
}
T, B = 5, 3


@pytest.fixture(params=[(name, size) for name in CASES for size in ("small", "large")], ids="-".join)
def built(request: pytest.FixtureRequest) -> tuple[Agent, Inputs]:
    name, size = request.param
    torch.manual_seed(0)
    case = CASES[name]
    return build_network(size, case.space, case.distribution), sample_inputs(case)


def sample_inputs(case: Case) -> Inputs:
    """Random inputs; episodes start at the first input of column 0 and in the middle of column 1."""
    rng = np.random.default_rng(0)

    def observe(space: spaces.Space) -> Tensor:
        if isinstance(space, spaces.Discrete):
            return torch.from_numpy(rng.integers(space.n, size=(T, B)))
        assert isinstance(space, spaces.Box)
        if space.dtype == np.float32:
            return torch.from_numpy(rng.normal(size=(T, B, *space.shape)).astype(np.float32))
        low, high = space.low.min(), space.high.max()
        return torch.from_numpy(rng.integers(low, high, (T, B, *space.shape), endpoint=True, dtype=space.dtype))

    is_first = torch.zeros(T, B, dtype=torch.bool)
    is_first[0, 0] = is_first[3, 1] = True
    actions = drawn(case.distribution, torch.zeros(T, B, case.distribution.size))
    actions[is_first] = torch.tensor(case.distribution.no_action).to(actions.dtype)
    rewards = torch.from_numpy(rng.normal(size=(T, B)).astype(np.float32)) * ~is_first
    return Inputs({name: observe(space) for name, space in case.space.items()}, actions, rewards, is_first)


@pytest.mark.parametrize(("size", "parameters"), [("small", 1_230_426), ("large", 1_628_010)])
def test_the_papers_agents_have_the_papers_sizes(size: str, parameters: int) -> None:
    """72 x 96 RGB, a mission and 9 actions: "1.2 million" and "1.6 million" parameters (IMPALA, figure 3)."""
    assert count_parameters(build_network(size, DMLAB, Categorical(9))) == parameters


def test_only_trained_parameters_are_counted() -> None:
    module = nn.Linear(3, 2)
    module.bias.requires_grad_(False)
    assert count_parameters(module) == 6


def test_shapes(built: tuple[Agent, Inputs]) -> None:
    network, inputs = built
    state = network.initial_state(B)
    output, last = network(inputs, state)
    assert output.logits.shape == (T, B, network.distribution.size)
    assert output.values.shape == (T, B)
    assert [x.shape for x in last] == [x.shape for x in state]
    assert all(x.shape[0] == B and not x.any() for x in state)


def test_a_new_policy_is_nearly_uniform(built: tuple[Agent, Inputs]) -> None:
    network, inputs = built
    assert network(inputs, network.initial_state(B))[0].logits.abs().max() < 0.1


def test_every_trained_parameter_receives_a_gradient(built: tuple[Agent, Inputs]) -> None:
    network, inputs = built
    output, _ = network(inputs, network.initial_state(B))
    (output.logits.square().sum() + output.values.sum()).backward()
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None or not p.grad.any()] == []


def test_one_unroll_equals_many_of_one_step(built: tuple[Agent, Inputs]) -> None:
    network, inputs = built
    output, last = network(inputs, network.initial_state(B))
    state, steps = network.initial_state(B), []
    for t in range(T):
        step, state = network(inputs[t : t + 1], state)
        steps.append(step)
    torch.testing.assert_close(output, Output(*(torch.cat(x) for x in zip(*steps, strict=True))))
    torch.testing.assert_close(last, state)


def test_an_episode_that_starts_in_mid_unroll_knows_nothing_of_the_last(built: tuple[Agent, Inputs]) -> None:
    network, inputs = built
    state = tuple(torch.ones_like(x) for x in network.initial_state(B))
    output, _ = network(inputs, state)
    fresh, _ = network(inputs[3:, 1:2], network.initial_state(1))
    torch.testing.assert_close(Output(*(x[3:, 1:2] for x in output)), fresh)
    if state:
        continued, _ = network(inputs[3:, 2:3], network.initial_state(1))  # column 2 went on
        assert not torch.allclose(output.values[3:, 2:3], continued.values, atol=1e-4)


def test_columns_are_independent(built: tuple[Agent, Inputs]) -> None:
    network, inputs = built
    output, _ = network(inputs, network.initial_state(B))
    alone, _ = network(inputs[:, 1:2], network.initial_state(1))
    torch.testing.assert_close(Output(*(x[:, 1:2] for x in output)), alone)


def test_acting_gives_what_learning_gives(built: tuple[Agent, Inputs]) -> None:
    network, inputs = built
    learned, _ = network(inputs, network.initial_state(B))
    with torch.no_grad():
        acted, _ = network(inputs, network.initial_state(B))
    torch.testing.assert_close(acted, Output(*(x.detach() for x in learned)))


@pytest.mark.parametrize("part", ["image", "direction", "mission", "last_actions", "last_rewards"])
def test_every_input_is_read(part: str) -> None:
    torch.manual_seed(0)
    case = CASES["grid"]
    network, inputs = build_network("small", case.space, case.distribution), sample_inputs(case)
    values = network(inputs, network.initial_state(B))[0].values
    target = inputs.observations if part in inputs.observations else vars(inputs)
    target[part][-1, 2] = (target[part][-1, 2] + 1) % 3
    changed = network(inputs, network.initial_state(B))[0].values
    assert (changed != values).nonzero().tolist() == [[T - 1, 2]]


def test_last_reward_is_clipped() -> None:
    torch.manual_seed(0)
    case = CASES["vector"]
    network, inputs = build_network("small", case.space, case.distribution), sample_inputs(case)
    inputs.last_rewards[:] = 1.0
    one = network(inputs, ())[0].values
    inputs.last_rewards[:] = 100.0
    assert torch.equal(network(inputs, ())[0].values, one)


SIGHTED = {
    "small": {"lstm": 0},
    "large": {"lstm": 0, "deep": True, "channels": (8, 16)},
    "with an LSTM": {"lstm": 128, "normalise": False},
}


@pytest.mark.parametrize("options", SIGHTED.values(), ids=SIGHTED)
def test_a_critic_on_pixels_sees_a_small_thing_before_a_still_picture(options: dict) -> None:
    """Returns depend on where a dot of two rows is, as in Breakout, while the torso that both share hears the policy's noise."""
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    torch.manual_seed(0)
    agent = Agent(spaces.Dict({"image": Pixels(0, 255, (42, 42, 4), np.uint8)}), Categorical(4), **options)
    optimiser, explained = torch.optim.Adam(agent.parameters(), 1e-3, betas=(0.9, 0.99), eps=1e-5), []
    for _ in range(60):
        image, rows = np.zeros((1, 64, 42, 42, 4), np.uint8), rng.integers(18, 38, 64)
        image[..., 6:14, :, :] = image[..., :2, :] = image[..., -2:, :] = 140
        for i, (row, column) in enumerate(zip(rows, rng.integers(4, 37, 64), strict=True)):
            image[0, i, row : row + 2, column : column + 2] = 200
        returns = torch.from_numpy((rows - 28) / 100).float()
        observed = Inputs({"image": torch.from_numpy(image)}, *_nothing_before(64))
        output, _ = agent(observed, agent.initial_state(64))
        noise = torch.log_softmax(output.logits, -1)[..., 0] * torch.randn(1, 64, generator=generator)
        errors = output.values[0] - returns
        optimiser.zero_grad()
        (0.25 * errors.square().mean() + noise.mean()).backward()
        optimiser.step()
        explained.append(1 - float(errors.detach().var() / returns.var()))
    assert np.mean(explained[-5:]) > 0.25  # at most 0.02 with torch's own weights and a value head of norm 1/16


def _nothing_before(batch: int) -> tuple[Tensor, Tensor, Tensor]:
    return torch.zeros(1, batch), torch.zeros(1, batch, dtype=torch.int64), torch.ones(1, batch, dtype=torch.bool)


# --- by name


def test_options_override_the_preset() -> None:
    space, distribution = GRID, Categorical(7)
    network = build_network("small", space, distribution, {"lstm": 32})
    assert [x.shape for x in network.initial_state(2)] == [(2, 32), (2, 32)]
    assert build_network("small", space, distribution, {"lstm": 0}).initial_state(2) == ()
    assert PRESETS["grid"]["small"]["lstm"] == 128  # the preset is not changed by it


STACKED, COLOURED = Pixels(0, 255, (84, 84, 4), np.uint8), Pixels(0, 255, (64, 64, 3), np.uint8)
NUMBERS, TORQUES = spaces.Box(-9, 9, (5,), np.float32), spaces.Box(-1, 1, (2,), np.float32)


@pytest.mark.parametrize(
    ("name", "observed", "given", "usual"),
    [
        ("small", {"obs": STACKED}, {}, {"lstm": 0}),
        ("large", {"obs": STACKED, "lives": spaces.Discrete(6)}, {"hidden": 64}, {"lstm": 0}),
        ("large", {"obs": STACKED}, {"lstm": 32}, {"normalise": False}),
        ("large", {"obs": STACKED, "map": COLOURED}, {}, {"normalise": False}),
        ("small", {"obs": COLOURED}, {}, {"normalise": False}),
        ("small", {"obs": COLOURED}, {"normalise": True}, {}),
        ("small", {"obs": COLOURED}, {"lstm": 0}, {}),
        ("small", dict(GRID.spaces), {}, {}),
        ("large", {"obs": NUMBERS}, {}, {"normalise_observations": True, "state_independent_std": True, "initial_std": 0.37}),
        ("small", {"obs": NUMBERS}, {"state_independent_std": False}, {"normalise_observations": True}),
        ("small", {"obs": NUMBERS}, {"normalise_observations": False}, {"state_independent_std": True, "initial_std": 0.37}),
        ("small", {"obs": NUMBERS}, {"initial_std": 1.0}, {"normalise_observations": True, "state_independent_std": True}),
        ("large", {"obs": NUMBERS, "map": VIEW}, {}, {}),
        ("mlp", {"obs": STACKED}, {}, {}),
        ("mine:Own", {"obs": STACKED}, {}, {}),
    ],
)
def test_what_a_new_run_takes_where_nothing_is_said(name: str, observed: dict, given: dict, usual: dict) -> None:
    assert usual_options(name, spaces.Dict(observed), TORQUES, given) == usual
    of_discrete = {} if "obs" in observed and observed["obs"] is NUMBERS else usual
    assert usual_options(name, spaces.Dict(observed), spaces.Discrete(3), given) == of_discrete


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("smal", {}, r"unknown network 'smal'; did you mean small or mlp\?"),
        ("resnet", {}, "unknown network 'resnet'; known: small, large, mlp"),
        ("small", {"hiden": 3}, r"no option 'hiden'; did you mean hidden\?"),
        ("small", {"distribution": 3}, "no option 'distribution'"),
        ("no_such_module:Own", {}, "cannot be imported.*package.module:Class"),
        ("kickstarting.types:Own", {}, "cannot be imported.*package.module:Class"),
    ],
)
def test_errors_name_the_remedy(name: str, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network(name, VECTOR, Categorical(2), options)


def test_a_users_own_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_networks.py").write_text(
        "from torch import nn\n"
        "class Own(nn.Module):\n"
        "    def __init__(self, observation_space, distribution, *, width=1):\n"
        "        super().__init__()\n"
        "        self.built = observation_space, distribution, width\n"
        "    def initial_state(self, batch): return ()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    distribution = Categorical(2)
    own = build_network("own_networks:Own", VECTOR, distribution, {"width": 7})
    assert own.built == (VECTOR, distribution, 7)
