"""A run on a cluster, in the report: who was alive when, what was lost, lag over time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kickstarting.report import compare_runs
from kickstarting.report.cluster import cluster_table, hours_text
from kickstarting.report.comparison import ClusterHistory
from kickstarting.report.figures import draw
from kickstarting.report.figures.cluster import LANES, lanes_of

from .conftest import line_curve
from .test_health import text_of

BEGAN = 1_700_000_000.0


def event(seconds: float, frames: int, kind: str, part: str, text: str = "", node: str = "host-a:1") -> dict:
    return {"time": BEGAN + seconds, "frames": frames, "event": kind, "part": part, "node": node, "text": text}


def on_cluster(directory: Path, events: list[dict], tail: str = "") -> Path:
    """With metrics of a cluster added to a run's lines, which take a second for 100 frames."""
    (directory / "cluster.jsonl").write_text("".join(json.dumps(line) + "\n" for line in events) + tail)
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    for n, line in enumerate(lines):
        line |= {"lag/mean": 1.5, "lag/max": 3.0 + (n == 4), "actors_alive": 2.0 - (n == 5), "queue": float(n % 3)}
        line |= {"lost_unrolls": float(min(n // 3, 2)), "dropped_unrolls": 0.0}
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return directory


def cluster_of(path: Path, out: Path | None = None) -> ClusterHistory:
    (cluster,) = compare_runs([path], out=out).clusters
    return cluster


@pytest.fixture
def soak(write_run) -> Path:
    """Two actors and a teacher worker over 100 s; actor 10 is lost once, actor 2 gets stuck and is given up."""
    directory = write_run("student", 1, line_curve(10_000, 500))
    events = [event(0.0, 0, "started", part) for part in ("actor 2", "actor 10", "teacher worker 0")]
    events += [event(36.0, 3_500, "lost", "actor 10", "actor 10 on host-a:1 is lost (its node is gone)")]
    events += [event(54.0, 5_000, "restarted", "actor 10", "actor 10 goes on on host-b:2", node="host-b:2")]
    events += [event(60.0, 6_000, "stuck", "actor 2", "actor 2 on host-a:1: no unroll for 40 s; it stands in step (x.py:3)")]
    events += [event(72.0, 7_000, "gave up", "actor 2", "actor 2 <b>failed</b> 10 times")]
    return on_cluster(directory, events)


def test_who_was_alive_when(soak):
    cluster = cluster_of(soak)
    assert [part.name for part in cluster.parts] == ["actor 2", "actor 10", "teacher worker 0"]
    alive = {part.name: [tuple(round(3600 * x, 3) for x in span) for span in part.alive] for part in cluster.parts}
    assert alive == {"actor 2": [(0, 72)], "actor 10": [(0, 36), (54, 100)], "teacher worker 0": [(0, 100)]}
    assert cluster.parts[1].node == "host-b:2"
    assert [event.event for event in cluster.events] == ["lost", "restarted", "stuck", "gave up"]
    assert cluster.lost == 2
    assert cluster.dropped == 0
    np.testing.assert_allclose(np.array(cluster.at) * 3600, np.arange(0, 101, 5))
    assert max(lag for lag in cluster.lag_max if lag is not None) == 4.0


def test_the_page_says_what_happened_and_the_figure_is_written(soak, tmp_path):
    comparison = compare_runs([soak], out=tmp_path / "out")
    text = text_of((tmp_path / "out" / "report.html").read_text())
    assert "How the cluster fared" in text
    assert "3 parts over 1:40; 1 × lost; 1 × restarted; 1 × stuck; 1 × gave up; 2 unrolls lost; lag at most 4 updates." in text
    assert "actor 2 <b>failed</b> 10 times" in text
    assert (tmp_path / "out" / "cluster.png").stat().st_size > 10_000
    saved = json.loads((tmp_path / "out" / "comparison.json").read_text())["clusters"]
    assert saved[0]["parts"][1]["name"] == "actor 10"
    lanes, alive, queue, lag = draw(comparison)["cluster"].axes
    assert [tick.get_text() for tick in lanes.get_yticklabels()] == ["actor 2", "actor 10", "teacher worker 0"]
    assert [ax.get_ylabel() for ax in (alive, queue, lag)] == ["actors alive", "queue", "lag, mean\nand largest"]


def test_a_resumed_run_goes_on_at_its_checkpoint(write_run):
    """Killed at 60 s with 5,500 frames; 40 s later it goes on from its checkpoint at 5,000 and takes 50 s to its end."""
    directory = write_run("student", 1, line_curve(10_000, 500))
    events = [event(0.0, 0, "started", "actor 0"), event(0.0, 0, "started", "actor 1")]
    events += [event(30.0, 3_000, "lost", "actor 1"), event(58.0, 5_500, "dropped", "actor 0", "an unroll was too old")]
    events += [event(100.0, 5_000, "started", "actor 0"), event(101.0, 5_000, "started", "actor 1")]
    cluster = cluster_of(on_cluster(directory, events))
    at = dict(zip(range(0, 10_001, 500), (round(3600 * x, 3) for x in cluster.at), strict=True))
    assert (at[5_000], at[5_500], at[10_000]) == (50.0, 105.0, 150.0)
    alive = {part.name: [tuple(round(3600 * x, 3) for x in span) for span in part.alive] for part in cluster.parts}
    assert alive == {"actor 0": [(0, 58), (100, 150)], "actor 1": [(0, 30), (101, 150)]}
    assert cluster.lost == 4  # the count begins anew


def test_of_many_parts_those_have_lanes_to_which_most_happened(write_run, tmp_path):
    directory = write_run("student", 1, line_curve())
    events = [event(0.0, 0, "started", f"actor {n}") for n in range(150)]
    events += [event(n / 100, 10 * n, "lost", "actor 77", f"loss {n}") for n in range(1, 60)]
    cluster = cluster_of(on_cluster(directory, events), tmp_path / "out")
    assert len(cluster.parts) == 150
    lanes = lanes_of(cluster)
    assert len(lanes) == LANES
    assert "actor 77" in [part.name for part in lanes]
    page = text_of((tmp_path / "out" / "report.html").read_text())
    assert "The 24 parts to which most happened" in page
    assert "loss 40" in cluster_table(cluster)
    assert "loss 41" not in cluster_table(cluster)
    assert "19 more in cluster.jsonl of the run." in page


@pytest.mark.parametrize(
    "tail", ['{"time": 1', "\xff\n", "[]\n", '{"time": "now"}\n', '{"time": 1, "frames": 1}\n', "[" * 9999 + "\n"]
)
def test_damaged_lines_are_left_out(write_run, tail):
    directory = on_cluster(write_run("student", 1, line_curve()), [event(0.0, 0, "started", "actor 0")], tail)
    assert [part.name for part in cluster_of(directory).parts] == ["actor 0"]


def test_a_run_without_a_cluster_has_no_section(write_run, tmp_path):
    comparison = compare_runs([write_run("student", 1, line_curve())], out=tmp_path / "out")
    assert comparison.clusters == ()
    assert "cluster" not in draw(comparison)
    assert "How the cluster fared" not in (tmp_path / "out" / "report.html").read_text()


def test_several_runs_have_figures_of_their_own(write_run, tmp_path):
    paths = [on_cluster(write_run("student", seed, line_curve()), [event(0.0, 0, "started", "actor 0")]) for seed in (1, 2)]
    figures = draw(compare_runs(paths, out=tmp_path / "out"))
    assert {"cluster-student-1", "cluster-student-2"} <= figures.keys()
    assert "How the cluster fared: student, seed 2" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(("hours", "text"), [(0.0, "0:00"), (309 / 3600, "5:09"), (7509 / 3600, "2:05:09"), (30.0, "30:00:00")])
def test_hours_read_like_a_clock(hours, text):
    assert hours_text(hours) == text
