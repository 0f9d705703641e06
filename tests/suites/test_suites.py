"""Suites: every shipped one can be made, scores are normalised, and a file that does not fit is told its key."""

from __future__ import annotations

import pytest

from kickstarting import Config
from kickstarting.envs import describe, make_task_env
from kickstarting.suites import Task, builtin_suites, load_suite

TASK = '[[task]]\nenv_id = "CartPole-v1"\n'


@pytest.mark.parametrize("name", builtin_suites())
def test_every_shipped_suite_is_whole(name):
    suite = load_suite(name)
    assert suite.name == name
    assert suite.description
    assert suite.source or name.startswith("grid")
    for task in suite.tasks:
        assert task.random is not None
        assert task.reference is not None
        assert task.category
        if task.metric == "success":  # of all episodes, between none and all
            assert 0.0 <= task.random < task.reference <= 1.0


@pytest.mark.parametrize("name", ["grid-8", "grid-30", "atari-5", "mujoco-5", "dmc-10"])
def test_every_task_can_be_made(name):
    """Made, not looked up: an option that EnvPool does not know shows too."""
    for task in load_suite(name).tasks:
        env = make_task_env(task, 1, seed=0)
        assert env.num_envs == 1
        assert env.observation_space.spaces
        env.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["atari-57", "procgen-16-easy", "procgen-16-hard", "doom-8"])
def test_every_task_of_a_large_suite_can_be_made(name):
    for task in load_suite(name).tasks:
        env = make_task_env(task, 1, seed=0)
        assert env.num_envs == 1
        assert env.observation_space.spaces
        env.close()


def test_a_score_runs_from_random_to_reference_and_is_capped_above_only():
    task = Task("x", "x", random=-21.0, reference=9.0)
    assert [task.score(value) for value in (-21, -6, 9, 20, -36)] == pytest.approx([0, 50, 100, 100, -50])
    assert Task("x", "x", random=0.0).score(7.0) == 7.0


def test_the_metric_is_the_return_or_the_success():
    assert Task("x", "x").metric_of(-3.5, True) == -3.5
    assert Task("x", "x", metric="success").metric_of(-3.5, True) == 1.0


@pytest.mark.parametrize(
    ("name", "backend", "metric"),
    [
        ("CartPole-v1", "envpool", "return"),
        ("MiniGrid-Empty-5x5-v0", "envpool", "success"),
        ("gymnasium:CartPole-v1", "gymnasium", "return"),
        ("gymnasium-async:CartPole-v1", "gymnasium-async", "return"),
        ("gymnasium:minigrid:MiniGrid-Empty-5x5-v0", "gymnasium", "success"),
    ],
)
def test_any_environment_is_a_suite_of_one(name, backend, metric):
    (task,) = load_suite(name).tasks
    assert (task.backend, task.metric) == (backend, metric)
    env = make_task_env(task, 1, seed=0)
    env.close()


def test_a_users_own_file(tmp_path):
    path = tmp_path / "mine.toml"
    head = 'frames = 5000\n[defaults]\nmetric = "success"\nrandom = 0.25\n'
    path.write_text(head + TASK + 'name = "pole"\nrandom = 0.5\n' + TASK)
    suite = load_suite(str(path))
    assert (suite.name, suite.frames) == ("mine", 5000)
    assert [(t.name, t.metric, t.random) for t in suite.tasks] == [("pole", "success", 0.5), ("CartPole-v1", "success", 0.25)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[task]", "no TOML"),
        ("", r"has no \[\[task\]\]"),
        ('[[task]]\nname = "x"\n', "lacks env_id"),
        (TASK + "refrence = 1.0\n", "'refrence'; did you mean reference"),
        ("[defaults]\nmetrc = 'success'\n" + TASK, "'metrc'; did you mean metric"),
        (TASK + "metric = 'succes'\n", "'succes'; known: return, success"),
        (TASK + "random = 2.0\nreference = 1.0\n", "reference 1.0 not above random 2.0"),
        (TASK + TASK, "CartPole-v1 twice"),
        (TASK + "random = 'low'\nreference = 1.0\n", "random"),
        (TASK + "action_repeat = 0\n", "action_repeat"),
        (TASK + "backend = 'envpol'\n", "'envpol'.*envpool"),
        ("task = 3\n", r"no \[\[task\]\]"),
        ("defaults = 3\n" + TASK, "defaults"),
        ("[default]\nrandom = 0.5\n" + TASK, "'default'; did you mean defaults"),
        ("frames = 'many'\n" + TASK, "frames"),
    ],
)
def test_a_file_that_does_not_fit_names_the_key(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        load_suite(str(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_suite_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean MiniGrid-DoorKey"):
        load_suite("MiniGrid-DorKey-5x5-v0")
    with pytest.raises(ValueError, match=r"no suite file at nowhere\.toml"):
        load_suite("nowhere.toml")
    with pytest.raises(ValueError, match="did you mean Pusher-v5") as error:  # which several backends have
        load_suite("Pushr-v5")
    assert str(error.value).count("Pusher-v5") == 1


def test_a_part_of_a_suite_keeps_names_scores_and_order():
    whole = {task.name: task for task in load_suite("grid-30").tasks}
    part = load_suite("grid-30:unlock,memory_*,memory_7")
    assert [task.name for task in part.tasks] == ["memory_7", "memory_9", "memory_13", "unlock"]
    assert all(task == whole[task.name] for task in part.tasks)


def test_a_part_that_matches_nothing_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"no task of grid-30 matches 'dor_key'; did you mean door_key"):
        load_suite("grid-30:unlock,dor_key")


def test_a_part_of_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TASK + TASK.replace("env_id", 'name = "other"\nenv_id'))
    assert [task.name for task in load_suite(f"{path}:oth*").tasks] == ["other"]


def test_a_file_extends_a_built_in_suite(tmp_path):
    path = tmp_path / "sticky.toml"
    head = 'extends = "atari-5"\n[defaults]\npreprocessing = { sticky_actions = 0.25, life_loss = false }\n'
    path.write_text(head + '[[task]]\nname = "qbert"\nrandom = 0.0\noptions = { full_action_space = true }\n')
    suite, base = load_suite(str(path)), load_suite("atari-5")
    assert (suite.name, suite.frames, suite.source) == ("sticky", base.frames, base.source)
    assert [task.name for task in suite.tasks] == [task.name for task in base.tasks]
    for task, before in zip(suite.tasks, base.tasks, strict=True):
        own = {"full_action_space": True} if task.name == "qbert" else {}
        assert task.options == {**before.options, **own, "repeat_action_probability": 0.25, "episodic_life": False}
        assert (task.random, task.reference) == (0.0 if task.name == "qbert" else before.random, before.reference)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('extends = "atari-6"\n', "extends 'atari-6'; did you mean atari-5"),
        ("extends = 5\n", "extends 5"),
        ('extends = "atari-5"\n[[task]]\nname = "qbertt"\n', "atari-5 has no task 'qbertt'; did you mean qbert"),
        ('extends = "atari-5"\n[[task]]\nenv_id = "Pong-v5"\n', "atari-5 has no task None"),
        ('extends = "atari-5"\n[defaults]\npreprocessing = { frame_stak = 2 }\n', "did you mean frame_stack"),
    ],
)
def test_an_extension_that_does_not_fit(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as error:
        load_suite(str(path))
    assert str(path) in str(error.value)


def test_a_run_pins_what_its_suite_extends(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "grid-8"\n')
    inputs = {given.name: given.path for given in Config.of(f"{path}:unlock").on_this_machine().inputs}
    assert inputs["suite"] == str(path.resolve())
    assert inputs["extended suite"].endswith("grid-8.toml")


def test_train_and_test_levels_of_procgen_differ_in_their_levels_alone():
    for name, levels in (("easy", 200), ("hard", 500)):
        train, test = (load_suite(f"procgen-16-{name}{what}").tasks for what in ("", "-test"))
        assert [(task.env_id, task.random, task.reference) for task in train] == [(t.env_id, t.random, t.reference) for t in test]
        assert {task.options["num_levels"] for task in train} == {levels}
        assert {task.options["num_levels"] for task in test} == {0}


def test_tasks_that_cannot_be_trained_together_are_told_to_be_trained_apart():
    with pytest.raises(ValueError, match=r"'hopper' observes .*'half_cheetah'.*train them apart, as SUITE:TASK"):
        describe(load_suite("mujoco-5").tasks)
