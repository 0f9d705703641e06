"""An actor beside the learner: it works on the next unroll while the learner steps on the last one."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from queue import SimpleQueue
from threading import Thread
from typing import Any

import torch

from kickstarting.actor import Actor, Episode
from kickstarting.algo.distributions import Distribution
from kickstarting.envs import EnvironmentFault, MultiTaskEnv
from kickstarting.teachers import ActingTeachers
from kickstarting.types import Trajectory


class OverlappedActor:
    """An actor that works on the next unroll, in a thread of its own, while the learner steps on the last one.

    It acts with a copy of the network that is `lag` updates old, at most one, and is the same through an unroll: same
    seed, same run. On a GPU it works in a stream of its own. An environment that hangs is an EnvironmentFault of `unroll`, and
    its thread is left behind.
    """

    def __init__(
        self,
        env: MultiTaskEnv,
        network: Any,
        unroll_length: int,
        *,
        seed: int,
        device: str = "cpu",
        teachers: ActingTeachers | None = None,
        distribution: Distribution | None = None,
    ) -> None:
        self._copy, self._weights = copy.deepcopy(network), network.state_dict()
        options: dict[str, Any] = {"teachers": teachers, "distribution": distribution}
        self._actor = Actor(env, self._copy, unroll_length, seed=seed, device=device, **options)
        self._stream = torch.cuda.Stream() if device == "cuda" else None
        self._queue: SimpleQueue[Future[Trajectory] | None] = SimpleQueue()
        # A daemon, unlike the threads of an executor: an environment that hangs must not keep the interpreter
        self._thread = Thread(target=self._work, name="actor", daemon=True)
        self._thread.start()
        self._metrics: dict[str, float | None] = {}
        self._episodes: list[Episode] = []
        self._next_lag = 0
        self._start()

    def unroll(self) -> Trajectory:
        """The unroll that was under way; the next one starts with the weights of now."""
        began = time.perf_counter()
        while not wait([self._pending], timeout=1.0).done:
            self._actor.env.check_answers()
        trajectory = self._pending.result()
        idle = time.perf_counter() - began
        self._metrics = {**self._actor.metrics(), "seconds/idle": idle, "lag": float(self._next_lag)}
        self._episodes += self._actor.drain_episodes()
        self._actor.load(self._weights)
        self._next_lag = 1
        self._start()
        return trajectory

    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Copied when the next unroll begins, so that a step of the learner in between counts, too."""
        self._weights = weights

    def drain_episodes(self) -> list[Episode]:
        """The episodes that ended in the unrolls returned since the last call."""
        episodes, self._episodes = self._episodes, []
        return episodes

    def metrics(self) -> dict[str, float | None]:
        """Where the last unroll's time went, how long the learner waited for it, and how old its policy was in updates."""
        return self._metrics

    def close(self) -> None:
        """Wait for the unroll under way, which nobody will read, unless it hangs."""
        self._queue.put(None)
        while self._thread.is_alive():
            self._thread.join(timeout=1.0)
            try:
                self._actor.env.check_answers()
            except EnvironmentFault:
                return

    def _start(self) -> None:
        if self._stream:  # the weights have arrived
            torch.cuda.current_stream().synchronize()
        self._pending: Future[Trajectory] = Future()
        self._queue.put(self._pending)

    def _work(self) -> None:
        while pending := self._queue.get():
            try:
                pending.set_result(self._unroll())
            except BaseException as error:
                pending.set_exception(error)

    def _unroll(self) -> Trajectory:
        if not self._stream:
            return self._actor.unroll()
        with torch.cuda.stream(self._stream):
            trajectory = self._actor.unroll()
            self._stream.synchronize()
        return trajectory
