"""The papers' agent for any mix of observations: torso, language, last reward and action, LSTM, linear heads."""

from __future__ import annotations

import math
from typing import Annotated, Protocol, runtime_checkable

import gymnasium
import torch
from torch import Tensor, nn

from kickstarting.algo.distributions import Distribution
from kickstarting.networks.heads import STD, Head, initialise, policy_head
from kickstarting.networks.language import LanguageEncoder
from kickstarting.networks.lstm import LSTM
from kickstarting.networks.normaliser import Normaliser
from kickstarting.networks.recurrent import Recurrent
from kickstarting.networks.torsos import MLP, Grid, PixelLarge, PixelSmall
from kickstarting.ranges import Range
from kickstarting.spaces import kind_of
from kickstarting.types import Inputs, Output, State

WIDTH = Range(1, 10**5)


@runtime_checkable
class Network(Protocol):
    """What an actor-critic network must offer; a user's own `nn.Module` needs no more.

    It is built as `Class(observation_space, distribution, **options)` with a `gymnasium.spaces.Dict`, and must reset its
    recurrent state inside the unroll before every input that has `is_first`.
    """

    def initial_state(self, batch: int) -> State: ...
    def __call__(self, inputs: Inputs, state: State) -> tuple[Output, State]: ...


class Agent(Recurrent):
    """One torso per image, grid or vector of the observation; scalars one-hot; a language encoder per text.

    It goes by the declared kind of each observation (`spaces.py`). The encoder of the first text is the module `language`, of
    a further text NAME `language_NAME`.

    hidden: width of each torso. lstm: width of the LSTM, 0 for none. channels: of the convolutions on grids (and of the
    sections of the deep torso on pixels); None takes the torso's own. deep: the 15-convolution torso on pixels. width: by which its
    channels are multiplied. normalise: a LayerNorm in front of the LSTM, whose gates large inputs would close for good.
    normalise_observations: vectors, by their running mean and variance. state_independent_std: continuous actions whose deviations
    are numbers of their own, not of what is observed. initial_std: what these are at first; else ValueError.
    """

    def __init__(
        self,
        observation_space: gymnasium.spaces.Dict,
        distribution: Distribution,
        hidden: Annotated[int, WIDTH] = 256,
        lstm: Annotated[int, Range(0, 10**5)] = 256,
        channels: Annotated[tuple[int, ...] | None, WIDTH] = None,
        deep: bool = False,
        language: Annotated[int, WIDTH] = 64,
        normalise: bool = True,
        width: Annotated[int, Range(1, 64)] = 1,
        normalise_observations: bool = False,
        state_independent_std: bool = False,
        initial_std: Annotated[float, STD] = 1.0,
    ) -> None:
        super().__init__()
        self.distribution = distribution
        if width > 1 and not (deep and any(kind_of(name, space) == "pixels" for name, space in observation_space.items())):
            raise ValueError(
                f"network option width is {width}, and multiplies the channels of the deep torso on pixels; leave it out"
            )
        self.torsos = nn.ModuleDict()
        self.normalisers = nn.ModuleDict()
        self.reads: dict[str, str] = {}
        self.one_hot: dict[str, int] = {}
        self.languages: dict[str, str] = {}
        size = 1 + distribution.encoding_size  # last reward, last action
        for name, space in observation_space.items():
            kind = kind_of(name, space)
            if kind == "text":
                self.languages[name] = f"language_{_module(name)}" if self.languages else "language"
                self.add_module(self.languages[name], LanguageEncoder(language))
                size += language
            elif isinstance(space, gymnasium.spaces.Discrete):
                self.one_hot[name] = int(space.n)
                size += int(space.n)
            else:
                self.reads[name] = _module(name)
                self.torsos[self.reads[name]] = _torso(kind, space.shape or (), hidden, channels, deep, width)
                if normalise_observations and kind == "vector":
                    self.normalisers[self.reads[name]] = Normaliser(name, space.shape or ())
                size += hidden
        self.norm = nn.LayerNorm(size, elementwise_affine=False) if lstm and normalise else nn.Identity()
        self.core = LSTM(size, lstm) if lstm else None
        noise = {"state_independent_std": state_independent_std, "initial_std": initial_std}
        self.policy = policy_head(lstm or size, distribution, **noise)
        self.value = Head(lstm or size, 1)
        # a faint critic on pixels leaves the torso to the policy's noise; elsewhere a loud one is noise itself (decision 33)
        pixels = any(kind_of(name, space) == "pixels" for name, space in observation_space.items())
        initialise(self.policy, self.value, gain=1.0 if pixels else 1.0 / math.sqrt(lstm or size))

    def features(self, inputs: Inputs) -> Tensor:
        leading = inputs.is_first.shape
        features = [
            inputs.last_rewards.clamp(-1.0, 1.0)[..., None],
            self.distribution.encode(inputs.last_actions),
        ]
        for name, module in self.reads.items():
            x = inputs.observations[name]
            x = self.normalisers[module](x) if module in self.normalisers else x
            features.append(self.torsos[module](x.flatten(0, 1)).view(*leading, -1))
        for name, n in self.one_hot.items():
            indices = torch.arange(n, device=inputs.is_first.device)
            features.append((inputs.observations[name][..., None] == indices).float())
        for name, module in self.languages.items():
            features.append(getattr(self, module)(inputs.observations[name]))
        return self.norm(torch.cat(features, -1))


def _module(name: str) -> str:
    """A name for the module that reads an observation: its own, unless PyTorch has no module of that name."""
    plain = name and "." not in name and not name.startswith("~") and not hasattr(_NO_MODULES, name)
    return name if plain else "~" + name.encode().hex()


_NO_MODULES = nn.ModuleDict()


def _torso(kind: str, shape: tuple[int, ...], hidden: int, channels: tuple[int, ...] | None, deep: bool, width: int) -> nn.Module:
    if kind == "vector":
        return MLP(shape, hidden)
    if kind == "grid":
        return Grid(shape, hidden, channels) if channels else Grid(shape, hidden)
    if deep:
        return PixelLarge(shape, hidden, channels or PixelLarge.CHANNELS, width)
    return PixelSmall(shape, hidden)


def count_parameters(network: nn.Module) -> int:
    """Trained parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


__all__ = ["Agent", "Network", "Tensor", "count_parameters"]
