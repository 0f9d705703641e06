"""What every backend does with jobs: lines in order, the result, needs before what needs them, and an end to all on an error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from small_jobs import Counting

from kickstarting.launch.jobs import Backend, JobError, carried_out
from kickstarting.launch.local import InProcess, Processes

BACKENDS = {"in process": InProcess, "processes": lambda: Processes(2)}


@pytest.fixture(params=BACKENDS)
def backend(request, monkeypatch) -> Backend:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    return BACKENDS[request.param]()


def gathered(backend: Backend, jobs: Mapping[str, Counting], needs: Mapping[str, tuple[str, ...]] | None = None):
    """Lines and result of each job, and the most that ran at a time."""
    lines: dict[str, list] = {name: [] for name in jobs}
    results, most = {}, 0
    with closing(carried_out(backend, jobs, needs)) as turns:
        for turn in turns:
            most = max(most, len(turn))
            for name, said, handle in turn:
                assert set((needs or {}).get(name, ())) <= results.keys()
                lines[name] += [line["said"] for line in said]
                if handle.done:
                    results[name] = handle.result()
    return lines, results, most


def test_lines_and_results_come_back(backend):
    jobs = {name: Counting(name, most) for name, most in (("a", 3), ("b", 0), ("c", 1))}
    lines, results, most = gathered(backend, jobs)
    assert lines == {"a": [1, 2, 3], "b": [], "c": [1]}
    assert results == {"a": 6, "b": 0, "c": 1}
    assert most <= backend.slots


def test_a_job_waits_for_those_that_it_needs(backend):
    jobs = {name: Counting(name, 2) for name in ("student", "teacher")}
    _, results, _ = gathered(backend, jobs, {"student": ("teacher",)})
    assert list(results) == ["teacher", "student"]


def test_an_error_ends_all(backend, tmp_path):
    """In this process it is the job's own, else a JobError with its last words."""
    logs = {name: tmp_path / name / "log.txt" for name in ("bad", "never")}
    pid = tmp_path / "never" / "pid"
    jobs = {"bad": Counting("bad", 1, "error", logs["bad"], after=pid if backend.slots > 1 else None)}
    jobs |= {"never": Counting("never", 0, "never", logs["never"])}
    with pytest.raises((JobError, ValueError), match="no more numbers") as error:
        gathered(backend, jobs)
    if isinstance(error.value, JobError):
        assert str(error.value) == f"bad failed: error: no more numbers; see {logs['bad']}"
        assert logs["bad"].read_text().startswith("bad works\n")
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)


def test_a_process_that_dies_is_an_error(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    with pytest.raises(JobError, match=r"^broken failed: exit -6$"):
        gathered(Processes(1), {"broken": Counting("broken", 1, "kill")})


def test_whoever_stops_looking_stops_the_jobs(backend, tmp_path):
    job = Counting("never", 1, "never", log=tmp_path / "log.txt")
    with closing(carried_out(backend, {"never": job})) as turns:
        said: list[Any] = []
        handle = None
        while len(said) < 3:
            ((_, lines, handle),) = next(turns)
            said += lines
        assert handle is not None
        assert not handle.done
    if backend.slots > 1:
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
