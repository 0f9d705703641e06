"""A run on several Ray nodes of this machine whose parts are killed at random: does it hang, lose a checkpoint, or grow?

    python scripts/soak.py --minutes 20 --kills 50
    python scripts/soak.py --minutes 2 --kills 5 --nodes 2     # in short

Each kill is one of: an actor (SIGKILL, or SIGSTOP, which the watchdog must find), a teacher worker, a node, the command itself
(which is resumed), and the head, which is restarted with its state. After each kill the run must make progress within --patience.
At the end it prints kills, events, and how the memory of each kind of process and of the object stores moved (`soak_memory.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from kickstarting.cluster.connect import engine
from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.metrics import last_metrics
from soak_memory import Memory

FAST = {
    "RAY_gcs_storage": "rocksdb",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "60",
}
"""A head that keeps its state, and nodes that are missed soon; not for production, where a busy node would count as dead."""


class Soak:
    """A cluster, a run on it, and what is done to both."""

    def __init__(self, directory: Path, nodes: int, seed: int, patience: float) -> None:
        from ray.cluster_utils import Cluster

        self.out, self._patience, self._random = directory / "run", patience, random.Random(seed)
        store = {"object_store_memory": 100 * 2**20}
        self._cluster: Any = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "temp_dir": str(directory / "r"), **store},
        )
        self._options: dict[str, Any] = {"num_cpus": 2, **store}
        self._nodes = [self._cluster.add_node(**self._options) for _ in range(nodes)]
        self._cluster.wait_for_nodes()
        self._command = self._start()
        self.memory = Memory(self._cluster)
        self.kills: Counter[str] = Counter()
        self.began = time.monotonic()

    def wait_for_progress(self) -> None:
        """Raise RuntimeError if the run does not go on."""
        before, since = self.frames(), time.monotonic()
        while self.frames() == before:
            if self._command.poll() is not None:
                if self._command.returncode == 0:
                    return
                said = (self.out.parent / "log.txt").read_text()[-600:]
                print(f"the command ended with {self._command.returncode}, and is resumed: {said.splitlines()[-1:]}", flush=True)
                self._command = self._start()
            if time.monotonic() - since > self._patience:
                raise RuntimeError(f"no progress for {self._patience:.0f} s at {before} frames; see {self.out.parent}")
            self.memory.look(self._command.pid)
            time.sleep(0.5)

    def wait_until(self, moment: float) -> None:
        while time.monotonic() < moment:
            self.memory.look(self._command.pid)
            time.sleep(0.5)

    def kill_something(self) -> None:
        kind = self._random.choice(["actor", "actor", "stopped actor", "teacher worker", "node", "command", "head"])
        self.kills[kind] += 1
        print(f"{time.monotonic() - self.began:6.0f} s  {self.frames():9d} frames  kill: {kind}", flush=True)
        getattr(self, f"_kill_{kind.replace(' ', '_')}")()

    def frames(self) -> int:
        return int(last_metrics(RunDirectory(self.out).metrics).get("frames", 0))

    def events(self) -> Counter[str]:
        path = RunDirectory(self.out).cluster
        return Counter(json.loads(line)["event"] for line in path.read_text().splitlines()) if path.exists() else Counter()

    def close(self) -> None:
        if self._command.poll() is None:
            self._command.terminate()
            try:
                self._command.wait(120)
            except subprocess.TimeoutExpired:
                self._command.kill()
                self._command.wait()
        self._cluster.shutdown()

    def _start(self) -> subprocess.Popen[bytes]:
        run = RunDirectory(self.out)
        command = [sys.executable, "-m", "kickstarting", "train"]
        if run.begun:
            command += ["--resume", str(self.out)]
        else:
            command += ["grid-8:two_rooms,go_to_local", "--out", str(self.out), "--teacher", "zoo:grid-8-small", *SETTINGS]
            command += ["--cluster", self._cluster.address]
        with (self.out.parent / "log.txt").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def _one(self, name: str) -> int | None:
        """A process of Ray's by its title."""
        found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if name in _title(path)]
        return self._random.choice(sorted(found)) if found else None

    def _signal(self, name: str, number: int) -> None:
        if (process := self._one(name)) is not None:
            os.kill(process, number)

    def _kill_actor(self) -> None:
        self._signal("ray::RemoteActor", signal.SIGKILL)

    def _kill_stopped_actor(self) -> None:
        self._signal("ray::RemoteActor", signal.SIGSTOP)

    def _kill_teacher_worker(self) -> None:
        self._signal("ray::TeacherWorker", signal.SIGKILL)

    def _kill_node(self) -> None:
        node = self._nodes.pop(self._random.randrange(len(self._nodes)))
        self._cluster.remove_node(node, allow_graceful=False)
        self._nodes.append(self._cluster.add_node(**self._options))

    def _kill_command(self) -> None:
        self._command.kill()
        self._command.wait()
        self._command = self._start()

    def _kill_head(self) -> None:
        self._cluster.head_node.kill_gcs_server()
        time.sleep(2.0)
        self._cluster.head_node.start_gcs_server()


SETTINGS = (
    *("--network", "small", "--envs-per-task", "8", "--unroll-length", "16", "--torch-threads", "1", "--frames", "100M"),
    *("--schedule", "constant:0.5", "--accept-weak-teachers", "--checkpoint-every", "20k", "--precision", "float32"),
    *("--actors", "2", "--actor-cpus", "0.5", "--teacher-workers", "1", "--actor-timeout", "20"),
)


def _title(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=120.0, help="seconds without progress that are a hang")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-", dir="/tmp") as directory:
        settings: dict[str, Any] = {**FAST, "RAY_gcs_storage_path": f"{directory}/gcs"}
        os.environ.update({name: value for name, value in settings.items() if name not in os.environ})
        engine()
        soak = Soak(Path(directory), arguments.nodes, arguments.seed, arguments.patience)
        try:
            soak.wait_for_progress()
            for kill in range(arguments.kills):
                soak.kill_something()
                soak.wait_for_progress()
                soak.wait_until(soak.began + 60 * arguments.minutes * (kill + 1) / arguments.kills)
            soak.wait_for_progress()
            print(f"{sum(soak.kills.values())} kills, no hang: {dict(soak.kills)}; events: {dict(soak.events())}")
            print(soak.memory.report())
        finally:
            soak.close()


if __name__ == "__main__":
    main()
