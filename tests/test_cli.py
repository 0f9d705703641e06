"""The command line: help, output, and one clear line for everything that a user can mend."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from kickstarting import cli
from kickstarting.envs import MultiTaskEnv
from kickstarting.runs.checkpoint import latest_checkpoint
from kickstarting.runs.run import run
from kickstarting.suites import builtin_suites, load_suite

QUICK = ("--envs-per-task", 2, "--unroll-length", 8, "--network", "small", "--torch-threads", 1, "--frames", 64)


@pytest.fixture
def error(kickstart) -> Callable[..., str]:
    """Runs a command that must fail, and returns its one line."""

    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            kickstart(*arguments)
        message = stop.value.code
        assert isinstance(message, str)  # Python prints it on stderr and exits with 1
        assert message.startswith("kickstart: error: ")
        assert "\n" not in message
        return message

    return call


@pytest.mark.parametrize(
    "command", ["", "train", "population", "evaluate", "check", "export", "watch", "compare", "demo", "suites"]
)
def test_help(kickstart, capsys, command):
    with pytest.raises(SystemExit) as stop:
        kickstart(*command.split(), "--help")
    assert stop.value.code == 0
    words = {
        "population": ["--members", "--slice", "--alpha-range"],
        "train": ["--teacher", "--schedule", "--resume", "--checkpoint-every"],
        "evaluate": ["--episodes", "--json"],
    }
    printed = capsys.readouterr().out
    for word in words.get(command, ["usage"]):
        assert word in printed


@pytest.mark.parametrize("command", ["train", "population"])
@pytest.mark.parametrize("columns", [80, 120])
def test_help_wraps_to_the_terminal_and_not_where_a_docstring_does(kickstart, capsys, monkeypatch, command, columns):
    """A line of help ends where the first word of the next one would not have fitted."""
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        kickstart(command, "--help")
    printed = capsys.readouterr().out.splitlines()
    width = len(next(line for line in printed if "show this help" in line))
    assert columns - 2 <= width <= columns  # versions of tyro differ by two
    columns, lines = width, [line[1:-1] for line in printed if len(line) == width]  # between the frame's edges
    indent = next(line.index("show this help") for line in lines if "show this help" in line)
    wrapped = 0
    for line, after in pairwise(lines):
        if line[indent - 2 : indent] == "  " and line[indent:].strip() and after.strip() and not after[:indent].strip():
            wrapped += 1
            assert len(line.rstrip()) + 1 + len(after.split()[0]) > columns - 3, f"{line.strip()} / {after.strip()}"
    assert wrapped > 5


def test_a_real_process_says_one_line_and_exits_with_1():
    result = subprocess.run(
        [sys.executable, "-m", "kickstarting", "train", "MiniGrid-DorKey-5x5-v0"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "did you mean MiniGrid-DoorKey-5x5-v0" in result.stderr


def test_suites_lists_all_and_shows_every_task_of_one(kickstart):
    printed = kickstart("suites")
    assert all(name in printed for name in builtin_suites())
    shown = kickstart("suites", "grid-30")
    for task in load_suite("grid-30").tasks:
        assert task.name in shown


def test_train_evaluate_and_resume(kickstart, error, tmp_path):
    out = tmp_path / "run"
    kickstart("train", "CartPole-v1", "--out", out, *QUICK)
    assert (out / "finished.json").exists()
    assert json.loads((out / "config.json").read_text())["suite"] == "CartPole-v1"
    printed = kickstart("evaluate", out, "CartPole-v1", "--episodes", 3, "--json", tmp_path / "scores.json")
    assert "CartPole-v1" in printed
    scores = json.loads((tmp_path / "scores.json").read_text())
    (task,) = scores["tasks"]
    assert task["episodes"] == 3
    assert scores["score"] == task["score"] == task["mean_return"] == task["length"] > 5  # CartPole pays 1 a step
    assert f"{task['mean_return']:.3f}" in printed

    assert "already holds a run" in error("train", "CartPole-v1", "--out", out, *QUICK)
    assert "nothing to resume" in error("train", "--resume", out)
    assert "--resume" in error("train", "CartPole-v1", "--resume", out)


def test_check_says_in_every_way_whether_a_teacher_can_teach(kickstart, error, make_policy, capsys, suite, tmp_path):
    """On the terminal, by the exit code, in a file, on a page."""
    with pytest.raises(SystemExit) as stop:
        kickstart("check", make_policy(), suite, "--episodes", 8, "--json", tmp_path / "check.json", "--out", tmp_path / "page")
    assert stop.value.code == 1
    printed = capsys.readouterr().out
    numbers = json.loads((tmp_path / "check.json").read_text())
    assert not numbers["can_teach"]
    assert {task["task"] for task in numbers["tasks"]} == {"object", "obstacles"}
    page = (tmp_path / "page" / "check.html").read_text()
    for finding in numbers["findings"]:
        assert finding["seen"] in printed
        assert finding["name"] in page
    assert "worse_than_random" in page
    assert json.loads((tmp_path / "page" / "check.json").read_text()) == numbers
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "check.html").write_text("mine")
    assert "of no earlier check" in error("check", "zoo:grid-8-small", "CartPole-v1", "--out", tmp_path / "mine")
    assert "discrete" in error("check", "zoo:grid-8-small", "CartPole-v1")


def test_compare_shows_an_episode_of_student_and_teacher(kickstart, tiny, make_policy, tmp_path):
    run(tiny(teachers=(make_policy(),), score_window=2, total_frames=512), tmp_path / "student")
    kickstart("compare", tmp_path / "student", "--out", tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert "what its teacher" in page
    clip = base64.b64encode((tmp_path / "report" / "clip.gif").read_bytes()).decode()
    assert f"data:image/gif;base64,{clip}" in page
    kickstart("compare", tmp_path / "student", "--no-clip", "--out", tmp_path / "plain")
    assert not (tmp_path / "plain" / "clip.gif").exists()


def test_evaluate_is_seeded_and_greedy_differs(kickstart, make_policy, suite, tmp_path):
    ref = make_policy()

    def scores(*options: object) -> list:
        kickstart("evaluate", ref, suite, "--episodes", 8, "--json", tmp_path / "x.json", *options)
        return json.loads((tmp_path / "x.json").read_text())["tasks"]

    sampled = scores()
    assert [task["task"] for task in sampled] == ["object", "obstacles"]
    assert scores() == sampled
    assert scores("--greedy") != sampled
    assert scores("--seed", 5) != sampled


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["MiniGrid-Emty-5x5-v0"], ["MiniGrid-Emty-5x5-v0", "did you mean", "MiniGrid-Empty-5x5-v0"]),
        (["nothing-of-the-sort"], ["nothing-of-the-sort", "known", "grid-"]),
        (["missing.toml"], ["missing.toml"]),
        (["CartPole-v1", "--network", "smal"], ["'smal'", "did you mean small"]),
        (["CartPole-v1", "--network", "no.module:Class"], ["no.module:Class"]),
        (["CartPole-v1", "--network-option", "lstmm=3"], ["lstmm", "did you mean lstm"]),
        (["CartPole-v1", "--network-option", "lstm"], ["'lstm'", "KEY=VALUE"]),
        (["CartPole-v1", "--schedule", "liner:1:0:20%"], ["liner:1:0:20%", "did you mean linear"]),
        (["CartPole-v1", "--schedule", "linear:1:0"], ["linear:1:0", "3"]),
        (["CartPole-v1", "--learning-rate", "fast"], ["fast", "not a number"]),
        (["CartPole-v1", "--learning-rate", "-1"], ["learning_rate", "below 0"]),
        (["CartPole-v1", "--entropy-cost", "progress:1"], ["entropy_cost", "progress"]),
        (["CartPole-v1", "--checkpoint-every", "0"], ["'0'"]),
        (["CartPole-v1", "--frames", "0"], ["total_frames", "at least 1"]),
        (["CartPole-v1", "--optimiser", "adm"], ["'adm'", "did you mean adam"]),
        (["CartPole-v1", "--teacher-shares", "1"], ["teacher_shares", "0 teachers"]),
        (["CartPole-v1", "--teacher", "nowhere"], ["nowhere", "does not exist"]),
        (["CartPole-v1", "--teacher", "zoo:nothing"], ["nothing", "zoo"]),
        ([], ["suite", "--resume"]),
        (["--resume", "nowhere"], ["nowhere", "no run"]),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else None,
)
def test_bad_input_to_train(error, tmp_path, monkeypatch, arguments, words):
    """Found before any work: nothing is left behind that would block the next attempt."""
    monkeypatch.chdir(tmp_path)
    message = error("train", *arguments)
    for word in words:
        assert word in message
    assert list(tmp_path.rglob("config.json")) == []


@pytest.mark.parametrize(
    ("teacher", "student", "words"),
    [
        ("CartPole-v1", "MiniGrid-Empty-5x5-v0", ["acts in", "2", "7", "must share the action space"]),
        ("MountainCar-v0", "Acrobot-v1", ["'observation'", "[2]", "[6]", "choose a suite"]),
    ],
)
def test_a_teacher_of_other_spaces(error, make_policy, tmp_path, teacher, student, words):
    ref = make_policy(teacher, options={"hidden": 4})
    message = error("train", student, "--teacher", ref, "--out", tmp_path / "run", *QUICK)
    for word in [ref, *words]:
        assert word in message
    assert not (tmp_path / "run").exists()
    for word in [ref, *words]:
        assert word in error("evaluate", ref, student)


def test_a_damaged_teacher(error, make_policy, suite, tmp_path):
    ref = make_policy()
    file = latest_checkpoint(Path(ref)) / "network.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    message = error("train", suite, "--teacher", ref, "--out", tmp_path / "run", *QUICK)
    assert str(file) in message
    assert "truncated or was altered" in message
    assert not (tmp_path / "run").exists()


def test_evaluate_looks_for_the_json_files_directory_first(error, tmp_path):
    assert "no directory" in error("evaluate", "nowhere", "CartPole-v1", "--json", tmp_path / "missing" / "x.json")


@pytest.mark.parametrize(
    ("ref", "suite_name", "message"),
    [("nowhere", "CartPole-v1", "does not exist"), ("random", "CartPol-v1", "did you mean CartPole-v1")],
)
def test_bad_input_to_evaluate(error, ref, suite_name, message):
    assert message in error("evaluate", ref, suite_name)


def test_an_environment_that_says_nan_is_named_and_costs_nothing(error, kickstart, tiny, tmp_path, monkeypatch):
    """Rewards turn NaN in the sixth update, after the checkpoint of the fourth. The run then resumes from the fifth."""
    steps, real = [0], MultiTaskEnv.recv

    def recv(self, group):
        steps[0] += 1
        result = real(self, group)
        return result._replace(rewards=result.rewards * np.float32(np.nan)) if steps[0] > 5 * 8 else result

    config = tiny(checkpoint_every="128")
    with monkeypatch.context() as patch:
        patch.setattr(MultiTaskEnv, "recv", recv)
        patch.setitem(cli.COMMANDS, "train", lambda: run(config, tmp_path / "run"))
        message = error("train")
    assert "environment of task 'object', column 0, step 9: its reward is nan; mend the environment" in message
    assert "EnvironmentFault" in (tmp_path / "run" / "log.txt").read_text()
    path = latest_checkpoint(tmp_path / "run")
    assert json.loads((path / "state.json").read_text())["record"]["frames"] == 160
    kickstart("train", "--resume", tmp_path / "run")
    assert (tmp_path / "run" / "finished.json").exists()


def test_tasks_without_a_teacher_are_named(kickstart, suite, make_policy, tmp_path):
    output = kickstart(
        "train", suite, "--teacher", f"obj*={make_policy()}", "--accept-weak-teachers", "--out", tmp_path / "run", *QUICK
    )
    assert "no teacher for obstacles" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("CartPole-v1", "--members", 1), "members is 1; it must be at least 2"),
        (("CartPole-v1", "--learning-rate-range", "1e-3:1e-2:1"), "outside its range"),
        ((), "name a suite"),
        (("--resume", "nowhere"), "no population at nowhere"),
    ],
)
def test_bad_input_to_population(error, tmp_path, options, message):
    out = () if "--resume" in options else ("--out", tmp_path / "population")
    assert message in error("population", *options, *out)
    assert not (tmp_path / "population").exists()


def test_frames_may_have_a_unit(kickstart, tmp_path):
    """As in the README: 0.2k, and no share of a run that has no length yet."""
    kickstart("train", "CartPole-v1", "--out", tmp_path / "run", *QUICK[:-1], "0.2k")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["total_frames"] == 200


def test_a_profile_has_every_phase_and_a_trace(kickstart, tmp_path):
    output = kickstart("train", "CartPole-v1", "--out", tmp_path / "run", *QUICK[:-1], 16 * 50, "--profile")
    assert all(phase in output for phase in ("act", "environment", "label", "learn", "frames/s", "trace.json"))
    assert json.loads((tmp_path / "run" / "trace.json").read_text())["traceEvents"]


def test_a_learning_rate_far_too_high_stops_the_run(error, tmp_path):
    message = error("train", "CartPole-v1", "--learning-rate", "1e30", "--out", tmp_path / "run", *QUICK)
    assert "1e+30" in message
    assert not (tmp_path / "run" / "finished.json").exists()


def test_a_full_disk_stops_the_run_with_one_line(error, suite, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    message = error("train", suite, "--out", tmp_path / "run", *QUICK)
    assert "No space left on device" in message
    assert str(tmp_path / "run") in message
