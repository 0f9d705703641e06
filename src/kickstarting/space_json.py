"""Spaces as JSON: written into checkpoints and histories, said to teachers over HTTP, and compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from kickstarting.spaces import KINDS, Declared, Scaled, Squashed, Vector, kind_of


def describe_space(space: gymnasium.Space) -> dict[str, Any]:
    """A space as JSON. Bounds of a Box are left out, for they never decide whether a network fits; and the kind of a flat vector,
    which is that of every flat Box. `units` of actions says that they are in those of the policy: version 0.1 knew the
    environment's only, and clipped."""
    if isinstance(space, spaces.Discrete):
        return {"discrete": int(space.n)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"multi_discrete": [int(n) for n in space.nvec.flatten()]}
    shape = space.shape or ()
    if isinstance(space, Scaled):
        squashed = {"squashed": True} if isinstance(space, Squashed) else {}
        return {"units": "policy", **squashed, "shape": list(shape), "dtype": str(space.dtype)}
    declared = isinstance(space, Declared) and not (isinstance(space, Vector) and len(shape) <= 1)
    return ({"kind": kind_of("", space)} if declared else {}) | {"shape": list(shape), "dtype": str(space.dtype)}


def read_space(data: Mapping[str, Any]) -> gymnasium.Space:
    """The space that `describe_space` described."""
    if "discrete" in data:
        return spaces.Discrete(data["discrete"])
    if "multi_discrete" in data:
        return spaces.MultiDiscrete(data["multi_discrete"])
    if "units" in data:
        bound = np.full(data["shape"], 1.0 if data.get("squashed") else np.inf, np.float32)
        return (Squashed if data.get("squashed") else Scaled)(-bound, bound, as_is=False)
    dtype = np.dtype(data["dtype"])
    low, high = (0, 255) if dtype == np.uint8 else (-np.inf, np.inf) if dtype.kind == "f" else (-(2**15), 2**15 - 1)
    return (KINDS[data["kind"]] if "kind" in data else spaces.Box)(low, high, tuple(data["shape"]), dtype.type)


def read_observations(data: Mapping[str, Mapping[str, Any]]) -> spaces.Dict:
    """An observation space from the description of each part. Checkpoints of version 0.1 name no kinds; theirs are what its
    networks took for granted."""
    return spaces.Dict({name: read_space(part if "discrete" in part else _with_kind(name, part)) for name, part in data.items()})


def _with_kind(name: str, part: Mapping[str, Any]) -> Mapping[str, Any]:
    shape = part["shape"]
    if name == "mission" and part["dtype"] == "int16":
        kind = "text"
    elif len(shape) == 3:
        kind = "grid" if shape[0] < 16 and shape[2] == 3 else "pixels"
    else:
        kind = "vector"
    return {"kind": kind, **part}


def check_units(described: Mapping[str, Any], space: gymnasium.Space) -> None:
    """Raise ValueError if a policy with this action space, as `describe_space` wrote it, acts in an environment's own units, as all
    did in version 0.1, and one for `space` must not."""
    if isinstance(space, Scaled) and "units" not in described and not space.as_is:
        raise ValueError("this run began with version 0.1, whose actions were in the environment's units; train it anew")
