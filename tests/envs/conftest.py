"""Levels of DeepMind Lab are those of the stand-in, here and in the processes of environments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

STAND_INS = Path(__file__).parent.parent / "stand_ins"


@pytest.fixture(scope="session", autouse=True)
def stand_in_lab() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STAND_INS))
        patch.setenv("PYTHONPATH", str(STAND_INS))
        yield
