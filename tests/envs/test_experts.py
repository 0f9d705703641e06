"""Experts in environments: their advice solves the task, survives whatever the student does, and is a teacher's label."""

from __future__ import annotations

import time
from contextlib import closing

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.envs import experts
from kickstarting.envs.backends import BACKENDS
from kickstarting.envs.experts import NAME, Advised, check_expert
from kickstarting.teachers.origins import load_teacher
from kickstarting.teachers.protocol import Kind
from kickstarting.types import Inputs

NONE = 7


def advised(env_id: str, **settings) -> Advised:
    check_expert("babyai")
    return Advised(gymnasium.make(env_id, **settings), "babyai")


@pytest.mark.parametrize("env_id", ["BabyAI-GoToObj-v0", "BabyAI-PickupDist-v0", "BabyAI-OpenDoor-v0"])
def test_who_follows_the_advice_solves_the_task(env_id) -> None:
    with closing(advised(env_id)) as env:
        for seed in range(3):
            observation, _ = env.reset(seed=seed)
            ended, reward = False, 0.0
            while not ended:
                assert env.observation_space.contains(observation)
                observation, reward, terminated, truncated, _ = env.step(observation[NAME])
                ended = terminated or truncated
            assert float(reward) > 0
            assert observation[NAME] == NONE


@pytest.mark.parametrize("env_id", ["BabyAI-UnlockToUnlock-v0", "BabyAI-KeyInBox-v0", "BabyAI-SynthLoc-v0"])
def test_it_follows_what_a_random_student_does_in_bounded_time(env_id) -> None:
    """Where it is lost, it says so, and is there again later."""
    numbers, advice = np.random.default_rng(0), []
    with closing(advised(env_id)) as env:
        env.reset(seed=0)
        began = time.process_time()
        for _ in range(150):
            observation, _, terminated, truncated, _ = env.step(int(numbers.integers(7)))
            advice.append(observation[NAME])
            if terminated or truncated:
                env.reset()
        assert time.process_time() - began < 10.0
    assert NONE in advice or env_id != "BabyAI-KeyInBox-v0"
    assert np.mean(np.array(advice) != NONE) > (0.5 if env_id != "BabyAI-KeyInBox-v0" else 0.0)


@pytest.mark.parametrize("backend", ["gymnasium", "gymnasium-async"])
def test_its_advice_is_the_label_of_a_teacher(backend) -> None:
    """Also where each environment has a process of its own."""
    env = BACKENDS[backend]("BabyAI-GoToObj-v0", 2, seed=0, options={"expert": "babyai", "max_episode_steps": 8})
    with closing(env):
        assert env.observation_space[NAME] == spaces.Discrete(NONE + 1)
        steps = [env.reset()]
        for _ in range(20):
            env.send(np.minimum(steps[-1].observations[NAME], NONE - 1))
            steps.append(env.recv())
    advice = torch.from_numpy(np.stack([step.observations[NAME] for step in steps]))
    is_first = torch.from_numpy(np.stack([step.is_first for step in steps]))
    ended = torch.from_numpy(np.stack([step.terminated | step.truncated for step in steps]))
    teacher = load_teacher(f"observation:{NAME}?actions={NONE}")
    label, _ = teacher.label(Inputs({NAME: advice}, advice, torch.zeros(21, 2), is_first), ())
    assert label.kind == Kind.ACTIONS
    assert label.known is not None
    assert torch.equal(label.known, ~ended)
    assert ended.any()
    assert torch.equal(label.policy[label.known], advice[label.known])
    assert any((step.rewards > 0).any() for step in steps)


def test_an_expert_that_raises_or_says_nonsense_has_no_advice(monkeypatch) -> None:
    said = iter([3, None, "crash", 99, 1])
    begun: list[int | None] = []

    def make(env):
        def begin():
            begun.append(None)

            def advise(done):
                answer = next(said)
                if answer == "crash":
                    raise AssertionError
                return answer

            return advise

        return begin

    monkeypatch.setitem(experts.EXPERTS, "made", make)
    check_expert("babyai")
    with closing(Advised(gymnasium.make("MiniGrid-Empty-5x5-v0"), "made")) as env:
        advice = [env.reset(seed=0)[0][NAME]] + [env.step(0)[0][NAME] for _ in range(4)]
    assert advice == [3, NONE, NONE, NONE, 1]
    assert len(begun) == 2  # anew behind the crash only


@pytest.mark.parametrize(
    ("env_id", "expert", "message"),
    [
        ("BabyAI-GoToObj-v0", "babiai", "there is no expert 'babiai'; did you mean babyai"),
        ("MiniGrid-Empty-5x5-v0", "babyai", "needs one of BabyAI's environments"),
        ("Pendulum-v1", "babyai", "advises discrete actions"),
    ],
)
def test_what_has_no_expert_is_refused(env_id, expert, message) -> None:
    with pytest.raises(ValueError, match=message):
        BACKENDS["gymnasium"](env_id, 1, seed=0, options={"expert": expert})
