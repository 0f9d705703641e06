"""How many actors one learner serves: a discrete-event simulation of a cluster, fed by measured service times.

Actors act in unrolls, at most `in_flight` of each under way or waiting. An unroll crosses the network into the learner's node and
waits, first in, first out. The learner takes a batch, asks those whose unrolls are in it for the next ones, with the weights of
that moment, labels the batch and steps on it. Weights cross the network the other way once for each version and node.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import simpy

QUANTUM = 0.0014
"""Seconds of work after which a process lets another one have its core: Linux's base slice on two cores."""
PERIOD = 0.01
"""Seconds between two pieces of the background's work."""

Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Service:
    """What was measured of the parts, each alone. Seconds and bytes are of one unroll unless said otherwise."""

    frames: int
    """Of an unroll."""
    wait: float
    """Of an actor, for its environments, without using a core."""
    act: float
    """Of an actor, on a core: network and environments."""
    call: float
    """Of the learner's process: to ask for an unroll, to take it, and to put it into a batch."""
    unroll_bytes: float
    weight_bytes: float
    """Of one version of the weights."""
    label: float
    """Of the learner's node."""
    learn: float
    step: float = 0.0
    """Of the learner, once for each update."""
    spread: float = 0.0
    """Standard deviation of an actor's time over its mean."""
    steps: int = 1
    """Of an unroll: an actor waits, then computes, so many times."""
    waits: int = 1
    """Of a step: after each it needs a core for a moment, as for environments that are stepped one after the other."""
    relay: float = 0.0
    """Of a core of the machine that everything is on, beside actor and learner: the cluster's own processes."""
    background: float = 0.0
    """Share of a core of that machine that is used while nothing happens."""
    crowding: float = 1.0
    """Factor by which work there takes longer while all cores are busy."""


@dataclass(frozen=True)
class Plan:
    """A cluster, and how the run uses it."""

    actors: int
    batch: int = 0
    """Unrolls of an update; 0 is one for each actor."""
    in_flight: int = 2
    publish_every: int = 1
    """Updates after which the actors get new weights."""
    per_node: int = 16
    """Actors of a node."""
    bandwidth: float = 10e9 / 8
    """Bytes per second into the learner's node, and as many out of it."""
    cores: int = 0
    """More than 0: everything is on one machine of so many cores, and no network lies between; 0: each actor has a core."""

    @property
    def unrolls(self) -> int:
        return self.batch or self.actors


class Outcome(NamedTuple):
    """Means over the time after the warm-up."""

    frames_per_second: float
    updates_per_second: float
    learner_idle: float
    """Share of the time that the learner waited for unrolls."""
    actor_idle: float
    """Share of the time that actors waited to be asked."""
    queue: float
    """Unrolls that wait for the learner."""
    lag: float
    """Updates between the weights of an unroll and the step on it."""
    lag_max: int
    network_in: float
    """Share of the time that the link into the learner's node is busy."""
    network_out: float
    """The same of the link out of it."""


class Cluster:
    """A run of a plan. Whatever takes a while is a process of SimPy; links, cores and actors are resources with queues."""

    def __init__(self, service: Service, plan: Plan, seed: int = 0) -> None:
        self.service, self.plan, self.rng = service, plan, np.random.default_rng(seed)
        self.now = simpy.Environment()
        self.into, self.out = simpy.Resource(self.now), simpy.Resource(self.now)
        self.cores = simpy.Resource(self.now, plan.cores) if plan.cores else None
        self.arrived = simpy.Store(self.now)
        self.version = 0
        self.started = self.taken = 0
        self.lags: list[int] = []
        self._fetched: dict[tuple[int, int], simpy.Event] = {}
        self.seconds: dict[str, float] = dict.fromkeys(("learner idle", "acting", "into", "out", "queued"), 0.0)
        for number in range(plan.actors):
            actor = simpy.Resource(self.now)
            for _ in range(plan.in_flight):
                self.now.process(self._unrolls(number, actor))
        self.now.process(self._learner())
        if self.cores and service.background:
            self.now.process(self._background())

    def run(self, seconds: float, warm_up: float) -> Outcome:
        """The outcome of so many simulated seconds after the warm-up."""
        self.now.run(until=warm_up)
        before, taken, version = dict(self.seconds), self.taken, self.version
        self.lags.clear()
        self.now.run(until=warm_up + seconds)
        spent = {name: (value - before[name]) / seconds for name, value in self.seconds.items()}
        return Outcome(
            frames_per_second=(self.taken - taken) * self.service.frames / seconds,
            updates_per_second=(self.version - version) / seconds,
            learner_idle=spent["learner idle"],
            actor_idle=1 - spent["acting"] / self.plan.actors,
            queue=spent["queued"],
            lag=float(np.mean(self.lags)) if self.lags else float("nan"),
            lag_max=max(self.lags, default=0),
            network_in=spent["into"],
            network_out=spent["out"],
        )

    def _unrolls(self, number: int, actor: simpy.Resource) -> Steps:
        """One of the unrolls that an actor has under way: asked for, acted, sent, taken, and asked for again."""
        service, node = self.service, number // self.plan.per_node
        while True:
            version = self.version - self.version % self.plan.publish_every
            with actor.request() as turn:
                yield turn
                began = self.now.now
                self.started += 1
                if not self.cores:
                    yield from self._weights(node, version)
                yield from self._act()
                self.seconds["acting"] += self.now.now - began
            if not self.cores:
                yield from self._hold(self.into, service.unroll_bytes / self.plan.bandwidth, "into")
            elif service.relay:
                self.now.process(self._compute(service.relay))
            asked_again, arrived = self.now.event(), self.now.now
            yield self.arrived.put((version, arrived, asked_again))
            yield asked_again

    def _act(self) -> Steps:
        """Waiting and computing in turns, as the steps of an unroll do; slower or faster as a whole."""
        service = self.service
        factor = self.rng.gamma(service.spread**-2, service.spread**2) if service.spread else 1.0
        if not self.cores:
            yield self.now.timeout(factor * (service.wait + service.act))
            return
        for _ in range(service.steps):
            for _ in range(service.waits):
                yield self.now.timeout(factor * service.wait / service.steps / service.waits)
                yield from self._hold(self.cores, 0.0)
            yield from self._compute(factor * service.act / service.steps)

    def _weights(self, node: int, version: int) -> Steps:
        """A version crosses the network once for each node; whoever comes second waits for it, too."""
        fetched = self._fetched.get((node, version))
        if fetched is None:
            fetched = self._fetched[node, version] = self.now.event()
            yield from self._hold(self.out, self.service.weight_bytes / self.plan.bandwidth, "out")
            fetched.succeed()
        elif not fetched.processed:
            yield fetched

    def _learner(self) -> Steps:
        service, unrolls = self.service, self.plan.unrolls
        while True:
            began, batch = self.now.now, []
            for _ in range(unrolls):
                version, arrived, asked_again = yield self.arrived.get()
                batch.append(asked_again)
                self.seconds["queued"] += self.now.now - arrived
                self.lags.append(self.version - version)
                self.taken += 1
            self.seconds["learner idle"] += self.now.now - began
            yield from self._compute(unrolls * service.call)
            for asked_again in batch:
                asked_again.succeed()
            yield from self._compute(unrolls * (service.label + service.learn) + service.step)
            self.version += 1

    def _compute(self, seconds: float) -> Steps:
        if not self.cores:
            yield self.now.timeout(seconds)
            return
        while seconds > 1e-12:
            with self.cores.request() as turn:
                yield turn
                crowded = self.service.crowding if self.cores.count == self.cores.capacity else 1.0
                yield self.now.timeout(crowded * min(QUANTUM, seconds))
            seconds -= QUANTUM

    def _background(self) -> Steps:
        while True:
            yield self.now.timeout(PERIOD)
            self.now.process(self._compute(self.service.background * PERIOD))

    def _hold(self, resource: simpy.Resource, seconds: float, name: str = "") -> Steps:
        with resource.request() as turn:
            yield turn
            yield self.now.timeout(seconds)
        if name:
            self.seconds[name] += seconds


def simulate(service: Service, plan: Plan, updates: int = 200, seed: int = 0) -> Outcome:
    """The outcome over about so many updates, after everybody had a turn to warm up: until then all have the same weights."""
    update = plan.unrolls * (service.call + service.label + service.learn) + service.step
    round_trip = service.wait + service.act
    each = max(update, plan.unrolls / plan.actors * round_trip, 1e-6)
    if plan.cores:
        each = max(each, (update + plan.unrolls * (service.act + service.relay)) * service.crowding / plan.cores)
    else:
        fetches = min(plan.unrolls, -(-plan.actors // plan.per_node)) / plan.publish_every
        each = max(each, max(plan.unrolls * service.unroll_bytes, fetches * service.weight_bytes) / plan.bandwidth)
    turn = max(updates / 2, plan.actors * plan.in_flight / plan.unrolls)
    return Cluster(service, plan, seed).run(updates * each, warm_up=turn * each + 3 * round_trip)
