"""Between two checkpoints: unrolls asked for, waited for, and put together as batches, with the learner setting the pace."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from torch import Tensor

from kickstarting.actor import Episode
from kickstarting.cluster.crew import Post
from kickstarting.cluster.fleet import Fleet
from kickstarting.cluster.lag import lag_metrics
from kickstarting.cluster.transport import Unroll, to_tensor, weights_to_arrays
from kickstarting.learner import Learner
from kickstarting.types import Trajectory

TICK = 1.0
"""Seconds between two looks at who does not answer."""


class Stretch:
    """`Unrolls` of many actors, on a stretch between two checkpoints.

    Of each actor at most `in_flight` unrolls are under way or wait here, and the next one is asked for when the learner takes one:
    so memory is bounded by construction. The learner takes the oldest ones, whoever made them; in lockstep one of each actor, in
    the order of their numbers, all made with the weights of now.
    """

    def __init__(self, fleet: Fleet, frames: int, seam: int, learner: Learner) -> None:
        """frames, seam: where the run stands."""
        self._fleet, self._crew, self._remote = fleet, fleet.crew, fleet.remote
        self._began, self._device = (frames, seam), learner.device
        self._owed: Counter[int] = Counter()  # unrolls of each actor that are under way or wait here
        self._ready: deque[tuple[Post, Unroll]] = deque()
        self._episodes: list[Episode] = []
        self._metrics: dict[str, float | None] = {}
        self._taken = time.monotonic()
        fleet.generation += 1
        self._publish(learner.network.state_dict())
        self._crew.attend(self._open, self._lost)

    def unroll(self) -> Trajectory:
        """A batch; columns of one actor stand side by side, and `Slots` knows whose they are."""
        began = time.monotonic()
        if self._remote.lockstep:
            for post in self._crew.posts:
                self._ask(post)
        batch = self._gather()
        if self._remote.lockstep:
            batch.sort(key=lambda taken: taken[0].number)
        else:
            for post, _ in batch:
                self._ask(post)
        self._measure(batch, time.monotonic() - began)
        slots = self._fleet.slots
        slots.sources = [post.number for post, _ in batch]
        for slot, (_, unroll) in enumerate(batch):
            self._episodes += [slots.episode(slot, episode) for episode in unroll.episodes]
        together = Trajectory.side_by_side([unroll.trajectory.map(to_tensor) for _, unroll in batch])
        return together if self._device == "cpu" else together.map(lambda x: x.to(self._device))

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Every `publish_every` updates the weights go to the object store, once, and to a node when an actor there wants them."""
        self._fleet.updates += 1
        if self._fleet.updates % self._remote.publish_every == 0:
            self._publish(weights)

    def drain_episodes(self) -> list[Episode]:
        episodes, self._episodes = self._episodes, []
        return episodes

    def metrics(self) -> dict[str, float | None]:
        return self._metrics

    def close(self) -> None:
        """What is under way is not waited for."""
        self._crew.leave()
        self._ready.clear()

    def _publish(self, weights: Mapping[str, Tensor]) -> None:
        self._version = self._fleet.updates
        self._weights = self._fleet.cluster.ray.put(weights_to_arrays(weights))

    def _open(self, post: Post) -> None:
        post.up = False
        self._crew.call(post, self._opened, "begin", self._fleet.generation, *self._began, post.restarts)

    def _opened(self, post: Post, _: None) -> None:
        post.up = True
        self._ask(post)

    def _ask(self, post: Post) -> None:
        """As many unrolls as an actor may owe."""
        most = 1 if self._remote.lockstep else self._remote.in_flight
        while post.up and self._owed[post.number] < most:
            self._owed[post.number] += 1
            self._crew.call(post, self._arrived, "unroll", self._fleet.generation, self._version, [self._weights])

    def _arrived(self, post: Post, unroll: Unroll) -> None:
        self._ready.append((post, unroll))

    def _lost(self, post: Post, asked: Sequence[str]) -> str:
        unrolls = list(asked).count("unroll")
        self._owed[post.number] -= unrolls
        self._fleet.lost_unrolls += unrolls
        return f"{unrolls} unrolls under way are lost"

    def _gather(self) -> list[tuple[Post, Unroll]]:
        """The oldest unrolls, as many as are in a batch; those that are too old are dropped."""
        batch, dropped = [], Counter[int]()
        self._crew.receive()
        self._metrics = {"queue": float(len(self._ready))}
        while len(batch) < self._fleet.slots.number:
            if not self._ready:
                self._crew.receive(TICK)
                continue
            post, unroll = self._ready.popleft()
            self._owed[post.number] -= 1
            if self._remote.max_lag and self._lag(unroll) > self._remote.max_lag:
                dropped[post.number] += 1
                self._ask(post)
            else:
                batch.append((post, unroll))
        self._fleet.dropped_unrolls += dropped.total()
        self._fleet.slots.gaps |= set(dropped)
        for post in (post for post in self._crew.posts if dropped[post.number]):
            how = f"{dropped[post.number]} unrolls of {post.name} on node {post.node}"
            self._crew.tell("dropped", post, f"{how} are dropped: more than {self._remote.max_lag} updates old")
        return batch

    def _lag(self, unroll: Unroll) -> int:
        return self._fleet.updates - unroll.version

    def _measure(self, batch: list[tuple[Post, Unroll]], waited: float) -> None:
        fleet, now = self._fleet, time.monotonic()
        seconds, self._taken = max(1e-9, now - self._taken), now
        own = [unroll.metrics for _, unroll in batch]
        for name in own[0]:
            known = [value for metrics in own if (value := metrics.get(name)) is not None]
            self._metrics[name] = sum(known) / len(known) if known else None
        self._metrics |= lag_metrics([self._lag(unroll) for _, unroll in batch])
        self._metrics |= {
            "seconds/idle": waited,
            "learner_idle": min(1.0, waited / seconds),
            "actors_alive": float(sum(post.up for post in self._crew.posts)),
            "restarts": float(self._crew.restarts),
            "dropped_unrolls": float(fleet.dropped_unrolls),
            "lost_unrolls": float(fleet.lost_unrolls),
        }
        nodes = Counter(post.node for post, _ in batch)
        self._metrics |= {f"frames_per_second/{node}": n * fleet.frames_per_unroll / seconds for node, n in nodes.items()}
