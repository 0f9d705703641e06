"""A run is bound to its inputs: its configuration is signed, what it reads is pinned, and files do not choose what is imported."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console

from kickstarting import Config, load_suite, load_teacher
from kickstarting.population.config import PopulationConfig
from kickstarting.population.run import run_population
from kickstarting.runs.checkpoint import CheckpointError, latest_checkpoint
from kickstarting.runs.configuration import read_config, read_run_file
from kickstarting.runs.files import FileError, signed_text
from kickstarting.runs.run import resume, run
from resuming import history_of


def interrupted(config: Config, out: Path) -> Path:
    """A run as a kill after its first checkpoint leaves it."""
    run(config, out)
    (out / "finished.json").unlink()
    shutil.rmtree(latest_checkpoint(out))
    return out


def test_an_edited_suite_is_refused_and_the_original_welcome(tiny, suite, tmp_path):
    mine = tmp_path / "mine.toml"
    shutil.copy(suite, mine)
    out = interrupted(tiny(suite=str(mine), checkpoint_every="128"), tmp_path / "run")
    mine.write_text(mine.read_text().replace("reference = 0.9", "reference = 0.11"))
    with pytest.raises(ValueError, match=r"the suite .*mine.toml has SHA-256 .*, but this run began with .*put back the file"):
        resume(out)
    mine.unlink()
    with pytest.raises(FileError, match=r"mine.toml cannot be read: No such file"):
        resume(out)
    shutil.copy(suite, mine)
    resume(out)


def test_a_run_resumes_wherever_its_resumer_stands(tiny, suite, make_policy, tmp_path, monkeypatch):
    shutil.copy(suite, tmp_path / "mine.toml")
    shutil.copytree(make_policy(), tmp_path / "teacher")
    (tmp_path / "schedule.json").write_text(json.dumps({"frames": [0], "teachers": {"teacher": ["constant:1"]}}))
    monkeypatch.chdir(tmp_path)
    config = tiny(suite="mine.toml:obj*", teachers=("teacher",), schedule="schedule.json", checkpoint_every="64")
    out = interrupted(config, tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    resume(Path("..") / "run")
    saved = read_config(out / "config.json")
    assert saved.suite == f"{tmp_path / 'mine.toml'}:obj*"
    assert saved.teaching.references[0].path == str(tmp_path / "teacher")
    (out / "finished.json").unlink()
    schedule = tmp_path / "schedule.json"
    schedule.write_text(schedule.read_text().replace("constant:1", "constant:2"))
    with pytest.raises(ValueError, match=r"the schedule .* has SHA-256"):
        resume(out)


def test_every_flipped_bit_of_a_configuration_is_seen(tiny, tmp_path):
    run(tiny(total_frames=32), tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    whole, read = path.read_bytes(), read_config(path)
    rng = random.Random(0)
    bits = [rng.randrange(8 * len(whole)) for _ in range(400)]
    for bit in bits:
        path.write_bytes(whole[: bit // 8] + bytes([whole[bit // 8] ^ 1 << bit % 8]) + whole[bit // 8 + 1 :])
        with contextlib.suppress(ValueError):
            assert read_config(path) == read  # of blanks between the numbers
    path.write_bytes(whole)


def test_a_signature_that_was_cut_out_is_missed(tiny, tmp_path):
    run(tiny(total_frames=32), tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    data = json.loads(path.read_text())
    del data["self_sha256"]
    path.write_text(json.dumps({**data, "seed": 5}))
    with pytest.raises(FileError, match=r"its SHA-256 is missing; restore the file"):
        read_config(path)


def test_edited_scores_of_teachers_are_refused(tiny, make_policy, tmp_path):
    out = interrupted(tiny(teachers=(make_policy(),), checkpoint_every="64"), tmp_path / "run")
    path = out / "teacher_scores.json"
    path.write_text(path.read_text().replace('"episodes": 64', '"episodes": 65'))
    with pytest.raises(FileError, match=r"teacher_scores.json is damaged or was altered"):
        resume(out)
    path.unlink()
    with pytest.raises(FileError, match=r"teacher_scores.json cannot be read"):
        resume(out)


def test_a_lower_learning_rate_is_taken_and_recorded(tiny, tmp_path):
    out = interrupted(tiny(checkpoint_every="64", learning_rate="linear:3e-3:1e-3:100%"), tmp_path / "run")
    for higher in ("4e-3", "linear:1e-3:2e-3:100%"):
        with pytest.raises(ValueError, match=r"is above the run's 'linear:3e-3:1e-3:100%'"):
            resume(out, learning_rate=higher)
    with pytest.raises(ValueError, match=r"not a number|unknown schedule"):
        resume(out, learning_rate="fast")
    before = read_run_file(out / "config.json")
    resume(out, learning_rate="5e-4", environment_timeout=900.0)
    after = read_run_file(out / "config.json")
    assert after["learning"].pop("learning_rate") == "5e-4"
    assert after["machine"].pop("environment_timeout") == 900.0
    before["learning"].pop("learning_rate")
    before["machine"].pop("environment_timeout")
    assert after == before
    resumed = [line for line in history_of(out) if line["event"] == "resumed"]
    assert [(line["frames"], line["learning_rate"]) for line in resumed] == [(192, "5e-4")]


EVIL = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"
NETWORK = EVIL + "from kickstarting.networks.agent import Agent as Net\n"


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A package that leaves a trace when it is imported, on the path."""
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "__init__.py").write_text("")
    (tmp_path / "evil" / "payload.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("kickstarting.trust._trusted", set())
    yield tmp_path / "evil" / "ran"
    for name in ("evil", "evil.payload"):
        sys.modules.pop(name, None)


def renamed(path: Path, network: str) -> None:
    """Let a signed file name another network, as its writer could have."""
    data = json.loads(path.read_text())
    data.pop("self_sha256")
    if "record" in data:
        data["record"]["spec"]["name"] = network
    else:
        data["network"] = network
    path.write_text(signed_text(data))


def test_a_checkpoint_does_not_choose_what_is_imported(tiny, make_policy, tmp_path, evil):
    teacher = Path(make_policy())
    renamed(latest_checkpoint(teacher) / "state.json", "evil.payload:Net")
    with pytest.raises(ValueError, match=r"names evil.payload:Net, .* give --trust-module evil.payload"):
        load_teacher(str(teacher))
    with pytest.raises(ValueError, match=r"--trust-module evil.payload"):
        run(tiny(teachers=(str(teacher),)), tmp_path / "run")
    assert not evil.exists()
    run(tiny(teachers=(str(teacher),), total_frames=32, trust_modules=("evil",)), tmp_path / "run")
    assert evil.exists()


def test_neither_does_a_configuration(tiny, tmp_path, evil):
    options = {"network": "evil.payload:Net", "network_options": ("hidden=8", "lstm=8", "channels=(4, 8)")}
    out = interrupted(tiny(checkpoint_every="64", **options), tmp_path / "run")  # whoever writes it names the module
    evil.unlink()
    for name in ("evil", "evil.payload"):
        sys.modules.pop(name, None)
    __import__("kickstarting.trust").trust._trusted.clear()
    with pytest.raises(ValueError, match=r"config.json.* names evil.payload:Net"):
        resume(out)
    assert not evil.exists()
    resume(out, trust_modules=("evil.payload",))
    assert evil.exists()
    assert read_config(out / "config.json").trusting.trust_modules == ()


@pytest.mark.parametrize("backend", ["gymnasium", "gymnasium-async", "gymnasium-vector"])
def test_neither_does_a_suite(tmp_path, evil, backend):
    suite = tmp_path / "suite.toml"
    suite.write_text(f'[[task]]\nenv_id = "evil.payload:Env-v0"\nbackend = "{backend}"\n')
    with pytest.raises(ValueError, match=r"suite.toml names evil.payload:Env-v0, .*--trust-module evil.payload"):
        load_suite(str(suite))
    assert not evil.exists()


def test_a_population_names_its_modules_too(tiny, tmp_path, evil):
    pbt = PopulationConfig(members=2, slice="50%", burn_in="50%")
    run_population(tiny(total_frames=64), pbt, tmp_path / "population", console=Console(quiet=True))
    path = tmp_path / "population" / "population.json"
    data = json.loads(path.read_text())
    data.pop("self_sha256")
    data["config"]["network"] = "evil.payload:Net"
    path.write_text(signed_text(data))
    shutil.rmtree(tmp_path / "population" / "best")
    from kickstarting.population.run import resume_population

    with pytest.raises(ValueError, match=r"population.json.* names evil.payload:Net"):
        resume_population(tmp_path / "population", console=Console(quiet=True))
    assert not evil.exists()


def test_a_damaged_checkpoint_is_no_traceback(tiny, tmp_path):
    out = interrupted(tiny(checkpoint_every="64"), tmp_path / "run")
    state = latest_checkpoint(out) / "state.json"
    data = json.loads(state.read_text())
    data.pop("self_sha256")
    for broken in (
        {**data, "record": {}},
        {**data, "record": None},
        {**data, "sha256": None},
        {"format": 1},
        {**data, "number": "x"},
    ):
        state.write_text(signed_text(broken))
        with pytest.raises(CheckpointError, match=r"remove .* to fall back|damaged"):
            resume(out)
