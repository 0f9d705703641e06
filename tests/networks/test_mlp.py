"""The network of PPO's results on continuous control, and the heads that it shares with the papers' agents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from kickstarting.algo.distributions import Categorical, DiagonalGaussian, Distribution, MultiCategorical
from kickstarting.algo.squashed import SquashedGaussian
from kickstarting.networks import build_network, count_parameters
from kickstarting.networks.heads import StateIndependent
from kickstarting.networks.normaliser import Normaliser
from kickstarting.ranks import ALONE
from kickstarting.spaces import Pixels, Vector
from kickstarting.types import Inputs

T, B = 4, 3
SPACE = spaces.Dict({"state": spaces.Box(-np.inf, np.inf, (5,), np.float32), "arm": Vector(-1, 1, (2, 2), np.float32)})


def inputs_of(distribution: Distribution, seed: int = 0) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    observations = {"state": torch.randn(T, B, 5, generator=generator), "arm": torch.randn(T, B, 2, 2, generator=generator)}
    actions = torch.zeros(T, B, *distribution.action_shape, dtype=distribution.action_dtype)
    return Inputs(observations, actions, torch.randn(T, B, generator=generator), torch.zeros(T, B, dtype=torch.bool))


def reached(network: nn.Module) -> set[str]:
    """The parts whose parameters have a gradient."""
    return {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}


@pytest.mark.parametrize("distribution", [DiagonalGaussian(2), SquashedGaussian(2), Categorical(3), MultiCategorical((2, 2))])
def test_policy_and_critic_share_nothing(distribution: Distribution) -> None:
    network, inputs = build_network("mlp", SPACE, distribution), inputs_of(distribution)
    output, state = network(inputs, network.initial_state(B))
    assert (output.logits.shape, output.values.shape, state) == ((T, B, distribution.size), (T, B), ())
    torch.manual_seed(0)
    (output.logits * torch.randn(T, B, distribution.size)).sum().backward()
    assert reached(network) == {"actor", "policy"}
    network.zero_grad()
    output.values.sum().backward()
    assert reached(network) == {"critic", "value"}


def test_it_has_the_size_of_the_published_one() -> None:
    """17 observations and 6 actions, as HalfCheetah: two halves of 64-64, and six deviations."""
    space = spaces.Dict({"obs": spaces.Box(-np.inf, np.inf, (17,), np.float64)})
    half = 17 * 64 + 64 + 64 * 64 + 64
    assert count_parameters(build_network("mlp", space, DiagonalGaussian(6))) == 2 * half + 64 * 6 + 6 + 6 + 64 + 1


def test_it_reads_neither_last_action_nor_last_reward() -> None:
    network, inputs = build_network("mlp", SPACE, DiagonalGaussian(2)), inputs_of(DiagonalGaussian(2))
    before, _ = network(inputs, ())
    inputs.last_actions[:], inputs.last_rewards[:] = 1.0, 1.0
    after, _ = network(inputs, ())
    assert torch.equal(before.logits, after.logits)
    assert torch.equal(before.values, after.values)


def test_scalars_are_one_hot() -> None:
    space = spaces.Dict({"state": SPACE["state"], "mode": spaces.Discrete(3)})
    network, inputs = build_network("mlp", space, Categorical(2)), inputs_of(Categorical(2))
    said = []
    for mode in range(3):
        inputs.observations["mode"] = torch.full((T, B), mode)
        said.append(network(inputs, ())[0].values)
    assert not torch.equal(said[0], said[1])
    assert not torch.equal(said[1], said[2])


def test_pixels_are_for_other_networks() -> None:
    space = spaces.Dict({"image": Pixels(0, 255, (36, 36, 3), np.uint8)})
    with pytest.raises(ValueError, match=r"network 'mlp' reads vectors, and observation 'image' is pixels; use small or large"):
        build_network("mlp", space, Categorical(2))


@pytest.mark.parametrize(("name", "option"), [("mlp", "lstm"), ("small", "hiden"), ("mlp", "observation_space")])
def test_each_network_has_its_own_options(name: str, option: str) -> None:
    with pytest.raises(ValueError, match=f"network '{name}' has no option '{option}'"):
        build_network(name, SPACE, Categorical(2), {option: 1})


@pytest.mark.parametrize("name", ["mlp", "small"])
def test_deviations_are_numbers_of_their_own(name: str) -> None:
    network = build_network(name, SPACE, DiagonalGaussian(2), {"state_independent_std": True})
    head = network.policy
    assert isinstance(head, StateIndependent)
    with torch.no_grad():
        head.mean.weight.normal_()
        head.log_std.copy_(torch.tensor([-1.0, 0.5]))
    output, _ = network(inputs_of(DiagonalGaussian(2)), network.initial_state(B))
    mean, log_std = output.logits.chunk(2, -1)
    assert torch.equal(log_std, torch.tensor([-1.0, 0.5]).expand(T, B, 2))
    assert mean.std() > 0
    features = torch.randn(3, head.mean.in_features)
    torch.testing.assert_close(head(features), features @ head.weight.T + head.bias)


@pytest.mark.parametrize("name", ["mlp", "small"])
def test_observations_are_normalised_by_what_was_seen(name: str) -> None:
    """Two networks with the same weights say the same of what differs by units alone."""
    space = spaces.Dict({"state": SPACE["state"]})
    torch.manual_seed(0)
    network = build_network(name, space, DiagonalGaussian(2), {"normalise_observations": True})
    torch.manual_seed(0)
    other = build_network(name, space, DiagonalGaussian(2), {"normalise_observations": True})
    inputs, moved = inputs_of(DiagonalGaussian(2)), inputs_of(DiagonalGaussian(2))
    moved.observations["state"] = 1000 * moved.observations["state"] - 7
    for own, x in ((network, inputs), (other, moved)):
        (normaliser,) = [module for module in own.modules() if isinstance(module, Normaliser)]
        normaliser.update(x.observations[normaliser.reads], torch.ones(T, B, dtype=torch.bool), ALONE)
    torch.testing.assert_close(network(inputs, ())[0], other(moved, ())[0], rtol=1e-3, atol=1e-4)


def test_pixels_and_grids_have_nothing_to_normalise() -> None:
    space = spaces.Dict({"image": Pixels(0, 255, (36, 36, 3), np.uint8)})
    network = build_network("small", space, Categorical(2), {"normalise_observations": True})
    assert not [module for module in network.modules() if isinstance(module, Normaliser)]


@pytest.mark.parametrize("name", ["mlp", "small"])
def test_a_policy_begins_with_the_noise_that_is_asked_for_and_says_where_it_cannot(name: str) -> None:
    own = {"state_independent_std": True}
    network = build_network(name, SPACE, DiagonalGaussian(2), {"initial_std": 0.14, **own})
    torch.testing.assert_close(network.policy.log_std.exp(), torch.full((2,), 0.14))
    for distribution, options, why in (
        (Categorical(3), own, "actions are not continuous"),
        (DiagonalGaussian(2), {"state_independent_std": False}, "state_independent_std is False"),
    ):
        with pytest.raises(ValueError, match=f"initial_std is 0.14, and {why}; leave it out"):
            build_network(name, SPACE, distribution, {"initial_std": 0.14, **options})
