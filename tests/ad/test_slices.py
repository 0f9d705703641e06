"""Slices: several episodes of one history, in order, and never beyond its ends."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from kickstarting.ad.slices import Slices
from kickstarting.algo.distributions import Categorical
from kickstarting.runs.histories import About, Histories


def histories_of(lengths: list[list[int]]) -> Histories:
    """Episodes of these lengths (one step more for the last observation); observations are (history, episode, step)."""
    rows = [(h, e, t, t == 0, t == n) for h, episodes in enumerate(lengths) for e, n in enumerate(episodes) for t in range(n + 1)]
    h, e, t, first, over = (np.array(column) for column in zip(*rows, strict=True))
    about = About(spaces.Dict({"o": spaces.MultiDiscrete([99, 99, 99])}), spaces.Discrete(50), [[n] for n in range(len(lengths))])
    columns = {
        "observation/o": np.stack([h, e, t], 1).astype(np.uint8),
        "action": np.where(over, 0, t % 50).astype(np.uint8),
        "reward": np.where(over, 0.0, e * 100.0 + t).astype(np.float32),
        "is_first": first,
        "terminated": np.zeros(len(h), bool),
        "truncated": np.roll(over, -1),
        "valid": ~over,
    }
    starts = np.concatenate([[0], np.cumsum([sum(n + 1 for n in episodes) for episodes in lengths])])
    return Histories(about, columns, starts)


LENGTHS = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=7), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 20), st.integers(1, 3), st.booleans(), st.integers(0, 3), st.integers(0, 99))
def test_slices_stay_in_their_history_and_go_forward(lengths, context, skip, terminal, last, seed):
    slices = Slices(histories_of(lengths), Categorical(50), terminal=terminal, last=last)
    batch = slices.sample(np.random.default_rng(seed), 5, context, (skip,), 0.5)
    seen, weights = batch.inputs.observations["o"].numpy(), batch.weights.numpy()
    for row in range(5):
        known = int(np.flatnonzero(weights[row])[-1]) + 1
        h, e, t = seen[row, :known].T.astype(int)
        assert len(set(h)) == 1
        assert t[0] == 0
        episodes = lengths[h[0]]
        assert e[0] >= (len(episodes) - last if last else 0)
        for before, after in zip(range(known - 1), range(1, known), strict=True):
            length = episodes[e[before]] + terminal
            assert (e[after], t[after]) == ((e[before], t[before] + 1) if t[before] + 1 < length else (e[before] + skip, 0))
        valid = weights[row, :known] > 0
        assert (valid == [b < episodes[a] for a, b in zip(e, t, strict=True)]).all()
        assert (batch.actions[row, :known].numpy()[valid] == t[valid] % 50).all()


def test_what_led_to_a_step_stands_beside_it():
    for terminal in (True, False):
        slices = Slices(histories_of([[2, 2]]), Categorical(50), terminal=terminal)
        inputs = slices.sample(np.random.default_rng(0), 1, 6 if terminal else 4, (1,), 1.0).inputs
        assert inputs.last_actions[0].tolist() == ([-1, 0, 1, -1, 0, 1] if terminal else [-1, 0, 1, 0])
        assert inputs.last_rewards[0].tolist() == ([0, 0, 1, 0, 100, 101] if terminal else [0, 0, 1, 100])
        assert inputs.is_first[0].tolist() == ([True, False, False] * 2 if terminal else [True, False] * 2)


def test_half_of_the_slices_begin_where_their_history_does():
    slices = Slices(histories_of([[1] * 50] * 3), Categorical(50))
    for share in (0.0, 0.5, 1.0):
        batch = slices.sample(np.random.default_rng(0), 2000, 4, (1,), share)
        assert (batch.inputs.observations["o"][:, 0, 1] == 0).float().mean() == pytest.approx(share + (1 - share) / 49, abs=0.04)


def test_skips_span_the_way_of_the_source():
    found = histories_of([[1] * 100] * 2)
    episode = found.columns["observation/o"][:, 1]
    found.columns["reward"][:] = np.minimum(episode / 50, 1.0) * found.columns["valid"]
    low, middle, high = Slices(found, Categorical(50)).skips(6)
    assert middle == pytest.approx(9, abs=1)  # 45 episodes to nine tenths, in five steps
    assert (low, high) == (pytest.approx(middle / 2, abs=1), pytest.approx(2 * middle, abs=1))
    assert Slices(found, Categorical(50)).skips(99) == (1,)


def test_a_context_longer_than_the_histories_is_told():
    slices = Slices(histories_of([[3] * 5]), Categorical(50))
    slices.check_context(20, (1,))
    with pytest.raises(ValueError, match="takes 7 episodes of a history, and the longest has 5"):
        slices.check_context(16, (2,))
