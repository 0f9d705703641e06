"""The thread that keeps a mirror up to date while training goes on."""

from __future__ import annotations

import threading
import time

from rich.console import Console

from kickstarting.console import say
from kickstarting.runs.copied import Copy, Replaced, Taken, close
from kickstarting.runs.files import FileError
from kickstarting.runs.storage import StorageError

PATIENCE = 300.0
"""Seconds without any progress after which the end of a run no longer waits for its mirror."""
PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between two attempts; the last one repeats."""


class Uploads:
    """The thread that brings what was taken, one moment of the directory after the other; of those that wait only the newest."""

    def __init__(self, copy: Copy, console: Console) -> None:
        self._copy, self._console = copy, console
        self._changed = threading.Condition()
        self._waiting: list[Taken] | None = None
        self._works = False
        self._trouble: FileError | None = None
        threading.Thread(target=self._work, name="mirror", daemon=True).start()

    def request(self) -> None:
        """Take the directory as it is now. Raises Replaced if another process goes on with the run."""
        if isinstance(self._trouble, Replaced):
            raise self._trouble
        taken = self._copy.take()
        with self._changed:
            close(self._waiting or [])
            self._waiting = taken
            self._changed.notify_all()

    def finish(self) -> None:
        """Wait until all is brought, as long as there is progress. Raises Replaced, or StorageError if it could not be brought."""
        with self._changed:
            since = time.monotonic()
            while (self._works or self._waiting is not None) and not isinstance(self._trouble, Replaced):
                if time.monotonic() - max(since, self._copy.progress) > PATIENCE:
                    break
                self._changed.wait(timeout=0.5)
        directory, url = self._copy.directory, self._copy.storage.url
        if isinstance(self._trouble, Replaced):
            raise self._trouble
        if self._works or self._waiting is not None:
            why = self._trouble or f"nothing was written for {PATIENCE:.0f} s"
            say(self._console, f"the mirror {url} lacks the end of the run; `kickstart mirror {directory}` brings it", "yellow")
            raise StorageError(str(why))

    def _work(self) -> None:
        while not isinstance(self._trouble, Replaced):
            with self._changed:
                while self._waiting is None:
                    self._changed.wait()
                taken, self._waiting, self._works = self._waiting, None, True
            self._bring(taken)
            close(taken)
            with self._changed:
                self._works = False
                self._changed.notify_all()

    def _bring(self, taken: list[Taken]) -> None:
        """Until it is there, or something newer waits."""
        failures = 0
        while True:
            try:
                self._copy.check_ours()
                self._copy.bring(taken)
            except (FileError, OSError) as error:
                known, self._trouble = self._trouble, error if isinstance(error, FileError) else StorageError(str(error))
                if isinstance(error, Replaced):
                    return
                if known is None:
                    say(self._console, f"{error}; trying again, the run goes on", "yellow")
                with self._changed:
                    if self._changed.wait_for(lambda: self._waiting is not None, PAUSES[min(failures, len(PAUSES) - 1)]):
                        return
                failures += 1
            else:
                if self._trouble:
                    say(self._console, f"the mirror {self._copy.storage.url} is up to date again", "green")
                self._trouble = None
                return
