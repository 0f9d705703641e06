"""Named arrays as bytes and back: the Open Inference Protocol (KServe V2) over HTTP, with its extension for binary tensors.

A message is a JSON object, whose `inputs` or `outputs` give each array's name, datatype and shape, and behind it the arrays'
bytes, little-endian, one after the other. The header LENGTH says where the JSON ends. Both sides need nothing but NumPy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

LENGTH = "Inference-Header-Content-Length"
TOKEN = "KICKSTART_TOKEN"
"""The environment variable with the token of servers; others that begin like it may be named."""
MODEL = "/v2/models/teacher"
"""Where `kickstart serve` serves, and where an address without a path leads."""
MOST_BYTES = 2**30
"""Of a message; an unroll of 32 steps of 64 Atari screens has 58 MB."""
DATATYPES = {
    "BOOL": np.dtype("?"),
    **{f"UINT{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    **{f"INT{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{f"FP{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
}
_NAMES = {dtype: name for name, dtype in DATATYPES.items()}


def datatype(dtype: np.dtype) -> str:
    """The protocol's name of an array's type. Raises ValueError if it has none."""
    name = _NAMES.get(dtype.newbyteorder("<"))
    if name is None:
        raise ValueError(f"arrays of {dtype} cannot be sent; known: {', '.join(DATATYPES)}")
    return name


def pack(part: Literal["inputs", "outputs"], arrays: Mapping[str, np.ndarray], **also: Any) -> tuple[int, list[bytes | memoryview]]:
    """A message: the length of its JSON, and its bytes in pieces. also: what else the JSON says."""
    described, pieces = [], []
    for name, array in arrays.items():
        x = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        said = {"name": name, "datatype": datatype(x.dtype), "shape": list(array.shape)}
        described.append({**said, "parameters": {"binary_data_size": x.nbytes}})
        pieces.append(x.reshape(-1).view(np.uint8).data)
    header = json.dumps({**also, part: described}).encode()
    return len(header), [header, *pieces]


def unpack(part: Literal["inputs", "outputs"], message: bytearray, length: int | None) -> dict[str, np.ndarray]:
    """The arrays in a message, which may also have them as JSON. length: of its JSON; None if that is all.

    Raises ValueError for everything else.
    """
    if length is not None and not 0 <= length <= len(message):
        raise ValueError(f"{LENGTH} is {length}, of {len(message)} bytes")
    try:
        described = json.loads(message[:length])[part]
        arrays, begin = {}, len(message) if length is None else length
        for said in described:
            dtype, shape = DATATYPES[said["datatype"]], [int(n) for n in said["shape"]]
            if min(shape, default=0) < 0:
                raise ValueError(f"the shape {shape}")
            size = said.get("parameters", {}).get("binary_data_size")
            if size is None:
                arrays[said["name"]] = np.array(said["data"], dtype).reshape(shape)
                continue
            end = begin + int(size)
            if size != math.prod(shape) * dtype.itemsize or end > len(message):
                raise ValueError(f"{size} bytes for {said['datatype']} {shape}, of {len(message) - begin} that are left")
            arrays[said["name"]] = np.frombuffer(message, dtype, math.prod(shape), begin).reshape(shape)
            begin = end
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, MemoryError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"no message of the Open Inference Protocol: {' '.join(what.split())[:200]}") from error
    return arrays
