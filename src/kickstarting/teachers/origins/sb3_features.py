"""What Stable-Baselines3 makes of observations before its policies read them, from observations as environments here give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor, nn

from kickstarting.teachers.origins.foreign import OBSERVATION, AsTheirs, is_image, parts_of


class Preprocessed(nn.Module):
    """Observations [N, ...] as the peer's extractors get them: float32, images [C, H, W] and divided by 255, choices one-hot."""

    def __init__(self, space: gymnasium.Space, normalise_images: bool) -> None:
        super().__init__()
        self._as_theirs, parts = AsTheirs(space), parts_of(space)
        self._images = {name for name, part in parts.items() if is_image(part) and normalise_images}
        self._choices = {name: int(part.n) for name, part in parts.items() if isinstance(part, spaces.Discrete)}

    def forward(self, observations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        seen = self._as_theirs(observations)
        for name in self._images:
            seen[name] = seen[name] / 255
        for name, n in self._choices.items():
            seen[name] = (seen[name][..., None] == torch.arange(n, device=seen[name].device)).float()
        return seen


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


class Renormalised(nn.Module):
    """CrossQ's BatchRenorm of that name, by the statistics that its training left."""

    factor: Tensor
    offset: Tensor

    def __init__(self, weights: Mapping[str, Tensor], name: str, epsilon: float) -> None:
        super().__init__()
        mean, variance, scale, bias = (weights[f"{name}.{key}"] for key in ("ra_mean", "ra_var", "scale", "bias"))
        factor = scale / (variance + epsilon).sqrt()
        self.register_buffer("factor", factor)
        self.register_buffer("offset", bias - mean * factor)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor + self.offset


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
