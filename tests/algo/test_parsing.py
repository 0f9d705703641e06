"""Schedules and frames as text: read, or refused in a line."""

# ruff: noqa: PT017

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from kickstarting.algo.parsing import KINDS, parse_frames, parse_schedule


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.integers(1, 10**9))
def test_parsers_read_or_refuse(text, total):
    for parse in (parse_frames, parse_schedule):
        try:
            parse(text, total)
        except ValueError as refused:
            assert len(str(refused)) < 1000


PART = st.sampled_from(
    [*KINDS, "1", "0", "-0.0", "1e308", "1e-320", "nan", "inf", "20%", "200%", "1k", "5M", "", " ", "0=1", ";", "=", "٣"]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PART, min_size=1, max_size=6), st.sampled_from([":", ";", "="]))
def test_schedules_that_are_nearly_right(parts, between):
    text = between.join(parts)
    try:
        schedule = parse_schedule(text, 1000)
        value = schedule.at(10, 0.5)
    except (ValueError, OverflowError):
        return
    assert not math.isnan(float(value))
