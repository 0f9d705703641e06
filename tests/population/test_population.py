"""A population evolves, is reproducible, survives a kill, and leaves a run and a schedule behind."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from kickstarting.config import Config
from kickstarting.launch.local import Processes
from kickstarting.population.ancestry import ancestry
from kickstarting.population.config import PopulationConfig, parse_range, ranges_of
from kickstarting.population.evolve import look_around, score_samples
from kickstarting.population.run import resume_population, run_population
from kickstarting.population.state import Population, load_population
from kickstarting.report import compare_runs
from kickstarting.runs.checkpoint import CheckpointError, Snapshot, checkpoints, latest_checkpoint
from kickstarting.runs.files import signed_text
from kickstarting.runs.metrics import read_metrics
from kickstarting.runs.run import run
from kickstarting.suites import Suite, Task
from known import known
from resuming import kill_when, without_times

PBT = PopulationConfig(members=3, slice="64", burn_in="64")
SUITE = Suite("two", tuple(Task(name, "unused", metric="success", random=0.0, reference=1.0) for name in ("easy", "hard")))
QUIET = Console(quiet=True)


def snapshot(successes: dict[str, list[float]], frames: int = 100) -> Snapshot:
    windows = {task: [(s, s) for s in values] for task, values in successes.items()}
    record = {"frames": frames, "scores": {"episodes": 0, "windows": windows}}
    return Snapshot(1, record, {"w": torch.full((1,), float(sum(map(sum, successes.values()))))}, {})


def looked(successes: list[dict[str, list[float]]], frames: int = 100, **changes) -> Population:
    """One round of a population of two or more, teacherless, windows of four episodes."""
    config = Config.of("unused", learning_rate="1e-3", entropy_cost="0.01", total_frames=1000, score_window=4)
    population = replace(PBT, members=len(successes), burn_in="50", **changes)
    values = [{"learning_rate": 1e-3, "entropy_cost": 0.01} for _ in successes]
    state = Population(0, values, [snapshot(s, frames) for s in successes])
    return look_around(state, config, population, SUITE)


GOOD: dict[str, list[float]] = {"easy": [1, 1, 1, 1], "hard": [1, 0, 1, 1]}
BAD: dict[str, list[float]] = {"easy": [0, 0, 1, 0], "hard": [0, 0, 0, 0]}


def test_the_worse_member_goes_on_as_the_better_with_an_empty_window():
    after = looked([GOOD, BAD])
    assert [entry["goes_on_as"] for entry in after.lineage] == [0, 0]
    better, worse = (known(snapshot) for snapshot in after.snapshots)
    assert torch.equal(worse.network["w"], better.network["w"])
    assert worse.record["scores"]["windows"] == {"easy": [], "hard": []}
    assert better.record["scores"]["windows"]["easy"] == [(1, 1)] * 4


@pytest.mark.parametrize("short", [0, 1])
def test_nobody_copies_before_both_windows_are_full(short):
    successes = [dict(GOOD), dict(BAD)]
    successes[short]["hard"] = successes[short]["hard"][:3]
    assert [entry["goes_on_as"] for entry in looked(successes).lineage] == [0, 1]


def test_burn_in_and_the_end_leave_everything_as_it_is():
    for frames in (40, 1000):
        after = looked([GOOD, BAD], frames, perturb_probability=1.0)
        assert [entry["goes_on_as"] for entry in after.lineage] == [0, 1]
        assert after.values == [{"learning_rate": 1e-3, "entropy_cost": 0.01}] * 2


def test_values_are_perturbed_whether_or_not_a_member_copied():
    after = looked([GOOD, BAD], perturb_probability=1.0)
    for values in after.values:
        assert values["learning_rate"] in (pytest.approx(1.2e-3), pytest.approx(1e-3 / 1.2))


@pytest.mark.parametrize(("schedule", "tuned"), [("constant:1", False), ("progress:1", False), ("cosine:1:0:9%", True)])
def test_a_horizon_is_tuned_where_there_is_one(schedule, tuned):
    rates = {"learning_rate": "linear:3e-3:3e-4:100%", "entropy_cost": "0.01"}
    config = Config.of("unused", teachers=("old",), schedule=schedule, **rates)
    ranges, starts = ranges_of(config, PBT)
    assert ("horizon" in ranges) == tuned
    assert set(ranges) - {"horizon"} == {"alpha", "rho/0", "learning_rate", "entropy_cost"}
    begin_as_a_run = {name: config.parsed(name).start for name in ("learning_rate", "entropy_cost")}
    assert starts == {"alpha": 1.0, "rho/0": 1.0, **begin_as_a_run}


@pytest.mark.parametrize(("name", "rate"), [("learning_rate", 1e-3), ("learning_rate", 1e-5), ("entropy_cost", 0.002)])
def test_members_start_where_a_run_would(name, rate):
    config = Config.of("unused", **{"learning_rate": "3e-3", "entropy_cost": "0.01", name: f"linear:{rate}:0:100%"})
    ranges, starts = ranges_of(config, PopulationConfig())
    assert starts[name] == rate
    assert ranges[name].low == pytest.approx(rate / 10)
    assert ranges[name].high > 2 * rate


def test_a_sample_is_one_episode_of_every_task():
    """Weighting by episodes would favour the task whose episodes are short."""
    assert score_samples(snapshot({"easy": [1, 0, 1, 1], "hard": [0, 0, 1, 0]}), SUITE, 4) == [50.0, 0.0, 100.0, 50.0]


def test_ancestry_follows_the_copies():
    def entry(round_, member, goes_on_as):
        return {"round": round_, "member": member, "goes_on_as": goes_on_as}

    lineage = [entry(0, 0, 0), entry(0, 1, 0), entry(1, 0, 1), entry(1, 1, 1), entry(2, 0, 0), entry(2, 1, 1)]
    assert [(e["round"], e["member"]) for e in ancestry(lineage, 0)] == [(0, 0), (1, 1), (2, 0)]


@pytest.fixture(scope="module")
def evolved(tiny, make_policy, tmp_path_factory) -> tuple[Config, Path]:
    """Six rounds of three members with a teacher, whose lambda falls over a horizon that evolves."""
    config = tiny(
        total_frames=384, teachers=(make_policy(),), score_window=2, schedule="linear:1:0.1:50%", learning_rate="cosine:1e-3:0:100%"
    )
    out = tmp_path_factory.mktemp("population") / "whole"
    run_population(config, replace(PBT, test="margin", margin=0.0, horizon_range="0.6:1"), out, console=QUIET)
    return config, out


def test_every_member_has_a_history_and_the_best_is_a_run(evolved):
    config, out = evolved
    lineage = json.loads((out / "lineage.json").read_text())
    assert [(e["round"], e["member"]) for e in lineage] == [(r, m) for r in range(6) for m in range(3)]
    assert len({json.dumps(e["values"]) for e in lineage}) > 3
    lines = [json.loads(line) for line in (out / "best" / "metrics.jsonl").read_text().splitlines()]
    assert [line["frames"] for line in lines] == list(range(32, 385, 32))  # an update each, two in a slice
    best = json.loads((out / "best" / "finished.json").read_text())["member"]
    path = ancestry(lineage, best)
    for line, entry in zip(lines, [entry for entry in path for _ in range(2)], strict=True):
        values, last_update = entry["values"], line["frames"] - 32
        fallen = 1 + (0.1 - 1) * min(1.0, last_update / (384 * values["horizon"]))
        assert line[f"lambda/{config.teaching.teachers[0]}"] == pytest.approx(values["alpha"] * values["rho/0"] * fallen)
        annealed = 0.5 * (1 + np.cos(np.pi * last_update / 384))
        assert line["learning_rate"] == pytest.approx(values["learning_rate"] * annealed)
    assert len({entry["values"]["horizon"] for entry in lineage}) > 3


def test_the_evolved_schedule_is_replayed(evolved, tmp_path):
    config, out = evolved
    schedule = out / "best" / "schedule.json"
    data = json.loads(schedule.read_text())
    assert data["frames"] == list(range(0, 384, 64))
    run(config.changed(schedule=str(schedule)), tmp_path / "replayed")
    evolved_lines, lines = (read_metrics(folder / "metrics.jsonl") for folder in (out / "best", tmp_path / "replayed"))
    replayed = {line["frames"]: line[f"lambda/{config.teaching.teachers[0]}"] for line in lines}
    assert len(set(replayed.values())) > 6
    for line in evolved_lines:
        assert line[f"lambda/{config.teaching.teachers[0]}"] == pytest.approx(replayed[line["frames"]])


def test_a_schedule_for_other_teachers_is_refused(evolved, make_policy, tmp_path):
    config, out = evolved
    other = config.changed(schedule=str(out / "best" / "schedule.json"), teachers=(make_policy(seed=5),))
    with pytest.raises(ValueError, match=r"is for teachers .* this run has"):
        run(other, tmp_path / "run")


def killed_population(config: Config, tmp_path: Path, mirror: Path | None = None) -> Path:
    """A population like `evolved` that was killed in its second round, or when a mirror had its first."""
    killed = tmp_path / "killed"
    job = tmp_path / "job.py"
    job.write_text(
        "import sys; from pathlib import Path; from dataclasses import replace; from rich.console import Console\n"
        "from kickstarting.population.run import *; from kickstarting.population.config import *\n"
        "from kickstarting.config import *; from kickstarting.runs.configuration import *\n"
        f"config = config_from_json({config.to_json()!r}); config = replace(config, name={config.name!r})\n"
        f"pbt = PopulationConfig(members=3, slice='64', burn_in='64', test='margin', margin=0.0, horizon_range='0.6:1')\n"
        f"run_population(config, pbt, Path({str(killed)!r}), console=Console(quiet=True), mirror={mirror and str(mirror)!r})\n"
    )
    there, said, number = (mirror, "*/manifest.json", 1) if mirror else (killed, "checkpoints", 2)
    kill_when([sys.executable, str(job)], lambda: any(_mentions(path, f"{number:08d}") for path in there.glob(said)))
    return killed


def _mentions(path: Path, name: str) -> bool:
    return name in path.read_text() if path.is_file() else (path / name).exists()


def test_a_killed_population_goes_on_from_its_mirror_to_the_same_bytes(evolved, tmp_path, kickstart):
    config, whole = evolved
    shutil.rmtree(killed_population(config, tmp_path, tmp_path / "shared"))  # the machine is gone
    kickstart("population", "--resume", tmp_path / "shared", "--out", tmp_path / "again")
    assert json.loads((whole / "lineage.json").read_text()) == json.loads((tmp_path / "again" / "lineage.json").read_text())
    for name in ("network.safetensors", "optimiser.safetensors"):
        a, b = (latest_checkpoint(out / "best") / name for out in (whole, tmp_path / "again"))
        assert a.read_bytes() == b.read_bytes()


def test_a_killed_population_resumes_to_the_same_bytes(evolved, tmp_path):
    config, whole = evolved
    killed = killed_population(config, tmp_path)
    assert not (killed / "best").exists()
    (killed / "lineage.json").write_text("[{")  # it is written anew from the checkpoint
    began_with = json.loads((killed / "population.json").read_text())
    began_with["versions"]["commit"] = "older"
    del began_with["self_sha256"]
    (killed / "population.json").write_text(signed_text(began_with))
    resume_population(killed, console=QUIET)
    assert json.loads((killed / "best" / "config.json").read_text())["versions"]["commit"] == "older"
    assert json.loads((whole / "lineage.json").read_text()) == json.loads((killed / "lineage.json").read_text())
    for name in ("network.safetensors", "optimiser.safetensors"):
        a, b = (latest_checkpoint(out / "best") / name for out in (whole, killed))
        assert a.read_bytes() == b.read_bytes()
    metrics = [
        [without_times(json.loads(line)) for line in (out / "best" / "metrics.jsonl").read_text().splitlines()]
        for out in (whole, killed)
    ]
    assert metrics[0] == metrics[1]
    with pytest.raises(ValueError, match="nothing to resume"):
        resume_population(killed, console=QUIET)


def test_members_that_train_in_processes_of_their_own_end_the_same(tiny, make_policy, tmp_path):
    """A slice is a function of its record, wherever it runs."""
    config, pbt = (
        tiny(total_frames=128, teachers=(make_policy(),), score_window=2),
        replace(PBT, members=2, test="margin", margin=0.0),
    )
    for name, backend in (("here", None), ("there", Processes(2))):
        run_population(config, pbt, tmp_path / name, console=QUIET, backend=backend)
    here, there = (
        (
            json.loads((out / "lineage.json").read_text()),
            [[without_times(line) for line in read_metrics(path)] for path in sorted(out.glob("members/*/metrics.jsonl"))],
            (latest_checkpoint(out / "best") / "network.safetensors").read_bytes(),
        )
        for out in (tmp_path / "here", tmp_path / "there")
    )
    assert here == there


def test_a_corrupt_population_is_refused(evolved):
    path = checkpoints(evolved[1] / "checkpoints")[-2]
    state = load_population(path)
    assert state.round == 5
    assert len(state.snapshots) == 3
    text = (path / "state.json").read_text()
    (path / "state.json").write_text(text.replace('"round": 5', '"round": 4', 1))
    with pytest.raises(CheckpointError, match="altered"):
        load_population(path)
    (path / "state.json").write_text(text)


@pytest.fixture
def unfinished(evolved, tmp_path) -> Path:
    """A copy of the population as it was when its last round but one was saved."""
    out = tmp_path / "unfinished"
    shutil.copytree(evolved[1], out)
    shutil.rmtree(out / "best")
    shutil.rmtree(checkpoints(out / "checkpoints")[-1])
    return out


def refused(out: Path, monkeypatch) -> str:
    """The one line with which resuming ends, before anything is trained or written."""
    monkeypatch.setattr("kickstarting.population.slices.train", lambda *_, **__: pytest.fail("training began"))
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    with pytest.raises(ValueError, match=r"\w") as error:
        resume_population(out, console=QUIET)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert "\n" not in str(error.value)
    return str(error.value)


def put(data: dict, dotted: str, value: object) -> None:
    """Set a nested key; None takes it away."""
    *parents, last = dotted.split(".")
    for name in parents:
        data = data[name]
    if value is None:
        del data[last]
    else:
        data[last] = value


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("population.members", 4, ["3 members", "says 4"]),
        ("population.patience", 3, ["patience", "does not fit"]),
        ("config.patience", 3, ["patience", "does not fit"]),
        ("population.members", "three", ["three|'str'", "was altered"]),
        ("population.alpha_range", "0.001:2:3", ["starts at 3", "0.001 to 2"]),
        ("population.slice", "often", ["often"]),
        ("config.teaching.teachers", [], ["rho/0", "entropy_cost, learning_rate"]),
        ("config.network_options", ["hidden=9"], ["member 0", "of shape", "the network has shape"]),
        ("teacher_scores", None, ["lacks 'teacher_scores'"]),
    ],
)
def test_an_altered_configuration_is_refused(unfinished, monkeypatch, key, value, words):
    path = unfinished / "population.json"
    data = json.loads(path.read_text())
    put(data, key, value)
    del data["self_sha256"]
    path.write_text(signed_text(data))  # as its writer would have
    message = refused(unfinished, monkeypatch)
    assert all(re.search(word, message) for word in words), message


def test_an_edited_configuration_is_refused(unfinished, monkeypatch):
    path = unfinished / "population.json"
    path.write_text(path.read_text().replace('"members": 3', '"members": 4'))
    assert "its SHA-256 differs" in refused(unfinished, monkeypatch)


def test_a_truncated_configuration_is_refused(unfinished, monkeypatch):
    path = unfinished / "population.json"
    path.write_text(path.read_text()[:100])
    assert re.search("population.json is damaged.*restore the file", refused(unfinished, monkeypatch))


def test_a_damaged_checkpoint_names_the_round_to_fall_back_to(evolved, tmp_path, monkeypatch):
    out = tmp_path / "damaged"
    shutil.copytree(evolved[1], out)
    shutil.rmtree(out / "best")
    older, newest = checkpoints(out / "checkpoints")
    weights = next((newest / "member-01").glob("*/network.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    for damage in (lambda: None, lambda: shutil.rmtree(newest / "member-01"), lambda: (newest / "state.json").write_text("{")):
        damage()
        assert f"remove {newest} to fall back to {older.name}" in refused(out, monkeypatch)
    shutil.rmtree(newest)
    monkeypatch.undo()
    resume_population(out, console=QUIET)
    assert (out / "lineage.json").read_bytes() == (evolved[1] / "lineage.json").read_bytes()


def test_lost_metrics_of_a_member_are_found_before_the_work(unfinished, monkeypatch):
    (unfinished / "members" / "02" / "metrics.jsonl").unlink()
    assert re.search(r"02/metrics.jsonl ends at 0 frames, the checkpoint is at 320", refused(unfinished, monkeypatch))


@pytest.mark.parametrize(
    ("text", "message"),
    [("2:1", "LOW <= HIGH"), ("0:1", "0 < LOW"), ("1", "LOW:HIGH"), ("a:b", "LOW:HIGH"), ("0.1:1:2", "outside its range 0.1 to 1")],
)
def test_bad_ranges(text, message):
    with pytest.raises(ValueError, match=message):
        parse_range("alpha", text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": 1}, "at least 2"),
        ({"test": "f"}, "welch, margin"),
        ({"slice": "often"}, "slice: 'often'"),
        ({"burn_in": "0%"}, "burn_in: '0%'"),
        ({"horizon_range": "1:0.1"}, "horizon_range '1:0.1': a range is 0 < LOW"),
        ({"schedule": "best/schedule.json"}, "evolves a schedule of its own"),
        ({"learning_rate": "step:0:1e-3:5%"}, "learning_rate 'step:0:1e-3:5%' starts at 0"),
    ],
)
def test_bad_populations(tiny, make_policy, tmp_path, changes, message):
    own = {name: value for name, value in changes.items() if hasattr(PBT, name)}
    others = {name: value for name, value in changes.items() if name not in own}
    with pytest.raises(ValueError, match=message):
        run_population(tiny(teachers=(make_policy(),), **others), replace(PBT, **own), tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out").exists()


def test_a_population_does_not_overwrite_another(evolved, tiny):
    with pytest.raises(ValueError, match="already holds a population"):
        run_population(tiny(), PBT, evolved[1], console=QUIET)


def test_a_population_is_compared_by_its_best_member_and_shown_with_its_lineage(evolved):
    config, out = evolved
    comparison = compare_runs([out], out=None, bootstrap=50)
    assert [run.directory for run in comparison.runs] == ["whole/best"]
    (lineage,) = comparison.lineages
    assert lineage.ancestry[-1] == json.loads((out / "best" / "finished.json").read_text())["member"]
    (teacher,) = config.teaching.teachers
    assert set(lineage.values) == {
        "alpha",
        "horizon",
        "learning_rate",
        "entropy_cost",
        f"rho of {Path(str(teacher)).name}",
    }


def test_a_slice_shorter_than_an_update_is_one_update(tiny, tmp_path):
    """There are then fewer rounds than slices in the budget."""
    run_population(tiny(total_frames=128), replace(PBT, members=2, slice="10"), tmp_path / "out", console=QUIET)
    lineage = json.loads((tmp_path / "out" / "lineage.json").read_text())
    assert [e["frames"] for e in lineage if e["member"] == 0] == [32, 64, 96, 128]


def test_teachers_act_in_every_members_slices(tiny, make_policy, tmp_path):
    """By the schedule of the whole run: 1 in the first slice, 0 in the second, and seeds of its own for each member."""
    config = tiny(total_frames=64, teachers=(make_policy(),), teacher_acts="step:1:0:50%")
    run_population(config, replace(PBT, members=2, slice="32"), tmp_path / "out", console=QUIET)
    for member in ("00", "01"):
        lines = (tmp_path / "out" / "members" / member / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["teacher_acts"] for line in lines] == [0.5, 0.0]


def test_samples_have_the_windows_length():
    assert np.shape(score_samples(snapshot(GOOD), SUITE, 4)) == (4,)
    assert score_samples(snapshot(GOOD), SUITE, 5) == []
