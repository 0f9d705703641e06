"""Clips: every step of an episode as a picture with what the policies thought beside it, written as GIF or MP4."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kickstarting.console import visible
from kickstarting.report.look import COLOURS, FAINT, GRID, INK, PAPER

PICTURE, VIEW, SIDE, GAP = 320, 168, 420, 24
"""Pixels: sides of the pictures, width of the bars beside them, and what is between."""
LABEL, PITCH = 96, 14
MOST_ROWS = 10
HOLD = 1.6
"""Seconds in which the last frame stands."""
CUT = "…"


@dataclass(frozen=True)
class Thought:
    """What one policy thinks at one step."""

    policy: np.ndarray
    """Probabilities [A]; of continuous actions [2, D], means and standard deviations."""
    value: float | None


@dataclass(frozen=True)
class Moment:
    """One step."""

    picture: np.ndarray | None
    """uint8 [H, W, 3]: the environment; None if it cannot be drawn."""
    view: np.ndarray | None
    """uint8 [H, W, 3]: what the policy sees of it, where that is another picture."""
    thoughts: tuple[Thought, ...]
    """Of each policy; none behind the last action."""
    action: int | None
    """The number that was taken, of discrete actions."""
    total: float
    """Return so far."""


@dataclass(frozen=True)
class Recording:
    """One episode."""

    title: str
    subtitle: str
    policies: tuple[str, ...]
    """Who thinks; the first one acts."""
    actions: tuple[str, ...]
    """Names of discrete actions, or of the dimensions of continuous ones."""
    moments: list[Moment] = field(default_factory=list)


def frames(recording: Recording) -> list[Image.Image]:
    """All of one size."""
    pictures = [_pictures(moment) for moment in recording.moments]
    left = max((picture.width for picture in pictures), default=0)
    rows = min(len(recording.actions), MOST_ROWS)
    bars = 44 + 26 * len(recording.policies) + rows * _row_height(recording)
    with_values = any(thought.value is not None for moment in recording.moments for thought in moment.thoughts)
    height = 86 + max(max(picture.height for picture in pictures), bars + 150 * with_values)
    width = GAP + (left + GAP if left else 0) + SIDE + GAP
    drawn = []
    for t, (moment, picture) in enumerate(zip(recording.moments, pictures, strict=True)):
        frame = Image.new("RGB", (width // 2 * 2, height // 2 * 2), PAPER)
        draw = ImageDraw.Draw(frame)
        draw.text((GAP, 16), _short(recording.title, _font(19, bold=True), width - 240), INK, _font(19, bold=True))
        draw.text((GAP, 44), _short(recording.subtitle, _font(14), width - 2 * GAP), FAINT, _font(14))
        told = f"step {t}   return {moment.total:.2f}"
        draw.text((width - GAP, 18), told, FAINT, _font(14), anchor="ra")
        if left:
            frame.paste(picture, (GAP, 76))
        x = GAP + (left + GAP if left else 0)
        _draw_bars(draw, x, 76, recording, moment)
        if with_values:
            _draw_values(draw, x, 76 + bars, recording, t)
        drawn.append(frame)
    return drawn


def _pictures(moment: Moment) -> Image.Image:
    """The environment, and below it what the policy sees, if that is another picture."""
    parts = [(moment.picture, PICTURE), (moment.view, VIEW if moment.picture is not None else PICTURE)]
    shown = [_fitted(array, side) for array, side in parts if array is not None]
    if not shown:
        return Image.new("RGB", (0, 0), PAPER)
    height = sum(picture.height for picture in shown) + 14 * (len(shown) - 1)
    column = Image.new("RGB", (PICTURE, height), PAPER)
    y = 0
    for picture in shown:
        column.paste(picture, (0, y))
        y += picture.height + 14
    if len(shown) == 2:
        draw = ImageDraw.Draw(column)
        draw.text((shown[1].width + 14, height - shown[1].height), "what it sees", FAINT, _font(13))
    return column


def _fitted(array: np.ndarray, side: int) -> Image.Image:
    picture = Image.fromarray(array)
    scale = side / max(picture.size)
    how = Image.Resampling.NEAREST if scale > 1.5 else Image.Resampling.LANCZOS
    return picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), how)


def _row_height(recording: Recording) -> int:
    return 12 + PITCH * len(recording.policies)


def _draw_bars(draw: ImageDraw.ImageDraw, x: int, y: int, recording: Recording, moment: Moment) -> None:
    for i, (name, colour) in enumerate(zip(recording.policies, COLOURS, strict=False)):
        value = moment.thoughts[i].value if moment.thoughts else None
        draw.rounded_rectangle((x, y + 4, x + 11, y + 15), 3, fill=colour)
        draw.text((x + 20, y), _short(name, _font(14), SIDE - 110), INK, _font(14))
        if value is not None:
            draw.text((x + SIDE, y), f"value {value:.2f}", INK, _font(14), anchor="ra")
        y += 26
    y += 10
    if not moment.thoughts:
        draw.text((x, y), "this is where it ends", FAINT, _font(14))
        return
    rows, height = _rows(recording, moment), _row_height(recording)
    for row in rows:
        taken = moment.action == row
        name = _short(recording.actions[row], _font(14, bold=taken), LABEL - 8)
        draw.text((x, y + height / 2 - 10), name, INK, _font(14, bold=taken))
        for i, (thought, colour) in enumerate(zip(moment.thoughts, COLOURS, strict=False)):
            top = y + 4 + PITCH * i
            if thought.policy.ndim == 1:
                _draw_share(draw, x + LABEL, top, float(thought.policy[row]), colour)
            else:
                _draw_range(draw, x + LABEL, top, *map(float, thought.policy[:, row]), colour=colour)
        y += height


def _rows(recording: Recording, moment: Moment) -> list[int]:
    """Which actions are shown: all, or of many the most probable ones, and the one that was taken."""
    if len(recording.actions) <= MOST_ROWS or moment.thoughts[0].policy.ndim > 1:
        return list(range(min(len(recording.actions), MOST_ROWS)))
    likely = np.argsort(-np.mean([thought.policy for thought in moment.thoughts], 0))[:MOST_ROWS].tolist()
    return sorted({*likely[: MOST_ROWS - 1], likely[-1] if moment.action is None else moment.action})


def _draw_share(draw: ImageDraw.ImageDraw, x: int, y: float, share: float, colour: str) -> None:
    width = SIDE - LABEL - 48
    draw.rounded_rectangle((x, y, x + width, y + 9), 4, fill=GRID)
    if share > 0.01:
        draw.rounded_rectangle((x, y, x + max(6, share * width), y + 9), 4, fill=colour)
    draw.text((x + width + 46, y + 4.5), f"{share:.0%}", INK, _font(11), anchor="rm")


def _draw_range(draw: ImageDraw.ImageDraw, x: int, y: float, mean: float, deviation: float, *, colour: str) -> None:
    """Mean and standard deviation between -1 and 1."""
    width = SIDE - LABEL - 48

    def at(number: float) -> float:
        return x + width * (min(1.0, max(-1.0, number)) + 1) / 2

    draw.rounded_rectangle((x, y, x + width, y + 9), 4, fill=GRID)
    draw.line((at(0), y, at(0), y + 9), fill=FAINT, width=1)
    draw.line((at(mean - deviation), y + 4.5, at(mean + deviation), y + 4.5), fill=colour, width=3)
    draw.ellipse((at(mean) - 5, y - 0.5, at(mean) + 5, y + 9.5), fill=colour)
    draw.text((x + width + 46, y + 4.5), f"{mean:.2f}", INK, _font(11), anchor="rm")


def _draw_values(draw: ImageDraw.ImageDraw, x: int, y: int, recording: Recording, t: int) -> None:
    """Every policy's value over the episode, drawn up to now in its colour."""
    curves = [[m.thoughts[i].value for m in recording.moments if m.thoughts] for i in range(len(recording.policies))]
    known = [value for curve in curves for value in curve if value is not None]
    low, high = min(known), max(known)
    reach = max(high - low, 1e-6)
    top, bottom, left, right = y + 26, y + 124, x + LABEL, x + SIDE
    draw.text((x, top - 8), "value", INK, _font(14))
    draw.text((left - 8, top), f"{high:.2f}", FAINT, _font(11), anchor="rm")
    draw.text((left - 8, bottom), f"{low:.2f}", FAINT, _font(11), anchor="rm")
    for level in (top, bottom):
        draw.line((left, level, right, level), fill=GRID, width=1)
    steps = max(1, max(map(len, curves)) - 1)
    for curve, colour in zip(curves, COLOURS, strict=False):
        points = [(left + (right - left) * i / steps, bottom - (bottom - top) * (v - low) / reach) for i, v in _numbered(curve)]
        now = points[: t + 1]
        if len(points) > 1:
            draw.line(points, fill=GRID, width=2)
        if len(now) > 1:
            draw.line(now, fill=colour, width=3, joint="curve")
        if now:
            px, py = now[-1]
            draw.ellipse((px - 4, py - 4, px + 4, py + 4), fill=colour)


def _numbered(curve: Sequence[float | None]) -> list[tuple[int, float]]:
    return [(i, value) for i, value in enumerate(curve) if value is not None]


def _short(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    text = visible(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + CUT) > width:
        text = text[:-1]
    return text + CUT


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def to_gif(pictures: Sequence[Image.Image], per_second: float) -> bytes:
    written, each = io.BytesIO(), round(1000 / per_second)
    palette = pictures[len(pictures) // 2].quantize(128)
    first, *rest = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    durations = [each] * len(rest) + [round(1000 * HOLD)]
    first.save(written, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=True)
    return written.getvalue()


def to_mp4(pictures: Sequence[Image.Image], per_second: float, path: Path) -> None:
    """Raises ValueError if the extra is missing."""
    imageio_ffmpeg = need_ffmpeg()
    writer: Any = imageio_ffmpeg.write_frames(
        str(path), pictures[0].size, fps=per_second, quality=7, macro_block_size=2, ffmpeg_log_level="error"
    )
    writer.send(None)
    for picture in [*pictures, *[pictures[-1]] * round(HOLD * per_second)]:
        writer.send(picture.tobytes())
    writer.close()


def need_ffmpeg() -> Any:
    """The module that writes MP4. Raises ValueError, with what to install, if it is missing."""
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ValueError(f"{error}; a clip as .mp4 needs pip install 'kickstarting[video]', a .gif needs nothing") from error
    return imageio_ffmpeg
