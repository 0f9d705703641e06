"""How service times are found: the line through a learner's updates, and whose seconds of a core are whose."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from kickstarting.assembly import build, make_actor, make_env
from services import below, core_seconds, line, sizes, update_seconds


def test_a_line_through_points_on_a_line_is_that_line():
    batches = (1, 2, 4, 8, 16)
    assert line(batches, [0.03 + 0.01 * b for b in batches]) == pytest.approx((0.03, 0.01))


def test_a_line_is_near_in_proportion_and_never_begins_below_zero():
    """An error of ten per cent counts the same for a short update and a long one."""
    short, long = line((1, 2, 16), (0.11, 0.2, 1.6)), line((1, 2, 16), (0.1, 0.2, 1.76))
    assert sum(short) == pytest.approx(0.105, abs=0.006)
    assert long[0] + 16 * long[1] == pytest.approx(1.68, abs=0.1)
    step, learn = line((1, 2, 4), (0.01, 0.03, 0.07))
    assert step == 0.0
    assert 0.01 < learn < 0.0175
    with pytest.raises(ValueError, match=r"the batches are \[4, 4\]; a line needs two different ones"):
        line((4, 4), (1.0, 1.1))


def test_an_update_is_measured_on_an_unroll_of_every_actor(tiny):
    one, two = tiny(envs_per_task=1), tiny(envs_per_task=2, actors=2)
    suite, _, _, learner = build(one)
    with closing(make_env(one, suite, 0)) as env:
        unroll = make_actor(one, suite, env, learner, None, 0, 0).unroll()
    assert sum(sizes(unroll)) > unroll.inputs.last_rewards.nbytes * 3
    began = time.process_time()
    seconds = update_seconds(two, unroll, 0.0)
    assert 0 < seconds < time.process_time() - began


def test_processes_below_this_one_are_found_and_their_work_is_counted():
    spin = "import subprocess, sys, time\nwhile time.process_time() < 0.2: pass\nprint('spun', flush=True)\nsys.stdin.read()"
    before, command = core_seconds(), ["sh", "-c", f'"{sys.executable}" -S -c "{spin}"; true']
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        shell_and_python = below(os.getpid())
        own, actors, others = core_seconds() - before
        shell.communicate(b"")
    assert shell.pid in shell_and_python
    assert len(shell_and_python) >= 2
    assert own >= 0
    assert actors == 0
    assert others >= 0.15


def test_own_work_is_counted_as_the_learners():
    before = core_seconds()
    while time.process_time() - before[0] < 0.05:
        pass
    assert core_seconds()[0] - before[0] >= 0.05
