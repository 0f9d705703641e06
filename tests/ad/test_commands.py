"""`kickstart ad`: from histories to a model that is seen to learn, and one clear line for what a user can mend."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from kickstarting.ad.collect import CollectConfig
from kickstarting.ad.commands import COMMANDS
from kickstarting.ad.demo import SHIPPED
from kickstarting.ad.evaluation import evaluate_in_context
from kickstarting.ad.saved import TrainConfig, load_model
from kickstarting.ad.tasks import FAMILIES
from kickstarting.ranges import Range, bare, declarations, hints_of
from kickstarting.runs.layout import HISTORIES

QUICK = ("--updates", 2, "--batch", 2, "--episodes", 2, "--threads", 1, "--width", 16, "--heads", 1, "--layers", 1)


@pytest.fixture
def error(kickstart) -> Callable[..., str]:
    def call(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            kickstart(*arguments)
        assert isinstance(stop.value.code, str)
        assert "\n" not in stop.value.code
        return stop.value.code

    return call


def test_the_whole_way(kickstart, error, tmp_path):
    histories = tmp_path / "histories"
    said = kickstart("ad", "collect", "dark-room", "--source", "noise", "--histories", 20, "--episodes", 6, "--out", histories)
    assert "20 histories" in said
    table = kickstart("ad", "histories", histories, "--out", tmp_path / "curve.png")
    assert "20 of 20 tasks" in table
    assert "2,400" in table
    assert (tmp_path / "curve.png").exists()
    kickstart("ad", "train", histories, *QUICK)
    model = histories / "model-0"
    assert load_model(model).config.updates == 2
    table = kickstart("ad", "evaluate", model, "--episodes", 3, "--part", "validation", "--out", tmp_path / "out")
    assert "source: noise" in table
    numbers = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert len(numbers["results"]["in context (sample)"]["curve"]) == 3
    assert "finished" in error("ad", "train", "--resume", model)


def test_torn_histories_are_read_and_it_is_said(kickstart, histories, tmp_path):
    whole = (histories / HISTORIES).read_bytes()
    (tmp_path / HISTORIES).write_bytes(whole + whole[-400:-8])
    assert "bytes are torn" in kickstart("ad", "histories", tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("collect", "dark-rom"), "dark-room"),
        (("collect", "--source", "sarsa"), "source is 'sarsa'"),
        (("collect", "--source", "ucb"), "ucb is for bandits"),
        (("collect", "--histories", 0), "histories is 0"),
        (("collect", "--tasks", 61), "has 60 for training"),
        (("collect", "--episodes", 3, "--every", 4), "every is 4, of 3 episodes"),
        (("train",), "name a directory of histories, or give --resume"),
        (("train", "nowhere"), "there are no histories at nowhere"),
        (("train", "nowhere", "--paper", "--width", 16), "leave out --paper"),
        (("train", "--resume", "nowhere"), "no model at nowhere"),
        (("evaluate", "nowhere"), "no model at nowhere"),
        (("evaluate", "nowhere", "--part", "all"), "part is 'all'"),
        (("evaluate", "nowhere", "--episodes", 0), "episodes is 0"),
        (("histories", "nowhere"), "there are no histories"),
        (("demo", "--episodes", 0), "episodes is 0"),
        (("demo", "--out", ""), "out is ''"),
        (("collect", "--out", ""), "out is ''"),
        (("histories", ""), "directory is ''"),
    ],
)
def test_refused_in_one_line_before_work(error, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in error("ad", *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(kickstart, capsys, command):
    with pytest.raises(SystemExit) as stop:
        kickstart("ad", *command.split(), "--help")
    assert stop.value.code == 0
    assert "usage: kickstart ad" in capsys.readouterr().out


def numbers_in(hint: object) -> bool:
    return bare(hint) in (int, float)


def test_every_number_has_a_range():
    settings = [hints_of(kind) for kind in (CollectConfig, TrainConfig, *COMMANDS.values(), bare(hints_of(TrainConfig)["model"]))]
    for hints in settings:
        for name, hint in hints.items():
            if numbers_in(hint):
                assert any(isinstance(declared, Range) for declared in declarations(hint)), name


def test_the_shipped_model_learns_rooms_that_it_never_saw():
    model, family = load_model(SHIPPED), FAMILIES["dark-room"]
    goals = np.repeat(family.split(model.facts["split_seed"]).test, 4, 0)  # chance decides much of a single rollout
    outcome = evaluate_in_context(model, family, goals, episodes=24, seed=3)
    assert outcome.curve[:2].mean() < 0.3
    assert outcome.curve[-4:].mean() > 0.6


def test_the_demo_draws_what_it_saw(kickstart, tmp_path):
    said = kickstart("ad", "demo", "--episodes", 2, "--out", tmp_path / "demo")
    assert "episodes   1 to   2" in said
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"paths.png", "curve.png", "path.gif"}


def test_the_shipped_model_names_no_place():
    assert json.loads((SHIPPED / "config.json").read_text())["histories"]["path"] == ""
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 10**6
