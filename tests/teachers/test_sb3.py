"""Policies of Stable-Baselines3, from archives that it wrote: their labels are its own (scripts/make_foreign_teachers.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.algo.moments import clipped_gaussian, parameters, squashed_gaussian
from kickstarting.teachers import load_teacher
from kickstarting.types import Inputs

FOREIGN = Path(__file__).parent / "foreign"
NAMES = sorted(path.stem for path in FOREIGN.glob("*.zip"))
CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}


def said(name: str, **options: str) -> tuple[torch.Tensor, torch.Tensor | None, dict[str, torch.Tensor]]:
    """The label of an archive's policy on what the peer recorded, and what the peer said itself."""
    options |= {"normalise": str(FOREIGN / f"{name}.pkl")} if (FOREIGN / f"{name}.pkl").exists() else {}
    query = "&".join(f"{key}={value}" for key, value in options.items())
    teacher = load_teacher(f"sb3:{FOREIGN / name}.zip" + (f"?{query}" if query else ""))
    with np.load(FOREIGN / f"{name}.npz") as arrays:
        peer = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    given = {key.partition("/")[2]: x for key, x in peer.items() if key.startswith("observations/")}
    observations = {key: as_here(x, teacher.observation_space[key]) for key, x in given.items()}
    T, B = peer["is_first"].shape
    inputs = Inputs(observations, torch.zeros(T, B), torch.zeros(T, B), peer["is_first"])
    label, _ = teacher.label(inputs, teacher.initial_state(B))
    return label.policy, label.values, peer


def as_here(x: torch.Tensor, space: spaces.Space) -> torch.Tensor:
    """A recorded observation as our environments give it; images are [H, W, C] in both."""
    if isinstance(space, spaces.Discrete):
        return x.long()
    if isinstance(space, spaces.Box) and x.dtype == torch.int64 and space.shape == (5,):  # MultiDiscrete [2, 3]
        return torch.cat([torch.nn.functional.one_hot(x[..., i], n) for i, n in enumerate((2, 3))], -1).float()
    return x if x.dtype == torch.uint8 else x.float()


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_the_peers_own(name: str) -> None:
    policy, values, peer = said(name)
    if "logits" in peer:
        torch.testing.assert_close(policy.log_softmax(-1) if "several" not in name else normalised(policy), peer["logits"], **CLOSE)
    elif "q" in peer:
        torch.testing.assert_close(policy, peer["q"], **CLOSE)
    else:
        torch.testing.assert_close(policy, moments(name, peer), **CLOSE)
    assert (values is not None) == ("values" in peer or "q" in peer)
    if "values" in peer:
        torch.testing.assert_close(values, peer["values"] * peer.get("reward_scale", torch.ones(())).float(), **CLOSE)


def normalised(policy: torch.Tensor) -> torch.Tensor:
    return torch.cat([part.log_softmax(-1) for part in policy.split([2, 3], -1)], -1)


def moments(name: str, peer: dict[str, torch.Tensor]) -> torch.Tensor:
    """The peer's distribution over Pendulum's torque, which is from -2 to 2, as the student's."""
    if "std" not in peer:
        return torch.cat([peer["action"] / 2, torch.full_like(peer["action"], 0.1).log()], -1)
    if "sde" in name or "sac" in name:
        return parameters(*squashed_gaussian(peer["mean"], peer["std"]))
    one = torch.ones(1)
    return parameters(*clipped_gaussian(peer["mean"] / 2, peer["std"] / 2, -one, one))
