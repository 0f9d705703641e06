"""How a run is spread over cores: what is tried, and that what is fastest is taken."""

from __future__ import annotations

import pytest
import torch

from kickstarting import Config, train
from kickstarting.pace import SECONDS, candidates, measure, spread

Paces = dict[tuple[int, int], float]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """A machine of so many cores on which runs have these paces, by learners and threads; returns what was tried there."""

    def make(cores: int, paces: Paces | None = None) -> list[tuple[int, int]]:
        tried: list[tuple[int, int]] = []

        def pace_of(config: Config) -> float:
            tried.append((config.machine.learners, config.machine.torch_threads))
            return (paces or {})[tried[-1]]

        monkeypatch.setattr("kickstarting.pace.cores", lambda: cores)
        monkeypatch.setattr("kickstarting.pace.fastest_threads", lambda most: most)
        monkeypatch.setattr("kickstarting.pace.measure", pace_of)
        return tried

    return make


@pytest.mark.parametrize(
    ("cores", "settings", "expected"),
    [
        (1, {}, [(1, 1)]),
        (2, {}, [(1, 2), (2, 1)]),
        (2, {"overlap": True}, [(1, 1)]),
        (4, {"overlap": True}, [(1, 2), (2, 1)]),
        (6, {}, [(1, 6), (2, 3), (4, 1)]),
        (16, {"envs_per_task": 4}, [(1, 16), (2, 8), (4, 4)]),
        (16, {"envs_per_task": 4, "env_groups": 2}, [(1, 16), (2, 8)]),
        (16, {"envs_per_task": 3}, [(1, 16)]),
    ],
)
def test_candidates_have_a_core_for_each_thread(machine, cores: int, settings: dict, expected: list) -> None:
    machine(cores)
    assert list(candidates(Config.of("grid-8", **settings))) == expected


@pytest.mark.parametrize(
    ("paces", "tried", "chosen"),
    [
        ({(1, 4): 100.0, (2, 2): 90.0}, [(1, 4), (2, 2)], (1, 4)),  # and with four it is not tried
        ({(1, 4): 100.0, (2, 2): 150.0, (4, 1): 190.0}, [(1, 4), (2, 2), (4, 1)], (4, 1)),
        ({(1, 4): 100.0, (2, 2): 150.0, (4, 1): 10.0}, [(1, 4), (2, 2), (4, 1)], (2, 2)),
        ({(1, 4): 1e6}, [(1, 4)], (1, 4)),  # the run is too short
    ],
)
def test_the_fastest_is_taken(machine, paces: Paces, tried: list, chosen: tuple[int, int]) -> None:
    seen = machine(4, paces)
    config, trials = spread(Config.of("grid-8", total_frames=1_000_000))
    assert seen == tried == [(trial.learners, trial.torch_threads) for trial in trials]
    assert (config.machine.learners, config.machine.torch_threads) == chosen
    assert str(trials[0]) == f"1 learner with 4 threads: {paces[1, 4]:,.0f} frames/s"


@pytest.mark.parametrize(("given", "chosen"), [({"learners": 3}, (3, 0)), ({"torch_threads": 2}, (0, 2))])
def test_what_is_given_is_left(machine, given: dict, chosen: tuple[int, int]) -> None:
    assert not machine(4)
    config, trials = spread(Config.of("grid-8", **given))
    assert (config.machine.learners, config.machine.torch_threads) == chosen
    assert not trials


def test_a_trial_leaves_no_trace(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is the one that it would have been, and is as fast as was said."""
    monkeypatch.setattr("kickstarting.pace.SECONDS", SECONDS / 20)

    def weights() -> dict[str, torch.Tensor]:
        snapshot = list(train(tiny(total_frames=64)))[-1].snapshot
        assert snapshot
        return snapshot.network

    before = weights()
    assert 100 < measure(tiny(total_frames=64)) < 1e6
    assert all(torch.equal(x, before[name]) for name, x in weights().items())
