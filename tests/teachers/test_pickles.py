"""Pickles read as data: what they hold comes out, and nothing that they name runs."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from kickstarting.teachers.pickles import Refused, read_pickle, space_of

SPACES = [
    spaces.Box(-1.0, np.array([1.0, np.inf], np.float32), (2,), np.float32),
    spaces.Box(0, 255, (3, 8, 8), np.uint8),
    spaces.Discrete(5, start=2),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(4),
    spaces.MultiBinary([2, 3]),
    spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (1,), np.float64)]),
    spaces.Dict(OrderedDict([("z", spaces.Discrete(2)), ("a", spaces.Box(0, 1, (2, 3), np.float32))])),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_spaces_come_back(space: gymnasium.Space, protocol: int) -> None:
    """With or without a random generator that was used, in the order of their parts."""
    for _ in range(2):
        read = space_of(read_pickle(pickle.dumps(space, protocol=protocol)))
        assert read == space
        if isinstance(space, spaces.Dict):
            assert isinstance(read, spaces.Dict)
            assert list(read.spaces) == list(space.spaces)
        space.sample()


def test_numbers_and_arrays_come_back_from_either_numpy() -> None:
    held = {"a": np.arange(6.0).reshape(2, 3), "b": np.float32(2.5), "c": [1, "x", None, True], "d": OrderedDict(e=(1,))}
    pickled = pickle.dumps(held, protocol=4)
    for data in (pickled, pickled.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")):
        if data is not pickled and len(data) != len(pickled):  # its length stands before the name
            data = pickle.dumps(held, protocol=0).replace(b"numpy._core.", b"numpy.core.")
        read = read_pickle(data)
        np.testing.assert_equal(read["a"], held["a"])
        assert (read["b"], read["c"], read["d"]) == (2.5, held["c"], held["d"])


class Runs:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self._what = function, arguments

    def __reduce__(self) -> Any:
        return self._what


@pytest.mark.parametrize(
    "thing",
    [
        Runs(os.system, "touch ran"),
        Runs(eval, "open('ran', 'w')"),
        Runs(getattr, "x", "upper"),
        Runs(Path, "ran"),
        Runs(exec, "1"),
        Runs(np.load, "ran"),
    ],
    ids=lambda x: x._what[0].__name__,
)
def test_what_names_code_is_refused_by_name(thing: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match=r"it names \S+, whose code would run"):
        read_pickle(pickle.dumps([thing]))
    assert not any(tmp_path.iterdir())


def test_a_name_below_a_known_one_is_not_imported() -> None:
    """Held are only their attributes: neither a class of numpy's nor a module is looked up."""
    held = read_pickle(b"cnumpy.random.no_such_module\nThing\n)\x81}X\x01\x00\x00\x00aK\x01sb.")
    assert (type(held).__name__, held.a, held.name) == ("Thing", 1, "numpy.random.no_such_module.Thing")
    with pytest.raises(ValueError, match="holds Thing, which is no space"):
        space_of(held)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_damage_is_said(cut: int) -> None:
    with pytest.raises(ValueError, match=r"it is damaged|it names|cannot be read|is no space"):
        space_of(read_pickle(pickle.dumps(SPACES[0])[:-cut]))


def test_a_space_without_its_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="its space Box cannot be read"):
        space_of(read_pickle(b"cgymnasium.spaces.box\nBox\n)\x81}b."))
