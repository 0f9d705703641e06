"""The simulation of a cluster against what queueing theory knows: its limits, its conservation laws, and a model that is solved."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from simulate import read_measured, validation
from simulation import Cluster, Plan, Service, simulate

SERVICE = Service(
    frames=100, wait=0.1, act=0.1, call=0.001, unroll_bytes=1e6, weight_bytes=2e6, label=0.005, learn=0.01, step=0.002
)
WIDE = Plan(1, bandwidth=1e12)


def test_one_actor_and_nothing_ahead_takes_the_sum_of_its_parts():
    """An actor that acts while the learner learns: the longer of the two sets the pace."""
    plan = replace(WIDE, actors=1, in_flight=1, bandwidth=1e8)
    round_trip = SERVICE.call + 2e6 / 1e8 + 0.2 + 1e6 / 1e8  # call, weights, unroll, its way
    assert simulate(SERVICE, plan).frames_per_second == pytest.approx(100 / round_trip, rel=1e-3)
    slow = replace(SERVICE, learn=1.0)
    assert simulate(slow, plan).frames_per_second == pytest.approx(100 / (1.0 + 0.005 + 0.002 + 0.001), rel=1e-3)


@pytest.mark.parametrize("actors", [2, 4, 8])
def test_actors_that_are_the_bottleneck_scale_linearly(actors):
    outcome = simulate(SERVICE, replace(WIDE, actors=actors, batch=1))
    assert outcome.frames_per_second == pytest.approx(actors * 100 / 0.2, rel=0.02)
    assert outcome.actor_idle < 0.02


def test_a_learner_that_is_the_bottleneck_is_never_idle_and_the_lag_is_structural():
    """Little's law: N f unrolls are under way, each update takes b of them, so one waits N f / b updates for its turn."""
    plan = replace(WIDE, actors=64, in_flight=2, batch=8)
    outcome = simulate(SERVICE, plan)
    assert outcome.updates_per_second == pytest.approx(1 / (8 * 0.016 + 0.002), rel=0.01)
    assert outcome.learner_idle == pytest.approx(0.0, abs=0.01)
    assert outcome.lag == pytest.approx(64 * 2 / 8, abs=1.0)


def test_a_network_that_is_the_bottleneck_is_always_busy():
    plan = replace(WIDE, actors=100, batch=1, bandwidth=5e6, in_flight=1)
    outcome = simulate(replace(SERVICE, weight_bytes=0.0), plan)
    assert outcome.frames_per_second == pytest.approx(100 * 5e6 / 1e6, rel=0.02)
    assert outcome.network_in == pytest.approx(1.0, abs=0.01)


def test_nothing_is_lost_or_made_up():
    """What was begun was taken, waits, or is under way; and the mean number in the system is its throughput times its time."""
    plan = replace(WIDE, actors=7, in_flight=3, batch=5, bandwidth=1e8)
    cluster = Cluster(replace(SERVICE, spread=0.5, weight_bytes=0.0), plan, seed=3)
    outcome = cluster.run(seconds=100.0, warm_up=10.0)
    assert 0 <= cluster.started - cluster.taken <= 7 * 3
    assert outcome.frames_per_second == pytest.approx(outcome.updates_per_second * 5 * 100, rel=0.01)
    assert 0 <= outcome.queue <= 7 * 3
    assert outcome.lag <= outcome.lag_max
    busy = (1 - outcome.actor_idle) * 7
    assert busy == pytest.approx(outcome.frames_per_second / 100 * 0.2, rel=0.05)


@pytest.mark.parametrize("actors", [1, 3, 10])
def test_it_solves_the_machine_repairman(actors):
    """N machines that break after exponential times, one repairman: P(n broken) ~ N! / (N - n)! (call / act)^n. The repair is what
    the learner does before it asks again; it is constant here, and as long as it is short only its mean counts."""
    act, call = 1.0, 0.02
    service = Service(frames=1, wait=act, act=0.0, call=call, unroll_bytes=0.0, weight_bytes=0.0, label=0.0, learn=0.0, spread=1.0)
    weights = [math.factorial(actors) / math.factorial(actors - n) * (call / act) ** n for n in range(actors + 1)]
    expected = (1 - weights[0] / sum(weights)) / call
    plan = Plan(actors, batch=1, in_flight=1, bandwidth=1e12)
    outcome = Cluster(service, plan, seed=1).run(seconds=4_000 / actors, warm_up=10.0)
    assert outcome.frames_per_second == pytest.approx(expected, rel=0.06)


def test_cores_that_are_shared_bound_the_work_on_them():
    service = replace(SERVICE, wait=0.0, call=0.0)
    outcome = simulate(service, Plan(8, batch=8, cores=2))
    work = 8 * (0.1 + 0.015) + 0.002  # seconds of a core for each update
    assert outcome.updates_per_second == pytest.approx(2 / work, rel=0.05)
    waiting = simulate(replace(SERVICE, wait=1.0, act=0.01), Plan(8, batch=8, cores=2))
    assert waiting.frames_per_second == pytest.approx(8 * 100 / 1.01, rel=0.1)


@pytest.mark.parametrize(
    ("changes", "work"),
    [
        ({"crowding": 1.5}, 1.5 * (8 * 0.115 + 0.002)),
        ({"relay": 0.05}, 8 * 0.165 + 0.002),
        ({"steps": 4, "waits": 3}, 8 * 0.115 + 0.002),
    ],
    ids=["crowded cores", "the cluster's own work", "in steps"],
)
def test_full_cores_do_the_work_of_all(changes, work):
    """Two cores that are never idle make two seconds of work a second, whoever has it to do and in whatever pieces."""
    service = replace(SERVICE, wait=0.0, call=0.0, **changes)
    outcome = simulate(service, Plan(8, batch=8, cores=2), updates=60)
    assert outcome.updates_per_second == pytest.approx(2 / work, rel=0.05)


def test_the_background_has_its_share_of_full_cores():
    service = replace(SERVICE, wait=0.0, call=0.0, background=0.5)
    outcome = simulate(service, Plan(8, batch=8, cores=2), updates=60)
    assert outcome.updates_per_second == pytest.approx(1.5 / (8 * 0.115 + 0.002), rel=0.05)


def test_steps_that_wait_alone_take_as_long_as_one_that_waits_for_all():
    """Cores that are never full are never waited for."""
    service = replace(SERVICE, wait=1.0, act=0.01, steps=5, waits=4)
    outcome = simulate(service, Plan(2, batch=2, cores=8), updates=60)
    assert outcome.frames_per_second == pytest.approx(2 * 100 / 1.01, rel=0.03)


def test_the_same_seed_gives_the_same_run():
    service = replace(SERVICE, spread=0.3)
    assert simulate(service, WIDE, seed=1) == simulate(service, WIDE, seed=1) != simulate(service, WIDE, seed=2)


def test_measured_runs_are_read_and_compared(tmp_path):
    path = tmp_path / "cluster.json"
    service = {name: getattr(SERVICE, name) for name in SERVICE.__dataclass_fields__}
    path.write_text(json.dumps({"service": service, "scaling": {"1": 480.0, "4": 1_900.0}}))
    read, paces = read_measured(path)
    assert read == SERVICE
    assert "| 4 | 1,900 | " in validation(read, paces)


@pytest.mark.slow
def test_ten_thousand_actors_are_simulated():
    outcome = simulate(SERVICE, replace(WIDE, actors=10_000, batch=1_000), updates=10)
    assert outcome.learner_idle == pytest.approx(0.0, abs=0.01)
    assert outcome.lag == pytest.approx(20.0, abs=3.0)
