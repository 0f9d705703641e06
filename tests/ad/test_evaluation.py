"""Evaluation in context: rows are tasks of their own, weights stay, and what does not fit is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from kickstarting.ad.evaluation import evaluate_in_context, run_source
from kickstarting.ad.joined import join_histories
from kickstarting.ad.model import ModelConfig
from kickstarting.ad.results import HowEvaluated, compared, results_table, write_results
from kickstarting.ad.saved import TrainConfig, load_model
from kickstarting.ad.sources import SOURCES, run_episodes
from kickstarting.ad.tasks import FAMILIES
from kickstarting.ad.training import train_model
from kickstarting.runs.run import run

ROOM = FAMILIES["dark-room"]
TINY = ModelConfig(width=16, heads=1, layers=1, feedforward=16)


def test_outcomes_have_every_episode(model):
    trained = load_model(model)
    before = {name: x.clone() for name, x in trained.network.state_dict().items()}
    tasks = ROOM.split(0).test[:4]
    outcome = evaluate_in_context(trained, ROOM, tasks, episodes=5, seed=0, keep_paths=True)
    assert outcome.returns.shape == (4, 5)
    assert outcome.paths is not None
    assert outcome.paths.shape == (4, 5, 21, 2)
    assert (outcome.paths[:, :, 0] == 4).all()
    at_goal = (outcome.paths[:, :, 1:] == tasks[:, None, None]).all(-1).sum(-1)
    np.testing.assert_array_equal(outcome.returns, at_goal)  # every step on the goal was paid
    assert all(torch.equal(x, before[name]) for name, x in trained.network.state_dict().items())
    again = evaluate_in_context(trained, ROOM, tasks, episodes=5, seed=0)
    np.testing.assert_array_equal(again.returns, outcome.returns)


def test_greedy_actions_of_one_task_do_not_depend_on_the_others(model):
    trained, tasks = load_model(model), ROOM.split(0).test[:3]
    options = {"episodes": 4, "seed": 0, "choice": "greedy", "keep_paths": True}
    together = evaluate_in_context(trained, ROOM, tasks, **options).paths
    alone = evaluate_in_context(trained, ROOM, tasks[1:2], **options).paths
    assert together is not None
    assert alone is not None
    np.testing.assert_array_equal(together[1], alone[0])


def test_a_prompt_stands_in_the_context(model):
    trained, tasks = load_model(model), np.repeat(ROOM.split(0).test, 4, 0)  # a model of few updates is moved by it now and then
    batch = ROOM.batch(tasks, 0)
    shown = list(run_episodes(batch, SOURCES["expert"](batch, 5, 1, 0), ROOM.horizon, 1))
    options = {"episodes": 1, "seed": 0, "keep_paths": True}
    without = evaluate_in_context(trained, ROOM, tasks, **options)
    prompted = evaluate_in_context(trained, ROOM, tasks, prompt=shown, **options)
    assert (without.paths != prompted.paths).any()


def test_measures_by_hand():
    random = run_source("random", ROOM, np.array([[4, 5], [0, 0]]), 30, 0)
    expert = run_source("expert", ROOM, np.array([[4, 5], [0, 0]]), 30, 0)
    assert expert.curve.tolist() == [1.0] * 30
    assert expert.latest().tolist() == [1.0, 1.0]
    assert expert.failed() == 0.0
    assert random.failed() == 1.0


def test_what_does_not_fit_is_told(model):
    trained = load_model(model)
    for name, said in (("bandit", "the model has 5 actions, bandit has 10"), ("dark-room-hard", "reads MultiDiscrete")):
        with pytest.raises(ValueError, match=said):
            evaluate_in_context(trained, FAMILIES[name], FAMILIES[name].split(0).test[:2], episodes=1, seed=0)
    with pytest.raises(ValueError, match="choice is 'best'"):
        evaluate_in_context(trained, ROOM, ROOM.split(0).test[:2], episodes=1, seed=0, choice="best")


def test_a_model_of_one_room_acts_in_another_of_its_size(model):
    door = FAMILIES["key-to-door"]
    outcome = evaluate_in_context(load_model(model), door, door.split(0).test[:2], episodes=2, seed=0)
    assert outcome.returns.shape == (2, 2)


def test_results_are_written_with_their_baselines(model, tmp_path):
    results = compared(model, HowEvaluated(part="validation", episodes=10, rollouts=2), True)
    assert list(results.outcomes) == ["in context (sample)", "source: posterior", "random"]
    assert results_table(results).row_count == 3
    write_results(results, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"evaluation.json", "curve.png", "returns.npz"}


def test_three_tokens_and_no_last_observation(make_model):
    for changes in ({"model": replace(TINY, tokens=3)}, {"terminal": False}, {"model": replace(TINY, core="lstm")}):
        trained = load_model(make_model(**changes))
        assert evaluate_in_context(trained, ROOM, ROOM.split(0).test[:2], episodes=4, seed=0).returns.shape == (2, 4)


def test_a_shorter_context_and_a_prompt(model):
    for how in (HowEvaluated(context=21), HowEvaluated(prompt="posterior", prompt_after=2), HowEvaluated(family="key-to-door")):
        results = compared(model, replace(how, episodes=2, part="validation"), False)
        assert next(iter(results.outcomes.values())).returns.shape[1] == 2
    with pytest.raises(ValueError, match="was trained with 42 steps"):
        compared(model, HowEvaluated(context=43), False)


def test_a_run_is_distilled_and_acts_in_its_suite(tiny, tmp_path):
    run(tiny(record_histories=True), tmp_path / "run")
    config = TrainConfig(episodes=2, context=24, skip=(1,), updates=2, batch=2, threads=1, model=TINY)
    train_model(config, tmp_path / "run", tmp_path / "model")
    results = compared(tmp_path / "model", HowEvaluated(episodes=2, rollouts=2), True)
    assert next(iter(results.outcomes.values())).returns.shape == (4, 2)
    with pytest.raises(ValueError, match="the suite shows"):
        compared(tmp_path / "model", HowEvaluated(suite="CartPole-v1"), False)


def test_runs_of_several_suites_are_distilled_together_and_act_in_the_one_that_is_named(tiny, tmp_path):
    rooms = []
    for goal in ([3, 4], [5, 4]):
        rooms.append(tmp_path / f"goal-{goal[0]}.toml")
        lines = ('env_id = "kickstarting.ad.tasks:DarkRoom-v0"', 'backend = "gymnasium-vector"', f"options = {{tasks = [{goal}]}}")
        rooms[-1].write_text("\n".join(["[[task]]", *lines]))
        run(tiny(suite=str(rooms[-1]), record_histories=True), tmp_path / rooms[-1].stem)
    joined = join_histories([tmp_path / room.stem for room in rooms], tmp_path / "joined")
    assert joined.about.facts["suites"] == [str(room) for room in rooms]
    assert "families" not in joined.about.facts
    config = TrainConfig(episodes=2, skip=(1,), updates=2, batch=2, threads=1, model=TINY)
    train_model(config, tmp_path / "joined", tmp_path / "model")
    with pytest.raises(ValueError, match=r"goal-3.toml, .*goal-5.toml; give one of them, or another, by --suite"):
        compared(tmp_path / "model", HowEvaluated(), False)
    results = compared(tmp_path / "model", HowEvaluated(suite=str(rooms[0]), episodes=2), False)
    assert next(iter(results.outcomes.values())).returns.shape == (1, 2)
