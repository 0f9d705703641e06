"""What a run's metrics are judged by."""

from __future__ import annotations

import math

import pytest

from kickstarting import Config
from kickstarting.runs.facts import facts_of
from kickstarting.runs.run import run


def test_facts_of_tasks_with_different_actions(tiny, suite, make_policy, tmp_path):
    """Seven actions and three; the entropy of knowing nothing is the mean."""
    config = tiny(teachers=(make_policy(),), schedule="constant:1")
    run(config, tmp_path / "run")
    facts = facts_of(config, tmp_path / "run")
    assert facts.tasks == ("object", "obstacles")
    assert facts.points
    assert facts.most_entropy == pytest.approx((math.log(7) + math.log(3)) / 2)
    assert set(facts.teacher_scores[config.teaching.teachers[0]]) == {"object", "obstacles"}
    bare = facts_of(Config("Pendulum-v1"), tmp_path)
    assert math.isnan(bare.most_entropy)
    assert not bare.points
    assert bare.teacher_scores == {}
