"""What is said where there is no cluster to connect to."""

from __future__ import annotations

import sys

import pytest

from kickstarting.cluster.connect import Cluster, engine


def test_no_cluster_at_the_address() -> None:
    pytest.importorskip("ray")
    with pytest.raises(
        ValueError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 .*; start one with `ray start --head`"
    ) as error:
        Cluster("127.0.0.1:1")
    assert "\n" not in str(error.value)


def test_without_ray_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'kickstarting\[ray\]'"):
        engine()
