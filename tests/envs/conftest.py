"""Levels of DeepMind Lab are those of the stand-in, here and in the processes of environments."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def stand_in(stand_in_lab: None) -> None:
    """For the contract, too."""
