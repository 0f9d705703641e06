"""Adapters of images and grids [H, W, C]: crop, resize, grey, transpose."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from kickstarting.ranges import Choice, Range
from kickstarting.teachers.adapters.transform import SIDE, Adapter, Transform, chosen, each, is_box, is_image, resized

IMAGE = "an image [H, W, C]"
LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue in grey, as OpenCV and Pillow have it."""
FROM = Range(0, 10**5)


def crop(
    height: Annotated[int, SIDE],
    width: Annotated[int, SIDE],
    *,
    top: Annotated[int | None, FROM] = None,
    left: Annotated[int | None, FROM] = None,
    key: str = "",
) -> Adapter:
    """A part of an image: from `top` and `left`, or around the middle."""

    def adapter(space: spaces.Dict) -> Transform:
        name = chosen("crop", space, key, is_image, IMAGE)
        H, W, C = space[name].shape  # type: ignore[misc]  # an image
        y, x = max(0, H - height) // 2 if top is None else top, max(0, W - width) // 2 if left is None else left
        if y > H - height or x > W - width:
            raise ValueError(f"adapter crop cannot cut {height} x {width} from {y}, {x} on out of {name!r}, which is {H} x {W}")
        becomes = resized(space[name], (height, width, C))  # type: ignore[arg-type]
        return each(space, name, becomes, lambda image: image[..., y : y + height, x : x + width, :])

    return adapter


def resize(
    height: Annotated[int, SIDE],
    width: Annotated[int, SIDE],
    *,
    method: Annotated[str, Choice("area", "bilinear", "nearest")] = "area",
    key: str = "",
) -> Adapter:
    """An image of another size. area: each pixel is the mean of what it covers, as OpenCV's INTER_AREA, which Atari's wrappers use;
    bytes are rounded."""

    def adapter(space: spaces.Dict) -> Transform:
        name = chosen("resize", space, key, is_image, IMAGE)
        H, W, C = space[name].shape  # type: ignore[misc]
        rows, columns = _shares(H, height), _shares(W, width)

        def scaled(image: Tensor) -> Tensor:
            x = image.flatten(0, -4).movedim(-1, 1).contiguous().float()  # [T * B, C, H, W]
            if method == "area":
                x = rows.to(x) @ x @ columns.to(x).T
            else:
                x = F.interpolate(x, (height, width), mode=method)
            return _as(x, image).movedim(1, -1).reshape(*image.shape[:-3], height, width, C)

        return each(space, name, resized(space[name], (height, width, C)), scaled)  # type: ignore[arg-type]

    return adapter


def grey(*, key: str = "") -> Adapter:
    """A colour image, or a stack of them, in one channel each: 0.299 red, 0.587 green, 0.114 blue; bytes are rounded."""

    def adapter(space: spaces.Dict) -> Transform:
        name = chosen("grey", space, key, lambda part: is_image(part) and part.shape[2] % 3 == 0, "a colour image [H, W, 3]")  # type: ignore[index]
        H, W, C = space[name].shape  # type: ignore[misc]

        def weighed(image: Tensor) -> Tensor:
            red, green, blue = image.unflatten(-1, (C // 3, 3)).unbind(-1)
            x = red * LUMA[0]  # colour by colour: no copy of the whole in float32
            return _as(x.add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]), image)

        return each(space, name, resized(space[name], (H, W, C // 3)), weighed)  # type: ignore[arg-type]

    return adapter


def transpose(*axes: Annotated[int, Range(0, 9)], key: str = "") -> Adapter:
    """The axes of an observation in another order, as numpy has it; [H, W, C] as [C, H, W] unless given."""

    def adapter(space: spaces.Dict) -> Transform:
        order = axes or (2, 0, 1)
        fits = is_image if not axes else lambda part: is_box(part) and len(part.shape) == len(order)
        name = chosen("transpose", space, key, fits, f"an observation with {len(order)} axes")
        if sorted(order) != list(range(len(order))):
            raise ValueError(f"adapter transpose has axes {order}; each from 0 to {len(order) - 1} must be there once")
        box: spaces.Box = space[name]  # type: ignore[assignment]
        shape = tuple(box.shape[axis] for axis in order)
        low, high = box.low.transpose(order), box.high.transpose(order)
        lead = (0, 1)
        return each(
            space,
            name,
            spaces.Box(low, high, shape, box.dtype.type),  # the layout of no declared kind
            lambda x: x.permute(*lead, *(2 + axis for axis in order)),
        )

    return adapter


def _as(x: Tensor, image: Tensor) -> Tensor:
    return x if image.is_floating_point() else x.round_().to(image.dtype)  # no mean leaves 0 to 255


def _shares(before: int, after: int) -> Tensor:
    """[after, before]: how much of each of the new pixels each of the old ones covers."""
    edges = np.arange(after + 1) * (before / after)
    low, high = edges[:-1, None], edges[1:, None]
    covered = np.clip(np.minimum(high, np.arange(1, before + 1)) - np.maximum(low, np.arange(before)), 0, None)
    return torch.from_numpy(covered / covered.sum(1, keepdims=True)).float()
