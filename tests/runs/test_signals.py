"""Signals save and stop; what is resumed ends as a run that was told to restart its environments at the same frames."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from kickstarting import Config, train
from kickstarting.display import Display, Race
from kickstarting.envs import EnvironmentFault, MultiTaskEnv
from kickstarting.launch.local import Processes
from kickstarting.population.config import PopulationConfig
from kickstarting.population.run import resume_population, run_population
from kickstarting.runs import saving
from kickstarting.runs.checkpoint import CheckpointError, check_space, latest_checkpoint, load_checkpoint
from kickstarting.runs.configuration import read_config
from kickstarting.runs.layout import PopulationDirectory, RunDirectory, checkpoints
from kickstarting.runs.metrics import read_metrics
from kickstarting.runs.run import resume, run
from kickstarting.runs.saving import Saving, ten_minutes
from kickstarting.runs.signals import Stopped, listening
from resuming import history_of, without_times

pytestmark = pytest.mark.usefixtures("signals_heard")
PBT = PopulationConfig(members=2, slice="128", burn_in="128", test="margin", margin=0.0)
QUIET = Console(quiet=True)


class Signalling(Display):
    """Sends a signal to this process once so many frames were shown."""

    def __init__(self, config: Config, at: int, number: int) -> None:
        super().__init__(config, QUIET)
        self.at, self.number = at, number

    def __call__(self, frames, metrics, warnings=()) -> None:
        if frames >= self.at:
            self.at = 10**9
            os.kill(os.getpid(), self.number)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(latest_checkpoint(out)).network


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"])
def test_a_signal_saves_at_the_next_update(tiny, tmp_path, name):
    config, number = tiny(checkpoint_every="128"), getattr(signal, name)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stopped:
        run(config, tmp_path / "stopped", display=Signalling(config, 64, number))
    assert signal.getsignal(number) is before
    assert stopped.value.code == 128 + number
    out = tmp_path / "stopped"
    assert str(stopped.value) == f"saved at 96 frames on {name}; go on with `kickstart train --resume {out}`"
    assert not RunDirectory(out).finished
    history = [(line["event"], line["frames"]) for line in history_of(out)]
    assert history == [("began", 0), ("stopped", 96)]
    resume(out)
    run(replace(config, run=replace(config.run, checkpoint_at=("96",))), tmp_path / "told")
    assert same(out, tmp_path / "told")
    lines = [[without_times(line) for line in read_metrics(tmp_path / x / "metrics.jsonl")] for x in ("stopped", "told")]
    assert lines[0] == lines[1]


def test_a_second_signal_does_not_wait():
    with listening() as stop, stop.at_a_good_moment():
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == signal.SIGTERM
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)


def test_before_training_a_signal_ends_at_once(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("kickstarting.runs.run.measure_teachers", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(Stopped, match=r"^stopped on SIGTERM$"):
        run(tiny(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with listening() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.number is None
    finally:
        signal.signal(signal.SIGHUP, before)


def at_refresh(monkeypatch, condition: Callable[[], bool], number: int) -> None:
    """Send a signal when a population's display is refreshed and the condition holds, once."""
    real, sent = Race.refresh, []

    def refresh(self, last: bool = False) -> None:
        if not sent and condition():
            sent.append(True)
            os.kill(os.getpid(), number)
        real(self, last)

    monkeypatch.setattr(Race, "refresh", refresh)


@pytest.mark.parametrize("member", [0, 1])
@pytest.mark.parametrize("backend", [None, pytest.param(Processes(2), marks=pytest.mark.slow)])
def test_a_population_saves_the_member_that_trains(tiny, tmp_path, monkeypatch, member, backend):
    """In its second round; in processes of their own both do."""
    config, out = tiny(total_frames=256, score_window=2), tmp_path / "stopped"
    metrics = PopulationDirectory(out).member(member).metrics
    at_refresh(monkeypatch, lambda: metrics.exists() and len(metrics.read_text().splitlines()) >= 5, signal.SIGTERM)
    with pytest.raises(Stopped, match=rf"on SIGTERM; go on with `kickstart population --resume {out}`"):
        run_population(config, PBT, out, console=QUIET, backend=backend)
    assert not PopulationDirectory(out).finished
    stopped = [line for line in history_of(out) if line["event"] == "stopped"]
    assert stopped if backend is None else True  # processes may have ended their slice before they heard of it
    resume_population(out, console=QUIET)
    told = config.changed(checkpoint_at=tuple(f"{line['member']}:{line['frames']}" for line in stopped))
    run_population(told, PBT, tmp_path / "told", console=QUIET)
    assert same(out / "best", tmp_path / "told" / "best")
    assert (out / "lineage.json").read_text() == (tmp_path / "told" / "lineage.json").read_text()
    assert not list((out / "checkpoints").glob("*.under-way"))


def test_a_long_slice_has_checkpoints_on_the_way(tiny, tmp_path, monkeypatch):
    """A kill loses no more of it than of a run: here it comes from an environment."""
    config, out = tiny(total_frames=256, score_window=2, checkpoint_every="64"), tmp_path / "failed"
    real, calls = MultiTaskEnv.recv, []

    def recv(self, group):
        calls.append(1)
        if len(calls) == 8 * 7:  # of member 1, after its first checkpoint on the way
            raise EnvironmentFault("it broke")
        return real(self, group)

    monkeypatch.setattr(MultiTaskEnv, "recv", recv)
    with pytest.raises(EnvironmentFault):
        run_population(config, PBT, out, console=QUIET)
    under_way = [PopulationDirectory(out).under_way(0, i) for i in (0, 1)]
    assert [load_checkpoint(checkpoints(path)[-1]).record["frames"] for path in under_way] == [128, 64]
    resume_population(out, console=QUIET)
    run_population(config, PBT, tmp_path / "whole", console=QUIET)
    assert same(out / "best", tmp_path / "whole" / "best")


def test_an_environment_that_fails_costs_nothing(tiny, tmp_path, monkeypatch):
    real, calls = MultiTaskEnv.recv, []

    def recv(self, group):
        calls.append(1)
        if len(calls) == 8 * 3 + 2:
            raise EnvironmentFault("it broke")
        return real(self, group)

    monkeypatch.setattr(MultiTaskEnv, "recv", recv)
    with pytest.raises(EnvironmentFault, match="it broke"):
        run(tiny(), tmp_path / "failed")
    resume(tmp_path / "failed")
    run(tiny(checkpoint_at=("96",)), tmp_path / "told")
    assert same(tmp_path / "failed", tmp_path / "told")


SWEEP = """
from pathlib import Path; from kickstarting.launch.sweep import run_all
from kickstarting.runs.configuration import config_from_json
from kickstarting.runs.signals import listening
with listening():
    run_all({{Path({out!r}) / str(i): config_from_json({config!r}).changed(seed=i) for i in range(2)}}, jobs=2)
"""


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGINT, signal.SIGKILL))]
)
def test_a_sweep_takes_its_runs_with_it(tiny, tmp_path, number):
    """To a good end where it can; nothing goes on, and nothing is in the way of the next one."""
    config = tiny(total_frames=10**9, checkpoint_every="64")
    (tmp_path / "job.py").write_text(SWEEP.format(out=str(tmp_path), config=config.to_json()))
    process = subprocess.Popen([sys.executable, str(tmp_path / "job.py")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    runs = [RunDirectory(tmp_path / str(i)) for i in range(2)]
    deadline = time.monotonic() + 100
    while not all(r.newest_checkpoint for r in runs):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 2
    process.send_signal(number)
    code = process.wait(60)
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 128 + number
        for r in runs:
            assert r.newest_checkpoint is not None
            assert "saved at" in (r.path / "log.txt").read_text().splitlines()[-1]


def test_ten_minutes_are_a_round_number_of_frames():
    assert [ten_minutes(x) for x in (0.001, 1, 5.5, 700, 5000, 9e5)] == [1, 500, 2000, 200_000, 2_000_000, 500_000_000]
    for speed in (0.5, 3.3, 17, 1234, 56789):
        assert 60 * 4 - 1 <= ten_minutes(speed) / speed <= 60 * 10


def test_when_a_run_saves():
    at = Saving(100, (130, 250))
    assert [frames for frames in range(32, 500, 32) if at(frames - 32, frames)] == [128, 160, 224, 256, 320, 416]
    assert all(Saving(1)(frames - 32, frames) for frames in range(32, 500, 32))
    assert not any(Saving(None)(frames - 32, frames) for frames in range(32, 500, 32))


def test_the_distance_of_checkpoints_is_measured_and_kept(tiny, tmp_path, monkeypatch):
    """At 32 frames a second, ten minutes would be 19,200 frames; here they are 4 seconds."""
    clock = iter(range(1000))
    monkeypatch.setattr(saving, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    monkeypatch.setattr(saving, "MEASURED", 2.0)
    monkeypatch.setattr(saving, "MINUTES", 4 / 60)
    run(tiny(total_frames=512), tmp_path / "measured")
    assert read_config(tmp_path / "measured" / "config.json").run.checkpoint_every == "100"
    monkeypatch.undo()
    run(tiny(total_frames=512, checkpoint_every="100"), tmp_path / "given")
    seams = [update.frames for update in train(tiny(total_frames=512, checkpoint_every="100")) if update.snapshot]
    assert seams == [128, 224, 320, 416, 512]
    assert same(tmp_path / "measured", tmp_path / "given")


def test_weights_that_are_not_finite_are_not_saved(tiny, tmp_path):
    config = tiny(total_frames=64, learning_rate="1e308", max_grad_norm=1e9, checkpoint_every="32")
    with pytest.raises((CheckpointError, RuntimeError, ValueError), match=r"not finite|learning_rate"):
        run(config, tmp_path / "run")
    assert not RunDirectory(tmp_path / "run").finished
    assert RunDirectory(tmp_path / "run").newest_checkpoint is None


def test_room_for_two_checkpoints_is_looked_for(tiny, tmp_path, monkeypatch):
    assert check_space(tmp_path, 1000) is None
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10_000})())
    with pytest.raises(ValueError, match=r"has 0 MB free, two checkpoints take .* MB; free space, or choose another --out"):
        run(tiny(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
