"""Every suite trains for two updates where its simulator is installed."""

from __future__ import annotations

import importlib.util

import pytest

from kickstarting import train


def installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None and bool(importlib.import_module(module))
    except ImportError:  # a shared library is missing
        return False


def procgen() -> bool:
    try:
        return hasattr(importlib.import_module("envpool.procgen"), "ProcgenEnvSpec")
    except ImportError:  # raised by the attribute
        return False


WORLDS = {
    "grid-30:door_key": True,
    "atari-57:pong": True,
    "mujoco-5:hopper": True,
    "dmc-10:walker_walk": True,
    "procgen-16-easy:coinrun,maze": procgen(),
    "procgen-16-hard-test:bigfish": procgen(),
    "doom-8:basic": installed("vizdoom"),
    "dmlab-30:rooms_watermaze,explore_goal_locations_small": True,  # the stand-in
}


@pytest.mark.parametrize("world", [pytest.param(name, marks=() if here else pytest.mark.skip) for name, here in WORLDS.items()])
def test_it_trains(tiny, stand_in_lab, world):
    updates = list(train(tiny(suite=world, total_frames=2, unroll_length=2)))
    assert all(update.metrics["loss"] is not None for update in updates)
