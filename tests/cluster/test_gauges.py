"""The numbers of a run at the Prometheus endpoint of a node of real Ray."""

from __future__ import annotations

import tempfile
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kickstarting.cluster.connect import engine
from kickstarting.cluster.gauges import Gauges
from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.metrics import last_metrics
from kickstarting.runs.run import run

pytest.importorskip("ray")
pytest.importorskip("opentelemetry.sdk", reason="Ray has metrics with its `default` extra only")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Of a node of two CPUs; runs without an address find it."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_metrics_report_interval_ms", "500")
    ray = engine()
    with tempfile.TemporaryDirectory(prefix="kick-", dir="/tmp") as directory:
        small: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 100 * 2**20, "include_dashboard": False}
        ray.init(address="local", log_to_driver=False, logging_level="ERROR", _temp_dir=directory, **small)
        node = ray.nodes()[0]
        yield f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        ray.shutdown()
    patch.undo()


def scraped(endpoint: str, run: str, name: str, value: float) -> dict[tuple[str, ...], float]:
    """The gauges of a run when one has a value: by name, and the label besides those that all have."""
    deadline, found = time.monotonic() + 60, {}
    while found.get((name,)) != value and time.monotonic() < deadline:
        time.sleep(0.5)
        text = urllib.request.urlopen(endpoint, timeout=10).read().decode()
        samples = [x for family in text_string_to_metric_families(text) for x in family.samples if x.labels.get("run") == run]
        found = {(x.name, *(x.labels[key] for key in ("node", "name") if x.labels.get(key))): x.value for x in samples}
    return found


def test_a_run_shows_how_it_fares(endpoint: str, tiny, tmp_path) -> None:
    config = tiny(actors=2, actor_cpus=0.5)
    run(config, tmp_path / "run")
    found = scraped(endpoint, str(tmp_path / "run"), "ray_kickstarting_frames", config.total_frames)
    assert found["ray_kickstarting_actors_alive",] == 2
    assert found["ray_kickstarting_frames",] == last_metrics(RunDirectory(tmp_path / "run").metrics)["frames"]
    assert found["ray_kickstarting_lag_mean",] >= 0
    assert {("ray_kickstarting_queue",), ("ray_kickstarting_lag_max",)} <= found.keys()
    assert len([key for key in found if key[0] == "ray_kickstarting_frames_per_second_by_node"]) == 1
    shares = [value for key, value in found.items() if key[0] == "ray_kickstarting_lag_histogram"]
    assert sum(shares) == pytest.approx(1.0)


def test_a_node_without_unrolls_makes_no_frames(endpoint: str) -> None:
    gauges = Gauges("made up")
    gauges({"frames": 1.0, "frames_per_second/a": 3.0, "frames_per_second/b": 4.0, "score": None, "policy_loss": 5.0})
    gauges({"frames": 2.0, "frames_per_second/b": 5.0, "score": 7.5})
    rate = "ray_kickstarting_frames_per_second_by_node"
    expected = {("ray_kickstarting_frames",): 2.0, ("ray_kickstarting_score",): 7.5, (rate, "a"): 0.0, (rate, "b"): 5.0}
    assert scraped(endpoint, "made up", "ray_kickstarting_frames", 2.0) == expected
