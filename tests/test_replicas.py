"""Replicas in processes of their own: one run, whatever becomes of them."""

from __future__ import annotations

import copy
import os
import signal
from pathlib import Path

import pytest
import torch

from kickstarting import Config, train
from kickstarting.envs import EnvironmentFault
from kickstarting.replicas import ReplicaError
from kickstarting.runs.checkpoint import Snapshot

ENVIRONMENTS = '''
"""An environment that fails in all processes but the one that began."""

import os

import gymnasium
import numpy as np


class Failing(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    steps = 0

    def reset(self, *, seed=None, options=None):
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self.steps += 1
        if self.steps == 20 and os.getpid() != int(os.environ["FIRST"]):
            raise OSError("the arm is stuck")
        return np.zeros(3, np.float32), 0.0, False, False, {}


gymnasium.register("Failing-v0", Failing)
'''


def snapshots(config: Config, snapshot: Snapshot | None = None) -> list[Snapshot]:
    """Copies of those of a run."""
    return [copy.deepcopy(update.snapshot) for update in train(config, snapshot) if update.snapshot]


@pytest.fixture(scope="module")
def two(tiny, make_policy) -> Config:
    """A configuration of two replicas with a teacher that also acts; eight updates of 64 frames, and a seam in the middle."""
    teaching = {"teachers": (f"obj*={make_policy()}",), "teacher_acts": "0.5"}
    return tiny(envs_per_task=4, learners=2, total_frames=512, checkpoint_every="50%", **teaching)


def test_a_run_resumes_as_if_nothing_had_been(two: Config) -> None:
    """And is the same again for the same seed, since what is resumed begins in new processes."""
    middle, end = snapshots(two)
    (resumed,) = snapshots(two, middle)
    assert (middle.record["frames"], end.record["frames"]) == (256, 512)
    assert resumed.record == end.record
    assert all(torch.equal(resumed.network[name], x) for name, x in end.network.items())
    assert not all(torch.equal(middle.network[name], x) for name, x in end.network.items())


def test_columns_are_those_of_all_replicas(two: Config) -> None:
    updates = train(two, with_trajectories=True)
    trajectory = next(updates).trajectory
    assert trajectory is not None
    assert trajectory.rewards.shape == (8, 8)
    halves = trajectory.columns(slice(0, 4)), trajectory.columns(slice(4, 8))
    assert trajectory.tasks is not None
    assert trajectory.tasks.tolist() == [0, 0, 1, 1] * 2
    assert not torch.equal(halves[0].inputs.observations["image"], halves[1].inputs.observations["image"])
    children = _children()
    os.kill(children[0], signal.SIGKILL)
    with pytest.raises(ReplicaError, match="learner 1 was ended by SIGKILL; resume from the last checkpoint"):
        list(updates)
    assert not _children()


def _children() -> list[int]:
    """Of this process."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


def test_what_a_replica_raises_ends_the_run(tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failing.py").write_text(ENVIRONMENTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FIRST", str(os.getpid()))
    config = tiny(suite="gymnasium:failing:Failing-v0", learners=2, network_options=())
    with pytest.raises(EnvironmentFault, match="the arm is stuck") as caught:
        list(train(config))
    assert caught.value.snapshot.record["frames"] % 32 == 0
