"""Recipes: what is written is read again, what does not fit is named in one line, and the command line is never overruled."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tyro

from kickstarting import Config, LearnerConfig, cli
from kickstarting.help import flowing_help
from kickstarting.runs.files import FileError
from kickstarting.settings import changed
from kickstarting.tuning.recipe import (
    OF_THE_RUN,
    Recipe,
    apply,
    builtin_recipes,
    differing,
    read_recipe,
    settings,
    words,
    write_recipe,
)

OPTIONS = {"learning_rate": "linear:1e-3:1e-4:100%", "unroll_length": 7, "minibatches": 2, "discount": 0.5}


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_what_is_written_is_read_and_applied(tmp_path):
    found = {
        "suite": 'a "quoted" \\ näme',
        "score": 12.5,
        "seeds": [0, 1],
        "passed": True,
        "versions": {"torch": "2.6", "a b": "1"},
    }
    write_recipe(tmp_path / "recipe.toml", OPTIONS, found)
    recipe = read_recipe(tmp_path / "recipe.toml")
    assert recipe == Recipe(tmp_path / "recipe.toml", OPTIONS, found)
    config = apply(Config("grid-8:two_rooms", seed=3), recipe)
    assert (config.suite, config.seed, config.learning.learning_rate, config.learning.unroll_length) == (
        "grid-8:two_rooms",
        3,
        OPTIONS["learning_rate"],
        7,
    )
    assert config.learning.learner == changed(LearnerConfig(), {"minibatches": 2, "discount": 0.5})
    assert differing(config) == OPTIONS


def test_a_recipe_without_options_changes_nothing(tmp_path):
    write_recipe(tmp_path / "recipe.toml", {}, {})
    assert apply(Config("CartPole-v1"), read_recipe(tmp_path / "recipe.toml")) == Config("CartPole-v1")
    assert read_recipe(written(tmp_path / "bare.toml", "format = 1\n")).options == {}


def test_numbers_may_be_written_for_schedules_and_floats(tmp_path):
    path = written(tmp_path / "r.toml", "format = 1\n[options]\nlearning_rate = 0.002\ndiscount = 1\nentropy_cost = 0\n")
    assert read_recipe(path).options == {"learning_rate": "0.002", "discount": 1.0, "entropy_cost": "0"}


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("[options]\n", r"has no format, this version reads format 1; write format = 1"),
        ("format = 2\n", r"has format 2, this version reads format 1.*version that wrote it"),
        ("format = 1\nlearning_rate = 1\n", r"no 'learning_rate' beside.*under \[options\]"),
        ("format = 1\n[option]\n", r"no 'option'.*did you mean options"),
        ("format = 1\noptions = 3\n", r"options is 3; it must be a table: write \[options\]"),
        ("format 1\n", r"is no TOML: .*KEY = VALUE under \[options\]"),
        ("format = 1\n[options]\nlearning_rat = 1\n", r"no setting 'learning_rat'; did you mean learning_rate"),
        ("format = 1\n[options]\nlearning-rate = 1\n", r"did you mean learning_rate"),
        ("format = 1\n[options]\nminibatches = 'two'\n", r"minibatches is 'two' \(str\); it must be int, as \d"),
        ("format = 1\n[options]\nminibatches = true\n", r"minibatches is True \(bool\)"),
        ("format = 1\n[options]\nminibatches = 2.0\n", r"minibatches is 2.0 \(float\)"),
        (
            "format = 1\n[options]\nlearning_rate = true\n",
            r"learning_rate is True \(bool\); it must be a number or a schedule, as '",
        ),
        ("format = 1\n[options]\nreward_clip = 1\n", r"reward_clip is 1 \(int\); it must be str, as 'none'"),
        *(
            (f"format = 1\n[options]\n{name} = 1\n", rf"{name} = 1 says what is trained or where.*take it out.*on the command line")
            for name in (*OF_THE_RUN, "out", "threads", "frames", "teacher")
        ),
    ],
)
def test_what_is_no_recipe(tmp_path, text, pattern):
    path = written(tmp_path / "r.toml", text)
    with pytest.raises(ValueError, match=pattern) as error:
        read_recipe(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"missing.toml cannot be read: No such file.*kickstart tune"):
        read_recipe(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"binary.toml is no TOML"):
        read_recipe(tmp_path / "binary.toml")


def test_a_recipe_does_not_overrule_what_was_given():
    recipe = Recipe(Path("r.toml"), {"learning_rate": "linear:1e-3:0:100%", "minibatches": 2})
    given = Config.of("x", learning_rate="linear:0.001:0:1M", total_frames=1_000_000)
    assert apply(given, recipe).learning.learner.minibatches == 2  # another spelling of the same
    for config, pattern in (
        (replace(given, total_frames=2_000_000), r"says learning_rate = '.*100%', but '.*1M' was given; leave out --learning-rate"),
        (Config.of("x", minibatches=8), r"r.toml says minibatches = 2, but 8 was given"),
    ):
        with pytest.raises(ValueError, match=pattern):
            apply(config, recipe)


def test_what_cannot_work_together_is_said_with_the_file():
    with pytest.raises(ValueError, match=r"with r.toml: teacher_acts is '0.5', but there is no teacher.*change the recipe"):
        apply(Config("x"), Recipe(Path("r.toml"), {"teacher_acts": "0.5"}))
    with pytest.raises(ValueError, match=r"^total_frames is 0"):  # not the recipe's fault
        apply(Config("x", total_frames=0), Recipe(Path("r.toml"), {"minibatches": 8}))


def test_words_are_the_command_line_of_a_configuration():
    config = Config.of(
        "x",
        network_options=("lstm=8", "channels=(4, 8)"),
        teachers=("a=b", "c"),
        teacher_shares=(1.0, 0.5),
        overlap=True,
        total_frames=5000,
        learning_rate="1e-3",
        minibatches=2,
        epsilon=1e-5,
    )
    names = [*settings(config), *OF_THE_RUN[1:]]
    with flowing_help():  # tyro keeps the docstrings that it has read once
        assert tyro.cli(tyro.conf.OmitArgPrefixes[Config], args=["x", *words(config, names)]) == config
    assert words(Config("x"), names) == []


def test_train_and_population_take_a_recipe_but_not_to_resume(suite, tmp_path, monkeypatch):
    path = written(tmp_path / "r.toml", "format = 1\n[options]\nunroll_length = 8\nenvs_per_task = 2\nentropy_cost = 0.5\n")

    def kickstart(*arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["kickstart", *map(str, arguments)])
        cli.main()

    quick = ("--network", "small", "--torch-threads", 1, "--recipe", path)
    kickstart("train", suite, "--frames", 64, "--out", tmp_path / "run", *quick)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["learning"]["entropy_cost"] == "0.5"
    kickstart("population", suite, "--frames", 64, "--members", 2, "--slice", "100%", "--out", tmp_path / "population", *quick)
    assert json.loads((tmp_path / "population" / "population.json").read_text())["config"]["learning"]["unroll_length"] == 8
    for arguments, pattern in (
        (("train", "--resume", tmp_path / "run", "--recipe", path), "leave out recipe"),
        (("population", "--resume", tmp_path / "population", "--recipe", path), "leave out recipe"),
        (("train", suite, "--recipe", path, "--entropy-cost", "0.1"), r"says entropy_cost = '0.5', but '0.1' was given"),
    ):
        with pytest.raises(SystemExit) as stop:
            kickstart(*arguments)
        assert re.search(pattern, str(stop.value.code))


@pytest.mark.parametrize("name", builtin_recipes())
def test_recipes_of_the_package_are_read_by_name(name: str) -> None:
    recipe = read_recipe(Path(name))
    assert recipe.options
    usual = settings(Config("Pendulum-v1").as_usual())
    assert differing(apply(Config("Pendulum-v1"), recipe)) == {k: v for k, v in recipe.options.items() if usual[k] != v}


def test_a_name_that_is_no_recipe_says_which_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=r"mujuco.*or one of: .*mujoco"):
        read_recipe(Path("mujuco"))
