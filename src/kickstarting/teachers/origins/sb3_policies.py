"""The policies of Stable-Baselines3 and sb3-contrib, rebuilt from their weights; none of these packages is needed.

What a policy is, the names of its weights tell; what they do not (activation, bounds, squashing), the archive's options and spaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor, nn

from kickstarting.networks.lstm import LSTM
from kickstarting.teachers.origins.foreign import Units
from kickstarting.teachers.origins.sb3_archive import Archive
from kickstarting.teachers.origins.sb3_features import Preprocessed, Renormalised, linear, make_features
from kickstarting.teachers.origins.sb3_heads import Certain, make_head
from kickstarting.teachers.origins.sb3_options import DEFAULTS
from kickstarting.teachers.protocol import Kind
from kickstarting.types import State


class Core(nn.Module):
    """LSTM layers, one on the other, with one state each."""

    def __init__(self, weights: Mapping[str, Tensor], prefix: str) -> None:
        super().__init__()
        layers = 0
        while f"{prefix}.weight_hh_l{layers}" in weights:
            layers += 1
        self.layers = nn.ModuleList(_lstm(weights, prefix, layer) for layer in range(layers))

    def initial_state(self, batch: int) -> State:
        return tuple(x for layer in self.layers for x in layer.initial_state(batch))  # type: ignore[operator]

    def forward(self, x: Tensor, state: State, reset: Tensor) -> tuple[Tensor, State]:
        after: State = ()
        for i, layer in enumerate(self.layers):
            x, own = layer(x, state[2 * i : 2 * i + 2], reset)
            after += own
        return x, after


class ActorCritic(nn.Module):
    """PPO, A2C, TRPO, MaskablePPO and RecurrentPPO: parameters of the student's distribution, and V."""

    def __init__(self, archive: Archive, options: Mapping[str, Any], action_space: gymnasium.Space) -> None:
        super().__init__()
        weights, activation = archive.weights, options["activation"]
        if any(name.startswith("mlp_extractor.shared_net") for name in weights):
            raise ValueError(f"{archive.path} has layers that actor and critic share, as before version 1.8; serve it by http:")
        space = archive.space("observation_space")
        self.preprocessed = Preprocessed(space, options["normalize_images"])
        own = any(name.startswith("pi_features_extractor.") for name in weights)
        first = "pi_features_extractor" if own else "features_extractor"
        self.features = make_features(weights, first, space, options["extractor"])
        shared = options["share_features_extractor"]
        self.value_features = None if shared else make_features(weights, "vf_features_extractor", space, options["extractor"])
        self.core = Core(weights, "lstm_actor") if "lstm_actor.weight_hh_l0" in weights else None
        self.value_core = Core(weights, "lstm_critic") if "lstm_critic.weight_hh_l0" in weights else None
        self.value_input = linear(weights, "critic") if "critic.weight" in weights else None
        self.policy_layers = layers(weights, "mlp_extractor.policy_net", activation)
        self.value_layers = layers(weights, "mlp_extractor.value_net", activation)
        self.value = linear(weights, "value_net")
        self.head = make_head(weights, "action_net", "log_std", options, action_space)

    def initial_state(self, batch: int) -> State:
        return tuple(x for core in (self.core, self.value_core) if core for x in core.initial_state(batch))

    def forward(self, observations: Mapping[str, Tensor], is_first: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        seen = self.preprocessed({name: x.flatten(0, 1) for name, x in observations.items()})
        x = self.features(seen).unflatten(0, is_first.shape)
        v = self.value_features(seen).unflatten(0, is_first.shape) if self.value_features else x
        if self.core:
            width = len(self.core.layers) * 2
            x, own = self.core(x, state[:width], is_first)
            other: State = ()
            if self.value_core:
                v, other = self.value_core(v, state[width:], is_first)
            else:
                v = self.value_input(v) if self.value_input else x
            state = own + other
        return self.head(self.policy_layers(x)), self.value(self.value_layers(v))[..., 0], state


class Actor(nn.Module):
    """SAC, TQC, CrossQ, TD3 and DDPG: the moments of what they do, in the student's units. They have no V."""

    def __init__(self, archive: Archive, options: Mapping[str, Any], action_space: gymnasium.Space) -> None:
        super().__init__()
        weights, activation, space = archive.weights, options["activation"], archive.space("observation_space")
        self.preprocessed = Preprocessed(space, options["normalize_images"])
        self.features = make_features(weights, "actor.features_extractor", space, options["extractor"])
        if "actor.log_std" in weights or "actor.log_std.weight" in weights:
            self.layers = layers(weights, "actor.latent_pi", activation, epsilon=options["batch_norm_eps"])
            self.head = make_head(weights, "actor.mu", "actor.log_std", {**options, "squash_output": True}, action_space)
        else:
            self.layers = layers(weights, "actor.mu", activation, linear_last=True)
            self.head = Certain(options["std"])

    def initial_state(self, batch: int) -> State:
        return ()

    def forward(self, observations: Mapping[str, Tensor], is_first: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        x = self.features(self.preprocessed({name: x.flatten(0, 1) for name, x in observations.items()}))
        return self.head(self.layers(x)).unflatten(0, is_first.shape), None, state


class QNetwork(nn.Module):
    """DQN and QR-DQN: softmax of Q at a temperature, and the mean of Q under that as V."""

    def __init__(self, archive: Archive, options: Mapping[str, Any], action_space: gymnasium.Space) -> None:
        super().__init__()
        weights, space = archive.weights, archive.space("observation_space")
        self.preprocessed = Preprocessed(space, options["normalize_images"])
        name = "quantile_net" if any(name.startswith("quantile_net.") for name in weights) else "q_net"
        self.features = make_features(weights, f"{name}.features_extractor", space, options["extractor"])
        self.layers = layers(weights, f"{name}.{name}", options["activation"], linear_last=True)
        self.actions, self.temperature = int(action_space.n), options["temperature"]  # type: ignore[attr-defined]

    def initial_state(self, batch: int) -> State:
        return ()

    def forward(self, observations: Mapping[str, Tensor], is_first: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        x = self.features(self.preprocessed({name: x.flatten(0, 1) for name, x in observations.items()}))
        q = self.layers(x).unflatten(-1, (-1, self.actions)).mean(-2).unflatten(0, is_first.shape)
        logits = q / self.temperature
        return logits, (logits.softmax(-1) * q).sum(-1), state


class Searched(nn.Module):
    """ARS: one action for each observation. It has no V, and does not say how sure it is."""

    def __init__(self, archive: Archive, options: Mapping[str, Any], action_space: gymnasium.Space) -> None:
        super().__init__()
        weights, space = archive.weights, archive.space("observation_space")
        self.preprocessed = Preprocessed(space, options["normalize_images"])
        self.features = make_features(weights, "features_extractor", space, options["extractor"])
        self.layers = layers(weights, "action_net", options["activation"], linear_last=True)
        self.units = Units(action_space) if isinstance(action_space, spaces.Box) else None
        self.kind = Kind.PARAMETERS if self.units else Kind.ACTIONS
        self.squashed, self.std = options["squash_output"], options["std"]

    def initial_state(self, batch: int) -> State:
        return ()

    def forward(self, observations: Mapping[str, Tensor], is_first: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        x = self.layers(self.features(self.preprocessed({name: x.flatten(0, 1) for name, x in observations.items()})))
        x = x.unflatten(0, is_first.shape)
        if self.units is None:
            return x.argmax(-1), None, state
        mean = torch.tanh(x) if self.squashed else self.units.clipped(x)
        return torch.cat([mean, torch.full_like(mean, self.std).log()], -1), None, state


def layers(
    weights: Mapping[str, Tensor],
    prefix: str,
    activation: type[nn.Module],
    *,
    linear_last: bool = False,
    epsilon: float = DEFAULTS["batch_norm_eps"],
) -> nn.Sequential:
    """The linear layers of that name, each with the activation behind it, but maybe the last, and what normalises between them by
    the square root of variance + epsilon."""
    inside = (name.removeprefix(f"{prefix}.").split(".")[0] for name in weights if name.startswith(f"{prefix}."))
    modules: list[nn.Module] = []
    for index in sorted({int(index) for index in inside if index.isdigit()}):
        name = f"{prefix}.{index}"
        normalises = f"{name}.ra_mean" in weights
        modules += [Renormalised(weights, name, epsilon)] if normalises else [linear(weights, name), activation()]
    return nn.Sequential(*(modules[:-1] if linear_last else modules))


def _lstm(weights: Mapping[str, Tensor], prefix: str, layer: int) -> LSTM:
    """torch has the gates in the order i, f, g, o, and two bias vectors."""

    def ordered(x: Tensor) -> Tensor:
        i, f, g, o = x.chunk(4)
        return torch.cat([i, f, o, g])

    own = {name: weights[f"{prefix}.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    lstm = LSTM(own["weight_ih"].shape[1], own["weight_hh"].shape[1])
    bias = ordered(own["bias_ih"] + own["bias_hh"])
    lstm.load_state_dict({"input.weight": ordered(own["weight_ih"]), "input.bias": bias, "weight": ordered(own["weight_hh"])})
    return lstm
