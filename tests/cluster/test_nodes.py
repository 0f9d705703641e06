"""Several Ray nodes on this machine: what a run says and does when they go, or do not fit."""

from __future__ import annotations

import copy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kickstarting import Config, train
from kickstarting.cluster.connect import engine
from kickstarting.cluster.events import Event
from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.metrics import last_metrics

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

FAST = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}
STORE = {"object_store_memory": 100 * 2**20}


@pytest.fixture
def nodes(monkeypatch) -> Iterator[Any]:
    """A head without CPUs, to which nodes can be added."""
    for name, value in FAST.items():
        monkeypatch.setenv(name, value)
    ray = engine()
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="kick-", dir="/tmp") as directory:
        options = {"num_cpus": 0, "include_dashboard": False, "temp_dir": directory, **STORE}
        cluster = Cluster(initialize_head=True, head_node_args=options)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def add(cluster: Any, cpus: int, **options: Any) -> Any:
    node = cluster.add_node(num_cpus=cpus, **STORE, **options)
    cluster.wait_for_nodes()
    return node


@pytest.mark.parametrize("graceful", [False, True], ids=["killed", "drained"])
def test_a_run_goes_on_without_a_node(nodes, tiny, graceful: bool) -> None:
    first = add(nodes, 1)
    add(nodes, 2)
    events: list[Event] = []
    updates = train(tiny(actors=2, cluster=nodes.address, total_frames=10**9, actor_timeout=20.0), said=events.append)
    next(updates)
    on_first = [event.part for event in events if event.node.endswith(first.node_id[:6])]
    assert len(on_first) == 1
    if graceful:
        first.all_processes["raylet"][0].process.terminate()
    else:
        nodes.remove_node(first, allow_graceful=False)
    metrics: dict[str, float | None] = {}
    while events[-1].event != "restarted":
        metrics = next(updates).metrics
    lost = events[-2]
    assert (lost.event, lost.part) == ("drained" if graceful else "lost", on_first[0])
    assert not events[-1].node.endswith(first.node_id[:6])
    assert metrics["lost_unrolls"] in (0, 1, 2)
    updates.close()


def test_a_node_of_another_version_is_refused(nodes, tiny, tmp_path: Path) -> None:
    other = tmp_path / "kickstarting-99.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: kickstarting\nVersion: 99.0\n")
    add(nodes, 2, env_vars={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(ValueError, match=r"node \S+ has kickstarting 99\.0, this machine has .*; install the same on both"):
        list(train(tiny(actors=1, cluster=nodes.address)))


def test_a_driver_that_was_killed_resumes_on_the_same_cluster(nodes, tiny, tmp_path: Path) -> None:
    add(nodes, 2)
    out, options = tmp_path / "run", []
    for option in tiny().network_options:
        options += ["--network-option", option]
    command = [sys.executable, "-m", "kickstarting", "train", tiny().suite, "--out", str(out), "--frames", "3200", *options]
    command += ["--network", "small", "--envs-per-task", "2", "--unroll-length", "8", "--torch-threads", "1"]
    command += ["--checkpoint-every", "320", "--actors", "2", "--cluster", nodes.address]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while RunDirectory(out).newest_checkpoint is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not RunDirectory(out).finished
    subprocess.run([*command[:4], "--resume", str(out)], check=True, stdout=subprocess.DEVNULL, timeout=120)
    assert RunDirectory(out).finished
    assert last_metrics(RunDirectory(out).metrics)["frames"] == 3200


def last(config: Config) -> Any:
    return [copy.deepcopy(update.snapshot) for update in train(config) if update.snapshot][-1]


@pytest.fixture(scope="module")
def teaching(tiny, make_policy) -> Config:
    return tiny(
        teachers=(f"obj*={make_policy()}",), schedule="constant:1", envs_per_task=4, total_frames=512, lockstep=True, actors=2
    )


def test_teacher_workers_say_what_the_learner_would(nodes, teaching: Config) -> None:
    add(nodes, 4)
    at_the_learner = last(teaching.changed(cluster=nodes.address))
    apart = last(teaching.changed(cluster=nodes.address, teacher_workers=2))
    for name, x in at_the_learner.network.items():
        torch.testing.assert_close(apart.network[name], x, rtol=0, atol=1e-5)


def test_learners_of_several_processes_are_one_learner(nodes, teaching: Config) -> None:
    add(nodes, 4)
    alone = last(teaching.changed(cluster=nodes.address))
    two = last(teaching.changed(cluster=nodes.address, learners=2))
    assert two.record["frames"] == alone.record["frames"]
    for name, x in alone.network.items():
        torch.testing.assert_close(two.network[name], x, rtol=0, atol=1e-4)
