"""Kinds of observations: declared, never guessed, never mixed up."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from kickstarting.spaces import KINDS, Text, kind_of, tokens

BOX = spaces.Box(0, 255, (7, 7, 3), np.uint8)


def test_spaces_of_one_shape_and_different_kinds_differ_in_every_direction() -> None:
    same = [BOX, *(kind(0, 255, (7, 7, 3), np.uint8) for kind in KINDS.values())]
    for i, a in enumerate(same):
        for j, b in enumerate(same):
            assert (a == b) == (i == j)
    assert repr(same[1:]) == str([f"{kind.__name__}(0, 255, (7, 7, 3), uint8)" for kind in KINDS.values()]).replace("'", "")


def test_a_kind_is_not_guessed_from_a_shape() -> None:
    assert kind_of("speed", spaces.Box(-1, 1, (5,), np.float32)) == "vector"
    with pytest.raises(ValueError, match=r"'view' is Box.*of no declared kind; use Discrete or.*Pixels, Grid, Text, Vector"):
        kind_of("view", BOX)


def test_text_may_come_as_bytes() -> None:
    """The adapters' rule is tested with the adapters; here, that the class takes both forms."""
    assert Text(0, 255, (96,), np.uint8).shape == (96,)
    assert tokens() == Text(-1, 999, (40,), np.int16)
