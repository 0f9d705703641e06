"""metrics.jsonl is read by one rule, and every number in it is known: how it is averaged, and what the page says of it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from kickstarting.learner import LearnerConfig
from kickstarting.runs.files import FileError
from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.metrics import METRICS, TAIL, last_metrics, metric_of, read_metrics, summarise
from kickstarting.runs.run import run
from kickstarting.runs.writer import MetricsWriter

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def written(path: Path, *lines: object) -> Path:
    """Objects as JSON, texts as they are."""
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run.jsonl"


def frames(path: Path) -> list[int]:
    return [line["frames"] for line in read_metrics(path)]


@pytest.mark.parametrize("torn", ['{"frames": 30, "score": 3.', "{", '{"frames": 30, "score": 3.\n'])
def test_a_torn_last_line_is_left_out(path, torn):
    written(path, {"frames": 10}, {"frames": 20}, torn)
    assert frames(path) == [10, 20]
    assert last_metrics(path) == {"frames": 20}


DAMAGE = (
    *('{"frames": 30, "sc\n', "3\n", "[]\n", '{"score": 1.0}\n', '{"frames": -1}\n', '{"frames": NaN}\n', '{"frames": 1.5}\n'),
    *(
        '{"frames": "30"}\n',
        '{"frames": true}\n',
        '{"frames": 30, "score": "1"}\n',
        '{"frames": 30, "score": [1]}\n',
        "[" * 9999 + "\n",
    ),
    *('{"frames": 30, "score": 1e200}\n', '{"frames": 30, "score": %s}\n' % ("9" * 400), '{"frames": %s}\n' % ("9" * 30)),
)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda line: line[:30])
def test_damage_before_the_last_line_is_an_error_with_its_place(path, damage):
    written(path, {"frames": 10}, damage, {"frames": 20})
    with pytest.raises(ValueError, match=r"line 2 of .*run\.jsonl is not a JSON object with 'frames' .*; remove or repair it"):
        read_metrics(path)
    assert last_metrics(path) == {"frames": 20}


def test_bytes_that_are_no_text_are_damage(path):
    path.write_bytes(b'{"frames": 10}\n{"frames": 20, "sc\xffore": 1.0}\n{"frames": 30}\n')
    with pytest.raises(FileError, match=r"line 2 of .*run\.jsonl"):
        read_metrics(path)


def test_numbers_that_are_not_finite_are_kept(path):
    """A loss may be: what reads them leaves them out."""
    assert str(read_metrics(written(path, {"frames": 10, "a": float("nan"), "b": float("inf"), "c": None}))) == (
        "[{'frames': 10, 'a': nan, 'b': inf, 'c': None}]"
    )


@pytest.mark.parametrize("kind", ["directory", "pipe", "unreadable"])
def test_what_is_no_file_stops_no_display(path, kind, monkeypatch):
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        written(path, {"frames": 10})
        monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    assert last_metrics(path) == {}
    with pytest.raises(FileError, match=r"run\.jsonl cannot be read: .*; leave the run out"):
        read_metrics(path)


def test_a_disk_that_is_full_is_said_in_one_line(tmp_path, monkeypatch):
    writer = MetricsWriter(tmp_path, board=False)
    writer.write(10, {"score": 1.0})
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115, since the writer closes it
    monkeypatch.setattr(writer, "_file", full)
    with pytest.raises(
        FileError, match=r"the metrics in .* cannot be written: No space left on device; free space .*, then resume"
    ):
        writer.write(20, {"score": 1.0})
    writer.close()  # with the line still in its buffer
    assert full.closed


def test_what_a_resumed_run_logs_replaces_what_it_had_logged(path):
    written(path, {"frames": 10}, {"frames": 20}, {"frames": 30}, {"frames": 20, "score": 1.0}, {"frames": 40})
    assert read_metrics(path) == [{"frames": 10}, {"frames": 20, "score": 1.0}, {"frames": 40}]


def test_a_file_that_is_missing_or_empty(path):
    with pytest.raises(ValueError, match=r"is missing; .* is not a complete run directory"):
        read_metrics(path)
    assert last_metrics(path) == {}
    written(path)
    assert (read_metrics(path), last_metrics(path)) == ([], {})


@pytest.mark.parametrize("size", [10, TAIL // 2, TAIL, 3 * TAIL])
def test_the_last_line_is_found_however_long_it_is(path, size):
    lines = [{"frames": x, "x" * size: 1.0} for x in (10, 20)]
    assert last_metrics(written(path, *lines)) == lines[1]
    assert last_metrics(written(path, *lines, '{"frames": 30, "' + "x" * size)) == lines[1]


def test_a_line_is_a_mean_or_the_last_as_the_registry_says():
    updates = [
        {"loss": 1.0, "score": 1.0, "distillation_loss": 4.0, "success": 0.5, "task_score/x_loss": 1.0, "lambda/rho": 1.0},
        {"loss": 2.0, "score": 2.0, "success": None, "task_score/x_loss": 2.0, "lambda/rho": 0.5, "seconds/act": 1.0},
        {"loss": 6.0, "score": 3.0, "success": None, "task_score/x_loss": 3.0, "lambda/rho": 0.0, "seconds/act": 3.0},
    ]
    assert summarise(updates) == {
        "loss": 3.0,
        "score": 3.0,
        "success": None,
        "task_score/x_loss": 3.0,
        "lambda/rho": 0.0,
        "seconds/act": 2.0,  # names end as they like
    }


def test_every_number_that_a_run_logs_is_registered_and_none_that_no_run_logs(
    tiny, make_policy, tmp_path, monkeypatch, stand_in_lab
):
    (tmp_path / "undecided.py").write_text("def act(observations):\n    return None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    teachers = (make_policy(),)
    kinds = {
        "scratch": tiny(learner=LearnerConfig(desired_kl=0.01), score_window=1),
        "teachers": tiny(teachers=(f"object={teachers[0]}", f"obstacles={teachers[0]}"), schedule="linear:1:0:90%"),
        "acts": tiny(teachers=teachers, teacher_acts="0.5", learner=LearnerConfig(epochs=2), schedule="progress:1"),
        "overlap": tiny(
            teachers=(*teachers, "script:undecided:act?actions=7"), schedule="constant:1", overlap=True, value_distillation_cost=0.5
        ),
        "processes": tiny(suite="deepmind-lab:contributed/dmlab30/rooms_watermaze", total_frames=64),
    }
    logged = set()
    for name, config in kinds.items():
        run(config, tmp_path / name)
        logged |= {column for line in read_metrics(RunDirectory(tmp_path / name).metrics) for column in line}
    assert {name for name in logged if metric_of(name) is None} == set()
    elsewhere = {"queue", "learner_idle", "actors_alive", "restarts", "dropped_unrolls", "lost_unrolls"}  # tests/cluster
    elsewhere |= {metric.name for metric in METRICS if metric.name.startswith(("lag/", "frames_per_second/"))}
    assert {metric.name for metric in METRICS} - elsewhere == {metric.name for name in logged if (metric := metric_of(name))}


def test_the_page_has_a_row_for_every_metric_with_its_meaning_and_unit():
    rows = re.findall(
        r"^\| `([^`]+)` \| (.*?) \| (mean|max|last|all|rate) \|(?: (.*?) ?\|)?$", PAGE.read_text(), flags=re.MULTILINE
    )
    documented = {re.sub(r"/[A-Z]+$", "/*", name): (meaning, kept, unit) for name, meaning, kept, unit in rows}
    assert list(documented) == [metric.name for metric in METRICS]
    for metric in METRICS:
        meaning, kept, unit = documented[metric.name]
        assert (kept, unit) == (metric.kept, metric.unit), metric.name
        assert meaning.startswith(metric.meaning), metric.name
