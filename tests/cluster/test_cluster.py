"""Real Ray, on this machine: runs on it are runs, whatever is lost on the way."""

from __future__ import annotations

import copy
import importlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from kickstarting import Config, train
from kickstarting.cluster.config import RemoteConfig
from kickstarting.cluster.connect import Cluster, engine
from kickstarting.cluster.events import Event
from kickstarting.cluster.jobs import OnCluster
from kickstarting.launch.jobs import JobError, carried_out
from kickstarting.population.config import PopulationConfig
from kickstarting.population.run import run_population
from kickstarting.population.state import load_population
from kickstarting.runs.checkpoint import Snapshot, checkpoints
from kickstarting.runs.layout import PopulationDirectory
from kickstarting.runs.metrics import METRICS, metric_of

pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """One node with four CPUs, on paper; runs without an address find it."""
    ray = engine()
    with tempfile.TemporaryDirectory(prefix="kick-", dir="/tmp") as directory:
        small = {"num_cpus": 4, "object_store_memory": 100 * 2**20, "include_dashboard": False, "_temp_dir": directory}
        try:
            ray.init(address="local", log_to_driver=False, logging_level="ERROR", **small)
        except Exception as error:
            ray.shutdown()
            if "timed out during startup" not in str(error):
                raise
            pytest.skip("Ray gives itself 30 s to start, and this machine is too busy for that")
        yield ray
        ray.shutdown()


@pytest.fixture(scope="module")
def kickstarted(tiny, make_policy) -> Config:
    """Eight updates with a teacher that also acts, and a seam in the middle."""
    return tiny(teachers=(f"obj*={make_policy()}",), teacher_acts="0.5", schedule="constant:1", checkpoint_every="50%")


def last(config: Config, **keywords: Any) -> Snapshot:
    """A copy of a run's last snapshot."""
    return [copy.deepcopy(update.snapshot) for update in train(config, **keywords) if update.snapshot][-1]


def same(one: Snapshot, other: Snapshot) -> bool:
    return one.record == other.record and all(torch.equal(other.network[name], x) for name, x in one.network.items())


def test_in_lockstep_one_actor_is_a_run_without_a_cluster(cluster, kickstarted: Config) -> None:
    alone = last(kickstarted)
    assert same(last(kickstarted.changed(actors=1, lockstep=True)), alone)
    assert not same(last(kickstarted.changed(seed=1)), alone)


@pytest.mark.parametrize("how", ["lost", pytest.param("stuck", marks=pytest.mark.slow)])
def test_a_run_goes_on_without_an_actor(cluster, tiny, how: str) -> None:
    """One of two is killed, or stopped for longer than it may be. Numbers of every update are registered."""
    events: list[Event] = []
    config = tiny(actors=2, actor_timeout=5.0 if how == "stuck" else 60.0, total_frames=10**9, actor_cpus=0.5)
    updates = train(config, said=events.append)
    first = next(updates)
    assert {name for name in first.metrics if metric_of(name) is None} == set()
    own = {metric.name for metric in METRICS if metric.name.startswith(("lag/", "frames_per_second/"))}
    own |= {"queue", "learner_idle", "actors_alive", "restarts", "dropped_unrolls", "lost_unrolls"}
    assert own <= {metric.name for name in first.metrics if (metric := metric_of(name))}
    assert [event.event for event in events] == ["started", "started"]
    assert max(next(updates).metrics["lag/max"] or 0 for _ in range(20)) <= 4
    os.kill(actors()[0], signal.SIGSTOP if how == "stuck" else signal.SIGKILL)
    metrics: dict[str, float | None] = {}
    while events[-1].event != "restarted":
        metrics = next(updates).metrics
    said = {event.event: event.text for event in events}
    if how == "stuck":
        assert "last heartbeat" in said["stuck"]
        assert "its process was stopped" in said["stuck"]
    else:
        assert "is lost: its process ended" in said["lost"]
        assert metrics["restarts"] == 1
        assert metrics["lost_unrolls"] in (1, 2)
    updates.close()
    assert all(map(gone, actors()))


def actors() -> list[int]:
    """Processes in which one acts, of this machine; those of others, too, but tests do not run side by side."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::RemoteActor" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return sorted(found)


@pytest.mark.slow
def test_what_an_actor_cannot_open_is_said_with_its_node(cluster, tiny, tmp_path, monkeypatch) -> None:
    (tmp_path / "picky.py").write_text(PICKY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FIRST", str(os.getpid()))
    config = tiny(suite="gymnasium:picky:Picky-v0", actors=1, network_options=())
    with pytest.raises(ValueError, match=r"actor 0 on node \S+:\w{6}: .*no licence here"):
        list(train(config))


PICKY = '''
"""An environment that works in the process that began only."""

import os

import gymnasium
import numpy as np


class Picky(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self):
        if os.getpid() != int(os.environ.get("FIRST", 0)):
            raise OSError("no licence here")

    def reset(self, *, seed=None, options=None):
        return np.zeros(3, np.float32), {}

    def step(self, action):
        return np.zeros(3, np.float32), 0.0, False, False, {}


gymnasium.register("Picky-v0", Picky)
'''


def test_a_cluster_that_is_too_small_says_both_numbers(cluster, tiny) -> None:
    with pytest.raises(ValueError, match="8 actors of 1 CPUs each take 8 CPUs, but the cluster has 4; give fewer --actors, or"):
        list(train(tiny(actors=8, envs_per_task=8)))


@pytest.mark.slow
def test_a_population_ends_as_the_one_of_this_process(cluster, tiny, make_policy, tmp_path: Path) -> None:
    config = tiny(total_frames=192, teachers=(make_policy(),), score_window=2)
    population = PopulationConfig(members=2, slice="96", burn_in="96", test="margin", margin=0.0)
    ends = []
    for name, place in (("here", ""), ("there", "local")):
        run_population(config.changed(cluster=place), population, tmp_path / name, console=Console(quiet=True))
        found = checkpoints(PopulationDirectory(tmp_path / name).checkpoints)
        ends.append(load_population(found[-1]))
    assert ends[0].values == ends[1].values
    for here, there in zip(ends[0].snapshots, ends[1].snapshots, strict=True):
        assert here is not None
        assert there is not None
        assert same(here, there)


def test_signals_stay_with_the_run(cluster, signals_heard) -> None:
    """Ray would end the process on SIGTERM, before it has saved."""
    before = signal.getsignal(signal.SIGTERM)
    Cluster("").close()
    assert signal.getsignal(signal.SIGTERM) == before
    assert cluster.is_initialized()


def test_jobs_of_a_cluster_end_like_those_of_processes(cluster, tmp_path, monkeypatch) -> None:
    """Lines, results and an error's words come back; when one fails the others are ended."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "launch"))
    counting = importlib.import_module("small_jobs").Counting
    with OnCluster(RemoteConfig()) as backend:
        assert backend.slots == 4
        jobs = {name: counting(name, most) for name, most in (("a", 3), ("b", 0))}
        said, results = {name: [] for name in jobs}, {}
        with closing(carried_out(backend, jobs, {"b": ("a",)})) as turns:
            for turn in turns:
                for name, lines, task in turn:
                    said[name] += [line["said"] for line in lines]
                    results |= {name: task.result()} if task.done else {}
        assert (said, list(results.items())) == ({"a": [1, 2, 3], "b": []}, [("a", 6), ("b", 0)])
        logs = {name: tmp_path / name / "log.txt" for name in ("bad", "never")}
        pid = tmp_path / "never" / "pid"
        failing = {
            "bad": counting("bad", 1, "error", logs["bad"], after=pid),
            "never": counting("never", 0, "never", logs["never"]),
        }
        with pytest.raises(JobError, match=r"^bad failed: error: no more numbers; see .*log\.txt$"):
            for _ in carried_out(backend, failing):
                pass
        assert logs["bad"].read_text().startswith("bad works\n")
        assert gone(int(pid.read_text()))


def gone(process: int) -> bool:
    """Whether it ends within a moment."""
    for _ in range(100):
        if not Path(f"/proc/{process}").exists():
            return True
        time.sleep(0.05)
    return False
