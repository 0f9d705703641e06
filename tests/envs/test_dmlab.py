"""The adapter of DeepMind Lab, against a module that does what was observed of the real one (tests/stand_ins)."""

from __future__ import annotations

import os
import re
import sys

import numpy as np
import pytest

from kickstarting.actor import Actor
from kickstarting.envs import EnvironmentFault, MultiTaskEnv, describe
from kickstarting.envs.dmlab import LabEnv
from kickstarting.envs.lab_process import ACTIONS, LevelCache
from kickstarting.networks import build_network
from kickstarting.spaces import tokenise
from kickstarting.suites import Task, load_suite

LEVEL = "contributed/dmlab30/rooms_watermaze"


def lab(num_envs: int = 2, level: str = LEVEL, timeout: float = 30.0, **options) -> LabEnv:
    return LabEnv(level, num_envs, seed=3, timeout=timeout, options={"max_episode_steps": 5, **options})


def walk(env: LabEnv, steps: int) -> list:
    seen = [env.reset()]
    for _ in range(steps):
        env.send(np.arange(env.num_envs) % 9)
        seen.append(env.recv())
    return seen


def test_images_and_instructions_of_both_columns_differ_in_images_only():
    env = lab()
    first, *_, last = walk(env, 4)
    env.close()
    image, said = env.observation_space["RGB_INTERLEAVED"], env.observation_space["INSTR"]
    assert (image.shape, said.shape) == ((72, 96, 3), (40,))
    assert first.observations["RGB_INTERLEAVED"].dtype == np.uint8
    assert not np.array_equal(*first.observations["RGB_INTERLEAVED"])
    assert all(np.array_equal(row, tokenise("open the red door")) for row in last.observations["INSTR"])


def test_the_nine_actions_are_what_the_engine_takes():
    assert (ACTIONS.shape, ACTIONS.dtype) == ((9, 7), np.intc)
    assert len(np.unique(ACTIONS, axis=0)) == 9
    assert ACTIONS[:, [1, 5, 6]].any() == 0  # nobody looks up, jumps or crouches
    env = lab(9)
    assert not any(step.over.any() for step in walk(env, 4))
    env.close()


def test_an_episode_ends_with_the_image_before_and_terminates():
    env = lab(1)
    steps = walk(env, 6)
    env.close()
    assert [bool(step.terminated[0]) for step in steps] == [False] * 5 + [True, False]
    images = [step.observations["RGB_INTERLEAVED"][0] for step in steps]
    assert np.array_equal(images[5], images[4])
    assert all(not np.array_equal(images[t], images[t + 1]) for t in (0, 1, 2, 3, 5))


def test_an_instruction_may_change_within_an_episode():
    env = lab(1, newInstructionAt=2)
    said = [step.observations["INSTR"][0] for step in walk(env, 6)]
    env.close()
    old, new = tokenise("open the red door"), tokenise("take the blue key")
    assert [np.array_equal(x, new) for x in said] == [False, False, True, True, True, True, False]
    assert np.array_equal(said[-1], old)


def test_a_lua_error_starts_the_process_anew_and_the_step_belongs_to_no_episode(capsys):
    env = lab(1, luaErrorAt=3, luaErrorSometimes=True)
    steps = walk(env, 40)
    env.close()
    lost = [step for step in steps if step.truncated[0]]
    assert len(lost) == env.restarts > 0
    assert all(step.is_first[0] and not (step.valid[0] or step.over[0] or step.rewards[0]) for step in lost)
    assert any(step.terminated[0] for step in steps)
    said = " ".join(capsys.readouterr().out.split())
    assert f"the process of level {LEVEL} died with exit code 1" in said
    assert "attempt to index field 'door'" in said


def test_an_actor_forgets_the_episode_that_died():
    env = MultiTaskEnv(
        [Task("maze", LEVEL, "deepmind-lab", options={"max_episode_steps": 5, "luaErrorAt": 3, "luaErrorSometimes": True})],
        2,
        seed=1,
    )
    actor = Actor(env, build_network("small", env.observation_space, env.distribution), 30, seed=0)
    unroll, episodes = actor.unroll(), actor.drain_episodes()
    assert env.restarts == actor.metrics()["environment_restarts"] == int(unroll.truncated.sum()) > 0
    assert len(episodes) == int(unroll.terminated.sum()) > 0
    assert {episode.length for episode in episodes} == {5}
    env.close()


@pytest.mark.parametrize(
    ("level", "options", "said"),
    [
        ("contributed/dmlab30/no_such_level", {}, "no_such_level died 3 times in a row.*maps/no_such_level.bsp"),
        (LEVEL, {"luaErrorAt": 2}, "rooms_watermaze died 3 times in a row, at last with exit code 1.*'door'"),
        (
            "contributed/dmlab30/rooms_collect_good_objects_test",
            {},
            "rooms_collect_good_objects_test died 3 times.*allowHoldOutLevels",
        ),
    ],
)
def test_after_three_deaths_the_level_is_named_with_its_last_words(level, options, said):
    task = Task("maze", level, "deepmind-lab", options=options)
    env = MultiTaskEnv([task], 1, seed=0)

    def play() -> None:
        env.reset()
        for _ in range(10):
            env.step(np.zeros(1, int))

    with pytest.raises(EnvironmentFault, match=rf"task 'maze', column 0: the process of level \S*{said}"):
        play()
    env.close()


def test_what_does_not_work_is_a_value_error_before_any_work():
    with pytest.raises(ValueError, match=r"level \S+ died 3 times") as error:
        describe([Task("maze", "contributed/dmlab30/none", "deepmind-lab")])
    assert "\n" not in str(error.value)


def test_a_level_that_hangs_is_named():
    env = lab(1, timeout=1.0, hangAt=2)
    with pytest.raises(
        EnvironmentFault, match=rf"column 0: level {LEVEL} has not answered for 1 seconds; give --environment-timeout"
    ):
        walk(env, 3)
    env.abandon()


def test_settings_reach_the_engine_as_texts():
    env = lab(1, "contributed/dmlab30/rooms_collect_good_objects_test", allowHoldOutLevels=True, mixerSeed=0x600D5EED)
    walk(env, 2)
    assert env.restarts == 0  # the engine dies of a setting that is no text
    env.close()


def test_levels_are_kept_in_a_cache_and_shared(tmp_path):
    for _ in range(2):
        env = lab(2, level_cache=str(tmp_path / "maps"))
        walk(env, 30)
        env.close()
    files = list((tmp_path / "maps").iterdir())
    assert {file.suffix for file in files} == {".pk3"}
    assert 0 < len(files) <= 3
    cache, copy = LevelCache(str(tmp_path / "maps")), tmp_path / "copy"
    assert cache.fetch(files[0].read_text(), str(copy))
    assert copy.read_text() == files[0].read_text()
    assert not cache.fetch("another", str(copy))


def test_processes_end_when_they_are_closed():
    env = lab(2)
    walk(env, 1)
    processes = [process._popen for process in env._processes]
    assert all(process.poll() is None for process in processes)
    env.close()
    assert [process.returncode for process in processes] == [0, 0]


def test_without_the_module_it_is_said_how_to_build_it(monkeypatch):
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not path.endswith("stand_ins")])
    with pytest.raises(ValueError, match=r"no wheel; docs/dmlab.md builds it"):
        lab()
    assert os.path.exists("docs/dmlab.md")


def test_the_suite_has_the_papers_levels_and_scores():
    train, test = load_suite("dmlab-30").tasks, load_suite("dmlab-30-test").tasks
    assert len(train) == len({task.env_id for task in train}) == 30
    assert [task.name for task in train] == [task.name for task in test]
    assert all(re.fullmatch(r"contributed/dmlab30/\w+", task.env_id) and task.action_repeat == 4 for task in (*train, *test))
    assert all(task.options == {"frame_skip": 4, "height": 72, "width": 96} for task in train)
    assert all(task.options["allowHoldOutLevels"] is True for task in test)
    assert {a.env_id for a in train} ^ {b.env_id for b in test} == {
        f"contributed/dmlab30/rooms_{what}_{split}"
        for what in ("collect_good_objects", "exploit_deferred_effects")
        for split in ("train", "test")
    }
    assert np.mean([task.score(task.reference or 0) for task in train]) == pytest.approx(100)
