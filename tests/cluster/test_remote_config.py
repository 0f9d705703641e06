"""What of a run on a cluster cannot work is said before anything starts."""

from __future__ import annotations

import pytest

from kickstarting import Config
from kickstarting.cluster.config import RemoteConfig


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lockstep": True}, "lockstep is True, but actors is 0; give --actors N"),
        ({"actors": 3}, "env_groups is 1 in each of 3 actors; it must divide envs_per_task, 16, evenly"),
        ({"actors": 4, "env_groups": 8}, "env_groups is 8 in each of 4 actors"),
        ({"actors": 4, "overlap": True}, "overlap is set, and actors is 4"),
        ({"actors": 4, "record_histories": True}, "record_histories is set, and actors is 4: .* give --lockstep"),
        ({"actors": 4, "batch_unrolls": 9}, "batch_unrolls is 9, but 4 actors with 2 unrolls in flight each have at most 8"),
        ({"actors": 4, "batch_unrolls": 2, "lockstep": True}, "batch_unrolls is 2; in lockstep it is the number of actors, 4"),
        ({"actors": 4, "max_lag": 1}, r"max_lag is 1, below the 2 updates .*4 actors \* 2 in flight / 4 in a batch"),
        ({"actors": 4, "max_lag": 5, "batch_unrolls": 1}, "max_lag is 5, below the 8 updates"),
        ({"actors": 4, "max_lag": 2, "publish_every": 2}, r"below the 3 updates .* \+ publish_every 2 - 1"),
        ({"actors": 4, "teacher_workers": 1}, "teacher_workers is 1, but there is no teacher"),
        ({"cluster": "somewhere"}, "cluster is 'somewhere'; it must be HOST:PORT"),
        ({"cluster": "a:b\n"}, "cluster is "),
    ],
)
def test_what_cannot_work_is_refused(settings, said) -> None:
    with pytest.raises(ValueError, match=said) as error:
        Config.of("x", **settings).check()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("address", ["", "local", "auto", "10.0.0.1:6379", "head.example.org:6379", "[fd00::1]:6379"])
def test_addresses(address) -> None:
    Config.of("x", cluster=address).check()


def test_the_structural_lag() -> None:
    """An actor's unroll waits for those that it has in flight before it, in batches."""
    assert RemoteConfig(actors=150, in_flight=1, batch_unrolls=32).structural_lag == 5
    assert RemoteConfig(actors=150, in_flight=2, batch_unrolls=32).structural_lag == 10
    assert RemoteConfig(actors=8).structural_lag == 2
    assert RemoteConfig(actors=8, lockstep=True).structural_lag == 0
    assert RemoteConfig(actors=8, lockstep=True, publish_every=3).structural_lag == 2


def test_environments_are_shared_out() -> None:
    config = Config.of("x", actors=4, envs_per_task=16)
    assert (config.envs_each, config.envs_per_update, config.column_groups) == (4, 16, 1)
    assert Config.of("x", actors=4, envs_per_task=16, batch_unrolls=2).envs_per_update == 8
    alone = Config.of("x", envs_per_task=16, env_groups=2)
    assert (alone.envs_each, alone.envs_per_update, alone.column_groups) == (16, 16, 2)
    assert Config.of("x", actors=1, env_groups=2).column_groups == 2  # as without a cluster
