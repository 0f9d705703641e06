"""What Stable-Baselines3 makes of observations before its policies read them, from observations as environments here give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from kickstarting.envs.observations import Observations

OBSERVATION = "observation"
"""The name of what is no dict."""


def reads(space: gymnasium.Space) -> spaces.Dict:
    """An archive's observation space as environments here give it, of no declared kind: images and cells [H, W, C], bytes as bytes;
    choices one-hot, all else float32."""
    ours = Observations(space, 1).space
    return spaces.Dict({name: _undeclared(ours[name], part) for name, part in parts_of(space).items()})


def _undeclared(ours: gymnasium.Space, theirs: gymnasium.Space) -> gymnasium.Space:
    if not isinstance(ours, spaces.Box):
        return ours
    shape = ours.shape
    if _is_image(theirs) and theirs.shape and np.argmin(theirs.shape) == 0:  # as the peer stores all
        shape = (*theirs.shape[1:], theirs.shape[0])
    if len(shape) == 3 and theirs.dtype == np.uint8:
        return spaces.Box(0, 255, shape, np.uint8)
    return spaces.Box(-np.inf, np.inf, shape, np.float32)


def _is_image(space: gymnasium.Space) -> bool:
    """As the peer decides it."""
    is_bytes = isinstance(space, spaces.Box) and len(space.shape) == 3 and space.dtype == np.uint8
    return is_bytes and bool((space.low == 0).all() and (space.high == 255).all())  # type: ignore[attr-defined]


class Preprocessed(nn.Module):
    """Observations [N, ...] as the peer's extractors get them: float32, images [C, H, W] and divided by 255, choices one-hot."""

    def __init__(self, space: gymnasium.Space, normalise_images: bool) -> None:
        super().__init__()
        given, ours = reads(space), Observations(space, 1)
        self._told = {
            name: _telling(part, given[name], normalise_images, _range(part, ours, name)) for name, part in parts_of(space).items()
        }

    def forward(self, observations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tell(observations[name]) for name, tell in self._told.items()}


class Features(nn.Module):
    """The peer's FlattenExtractor, NatureCNN or CombinedExtractor: images through a network if they have one, all else flat."""

    def __init__(self, weights: Mapping[str, Tensor], prefix: str, names: list[str]) -> None:
        super().__init__()
        alone = f"{prefix}.cnn.0.weight" in weights
        prefixes = {name: prefix if alone else f"{prefix}.extractors.{name}" for name in names}
        with_network = [name for name, own in prefixes.items() if f"{own}.cnn.0.weight" in weights]
        self.names = names
        self.networks = nn.ModuleDict({_module(name): _nature_cnn(weights, prefixes[name]) for name in with_network})

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        """[N, F]"""
        features = []
        for name in self.names:
            x, module = observations[name], _module(name)
            features.append(self.networks[module](x) if module in self.networks else x.flatten(1))
        return torch.cat(features, -1) if len(features) > 1 else features[0]


def make_features(
    weights: Mapping[str, Tensor], prefix: str, space: gymnasium.Space, extractor: tuple[Any, Mapping[str, Any]] | None
) -> nn.Module:
    """The features of that name. extractor: class and options of one that is somebody's own."""
    if extractor is None:
        return Features(weights, prefix, list(parts_of(space)))
    own = {name.removeprefix(f"{prefix}."): x for name, x in weights.items() if name.startswith(f"{prefix}.")}
    return OwnFeatures(extractor[0](space, **extractor[1]), own, isinstance(space, spaces.Dict))


class OwnFeatures(nn.Module):
    """A features extractor of somebody's own, which reads what the peer's would."""

    def __init__(self, extractor: nn.Module, weights: Mapping[str, Tensor], reads_dict: bool) -> None:
        super().__init__()
        extractor.load_state_dict(weights)
        self.extractor, self._reads_dict = extractor, reads_dict

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.extractor(observations if self._reads_dict else observations[OBSERVATION])


def linear(weights: Mapping[str, Tensor], name: str) -> nn.Linear:
    """A layer with the weights of that name."""
    weight = weights[f"{name}.weight"]
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=f"{name}.bias" in weights)
    layer.load_state_dict({key: weights[f"{name}.{key}"] for key in layer.state_dict()})
    return layer


def _nature_cnn(weights: Mapping[str, Tensor], prefix: str) -> nn.Module:
    layers: list[nn.Module] = []
    for index, stride in ((0, 4), (2, 2), (4, 1)):
        weight = weights[f"{prefix}.cnn.{index}.weight"]
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:], stride)  # type: ignore[arg-type]
        layer.load_state_dict({key: weights[f"{prefix}.cnn.{index}.{key}"] for key in ("weight", "bias")})
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), linear(weights, f"{prefix}.linear.0"), nn.ReLU())


def _module(name: str) -> str:
    return name.encode().hex()


def parts_of(space: gymnasium.Space) -> dict[str, gymnasium.Space]:
    """By name, in the order of the peer."""
    return dict(space.spaces) if isinstance(space, spaces.Dict) else {OBSERVATION: space}


def _telling(
    theirs: gymnasium.Space, ours: gymnasium.Space, normalise_images: bool, scale: tuple[float, float]
) -> Callable[[Tensor], Tensor]:
    if isinstance(theirs, spaces.Discrete):
        n = int(theirs.n)
        return lambda x: (x[..., None] == torch.arange(n, device=x.device)).float()
    turned = isinstance(theirs, spaces.Box) and len(theirs.shape) == 3 and ours.shape != theirs.shape
    if _is_image(theirs) and normalise_images:
        return lambda x: (x.movedim(-1, 1) if turned else x).float() / 255
    factor, offset = scale
    if scale == (1.0, 0.0):
        return lambda x: (x.movedim(-1, 1) if turned else x).float()
    return lambda x: (x.movedim(-1, 1) if turned else x).float() * factor + offset


def _range(space: gymnasium.Space, ours: Observations, name: str) -> tuple[float, float]:
    """Factor and offset that undo what `Observations` makes of images that are no bytes: shares of their range."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 3 or space.dtype == np.uint8:
        return 1.0, 0.0
    low, high = float(space.low.min()), float(space.high.max())
    if not np.isfinite([low, high]).all() or low == high:
        return 1.0, 0.0
    first = np.full((1, *space.shape), low, space.dtype), np.full((1, *space.shape), high, space.dtype)
    a, b = (float(ours({name: x} if name != OBSERVATION else x, np.ones(1, bool))[name].flat[0]) for x in first)
    return (high - low) / (b - a), low - a * (high - low) / (b - a)
