"""`kickstart mirror | fetch`: runs on shared or object storage."""

from __future__ import annotations

from pathlib import Path

import tyro
from rich.console import Console

from kickstarting.console import say
from kickstarting.help import Anywhere, Where

console = Console()


def mirror(directory: tyro.conf.Positional[Where], to: Anywhere | None = None) -> None:
    """Bring the copy of a run or population on storage up to date, or begin one. While it trains, `train --mirror` does this.

    Args:
        directory: The run or population.
        to: Where the copy shall be: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or a shared folder; where it is unless given.
    """
    from kickstarting.runs.mirror import bring_up_to_date

    url = bring_up_to_date(directory, to)
    say(console, f"{url} holds all of {directory}: `kickstart fetch {url}` brings it back")


def fetch(url: tyro.conf.Positional[Anywhere], out: Where | None = None) -> None:
    """Bring a run or population from storage into a new directory, to look at it: every file is verified. Nothing changes there;
    `train --resume URL` goes on with it.

    Args:
        url: Where it is mirrored.
        out: Directory for it; runs/ and the end of the URL unless given.
    """
    from kickstarting.runs.fetch import fetch as fetch_run

    out = out or Path("runs") / url.rstrip("/").rpartition("/")[2]
    fetch_run(url, out, said=lambda text: say(console, text))
    say(console, f"{out} is as {url} was")
