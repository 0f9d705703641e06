"""Statistics of observations: one form for the normalisers of all libraries, and the files that hold them.

.npz    arrays `mean` and one of `var`, `std`; numbers `epsilon` (1e-8 unless given; added to the variance, or to the standard
        deviation if that is given) and `clip`; of several observations as NAME/mean and so on
.pkl    what Stable-Baselines3's VecNormalize.save writes, read without running any code
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kickstarting.runs.files import read_bytes
from kickstarting.teachers.pickles import read_pickle

REMEDY = "give a .npz with mean and var, or what VecNormalize.save wrote"
EPSILON = 1e-8


@dataclass(frozen=True)
class Normaliser:
    """x to (x - mean) / divisor, then clipped to +-clip. Libraries differ in where their epsilon stands: it is in the divisor."""

    mean: Tensor
    """float64, of one observation."""
    divisor: Tensor
    clip: float = math.inf

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.mean.shape)

    def __call__(self, x: Tensor) -> Tensor:
        """[..., *shape] to float32; in double precision between, for a mean may be large beside its deviation."""
        z = (x.double() - self.mean.to(x.device)) / self.divisor.to(x.device)
        return z.clamp_(-self.clip, self.clip).float()


def read_normalisers(file: Path, clip: float | None = None) -> dict[str, Normaliser]:
    """By observation; "" if the file has statistics of one that has no name. clip: in place of the file's own.

    Raises ValueError if the file holds none, or is damaged.
    """
    if file.suffix not in (".npz", ".pkl"):
        raise ValueError(f"{file} is no file of statistics; {REMEDY}")
    try:
        if file.suffix == ".pkl":
            found = of_vec_normalize(read_pickle(read_bytes(file, remedy=REMEDY)))
        else:
            read_bytes(file, remedy=REMEDY)  # which knows what may be read, and says so
            with np.load(file, allow_pickle=False) as arrays:
                found = _of_arrays({name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} has no statistics that can be used: {' '.join(str(error).split())}; {REMEDY}") from error
    return {name: Normaliser(n.mean, n.divisor, n.clip if clip is None else clip) for name, n in found.items()}


def of_vec_normalize(held: Any) -> dict[str, Normaliser]:
    """Of what a pickled VecNormalize held. Raises ValueError if it is none."""
    if type(held).__name__ != "VecNormalize" or not hasattr(held, "obs_rms"):
        raise ValueError(f"it holds {type(held).__name__}, no VecNormalize")
    if not getattr(held, "norm_obs", True):
        return {}
    statistics = held.obs_rms if isinstance(held.obs_rms, Mapping) else {"": held.obs_rms}
    keys = getattr(held, "norm_obs_keys", None) or statistics
    return {
        name: _made(s.mean, np.sqrt(np.asarray(s.var, np.float64) + held.epsilon), float(held.clip_obs))
        for name, s in statistics.items()
        if name in keys
    }


def _of_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Normaliser]:
    names = [key.rpartition("/")[0] for key in arrays if key.rpartition("/")[2] == "mean"]
    if not names:
        raise ValueError(f"there is no mean among {', '.join(arrays) or 'nothing'}")
    found = {}
    for name in names:
        own = {key.rpartition("/")[2]: x for key, x in arrays.items() if key.rpartition("/")[0] == name}
        epsilon = float(own.get("epsilon", EPSILON))
        if ("var" in own) == ("std" in own):
            raise ValueError(f"{name or 'it'} needs var or std beside mean, and only one of them")
        divisor = np.sqrt(own["var"] + epsilon) if "var" in own else own["std"] + epsilon
        found[name] = _made(own["mean"], divisor, float(own.get("clip", math.inf)))
    return found


def _made(mean: Any, divisor: Any, clip: float) -> Normaliser:
    mean, divisor = np.asarray(mean, np.float64), np.asarray(divisor, np.float64)
    if mean.shape != divisor.shape or not (np.isfinite(mean).all() and np.isfinite(divisor).all() and (divisor > 0).all()):
        raise ValueError("mean and variance are not of one shape, finite, and the variance positive")
    return Normaliser(torch.from_numpy(mean.copy()), torch.from_numpy(divisor.copy()), clip)
