"""The way to a cluster: Ray imported, connected, and every node looked at before any work."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from kickstarting.cluster.config import AUTO, LOCAL
from kickstarting.faults import Fault

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning about processes without GPUs
    "RAY_worker_niceness": "0",  # else actors of this machine only get what the learner leaves
    "RAY_task_events_report_interval_ms": "0",  # else the head grows by 3 MB for every thousand unrolls
}
"""Of a cluster that is begun here; whoever sets one of these variables keeps theirs."""
DISTRIBUTIONS = ("kickstarting", "torch", "numpy")
"""Whose versions must be the same on all nodes."""
DEADLINE = 30.0
"""Seconds for an answer that takes no work."""


class ClusterFault(Fault):
    """What a run needs of its cluster is gone, and does not come back."""

    @property
    def whose(self) -> str:
        return "cluster"


def engine() -> Any:
    """Ray, as a module. Raises ValueError, with the extra to install, where it is missing."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        with _own_signals():
            import ray
    except ImportError as error:
        raise ValueError(f"a cluster needs Ray, which is not installed here ({error}): pip install 'kickstarting[ray]'") from error
    return ray


class Cluster:
    """A connection to a Ray cluster, shared by all of this process; what it began itself ends with `close`.

    Raises ValueError if none answers at the address, or its Ray or Python are of other versions.
    """

    def __init__(self, address: str, store_bytes: int | None = None) -> None:
        self.ray = engine()
        self.address = address or LOCAL
        self._own, self._directory = not self.ray.is_initialized(), ""
        if not self._own:
            return
        quiet = {"logging_level": "ERROR", "log_to_driver": False}
        if self.address == LOCAL:
            self._directory = tempfile.mkdtemp(prefix="kick-", dir="/tmp")  # Ray's sockets need short paths
            here: dict[str, Any] = {"include_dashboard": False, "_temp_dir": self._directory, "object_store_memory": store_bytes}
            try:
                with _own_signals():
                    self.ray.init(address=LOCAL, **here, **quiet)
            except Exception as error:  # Ray raises the bare class if it is not up within 30 s
                self.close()
                said = " ".join(str(error).split())[:200]
                raise ValueError(f"Ray does not start on this machine ({said}); it may be too busy, or short of memory") from error
            return
        try:
            _knock(self.address)
            with _own_signals():
                self.ray.init(address=self.address, **quiet)
        except (OSError, RuntimeError, ValueError) as error:  # ConnectionError is an OSError
            said = " ".join(str(error).split())
            if "ersion mismatch" in said:
                raise ValueError(f"the cluster at {self.address} has other versions than this machine: {said}") from error
            raise ValueError(
                f"no Ray cluster answers at {self.address} ({said[:200]}); start one with `ray start --head`, or use "
                "--cluster local"
            ) from error

    def cpus(self) -> float:
        """Of all nodes together."""
        return float(self.ray.cluster_resources().get("CPU", 0))

    def check_cpus(self, needed: float, what: str, remedy: str) -> None:
        """Raise ValueError if the cluster has less. what: who needs them."""
        if needed > (there := self.cpus()) + 1e-9:
            raise ValueError(f"{what} take {needed:g} CPUs, but the cluster has {there:g}; {remedy}")

    def check_nodes(self) -> None:
        """Raise ValueError if a node lacks this package, or has other versions than this machine."""
        ours = versions()
        for node in self.ray.nodes():
            if not (node["Alive"] and node["Resources"].get("CPU")):
                continue
            name = name_of(node["NodeManagerHostname"], node["NodeID"])
            try:
                theirs = self.on(node["NodeID"], _look())
            except Exception as error:
                raise ValueError(f"node {name} does not answer: {in_a_line(error)}; stop it, or mend it") from error
            check_versions(name, theirs, ours)

    def on(self, node: str, function: Any, *arguments: Any) -> Any:
        """What a function returns on a node, within `DEADLINE`."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        place = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        task = self.ray.remote(function).options(num_cpus=0, max_retries=0, scheduling_strategy=place)
        return self.ray.get(task.remote(*arguments), timeout=DEADLINE)

    def fate(self, node: str) -> str:
        """What became of a node: alive, drained, or dead."""
        for entry in self.ray.nodes():
            if entry["NodeID"] == node:
                expected = entry.get("DeathReason") in (1, 3, 4)  # terminated as asked, preempted, or no longer wanted
                return "alive" if entry["Alive"] else "drained" if expected else "dead"
        return "dead"

    def close(self) -> None:
        if self._own and self.ray.is_initialized():
            with _own_signals():
                self.ray.shutdown()
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)


def versions() -> dict[str, str]:
    """What must be the same on all nodes."""
    return {name: importlib.metadata.version(name) for name in DISTRIBUTIONS} | {"python": platform.python_version()}


def check_versions(node: str, theirs: dict[str, str], ours: dict[str, str]) -> None:
    """Raise ValueError if something is missing on a node, or of another version there."""
    for name, own in ours.items():
        if name not in theirs:
            raise ValueError(f"node {node} has no {name}, this machine has {own}; install the same there")
        if theirs[name] != own:
            raise ValueError(f"node {node} has {name} {theirs[name]}, this machine has {own}; install the same on both")


def name_of(host: str, node: str) -> str:
    """Of a node, for people: several may stand on one host."""
    return f"{host}:{node[:6]}"


def in_a_line(error: BaseException) -> str:
    """The gist of an error, of which Ray says pages."""
    cause = getattr(error, "cause", None) or error
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(cause))
    if found := re.search(r"exit type: (\w+)", text):
        memory = ", out of memory" * ("OUT_OF_MEMORY" in text)
        return f"its process ended ({found[1]}{memory})"
    if "node" in text and ("died" in text or "dead" in text) and "Actor" in type(cause).__name__:
        return "its node is gone"
    return " ".join(f"{type(cause).__name__}: {text}".split())[:300]


def _look() -> Any:
    """A function that says versions. It is nested so that it travels by value: where the package is missing, it says so."""
    wanted = DISTRIBUTIONS

    def look() -> dict[str, str]:
        import importlib.metadata
        import platform

        found = {"python": platform.python_version()}
        for name in wanted:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                continue
        return found

    return look


def _knock(address: str) -> None:
    """Raise OSError if nobody listens; Ray itself would try for a minute."""
    if address != AUTO:
        host, _, port = address.rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself, and a run that hears it saves."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
