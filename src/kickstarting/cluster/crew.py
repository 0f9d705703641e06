"""Processes of one kind on a cluster: asked, waited for, watched, and replaced when they are lost or stuck."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kickstarting.cluster.connect import DEADLINE, Cluster, ClusterFault, check_versions, in_a_line, versions
from kickstarting.cluster.events import Event, Kind, Said
from kickstarting.cluster.remote import Place
from kickstarting.cluster.watchdog import stands_in
from kickstarting.envs import EnvironmentFault

START = 300.0
"""Seconds that a process may always take until it is ready: it finds a place, imports, and opens environments."""
MOST_LOSSES, WITHIN = 5, 600.0
"""A process that is lost so often within so many seconds is given up, and with it the run: something is wrong with it."""


@dataclass
class Post:
    """A share of the work, and the process that does it at the moment."""

    name: str
    """actor 7."""
    number: int
    process: Any = None
    """Ray's handle."""
    place: Place | None = None
    """Where it is; None as long as it has not said so."""
    up: bool = False
    """Whether it is ready to work."""
    restarts: int = 0
    heard: float = 0.0
    """When it last answered, by this process's clock."""
    losses: deque[float] = field(default_factory=deque)

    @property
    def node(self) -> str:
        return self.place.name if self.place else ""


@dataclass(frozen=True)
class Call:
    """What a process was asked and has not answered yet."""

    post: Post
    method: str
    then: Callable[[Post, Any], None]
    """What to do with the answer."""
    since: float


class Crew:
    """All processes of one kind.

    make: starts the one with a number, and returns Ray's handle. patience: seconds without an answer after which one counts as
    stuck.
    """

    def __init__(
        self, cluster: Cluster, kind: str, numbers: Iterable[int], make: Callable[[int], Any], patience: float, said: Said
    ) -> None:
        self._cluster, self._ray, self._make, self._patience, self._said = cluster, cluster.ray, make, patience, said
        self.posts = [Post(f"{kind} {number}", number) for number in numbers]
        self.restarts = 0
        self._calls: dict[Any, Call] = {}

    def attend(self, placed: Callable[[Post], None], lost: Callable[[Post, Sequence[str]], str]) -> None:
        """Go to work. placed: called when a process has a place, also when it takes another's. lost: called with the methods that
        one that is lost was still asked for; says what is lost with it."""
        self._placed, self._lost = placed, lost
        for post in self.posts:
            if post.process is None:
                self._start(post)
            elif post.place is None:
                self.call(post, self._found, "where")
            else:
                placed(post)

    def leave(self) -> None:
        """Forget what was asked; what has not begun does not begin."""
        for ref in self._calls:
            self._ray.cancel(ref)
        self._calls.clear()

    def call(self, post: Post, then: Callable[[Post, Any], None], method: str, *arguments: Any) -> None:
        ref = getattr(post.process, method).remote(*arguments)
        self._calls[ref] = Call(post, method, then, time.monotonic())

    def receive(self, seconds: float = 0.0) -> None:
        """Take all answers that are there, waiting for the first one at most so many seconds.

        Raises ValueError if a process cannot do what it was asked; ClusterFault, or an environment's fault, if the run cannot go
        on.
        """
        asked = list(self._calls)
        if seconds:
            self._ray.wait(asked, num_returns=1, timeout=seconds)
        for ref in self._ray.wait(asked, num_returns=len(asked), timeout=0)[0] if asked else ():
            if call := self._calls.pop(ref, None):  # else its process was lost a moment ago
                self._take(ref, call)
        self._watch()

    def tell(self, event: Kind, post: Post, text: str) -> None:
        self._said(Event(event, post.name, post.node, text))

    def close(self) -> None:
        """End them all."""
        self._calls.clear()
        for post in self.posts:
            if post.process is not None and self._ray.is_initialized():
                self._ray.kill(post.process, no_restart=True)

    def _start(self, post: Post) -> None:
        post.process, post.place, post.up, post.heard = self._make(post.number), None, False, time.monotonic()
        self.call(post, self._found, "where")

    def _found(self, post: Post, place: Place) -> None:
        check_versions(place.name, place.versions, versions())
        post.place = place
        if post.restarts:
            self.tell("restarted", post, f"{post.name} is back, on node {post.node}")
        else:
            self.tell("started", post, f"{post.name} started on node {post.node}")
        self._placed(post)

    def _take(self, ref: Any, call: Call) -> None:
        post, errors = call.post, self._ray.exceptions
        post.heard = time.monotonic()
        try:
            answer = self._ray.get(ref, timeout=DEADLINE)
        except errors.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, EnvironmentFault):
                self._lose(post, str(cause), call, cause)
            elif isinstance(cause, errors.RayError):
                self._lose(post, in_a_line(cause), call)
            elif isinstance(cause, ValueError | OSError):
                kind = ClusterFault if post.restarts else ValueError
                raise kind(f"{post.name} on node {post.node}: {cause}") from error
            else:
                raise cause from error
        except errors.RayError as error:
            self._lose(post, in_a_line(error), call)
        else:
            call.then(post, answer)

    def _lose(self, post: Post, why: str, failed: Call | None = None, error: Exception | None = None) -> None:
        """Start another process for one that is gone, or must go. Raises `error`, or ClusterFault, if that happened too often."""
        calls = {ref: call for ref, call in self._calls.items() if call.post is post}
        for ref in calls:
            del self._calls[ref]
        what = self._lost(post, [call.method for call in (*calls.values(), *([failed] if failed else ()))])
        fate, node = self._cluster.fate(post.place.node) if post.place else "alive", post.node or "unknown"
        if fate != "alive":
            why = f"its node {'was drained' if fate == 'drained' else 'died'}"
        self._ray.kill(post.process, no_restart=True)
        event: Kind = "drained" if fate == "drained" else "lost"
        self.tell(event, post, f"{post.name} on node {node} is lost: {why}; {what}; another takes its place")
        now = time.monotonic()
        if fate != "drained":
            post.losses.append(now)
        while post.losses and now - post.losses[0] > WITHIN:
            post.losses.popleft()
        if len(post.losses) >= MOST_LOSSES:
            often = f"{post.name} was lost {len(post.losses)} times in {WITHIN / 60:.0f} minutes, last on node {node}: {why}"
            self.tell("gave up", post, often)
            raise error or ClusterFault(often, "mend that, and resume")
        post.restarts += 1
        self.restarts += 1
        self._start(post)

    def _watch(self) -> None:
        """Replace those that have not answered for too long. Raises ClusterFault if none has found a place."""
        now, since = time.monotonic(), dict[int, float]()
        for call in self._calls.values():
            since[call.post.number] = min(call.since, since.get(call.post.number, now))
        for post in [post for post in self.posts if post.number in since]:
            most = self._patience if post.up else max(self._patience, START)
            if (seconds := now - max(post.heard, since[post.number])) <= most:
                continue
            stands = stands_in(self._cluster, post.place) if post.place else "it has found no place yet"
            heard = f"last heartbeat {seconds:.0f} s ago"
            self.tell("stuck", post, f"{post.name} on node {post.node or 'unknown'} is stuck: {heard}, {stands}")
            if post.place:
                self._lose(post, f"no answer for {seconds:.0f} s")
            elif any(other.place for other in self.posts):
                post.heard = now  # it waits for a node; that is said again after as long
            else:
                raise ClusterFault(f"no process has found a place for {seconds:.0f} s", "see `ray status`, and resume")
