"""Small histories and models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kickstarting.ad.collect import CollectConfig, collect
from kickstarting.ad.model import ModelConfig
from kickstarting.ad.saved import TrainConfig
from kickstarting.ad.training import train_model

TINY = ModelConfig(width=16, heads=1, layers=1, feedforward=16)


@pytest.fixture(scope="session")
def histories(tmp_path_factory) -> Path:
    """Thirty of Dark Room, of a source that needs six episodes."""
    out = tmp_path_factory.mktemp("ad") / "histories"
    collect(CollectConfig("dark-room", "posterior", histories=30, episodes=8), out)
    return out


@pytest.fixture(scope="session")
def make_model(histories, tmp_path_factory) -> Callable[..., Path]:
    def make(**changes) -> Path:
        out = tmp_path_factory.mktemp("ad") / "model"
        settings = {"episodes": 2, "updates": 3, "batch": 4, "threads": 1, "model": TINY, **changes}
        train_model(TrainConfig(**settings), histories, out)
        return out

    return make


@pytest.fixture(scope="session")
def model(make_model) -> Path:
    return make_model()
