"""The adapter `stack`: the last frames of an observation as one, for teachers that see motion that way."""

from __future__ import annotations

from typing import Annotated

import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.ranges import Choice, Range
from kickstarting.teachers.adapters.transform import Adapter, Transform, chosen, is_box, resized
from kickstarting.types import State


def stack(
    frames: Annotated[int, Range(2, 1000)],
    *,
    padding: Annotated[str, Choice("zero", "repeat")] = "zero",
    newest: Annotated[str, Choice("last", "first")] = "last",
    key: str = "",
) -> Adapter:
    """The last frames side by side along the last axis, which are the channels of an image. Frames before an episode's first are
    zeros, as in Stable-Baselines3's VecFrameStack, or repeat the first, as in Gymnasium's FrameStackObservation and EnvPool."""

    def adapter(space: spaces.Dict) -> Transform:
        name = chosen("stack", space, key, lambda part: is_box(part) and bool(part.shape), "numbers")
        box: spaces.Box = space[name]  # type: ignore[assignment]
        dtype = torch.from_numpy(box.low[:0]).dtype
        becomes = resized(box, (*box.shape[:-1], frames * box.shape[-1]))
        parts = {**space.spaces, name: becomes}

        def observe(x: dict[str, Tensor], is_first: Tensor, state: State) -> tuple[dict[str, Tensor], State]:
            stacked = _stacked(x[name], is_first, state[0], repeat=padding == "repeat")  # [T, B, frames, ...]
            ordered = stacked if newest == "last" else stacked.flip(2)
            return {**x, name: ordered.movedim(2, -2).flatten(-2)}, (stacked[-1, :, 1:],)

        return Transform(
            spaces.Dict(parts),
            observe,
            {part: (part,) for part in parts},
            lambda batch: (torch.zeros(batch, frames - 1, *box.shape, dtype=dtype),),
        )

    return adapter


def _stacked(x: Tensor, is_first: Tensor, before: Tensor, *, repeat: bool) -> Tensor:
    """Of [T, B, ...], with the n - 1 frames before, [B, n - 1, ...], each step's last n frames, oldest first, [T, B, n, ...]."""
    (T, B), n = x.shape[:2], before.shape[1] + 1
    every = torch.cat([before.movedim(1, 0), x]).flatten(0, 1)  # [(n - 1 + T) * B, ...]
    here = torch.arange(n - 1, n - 1 + T, device=x.device)[:, None]
    began = torch.where(is_first, here, 0).cummax(0).values[..., None]  # the step in `every` where the episode began, if known
    source = here[..., None] - torch.arange(n - 1, -1, -1, device=x.device)  # [T, 1, n]
    missing = source < began
    rows = torch.where(missing, began, source) * B + torch.arange(B, device=x.device)[:, None]
    stacked = every.index_select(0, rows.flatten()).unflatten(0, rows.shape)  # whole frames are copied, faster than pixels
    if not repeat:
        stacked[missing] = 0
    return stacked
