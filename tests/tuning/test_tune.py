"""Tuning: the plan follows from the budget, runs stop and go on exactly, and a killed tune ends with the same recipe."""

from __future__ import annotations

import io
import itertools
import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from fuzzing_files import NASTY_NAMES, damaged, restored
from kickstarting import Config, cli
from kickstarting.algo.parsing import parse_schedule, written
from kickstarting.console import visible
from kickstarting.launch import sweep
from kickstarting.launch.sweep import Part, SweepError, reached
from kickstarting.runs.checkpoint import latest_checkpoint
from kickstarting.runs.configuration import begin_run, read_config
from kickstarting.runs.files import write_json
from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.metrics import read_metrics
from kickstarting.runs.run import run
from kickstarting.tuning import halving, tune
from kickstarting.tuning.display import RungProgress
from kickstarting.tuning.halving import cost, draw, plan, ranked, rescaled, rung_score, rungs_of, space, stretched, survivors
from kickstarting.tuning.recipe import apply, differing, read_recipe, settings, write_recipe
from kickstarting.tuning.tune import read_tune, resume_tune, run_tune
from resuming import kill_when, without_times

QUIET = Console(quiet=True)
BUDGET = 1420  # three configurations for 192 frames, two of them for 576


@pytest.fixture
def here(monkeypatch) -> None:
    """A tune's runs in this process, one after the other."""
    monkeypatch.setattr(tune, "run_all", run_here)


def run_here(parts, **_) -> None:
    for out, part in parts.items():
        if not reached(out, part):
            sweep.advance(out, part.until)


# The plan


@pytest.mark.parametrize("full", [9, 1000, 1_000_000])
@pytest.mark.parametrize("times", [2, 2.5, 3, 4.7, 6, 20])
def test_a_plan_fits_its_budget_and_ends_with_full_runs(full, times):
    budget = int(full * times)
    rungs = plan(budget, full)
    assert cost(rungs) <= budget
    assert rungs[-1].frames == full
    assert rungs[-1].runs >= 2
    for before, after in itertools.pairwise(rungs):
        assert after.runs == max(2, -(-before.runs // 3)) < before.runs
        assert after.frames == min(full, 3 * before.frames)
    assert cost(rungs_of(rungs[0].runs + 1, full)) > budget


def test_what_a_plan_costs():
    """Eighteen runs for a ninth, six from there to a third, two to the end."""
    assert cost(rungs_of(18, 900)) == 18 * 100 + 6 * 200 + 2 * 600


def test_the_least_budget_is_named():
    with pytest.raises(
        ValueError, match=r"budget is 1999 frames, but two configurations .* 1000 take 2000; give at least --budget 2000"
    ):
        plan(1999, 1000)


@pytest.mark.parametrize("teachers", [(), ("old",)])
def test_configurations_are_drawn_by_seed_and_number_alone(teachers):
    rates = {"learning_rate": "linear:3e-3:3e-4:100%", "entropy_cost": "0.01"}
    config = Config.of("x", teachers=teachers, envs_per_task=3, seed=5, **rates)
    assert draw(config, 0) == config
    drawn = [draw(config, i) for i in range(1, 60)]
    assert drawn == [draw(config, i) for i in range(1, 60)]
    assert draw(replace(config, seed=6), 1).learning.learning_rate != drawn[0].learning.learning_rate
    names = {setting.name for setting in space(config)}
    assert ("schedule" in names) == bool(teachers)
    for other in drawn:
        other.check()
        assert {name for name, value in settings(other).items() if value != settings(config)[name]} <= names
    low, high = (pick(c.parsed("learning_rate").start for c in drawn) / config.parsed("learning_rate").start for pick in (min, max))
    assert 0.24 < low < 0.4
    assert 2.5 < high < 4.1
    lengths = {c.parsed("schedule").horizon / config.total_frames for c in drawn}
    assert len(lengths) > 20 if teachers else len(lengths) == 1
    assert max(lengths) <= 1


def test_what_a_factor_does_not_change_is_not_searched():
    config = Config.of("x", teachers=("old",), entropy_cost="0", schedule="constant:1", learning_rate="step:0:1e-3:5%")
    config = config.changed(epochs=2, minibatches=4)
    assert {(s.name, s.of) for s in space(config)} == {
        *(("unroll_length", "start"), ("epochs", "start"), ("minibatches", "start"), ("schedule", "start"))
    }


@pytest.mark.parametrize(
    ("schedule", "scaled", "longer"),
    [
        ("1e-3", "0.0025", "0.001"),
        ("constant:1", "2.5", "1"),
        ("linear:1e-3:1e-4:50%", "linear:0.0025:0.00025:50%", "linear:0.001:0.0001:100%"),
        ("cosine:1:0:20k", "cosine:2.5:0:2%", "cosine:1:0:5%"),
        ("exponential:1:10%:0.1", "exponential:2.5:10%:0.25", "exponential:1:25%:0.1"),
        ("progress:1", "progress:2.5", "progress:1"),
        ("progress:1:10%", "progress:2.5:10%", "progress:1:25%"),
        ("evidence:1:10%", "evidence:2.5:10%:60%", "evidence:1:25%:100%"),
    ],
)
def test_a_schedule_is_scaled_and_stretched_as_a_share_of_any_run(schedule, scaled, longer):
    parsed = parse_schedule(schedule, 1_000_000)
    assert written(rescaled(parsed, 2.5), 1_000_000) == scaled
    assert written(stretched(parsed, 2.5, 1_000_000), 1_000_000) == longer


def test_a_rungs_score_is_the_mean_over_its_last_fifth():
    lines = [{"frames": frames, "score": frames} for frames in range(10, 210, 10)]
    assert rung_score(lines, 100) == 95  # 90 and 100; what came later belongs to another rung
    assert rung_score(lines, 96) == 90  # 80, 90, and 100, the checkpoint that ends it
    assert rung_score([{"frames": 50, "score": 3.0}, {"frames": 95, "score": None}], 100) is None


def test_the_default_always_goes_on_and_nobody_without_a_score():
    scores = {0: 1.0, 1: 3.0, 2: None, 3: 3.0, 4: 2.0}
    assert ranked(scores) == [1, 3, 4, 0]
    assert survivors(scores, 3) == [0, 1, 3]
    assert survivors({0: None, 1: None, 2: 0.0}, 3) == [0, 2]


# Whole tunes


def base(tiny, **changes) -> Config:
    return tiny(total_frames=576, score_window=4, **changes)


@pytest.fixture(scope="module")
def tuned(tiny, tmp_path_factory) -> tuple[Path, str]:
    """A whole tune and what it said."""
    out = tmp_path_factory.mktemp("tune") / "whole"
    file = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune, "run_all", run_here)
        run_tune(base(tiny), BUDGET, out, console=Console(file=file, width=200))
    return out, file.getvalue()


def test_a_tune_says_its_plan_and_writes_the_winner(tuned, tiny):
    out, said = tuned
    assert [(rung.runs, rung.frames) for rung in read_tune(out).rungs] == [(3, 192), (2, 576)]
    rows = [line.split() for line in re.sub("[^ -~\n]", "", said).splitlines()]
    plan_said = [["rung", "runs", "frames", "each", "in", "all"], ["1", "3", "192", "576"], ["2", "2", "192", "to", "576", "768"]]
    assert all(row in rows for row in plan_said), rows
    assert (
        said.index("frames each")
        < said.index("rung 1 of 2")
        < said.index("rung 2 of 2")
        < said.index("next, with another seed: kickstart train")
    )
    assert re.search(rf"--seed 1 .*--recipe {out / 'recipe.toml'}", said)
    results = json.loads((out / "results.json").read_text())["configurations"]
    reached_rungs = [len(entry["scores"]) for entry in results]
    assert reached_rungs[0] == 2
    assert sorted(reached_rungs) == [1, 2, 2]
    recipe = read_recipe(out / "recipe.toml")
    last = {i: entry["scores"][1] for i, entry in enumerate(results) if len(entry["scores"]) == 2}
    winner = ranked(last)[0]
    assert recipe.options == differing(draw(base(tiny), winner)) == results[winner]["options"]
    assert recipe.found["score"] == pytest.approx(last[winner], abs=0.01)
    assert recipe.found["default_score"] == pytest.approx(last[0], abs=0.01)
    assert (recipe.found["seeds"], recipe.found["frames"]) == ([0], 576)
    assert recipe.found["command"].startswith("kickstart tune ")
    assert "--budget 1420" in recipe.found["command"]
    assert recipe.found["versions"] == json.loads((out / "tune.json").read_text())["versions"]
    apply(Config.of("x", envs_per_task=2), recipe)


def test_a_run_that_stopped_and_went_on_equals_an_uninterrupted_one(tuned, tmp_path):
    for number in (0, 1, 2):
        stopped = tuned[0] / "runs" / f"{number:02d}"
        if (stopped / "finished.json").exists():
            run(read_config(stopped / "config.json"), tmp_path / str(number))
            for name in ("network.safetensors", "optimiser.safetensors"):
                whole, parts = (latest_checkpoint(path) / name for path in (tmp_path / str(number), stopped))
                assert whole.read_bytes() == parts.read_bytes()
            lines = [[without_times(x) for x in read_metrics(p / "metrics.jsonl")] for p in (tmp_path / str(number), stopped)]
            assert lines[0] == lines[1]
    assert len(list(tmp_path.iterdir())) == 2


def same_when_resumed(out: Path, whole: Path) -> None:
    assert not (out / "recipe.toml").exists()
    data = json.loads((out / "tune.json").read_text())
    write_json(out / "tune.json", {**data, "versions": read_tune(whole).versions})  # the checkout may have changed meanwhile
    resume_tune(out, console=QUIET)
    for name in ("recipe.toml", "results.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    with pytest.raises(ValueError, match="nothing to resume"):
        resume_tune(out, console=QUIET)


@pytest.mark.slow  # its timing is that of the machine: it was seen to meet the lock of a process that had not ended yet
def test_a_killed_tune_resumes_to_the_same_recipe(tuned, tiny, tmp_path, here):
    killed = tmp_path / "killed"
    job = tmp_path / "job.py"
    job.write_text(
        "from dataclasses import replace; from pathlib import Path; from rich.console import Console\n"
        "from kickstarting.runs.configuration import config_from_json; from kickstarting.tuning.tune import run_tune\n"
        f"config = replace(config_from_json({base(tiny).to_json()!r}), name='')\n"
        f"run_tune(config, {BUDGET}, Path({str(killed)!r}), console=Console(quiet=True))\n"
    )
    kill_when([sys.executable, str(job)], lambda: any(killed.glob("runs/*/checkpoints/00000001")))  # of 3 in the first rung
    same_when_resumed(killed, tuned[0])


def test_a_tune_interrupted_in_its_last_rung_resumes_to_the_same_recipe(tuned, tiny, tmp_path, monkeypatch):
    def interrupted(parts, **_) -> None:
        for out, part in parts.items():
            if part.until == 576:
                sweep.advance(out, 300)  # at the fifth of nine checkpoints
                raise KeyboardInterrupt
            sweep.advance(out, part.until)

    monkeypatch.setattr(tune, "run_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_tune(base(tiny), BUDGET, tmp_path / "tune", console=QUIET)
    assert int(latest_checkpoint(tmp_path / "tune" / "runs" / "00").name) == 5
    monkeypatch.setattr(tune, "run_all", run_here)
    same_when_resumed(tmp_path / "tune", tuned[0])


def test_progress_counts_what_was_done_before_and_what_is_left(tiny, tmp_path, monkeypatch):
    """Rung 2 of 18, 6 and 2 runs of 900 frames: 1800 frames before it, 4200 in all; its runs began at 100 frames each."""
    runs = {tmp_path / str(i): tiny() for i in range(6)}
    for i, run_path in enumerate(runs):
        run_path.mkdir()
        (run_path / "metrics.jsonl").write_text(json.dumps({"frames": 150 if i else 80, "score": 1.0}) + "\n")
    clock = [1000.0]
    monkeypatch.setattr("kickstarting.tuning.display.time.monotonic", lambda: clock[0])
    progress = RungProgress(runs, rungs_of(18, 900), 1, QUIET)
    for run_path in list(runs)[:2]:
        (run_path / "metrics.jsonl").write_text(json.dumps({"frames": 300, "score": 1.0}) + "\n")
    (list(runs)[5] / "diverged.json").write_text("{}")
    clock[0] += 10  # 350 frames; 1800 + 250 + 550 of 4200 were done
    assert progress.line() == "rung 2 of 3  3 of 6 runs  2.4k/4.2k frames  35 frames/s  left 0:51"


def test_runs_end_with_the_sweep_that_started_them(tiny, tmp_path):
    """Else the killed and the resumed sweep would write over each other."""
    out = tmp_path / "run"
    job = tmp_path / "job.py"
    job.write_text(
        "from pathlib import Path; from kickstarting.launch.sweep import run_all\n"
        "from kickstarting.runs.configuration import config_from_json\n"
        f"run_all({{Path({str(out)!r}): config_from_json({tiny(total_frames=10**9, checkpoint_every='64').to_json()!r})}})\n"
    )
    kill_when([sys.executable, str(job)], lambda: (out / "checkpoints" / "00000001").exists())
    before = newest = None
    for _ in range(100):
        before, newest = newest, latest_checkpoint(out)
        if before == newest:
            break
        time.sleep(0.3)
    assert before == newest


def test_a_configuration_that_diverges_is_worst_and_stops_nobody(tiny, tmp_path):
    config = tiny(learning_rate="1e30", total_frames=128)
    (tmp_path / "run").mkdir()
    begin_run(RunDirectory(tmp_path / "run"), config, {}, {})
    job = Part(config, 64)
    sweep.advance(tmp_path / "run", job.until)
    assert "not finite" in json.loads((tmp_path / "run" / "diverged.json").read_text())["reason"]
    assert reached(tmp_path / "run", job)
    assert tune._score(tmp_path / "run", 64) is None


def test_all_that_diverge_end_the_tune(tiny, tmp_path, here):
    with pytest.raises(SweepError, match=r"all 3 configurations diverged, see .*diverged.json; .*--learning-rate"):
        run_tune(base(tiny, learning_rate="1e30"), BUDGET, tmp_path / "tune", console=QUIET)


def test_a_default_that_wins_is_an_empty_recipe(tuned, tmp_path):
    file = io.StringIO()
    tuning = replace(read_tune(tuned[0]), out=tmp_path, config=Config("CartPole-v1", total_frames=576).on_this_machine())
    results: list[tune.Scores] = [{0: 1.0, 1: 5.0, 2: 0.0}, {0: 5.0, 1: 5.0}]
    tune._finish(tuning, tuning.configurations(), results, Console(file=file, width=200))
    recipe = read_recipe(tmp_path / "recipe.toml")
    assert recipe.options == {}
    assert recipe.found["score"] == recipe.found["default_score"] == 5.0
    assert "the default won: its recipe changes nothing" in file.getvalue()


def test_teachers_are_measured_once_and_their_schedule_is_tuned(tiny, make_policy, tmp_path, here, monkeypatch):
    measured, real = [], tune.measure_teachers
    monkeypatch.setattr(tune, "measure_teachers", lambda config, out: measured.append(1) or real(config, out))
    monkeypatch.setattr("kickstarting.runs.run.measure_teachers", lambda *_: pytest.fail("measured again"))
    run_tune(base(tiny, teachers=(make_policy(),), schedule="evidence:1"), 2 * 576, tmp_path / "tune", console=QUIET)
    runs = sorted((tmp_path / "tune" / "runs").iterdir())
    assert measured == [1]
    assert len({(path / "teacher_scores.json").read_text() for path in runs}) == 1
    schedules = [read_config(path / "config.json").teaching.schedule for path in runs]
    assert schedules[0] == "evidence:1" != schedules[1]
    assert all((path / "finished.json").exists() for path in runs)


# The command


def test_bad_input_to_tune(tuned, suite, tmp_path, monkeypatch):
    def error(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["kickstart", "tune", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, str)
        assert "\n" not in stop.value.code
        return stop.value.code

    out = ("--out", tmp_path / "tune")
    assert "name a suite" in error(*out)
    assert "give --budget FRAMES for all runs together, at least twice --frames: 2000" in error(suite, "--frames", 1000, *out)
    assert "give at least --budget 2000" in error(suite, "--frames", 1000, "--budget", 1999, *out)
    assert "did you mean MiniGrid-Empty-5x5-v0" in error("MiniGrid-Emty-5x5-v0", "--budget", "9M", *out)
    assert "which no factor changes" in error(suite, "--schedule", "best/schedule.json", "--budget", "9M", *out)
    assert not (tmp_path / "tune").exists()
    assert f"or continue it with `kickstart tune --resume {tuned[0]}`" in error(suite, "--budget", "9M", "--out", tuned[0])
    assert "already holds a run" in error(suite, "--budget", "9M", "--out", tuned[0] / "runs" / "00")
    assert "no tune at nowhere" in error("--resume", "nowhere")
    assert "leave out budget" in error("--resume", tuned[0], "--budget", "9")
    assert "nothing to resume" in error("--resume", tuned[0])
    (tmp_path / "tune").mkdir()
    (tmp_path / "tune" / "tune.json").write_text("{")
    assert "is damaged" in error("--resume", tmp_path / "tune")


def test_a_tune_without_scores_says_why(tuned):
    assert "no configuration has a score after 192 frames" in tune._why_no_score(read_tune(tuned[0]), [0, 1], halving.Rung(2, 192))


@pytest.mark.parametrize("name", ["tune.json", "recipe.toml"])
def test_a_damaged_file_of_a_tune_is_named(tuned, tmp_path, name):
    path = tmp_path / name
    path.write_bytes((tuned[0] / name).read_bytes())
    whole, refused = path.read_bytes(), 0
    for seed in range(120):
        damaged(path, Random(seed))
        try:
            read_tune(tmp_path) if name == "tune.json" else read_recipe(path)
        except ValueError as error:
            refused += str(path) in str(error) or str(error).startswith(f"no tune at {tmp_path}")
            said = str(error)
            assert "\n" not in said, said
        finally:
            restored(path, whole)
    assert refused > 60


def test_a_recipe_of_any_suite_is_read_again(tmp_path):
    for name in NASTY_NAMES:
        recipe = write_recipe(tmp_path / "recipe.toml", {"learning_rate": "1e-3"}, {"suite": name, "versions": {"x": name}})
        assert read_recipe(recipe.path).found["suite"] == visible(name)
