"""What goes wrong in an environment is blamed on it: task, column, key and step, its own traceback, and the remedy."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.actor import Actor
from kickstarting.envs import EnvironmentFault, MultiTaskEnv, describe
from kickstarting.networks import build_network
from kickstarting.overlapped import OverlappedActor
from kickstarting.suites import Task
from known import register

GOOD = np.zeros(2, np.float32)
SPACE = spaces.Dict({"x": spaces.Box(-9, 9, (2,), np.float32), "n": spaces.Discrete(3, start=1), "b": spaces.MultiBinary(2)})


class Faulty(gymnasium.Env):
    """The environment that was reset with an odd seed does at step `at` what is named; step 0 is its reset."""

    observation_space = SPACE
    action_space = spaces.Discrete(2)

    def __init__(self, fault: str = "", at: int = 3) -> None:
        self.fault, self.at, self.odd = fault, at, False
        if fault == "constructor":
            raise ZeroDivisionError("no world")

    def reset(self, *, seed=None, options=None) -> Any:
        self.count, self.odd = 0, self.odd if seed is None else bool(seed % 2)
        result = self._observe(), {}
        return result[0] if self.fault == "reset arity" else result

    def step(self, action) -> Any:
        self.count += 1
        observation, now = self._observe(), self.odd and self.count == self.at
        reward: Any = {"nan reward": np.nan, "no reward": None}.get(self.fault, 1.0) if now else 1.0
        result = observation, reward, False, False, {}
        return result[:4] if self.fault == "arity" and now else result

    def _observe(self) -> Any:
        said: dict[str, Any] = {"x": GOOD, "n": 2, "b": np.zeros(2, np.int8)}
        if not (self.odd and self.count == self.at):
            return said
        match self.fault:
            case "raise":
                raise KeyError("the door")
            case "exit":
                sys.exit(3)
            case "die":
                os._exit(7)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "sleep":
                time.sleep(1e9)
            case "loop":
                while True:
                    pass
            case "nan":
                said["x"] = np.array([0, np.nan], np.float32)
            case "inf":
                said["x"] = np.array([np.inf, 0], np.float32)
            case "shape":
                said["x"] = np.zeros(3, np.float32)
            case "dtype":
                said["b"] = np.zeros(2, complex)
            case "key":
                del said["n"]
            case "number":
                said["n"] = 0
        return said


register("kickstarting-test/Faulty-v0", Faulty, disable_env_checker=True)
FAULTS = {
    "raise": r"raised KeyError: 'the door'",
    "exit": "raised SystemExit: 3",
    "nan": "'x' is nan",
    "inf": "'x' is inf",
    "nan reward": "reward is nan",
    "no reward": "reward None",
    "shape": r"'x' with shape \(3,\)",
    "dtype": "'b' with dtype complex128",
    "key": "lacks 'n'",
    "number": r"'n' = 0, which is not in Discrete\(3, start=1\)",
    "arity": "step.. returned 4 values; it must return",
}


def faulty(fault: str, backend: str = "gymnasium", at: int = 3, timeout: float = 300.0, task: str = "bad") -> MultiTaskEnv:
    good = Task("good", "kickstarting-test/Faulty-v0", backend)
    bad = Task(task, "kickstarting-test/Faulty-v0", backend, options={"fault": fault, "at": at})
    return MultiTaskEnv([good, bad], 2, seed=0, timeout=timeout)


def walk(env: MultiTaskEnv, steps: int = 5) -> EnvironmentFault:
    """The fault that ends a walk; nothing hangs afterwards, and what was opened is closed."""

    def play() -> None:
        env.reset()
        for _ in range(steps):
            env.step(np.zeros(4, int))

    with pytest.raises(EnvironmentFault) as caught:
        play()
    began = time.monotonic()
    env.close()
    assert time.monotonic() - began < 4
    return caught.value


@pytest.mark.parametrize("fault", FAULTS)
def test_task_column_key_and_step_are_named(fault):
    found = walk(faulty(fault))
    assert found.task == "bad"
    assert found.column in (2, 3)
    with pytest.raises(EnvironmentFault, match=FAULTS[fault]):
        raise found
    assert "\n" not in str(found)
    if fault == "raise":
        assert isinstance(found.__cause__, KeyError)
        assert found.step == 3


@pytest.mark.parametrize("fault", ["raise", "nan", "shape"])
def test_a_reset_is_checked_as_well(fault):
    with pytest.raises(EnvironmentFault, match=FAULTS[fault]):
        raise walk(faulty(fault, at=0))


@pytest.mark.parametrize("fault", ["raise", "nan"])
def test_another_process_sends_its_traceback(fault):
    found = walk(faulty(fault, "gymnasium-async"))
    assert (found.task, found.column in (2, 3)) == ("bad", True)
    with pytest.raises(EnvironmentFault, match=FAULTS[fault]):
        raise found
    if fault == "raise":
        assert 'raise KeyError("the door")' in "".join(found.__notes__)


@pytest.mark.parametrize(("fault", "said"), [("die", "exit code 7"), ("kill", "signal SIGKILL")])
def test_a_process_that_died_is_named(fault, said):
    with pytest.raises(EnvironmentFault, match=rf"task 'bad', column [23]: its process died with {said}"):
        raise walk(faulty(fault, "gymnasium-async"))


@pytest.mark.parametrize("backend", ["gymnasium", "gymnasium-async"])
@pytest.mark.parametrize("fault", ["sleep", "loop"])
def test_an_environment_that_hangs_is_named_with_where_it_stands(fault, backend):
    before = signal.getsignal(signal.SIGALRM)
    env = faulty(fault, backend, timeout=1.0)
    began = time.monotonic()
    found = walk(env)
    assert time.monotonic() - began < 6
    assert signal.getsignal(signal.SIGALRM) == before
    assert (found.task, found.column in (2, 3)) == ("bad", True)
    assert "has not answered for" in str(found)
    assert ("time.sleep(1e9)" if fault == "sleep" else "in _observe") in "".join(found.__notes__)


def test_a_slow_environment_is_waited_for_if_nobody_limits_it():
    env = faulty("", timeout=0.0)
    env.reset()
    env.close()
    assert signal.getsignal(signal.SIGALRM) in (signal.SIG_DFL, signal.default_int_handler, None, signal.SIG_IGN)


@pytest.mark.parametrize(("fault", "said"), [("sleep", "has not answered"), ("raise", "KeyError")])
def test_a_fault_beside_the_learner_reaches_the_main_thread(fault, said):
    env = faulty(fault, timeout=0.5, at=20)
    network = build_network("small", env.observation_space, env.distribution)
    weights = {name: x.clone() for name, x in network.state_dict().items()}
    actor = OverlappedActor(env, network, 15, seed=0)
    with pytest.raises(EnvironmentFault, match=rf"task 'bad'.*{said}"):
        list(iter(actor.unroll, None))
    began = time.monotonic()
    actor.close()
    env.close()
    assert time.monotonic() - began < 4
    assert all(torch.equal(x, weights[name]) for name, x in network.state_dict().items())


def test_an_actor_checks_a_whole_unroll_and_names_the_step():
    """As for EnvPool, whose steps are not checked one by one."""
    env = faulty("")
    actor = Actor(env, build_network("small", env.observation_space, env.distribution), 4, seed=0)
    actor.unroll()
    recv = env.parts[1].recv

    def broken():
        step = recv()
        step.observations["x"][1, 0] = np.nan
        return step

    env.parts[1].recv = broken
    with pytest.raises(EnvironmentFault, match="task 'bad', column 3, step 5: observation 'x' is nan; mend"):
        actor.unroll()
    env.parts[1].recv = lambda: recv()._replace(rewards=np.array([0, np.inf], np.float32))
    with pytest.raises(EnvironmentFault, match="task 'bad', column 3, step 9: its reward is inf"):
        actor.unroll()
    env.close()


@pytest.mark.parametrize("backend", ["gymnasium", "gymnasium-async"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fault": "constructor"}, "ZeroDivisionError: no world"),
        ({"flaut": 1}, "flaut"),
        ({"fault": "reset arity"}, r"reset\(\) returned a dict; it must return"),
        ({"fault": "raise", "at": 0}, None),
    ],
)
def test_what_does_not_work_is_a_value_error_before_any_work(backend, options, said):
    task = Task("bad", "kickstarting-test/Faulty-v0", backend, options=options)
    if said is None:  # only odd seeds fail: no error before the work
        assert describe([task]).num_tasks == 1
        return
    with pytest.raises(ValueError, match=said) as error:
        describe([task])
    assert "\n" not in str(error.value)


def test_old_environments_are_told_what_gymnasium_wants():
    class Old(Faulty):
        def reset(self):  # pyright: ignore[reportIncompatibleMethodOverride]
            return super().reset()[0]

    register("kickstarting-test/Old-v0", Old, disable_env_checker=True)
    with pytest.raises(ValueError, match=r"reset\(\) raised TypeError.*seed"):
        describe([Task("old", "kickstarting-test/Old-v0", "gymnasium")])


def test_envpool_says_what_it_cannot_make():
    with pytest.raises(ValueError, match=r"EnvPool cannot make 'CartPole-v1' with options \{'nonsense': 3\}"):
        describe([Task("x", "CartPole-v1", options={"nonsense": 3})])


def test_a_fault_survives_a_pickle():
    fault = EnvironmentFault("it hangs", "wait", column=3, step=9)
    fault.task = "x"
    fault.add_note("here")
    copied = pickle.loads(pickle.dumps(fault))
    assert (str(copied), copied.__notes__) == (str(fault), ["here"])
    assert str(fault) == "environment of task 'x', column 3, step 9: it hangs; wait"


def test_minigrid_works_in_processes():
    env = MultiTaskEnv([Task("x", "minigrid:BabyAI-GoToObj-v0", "gymnasium-async")], 2, seed=0)
    step = env.reset()
    first = step.observations["mission"]
    for _ in range(3):
        step = env.step(np.zeros(2, int))
    assert (step.observations["mission"] == first).all()
    env.close()
