"""The zoo: every teacher that the package ships loads, and its card, its numbers and the documentation say the same of it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tyro

from kickstarting import Config, load_suite, load_teacher
from kickstarting.evaluate import evaluate_ref
from kickstarting.help import flowing_help
from kickstarting.reproduce.lab import SCALES
from kickstarting.runs.exported import ExportDirectory
from kickstarting.teachers.origins import zoo

ROOT = Path(__file__).parents[2]
NAMES = zoo.names()
TASKS = SCALES["cpu"].tasks
EXPERTS = [name for name in NAMES if name in TASKS]
LARGEST, LARGEST_TOGETHER = 500_000, 4_000_000


def files(name: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """config.json, results.json and the card."""
    folder = ExportDirectory(zoo.find(name))
    return json.loads(folder.config.read_text()), json.loads(folder.results.read_text()), folder.card.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_and_its_card_says_what_its_files_say(name):
    config, results, card = files(name)
    assert load_teacher(f"zoo:{name}").ref == f"zoo:{name}"
    tasks = results["tasks"]
    assert [task["task"] for task in tasks] == [task.name for task in load_suite(config["suite"]).tasks]
    assert f"# {name}\n" in card
    assert f"{config['frames']:,} frames" in card
    assert f"{results['n_eval_episodes']} episodes of each task, seed {results['seed']}" in card
    for task in tasks:
        assert f"| {task['score']:.1f} ± {1.96 * task['score_error']:.1f} |" in card
    assert results["score"] == pytest.approx(np.mean([task["score"] for task in tasks]))
    low, high = results["score_interval"]
    assert 0 < low <= results["score"] <= high, "it has learned nothing"
    assert config["training"]["command"] in card
    assert f"Seed {config['training']['seed']}, " in card


@pytest.mark.parametrize("name", NAMES)
def test_its_command_trains_what_it_is(name):
    config, _, _ = files(name)
    program, script, *words = shlex.split(config["training"]["command"])
    if program != "kickstart":
        assert not words
        assert (ROOT / script).is_file()
        return
    with flowing_help():  # tyro keeps the docstrings that it has read once
        again = tyro.cli(tyro.conf.OmitArgPrefixes[Config], args=words)
    again.check()
    assert (again.suite, again.seed) == (config["suite"], config["training"]["seed"])
    assert again.total_frames <= config["frames"] < 1.1 * again.total_frames
    assert [str(teacher) for teacher in again.teaching.references] == config["training"]["teachers"]
    for teacher in again.teaching.references:
        load_teacher(teacher.ref)


def test_there_are_experts_and_teachers_of_several_tasks():
    assert set(NAMES) <= {"grid-8-small", "grid-10-small", *TASKS}
    assert "grid-8-small" in NAMES
    for name in NAMES:
        tasks = [task["name"] for task in files(name)[0]["tasks"]]
        assert tasks == [name] or sorted(tasks) == sorted(TASKS) or name == "grid-8-small"


def test_it_is_small():
    sizes = [sum(file.stat().st_size for file in zoo.find(name).iterdir()) for name in NAMES]
    assert max(sizes) < LARGEST
    assert sum(sizes) < LARGEST_TOGETHER


@pytest.mark.parametrize("name", EXPERTS[:1])
def test_an_expert_plays_as_its_card_says(name):
    """Another seed, and few episodes: four standard errors of both."""
    (result,) = evaluate_ref(f"zoo:{name}", f"grid-30:{name}", episodes=32, seed=5)
    task = files(name)[1]["tasks"][0]
    assert abs(result.score - task["score"]) <= 4 * (result.score_error + task["score_error"]) + 1


def test_names_are_listed_and_a_wrong_one_is_told_the_nearest(kickstart):
    listed = kickstart("suites")
    documented = (ROOT / "docs" / "zoo.md").read_text()
    for name in NAMES:
        config, results, _ = files(name)
        low, high = results["score_interval"]
        assert f"zoo:{name} " in listed
        assert f"| `zoo:{name}` | {config['frames']:,} | {results['score']:.1f} ({low:.1f} to {high:.1f}) |" in documented
    with pytest.raises(ValueError, match="did you mean grid-8-small"):
        load_teacher("zoo:grid-8-smal")
    with pytest.raises(ValueError, match=r"known: .*grid-8-small"):
        load_teacher("zoo:xyzzy")
