"""Networks side by side against the same networks one by one."""

from __future__ import annotations

import pytest
import torch
from gymnasium import spaces
from test_agent import GRID, VECTOR, Case, sample_inputs

from kickstarting.algo.distributions import Categorical
from kickstarting.networks import build_network
from kickstarting.networks.agent import Agent
from kickstarting.networks.recurrent import Recurrent, SideBySide
from kickstarting.types import Inputs, Output, State

CASE = Case(GRID, Categorical(7))
N, EACH, T = 3, 2, 5


@pytest.fixture
def networks() -> list[Recurrent]:
    """With policies far from uniform, so that a mistake shows."""
    torch.manual_seed(0)
    built = [build_network("small", *CASE).requires_grad_(False) for _ in range(N)]
    for network in built:
        network.policy.weight.normal_()
        network.policy.bias.normal_()
        network.value.bias.normal_()
    return built


def unroll(seed: int) -> Inputs:
    """Inputs of all N * EACH columns; episodes start at the first input, in the middle and at the last."""
    rng = torch.Generator().manual_seed(seed)
    parts = [sample_inputs(CASE)[:, :EACH] for _ in range(N)]
    columns = [x.map(lambda y, n=n: y.roll(n + seed, 0)) for n, x in enumerate(parts)]
    inputs = Inputs(
        {name: torch.cat([x.observations[name] for x in columns], 1) for name in GRID},
        *(torch.cat([getattr(x, name) for x in columns], 1) for name in ("last_actions", "last_rewards", "is_first")),
    )
    inputs.is_first[:] = torch.rand(T, N * EACH, generator=rng) < 0.2
    return inputs


def one_by_one(networks: list[Recurrent], inputs: Inputs, state: State) -> tuple[Output, State]:
    results = []
    for n, network in enumerate(networks):
        own = slice(n * EACH, (n + 1) * EACH)
        results.append(network(inputs[:, own], tuple(x[own] for x in state)))
    outputs, states = zip(*results, strict=True)
    return Output(*(torch.cat(x, 1) for x in zip(*outputs, strict=True))), tuple(torch.cat(x) for x in zip(*states, strict=True))


def test_side_by_side_equals_one_by_one(networks: list[Recurrent]) -> None:
    """Through three unrolls, each from the state that the last one left."""
    together = SideBySide(networks, torch.float32)
    state = expected_state = together.initial_state(N * EACH)
    spreads = []
    for seed in range(3):
        inputs = unroll(seed)
        output, state = together(inputs, state)
        expected, expected_state = one_by_one(networks, inputs, expected_state)
        torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(state, expected_state, rtol=1e-5, atol=1e-5)
        spreads.append(output.logits.std())
    assert spreads[-1] > 1


def test_in_bfloat16_it_errs_no_more_than_one_by_one(networks: list[Recurrent]) -> None:
    inputs, state = unroll(0), SideBySide(networks, torch.float32).initial_state(N * EACH)
    exact, _ = one_by_one(networks, inputs, state)
    with torch.autocast("cpu", torch.bfloat16):
        output, last = SideBySide(networks, torch.bfloat16)(inputs, state)
        low, _ = one_by_one(networks, inputs, state)
    assert {x.dtype for x in (*output, *last)} == {torch.float32}
    for ours, theirs, true in zip(output, low, exact, strict=True):
        assert 0 < (ours - true).abs().max() < 1.5 * (theirs - true).abs().max()


def test_sizes_say_which_networks_fit() -> None:
    distribution = Categorical(2)
    assert build_network("small", VECTOR, distribution, {"lstm": 8}).batch_key == (8, 2)
    assert build_network("small", GRID, distribution, {"lstm": 8}).batch_key == (8, 2)  # features may differ
    assert build_network("small", VECTOR, distribution).batch_key is None  # nothing to gain without an LSTM

    class Own(Agent):
        def forward(self, inputs: Inputs, state: State) -> tuple[Output, State]:
            return super().forward(inputs, state)

    assert Own(VECTOR, distribution).batch_key is None
    without = build_network("small", spaces.Dict(VECTOR.spaces), distribution)
    with pytest.raises(ValueError, match="one by one"):
        SideBySide([without], torch.float32)


def test_larger_lstms_come_in_smaller_numbers() -> None:
    networks = [build_network("small", VECTOR, Categorical(2), {"hidden": 4, "lstm": size}) for size in (128, 256, 1024)]
    assert [network.most_together for network in networks] == [32, 8, 1]
