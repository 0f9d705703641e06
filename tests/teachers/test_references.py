"""`[PATTERN=]REF`: one parser, one way to name, and pins that hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kickstarting.config import Config
from kickstarting.runs.configuration import read_config
from kickstarting.runs.run import resume, run
from kickstarting.teachers import Reference, build_teachers, load_teacher, parse_reference, pinned
from kickstarting.teachers.origins import ORIGINS, digest
from kickstarting.teachers.references import PREFIXES, names_of, split_options
from kickstarting.trust import CODE, PICKLE, check_format, trust


@pytest.mark.parametrize(
    ("entry", "pattern", "ref"),
    [
        ("runs/teacher", "*", "runs/teacher"),
        ("zoo:grid-8-small", "*", "zoo:grid-8-small"),
        ("door_*=zoo:grid-8-small", "door_*", "zoo:grid-8-small"),
        ("ALE/Pong-v5=zoo:pong", "ALE/Pong-v5", "zoo:pong"),
        ("runs/lr=3/teacher", "*", "runs/lr=3/teacher"),
        ("t_maze:TMaze-v0=runs/maze", "t_maze:TMaze-v0", "runs/maze"),
        ("run:sweeps/lr=3/teacher", "*", "run:sweeps/lr=3/teacher"),
        ("easy=run:sweeps/lr=3/teacher", "easy", "run:sweeps/lr=3/teacher"),
        ("easy=sweeps/lr=3", "easy", "sweeps/lr=3"),
    ],
)
def test_what_is_written_is_read(entry: str, pattern: str, ref: str) -> None:
    reference = parse_reference(entry)
    assert (reference.pattern, reference.ref) == (pattern, ref)
    assert parse_reference(str(reference)) == reference
    assert parse_reference(json.loads(json.dumps(reference.to_json()))) == reference


def test_what_exists_is_a_path_whatever_it_contains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr=3").mkdir()
    assert parse_reference("lr=3") == Reference("lr=3")
    assert parse_reference("lr=4") == Reference("4", "lr")
    assert parse_reference("easy=lr=3") == Reference("lr=3", "easy")
    assert parse_reference("ALE/Pong-v5=lr=3") == Reference("lr=3", "ALE/Pong-v5")


def test_names_tell_teachers_apart() -> None:
    references = [Reference("a"), Reference("b", "x*"), Reference("b", "y*")]
    assert names_of(references) == ["a", "x*=b", "y*=b"]


def test_every_prefix_has_an_origin(make_policy) -> None:
    """And each origin has what the registry promises."""
    assert set(ORIGINS) == set(PREFIXES)
    ref = make_policy()
    assert ORIGINS["run"].recognises(Path(ref))
    assert not ORIGINS["run"].recognises(Path(ref).parent)
    assert digest(ref) == digest(f"run:{ref}")
    for known in (ref, f"run:{ref}", "zoo:grid-8-small"):
        teacher = load_teacher(known)
        assert teacher.ref == known
        assert len(digest(known)) == 64
    with pytest.raises(ValueError, match="did you mean grid-8-small"):
        load_teacher("zoo:grid-8-smal")


def test_a_digest_is_of_what_the_teacher_says(make_policy) -> None:
    """The same weights elsewhere, with another score in the record, have the same one; other weights another."""
    same, scored, other = make_policy(), make_policy(task_scores={"object": 3.0}), make_policy(seed=7)
    assert digest(same) == digest(scored) != digest(other)


def test_another_teacher_behind_the_path_is_refused(tiny, suite, make_policy, tmp_path: Path) -> None:
    """When a run resumes, which knows by config.json what it began with, and when teachers are built."""
    teacher, out = tmp_path / "teacher", tmp_path / "run"
    shutil.copytree(make_policy(), teacher)
    run(tiny(teachers=(f"obj*={teacher}",), checkpoint_every="50%"), out)
    saved = json.loads((out / "config.json").read_text())["teaching"]["teachers"]
    assert saved == [{"ref": str(teacher), "pattern": "obj*", "adapters": [], "sha256": digest(str(teacher)), "path": str(teacher)}]
    (out / "finished.json").unlink()
    shutil.rmtree(out / "checkpoints" / "00000002")
    shutil.rmtree(teacher)
    shutil.copytree(make_policy(seed=7), teacher)
    with pytest.raises(ValueError, match=r"has SHA-256 .*, but this run began with .*; put back the teacher"):
        resume(out)
    shutil.rmtree(teacher)
    shutil.copytree(make_policy(), teacher)
    resume(out)
    assert read_config(out / "config.json").teaching.references == pinned([Reference(str(teacher), "obj*")])


def test_two_pinned_references_of_one_teacher_are_loaded_once(suite, student_env, make_policy) -> None:
    ref = make_policy()
    references = pinned([Reference(ref, "obj*"), Reference(ref, "obstacles")])
    teachers = build_teachers(references, ["object", "obstacles"], student_env.spaces, student_env.task_of_column)
    assert teachers.assignments[0].teacher is teachers.assignments[1].teacher


def test_options_stand_behind_a_reference(make_policy, tmp_path: Path) -> None:
    assert split_options("module:agents:Agent?weights=a%26b.pt&output=x=y") == (
        "module:agents:Agent",
        {"weights": "a&b.pt", "output": "x=y"},
    )
    there = tmp_path / "what?a=b"
    there.mkdir()
    assert split_options(str(there)) == (str(there), {})
    for wrong in ("ref?", "ref?a", "ref?a=", "ref?a=1&a=2", "ref?=1"):
        with pytest.raises(ValueError, match="OPTION=VALUE"):
            split_options(wrong)
    with pytest.raises(ValueError, match="run: has no option 'epsilon'"):
        load_teacher(f"{make_policy()}?epsilon=1")


@pytest.mark.parametrize("kind", [PICKLE, CODE])
def test_a_file_that_can_run_code_needs_trust(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kickstarting.trust._trusted", set())
    with pytest.raises(ValueError, match=f"agent.zip is one; it can do anything; .* give --trust-{kind.strip('<>')}"):
        check_format(kind, "agent.zip is one", "it can do anything")
    trust(Config.of(trust_pickle=kind == PICKLE, trust_code=kind == CODE).trusted_modules)
    check_format(kind, "agent.zip is one", "it can do anything")
    assert not any("trust" in name for name in Config.of(trust_pickle=True).to_json())
