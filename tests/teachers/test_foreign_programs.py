"""Programs that other libraries' own exporters wrote: their labels are what the libraries' policies did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.spaces import Scaled
from kickstarting.teachers.origins import load_teacher
from kickstarting.teachers.protocol import Kind
from kickstarting.trust import CODE
from kickstarting.types import Inputs

FOREIGN = Path(__file__).parent / "foreign" / "programs"
FILES = sorted(path.name for path in FOREIGN.iterdir() if path.suffix != ".npz")
OPTIONS = {".pt": "shape=5", "sample_factory": "actions=2", "ml_agents-discrete": "actions=3", "ml_agents-lstm": "actions=3"}
"""What a file does not say, by its suffix or the beginning of its name."""


def test_every_library_is_there() -> None:
    assert {name.partition("-")[0].partition(".")[0] for name in FILES} >= {"rsl_rl", "sample_factory"}


@pytest.mark.parametrize("file", FILES)
def test_labels_are_the_librarys_own(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Along unrolls with ends of episodes inside, one behind the other."""
    monkeypatch.setattr("kickstarting.trust._trusted", {CODE})
    options = "&".join(text for where, text in OPTIONS.items() if file.endswith(where) or file.startswith(where))
    teacher = load_teacher(str(FOREIGN / file) + (f"?{options}" if options else ""))
    with np.load(FOREIGN / f"{Path(file).stem}.npz") as arrays:
        own = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    actions, is_first = own["actions"], own["is_first"]
    T, B = is_first.shape
    blank = torch.zeros(T, B)
    inputs = Inputs({"observation": own["observations/observation"]}, blank, blank, is_first)
    state, policies = teacher.initial_state(B), []
    assert bool(state) == any(memory in file for memory in ("lstm", "gru"))
    for part in (slice(0, 3), slice(3, T)):
        label, state = teacher.label(inputs[part], state)
        policies.append(label.policy)
        assert label.kind == Kind.ACTIONS
    said = torch.cat(policies)
    if actions.is_floating_point():
        assert isinstance(teacher.action_space, Scaled)
        torch.testing.assert_close(said, actions, atol=1e-5, rtol=1e-5)
        assert actions.std() > 0.05
    else:
        assert isinstance(teacher.action_space, spaces.Discrete)
        assert said.equal(actions.long())
        assert len(actions.unique()) > 1
