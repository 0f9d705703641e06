"""Suites and recipes of any bytes and values: read, or refused in a line."""

# ruff: noqa: PT017

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kickstarting import load_suite
from kickstarting.tuning.recipe import read_recipe


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_suites_and_recipes_of_any_bytes(tmp_path_factory, data):
    for name in ("suite.toml", "recipe.toml"):
        path = tmp_path_factory.mktemp("any") / name
        path.write_bytes(data)
        try:
            load_suite(str(path)) if name == "suite.toml" else read_recipe(path)
        except ValueError as refused:
            assert str(path) in str(refused)


TOML = st.sampled_from(
    [
        "1",
        "-1",
        "nan",
        "inf",
        '"x"',
        "true",
        "[]",
        "[1]",
        "{a = 1}",
        '""',
        "1e400",
        "2020-01-01",
        '"\\u001b"',
        "99999999999999999999",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["name", "env_id", "backend", "metric", "random", "reference", "category", "action_repeat", "options", "x"]
        ),
        TOML,
    )
)
def test_tasks_of_any_values(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("task") / "suite.toml"
    entries = {"env_id": '"MiniGrid-Empty-5x5-v0"', **values}
    path.write_text("[[task]]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items()))
    try:
        (task,) = load_suite(str(path)).tasks
    except ValueError as refused:
        assert "suite.toml" in str(refused)
        assert "\n" not in str(refused)
        return
    assert math.isfinite(task.score(0.5))


def test_a_directory_a_missing_and_an_unreadable_file_are_no_suites(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    for name in ("folder.toml", "missing.toml"):
        with pytest.raises(ValueError, match=name):
            load_suite(str(tmp_path / name))
        with pytest.raises(ValueError, match=name):
            read_recipe(tmp_path / name)
