"""MiniGrid's symbolic views as pictures: a tile for every cell (object, colour, state), drawn here, in any size."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image, ImageDraw

UNSEEN, EMPTY, WALL, FLOOR, DOOR, KEY, BALL, BOX, GOAL, LAVA, AGENT = range(11)
COLOURS = ((205, 48, 48), (42, 157, 88), (38, 110, 205), (128, 62, 190), (238, 190, 30), (130, 136, 145))
"""Of MiniGrid's numbers: red, green, blue, purple, yellow, grey."""
GROUND, LINE, STONE, FOG = (24, 27, 33), (50, 55, 64), (104, 111, 122), (12, 13, 16)
FINER = 4
"""Tiles are drawn so many times larger, and reduced."""


def draw_view(cells: np.ndarray, tile: int) -> Image.Image:
    """What an agent sees: cells uint8 [W, H, 3] by column and row, itself in the middle of the last row, looking up."""
    width, height = cells.shape[:2]
    picture = Image.new("RGB", (width * tile, height * tile), FOG)
    for x in range(width):
        for y in range(height):
            picture.paste(_tile(*map(int, cells[x, y]), size=tile), (x * tile, y * tile))
    agent = _agent(tile)
    picture.paste(agent, ((width // 2) * tile, (height - 1) * tile), agent)
    return picture


@cache
def _tile(kind: int, colour: int, state: int, *, size: int) -> Image.Image:
    s = FINER * size
    picture = Image.new("RGB", (s, s), GROUND)
    draw, shade = ImageDraw.Draw(picture), COLOURS[colour % len(COLOURS)]

    def box(x0: float, y0: float, x1: float, y1: float) -> tuple[float, float, float, float]:
        return x0 * s, y0 * s, x1 * s, y1 * s

    draw.rectangle((0, 0, s, s), outline=LINE, width=max(1, s // 32))
    if kind == UNSEEN:
        draw.rectangle((0, 0, s, s), fill=FOG)
    elif kind == WALL:
        draw.rectangle((0, 0, s, s), fill=STONE)
        draw.rectangle((0, 0, s, s), outline=tuple(int(0.85 * c) for c in STONE), width=max(1, s // 24))
    elif kind == FLOOR:
        draw.rectangle(box(0.03, 0.03, 0.97, 0.97), fill=tuple(c // 3 for c in shade))
    elif kind == GOAL:
        draw.rectangle((0, 0, s, s), fill=COLOURS[1])
        draw.polygon([(0.36 * s, 0.2 * s), (0.8 * s, 0.35 * s), (0.36 * s, 0.5 * s)], fill="white")
        draw.line((0.36 * s, 0.2 * s, 0.36 * s, 0.84 * s), fill="white", width=s // 14)
    elif kind == LAVA:
        draw.rectangle((0, 0, s, s), fill=(235, 104, 22))
        for row in (0.28, 0.5, 0.72):
            wave = [(x / 24 * s, (row + 0.06 * np.sin(x / 24 * 4 * np.pi)) * s) for x in range(25)]
            draw.line(wave, fill=(90, 24, 8), width=s // 18)
    elif kind == DOOR:
        _draw_door(draw, s, shade, state)
    elif kind == KEY:
        draw.ellipse(box(0.3, 0.14, 0.7, 0.5), outline=shade, width=s // 10)
        draw.line((0.5 * s, 0.48 * s, 0.5 * s, 0.86 * s), fill=shade, width=s // 10)
        for y in (0.66, 0.81):
            draw.line((0.5 * s, y * s, 0.68 * s, y * s), fill=shade, width=s // 11)
    elif kind == BALL:
        draw.ellipse(box(0.17, 0.17, 0.83, 0.83), fill=shade)
        draw.ellipse(box(0.3, 0.26, 0.48, 0.42), fill=tuple(c + (255 - c) // 2 for c in shade))
    elif kind == BOX:
        draw.rectangle(box(0.16, 0.2, 0.84, 0.84), outline=shade, width=s // 11)
        draw.line((0.16 * s, 0.42 * s, 0.84 * s, 0.42 * s), fill=shade, width=s // 13)
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def _draw_door(draw: ImageDraw.ImageDraw, s: int, shade: tuple[int, int, int], state: int) -> None:
    """state: 0 open, 1 closed, 2 locked."""
    if state == 0:
        draw.rectangle((0.03 * s, 0.03 * s, 0.16 * s, 0.97 * s), outline=shade, width=s // 20)
        return
    dark = tuple(c // 3 for c in shade)
    draw.rectangle((0.03 * s, 0.03 * s, 0.97 * s, 0.97 * s), fill=dark if state == 2 else GROUND, outline=shade, width=s // 12)
    if state == 2:
        draw.ellipse((0.4 * s, 0.3 * s, 0.6 * s, 0.5 * s), fill=shade)
        draw.polygon([(0.5 * s, 0.4 * s), (0.6 * s, 0.72 * s), (0.4 * s, 0.72 * s)], fill=shade)
    else:
        draw.ellipse((0.68 * s, 0.44 * s, 0.82 * s, 0.58 * s), fill=shade)


@cache
def _agent(size: int) -> Image.Image:
    s = FINER * size
    picture = Image.new("RGBA", (s, s), (0, 0, 0, 0))
    corners = [(0.5 * s, 0.12 * s), (0.84 * s, 0.86 * s), (0.5 * s, 0.7 * s), (0.16 * s, 0.86 * s)]
    ImageDraw.Draw(picture).polygon(corners, fill="#ff5964", outline="white", width=s // 28)
    return picture.resize((size, size), Image.Resampling.LANCZOS)
