"""Jobs of no work, in a module that another process can import."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from kickstarting.launch.jobs import Line


@dataclass(frozen=True)
class Counting:
    """Says 1 to `most` and returns its sum; with `ends` it does something else instead, when the file `after` is there."""

    name: str
    most: int
    ends: str = ""
    log: Path | None = None
    after: Path | None = None

    def work(self) -> Generator[Line, None, int]:
        print(f"{self.name} works", flush=True)
        for i in range(1, self.most + 1):
            yield {"said": i}
        while self.after and not self.after.exists():
            time.sleep(0.05)
        match self.ends:
            case "error":
                raise ValueError("no more numbers")
            case "kill":
                os.abort()
            case "never":
                if self.log:
                    self.log.with_name("pid").write_text(str(os.getpid()))
                while True:
                    time.sleep(0.1)
                    yield {"said": 0}
        return sum(range(1, self.most + 1))
