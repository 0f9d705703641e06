"""How long each part of a cluster takes alone: the service times that `simulation.py` is fed with. `cluster.py` measures them.

One actor acts and nobody learns; then a learner learns and nobody acts. What each needs of a core is asked of the system, process
by process, so that Ray's own work is counted, too. Nothing here comes from the runs that the simulation is held against.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from kickstarting import Config
from kickstarting.assembly import build
from kickstarting.cluster.events import nobody
from kickstarting.cluster.fleet import Fleet
from kickstarting.cluster.slots import Slots
from kickstarting.cluster.stretch import Stretch
from kickstarting.cluster.transport import to_array, to_tensor, weights_to_arrays
from kickstarting.learner import Hyperparameters
from kickstarting.machine import cores
from kickstarting.types import Trajectory
from simulation import Service

BATCHES = (1, 2, 4, 8, 16)
"""Unrolls of the updates that a line is laid through."""
SETTLING = 2.0
"""Seconds after which a cluster that has nothing to do is quiet."""


def measure(config_of: Callable[[int], Config], seconds: float, batches: Sequence[int] = BATCHES) -> Service:
    """The service times of a cluster on this machine; its environments are stepped one after the other. config_of: the run with so
    many actors. seconds: of each measurement."""
    one = config_of(1)
    unroll, acting = measure_acting(one, seconds)
    updates = [update_seconds(config_of(n), unroll, seconds / len(batches)) for n in batches]
    step, learn = line(batches, updates)
    publish = acting.pop("publish")
    return Service(
        frames=one.learning.unroll_length * one.learning.envs_per_task,
        steps=one.learning.unroll_length,
        waits=one.learning.envs_per_task,
        **acting,
        label=0.0,
        learn=learn,
        step=step + publish,
        crowding=crowding(config_of(batches[-1]), unroll, seconds),
    )


def measure_acting(config: Config, seconds: float) -> tuple[Trajectory, dict[str, float]]:
    """One actor that always has another unroll to make, with new weights, and a learner's process that only takes them: one of
    these, and what they took, by names of `Service`; `publish` is what a version of the weights takes of the learner's process."""
    suite, spaces, _, learner = build(config)
    weights, publish, taken = learner.network.state_dict(), 0.0, []
    with closing(Fleet(config, suite, spaces, 0, nobody)) as fleet, closing(Stretch(fleet, 0, 0, learner)) as stretch:
        unroll = stretch.unroll().map(Tensor.clone)
        for _ in range(3 * config.remote.in_flight):
            stretch.load(weights)
            stretch.unroll()
        began, before = time.perf_counter(), core_seconds()
        while time.perf_counter() < began + seconds:
            stretch.unroll()
            taken.append(time.perf_counter())
            started = time.thread_time()
            stretch.load(weights)
            publish += time.thread_time() - started
        spent, used = time.perf_counter() - began, core_seconds() - before
        time.sleep(SETTLING)
        began, before = time.perf_counter(), core_seconds()
        time.sleep(seconds / 2)
        idle = ((core_seconds() - before) / (time.perf_counter() - began)).tolist()
    learning, acting, others = (used / len(taken)).tolist()
    each = spent / len(taken)
    return unroll, {
        "wait": max(0.0, each - acting),
        "act": acting,
        "call": max(0.0, learning - each * idle[0] - publish / len(taken)),
        "publish": publish / len(taken),
        "relay": max(0.0, others - each * idle[2]),
        "background": idle[0] + idle[2],
        "unroll_bytes": sum(sizes(unroll)),
        "weight_bytes": sum(x.nbytes for x in weights_to_arrays(weights).values()),
        "spread": float(np.std(np.diff(taken)) / each),
    }


def update_seconds(config: Config, unroll: Trajectory, seconds: float) -> float:
    """Of a core, for an update on as many unrolls as the configuration puts into a batch."""
    update = updating(config, unroll)
    update()
    began, used, updates = time.perf_counter(), time.process_time(), 0
    while updates < 3 or time.perf_counter() < began + seconds:
        update()
        updates += 1
    return (time.process_time() - used) / updates


def updating(config: Config, unroll: Trajectory) -> Callable[[], None]:
    """An update as the learner's process does it once it has its unrolls."""
    _, spaces, _, learner = build(config)
    slots = Slots(config.remote.unrolls, spaces.task_of_column(config.envs_each))
    batch = Trajectory.side_by_side([unroll] * slots.number)

    def update() -> None:
        for value in learner.learn(slots.by_task(batch), Hyperparameters(learning_rate=0.0)).values():
            value.item()

    return update


def crowding(config: Config, unroll: Trajectory, seconds: float) -> float:
    """The factor by which an update needs longer of a core while all others are busy: they share caches, memory, and more."""
    alone = update_seconds(config, unroll, seconds)
    with busy(cores() - 1, config, unroll):
        return max(1.0, update_seconds(config, unroll, seconds) / alone)


@contextmanager
def busy(processes: int, config: Config, unroll: Trajectory) -> Generator[None]:
    """So many other processes do updates, too, until the end."""
    context = multiprocessing.get_context("spawn")
    ready, arrays = context.Semaphore(0), unroll.map(to_array)
    others = [context.Process(target=_update_on, args=(config, arrays, ready), daemon=True) for _ in range(processes)]
    try:
        for other in others:
            other.start()
        for _ in others:
            if not ready.acquire(timeout=120):
                raise RuntimeError("a process that should keep a core busy does not start within two minutes")
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


def _update_on(config: Config, unroll: Trajectory, ready: Any) -> None:
    update = updating(config, unroll.map(to_tensor))
    update()
    ready.release()
    while True:
        update()


def line(batches: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Of an update and of each of its unrolls: the line through the points that has the least squares of relative errors, and does
    not begin below 0. Raises ValueError if the batches are all of one size."""
    if len(set(batches)) < 2:
        raise ValueError(f"the batches are {list(batches)}; a line needs two different ones")
    heights = np.asarray(seconds)
    columns = np.stack([np.ones(len(heights)), np.asarray(batches)], 1) / heights[:, None]
    (step, learn), *_ = np.linalg.lstsq(columns, np.ones(len(heights)))
    if step < 0:
        step, learn = 0.0, columns[:, 1].sum() / (columns[:, 1] ** 2).sum()
    return float(step), float(learn)


def sizes(unroll: Trajectory) -> list[int]:
    """Bytes of its tensors."""
    found: list[int] = []

    def look(x: Tensor) -> Tensor:
        found.append(x.nbytes)
        return x

    unroll.map(look)
    return found


def core_seconds() -> np.ndarray:
    """Used so far by this process, by the actors that it started, and by everything else that it started: Ray's own, [3]."""
    actors = others = 0.0
    for process in below(os.getpid()):
        try:
            title = Path(f"/proc/{process}/cmdline").read_bytes()
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended
            continue
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if title.startswith(b"ray::RemoteActor"):
            actors += seconds
        else:
            others += seconds
    return np.array([time.process_time(), actors, others])


def below(process: int) -> list[int]:
    """The processes that a process started, and those that they started."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found = [process]
    for one in found:
        found += children.get(one, [])
    return found[1:]
