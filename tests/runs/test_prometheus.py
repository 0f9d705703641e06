"""The numbers of runs as Prometheus reads them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from kickstarting.runs.metrics import METRICS
from kickstarting.runs.prometheus import Runs, runs_below, samples, serve_metrics


def written(path: Path, **line: float | None) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "metrics.jsonl").write_text('{"frames": 1}\n' + json.dumps({"frames": 250, **line}) + "\n")
    return path


def exposed(*directories: Path) -> dict[tuple[str, ...], float]:
    """Every sample by its name and labels, as Prometheus's own parser reads the text."""
    registry = CollectorRegistry()
    registry.register(Runs(directories))  # type: ignore[arg-type]
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (x.name, *(f"{k}={v}" for k, v in sorted(x.labels.items(), key=lambda label: label[0] != "run"))): x.value
        for family in families
        for x in family.samples
    }


def test_the_last_line_of_every_run_is_there_with_labels(tmp_path):
    line = {
        "score": 61.5,
        "task_score/door key": 3.0,
        'lambda/zoo:a"b\\c\n': 0.5,
        "seconds": 9.0,
        "seconds/act": 1.0,
        "success": None,
    }
    line |= {"frames_per_second": 300.0, "frames_per_second/host-a": 100.0, "frames_per_second/host-b": 200.0}
    one, two = written(tmp_path / "sweep" / "one", **line), written(tmp_path / "population" / "members" / "00", score=2.0)
    found = exposed(tmp_path)
    run = f"run={one}"
    assert found["kickstarting_frames", run] == 250
    assert found["kickstarting_score", run] == 61.5
    assert found["kickstarting_score", f"run={two}"] == 2.0
    assert found["kickstarting_task_score", run, "task=door key"] == 3.0
    assert found["kickstarting_lambda", run, 'teacher=zoo:a"b\\c\\n'] == 0.5
    assert found["kickstarting_seconds", run] == 9.0
    assert found["kickstarting_seconds_act", run] == 1.0
    assert found["kickstarting_frames_per_second", run] == 300.0
    assert found["kickstarting_frames_per_second_by_node", run, "node=host-b"] == 200.0
    assert not any(name == "kickstarting_success" for name, *_ in found)


def test_every_metric_has_a_legal_name_and_a_meaning():
    for metric in METRICS:
        (sample,) = samples({metric.name.replace("*", "some thing/else"): 1.0})
        assert re.fullmatch(r"kickstarting_[a-zA-Z0-9_]+", sample.name)
        assert sample.meaning.startswith(metric.meaning)


def test_a_run_that_ended_and_one_that_is_silent_are_told_apart(tmp_path):
    done, silent = written(tmp_path / "done"), written(tmp_path / "silent")
    (done / "finished.json").write_text("{}")
    os.utime(silent / "metrics.jsonl", (1e9, 1e9))
    found = exposed(tmp_path)
    assert [found["kickstarting_finished", f"run={path}"] for path in (done, silent)] == [1.0, 0.0]
    assert found["kickstarting_quiet_seconds", f"run={done}"] < 60 < 1e8 < found["kickstarting_quiet_seconds", f"run={silent}"]


def test_what_is_torn_or_missing_or_no_run_hides_nothing_else(tmp_path):
    written(tmp_path / "good", score=1.0)
    torn = written(tmp_path / "torn")
    (torn / "metrics.jsonl").write_text('{"frames": 5}\n{"frames": 6, "sco')
    written(tmp_path / "young").joinpath("metrics.jsonl").unlink()
    (tmp_path / "folder" / "nothing").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    written(tmp_path / ".hidden" / "run")
    assert [path.name for path in runs_below([tmp_path, tmp_path / "good"])] == ["good", "torn", "young"]
    found = exposed(tmp_path)
    assert found["kickstarting_frames", f"run={torn}"] == 5
    assert found["kickstarting_finished", f"run={tmp_path / 'young'}"] == 0


def test_the_command_serves_until_it_is_stopped(tmp_path, signals_heard):
    written(tmp_path / "run", score=42.0)
    command = [sys.executable, "-m", "kickstarting", "metrics", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+/metrics", process.stdout.readline())
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert b"kickstarting_score{" in answer.read()
        (tmp_path / "run" / "metrics.jsonl").write_text('{"frames": 9, "score": 43.0}\n')
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert b"} 43.0" in answer.read()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in said


def test_what_cannot_be_served_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="there is no directory"):
        serve_metrics([tmp_path / "nothing"], host="127.0.0.1", port=0, said=print)
    with pytest.raises(ValueError, match=r"cannot serve at 192\.0\.2\.1:9: .*; choose another --host or --port"):
        serve_metrics([tmp_path], host="192.0.2.1", port=9, said=print)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ValueError, match=r"pip install 'kickstarting\[prometheus\]'"):
        serve_metrics([tmp_path], host="127.0.0.1", port=0, said=print)
