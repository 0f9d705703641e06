"""Arrays as messages of the Open Inference Protocol."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kickstarting.teachers import wire

ARRAYS = st.dictionaries(
    st.text(max_size=5),
    st.tuples(st.sampled_from(sorted(wire.DATATYPES)), st.lists(st.integers(0, 3), max_size=3)),
    max_size=4,
)


@settings(deadline=None)
@given(ARRAYS, st.integers(0, 2**32 - 1))
def test_arrays_come_back_as_they_went(described, seed) -> None:
    numbers = np.random.default_rng(seed)
    arrays = {name: numbers.integers(0, 2, shape).astype(wire.DATATYPES[kind]) for name, (kind, shape) in described.items()}
    length, pieces = wire.pack("inputs", arrays)
    found = wire.unpack("inputs", bytearray(b"".join(pieces)), length)
    assert found.keys() == arrays.keys()
    for name, x in arrays.items():
        assert (found[name].dtype, found[name].shape) == (x.dtype, x.shape)
        assert (found[name] == x).all()


@settings(deadline=None)
@given(st.binary(max_size=60), st.none() | st.integers(-5, 80))
def test_any_bytes_are_read_or_refused(data, length) -> None:
    with pytest.raises(ValueError, match=r"Open Inference Protocol|Content-Length"):
        wire.unpack("inputs", bytearray(data), length)
