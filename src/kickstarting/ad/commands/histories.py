"""`kickstart ad collect | histories | import | export | join`: learning histories, ours and those of others."""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from kickstarting.ad.collect import CollectConfig
from kickstarting.console import say
from kickstarting.help import Where
from kickstarting.ranges import Choice
from kickstarting.runs.layout import HISTORIES
from kickstarting.trust import TrustConfig, trust

console = Console()
LAYOUT_NAMES = ("ad-eps", "minari")
NOTHING = TrustConfig()


def collect(config: tyro.conf.OmitArgPrefixes[CollectConfig], out: Where | None = None, resume: Where | None = None) -> None:
    """Collect learning histories: a source algorithm learns many tasks, one learner for each history.

    Args:
        config: Which histories, and how many.
        out: Directory of the histories; runs/ad/FAMILY/SOURCE-SEED unless given.
        resume: Go on with the killed collection in this directory instead, with its own configuration.
    """
    from kickstarting.ad import collect as collecting
    from kickstarting.ad.progress import shown

    if resume and (config != CollectConfig() or out):
        raise ValueError(f"--resume {resume} goes on with the configuration in that directory; leave out everything else")
    config.check()
    out = resume or out or Path("runs/ad") / config.family / f"{config.source}-{config.seed}"
    with shown(console, f"collecting {out}", "transitions") as progress:
        if resume:
            config = collecting.resume_collection(resume, progress)
        else:
            collecting.collect(config, out, progress)
    size = f"{(out / HISTORIES).stat().st_size / 1e6:.1f} MB"
    say(console, f"{config.histories:,} histories, {size}, are in {out}; learn from them with `kickstart ad train {out}`")


def histories(directory: tyro.conf.Positional[Where], out: Where | None = None) -> None:
    """Print what is in learning histories: tasks, episodes, transitions, and the return over time.

    Args:
        directory: A directory of histories: of `kickstart ad collect`, or a run with --record-histories.
        out: A PNG file for the return over time.
    """
    from kickstarting.ad.figures import curves_figure, write_figure
    from kickstarting.ad.summary import curve_of, histories_table, read

    found = read(directory)
    if found.torn:
        say(
            console,
            f"the last {found.torn:,} bytes are torn, as a killed writer leaves them; read up to the block before",
            "yellow",
        )
    console.print(histories_table(found))
    if out:
        write_figure(curves_figure({"mean of all histories": curve_of(found)}, what="return"), out)
        say(console, f"open {out.resolve()}")


def import_(
    path: tyro.conf.Positional[Where],
    out: Where,
    layout: Annotated[str, Choice(*LAYOUT_NAMES)] = "ad-eps",
    family: str = "",
    trusting: tyro.conf.OmitArgPrefixes[TrustConfig] = NOTHING,
) -> None:
    """Read learning histories of others, so that `kickstart ad train` learns from them.

    Args:
        path: Their directory.
        out: Directory of the histories here.
        layout: How they are kept: ad-eps (.npz and .metadata), or minari.
        family: The family that they are of, where they do not say it: dark-room, dark-room-hard or key-to-door.
        trusting: What of others may run.
    """
    from kickstarting.ad.layouts import import_histories
    from kickstarting.ad.summary import histories_table

    trust(trusting.names)
    console.print(histories_table(import_histories(path, layout, out, family)))
    say(console, f"learn from them with `kickstart ad train {out}`")


def export(directory: tyro.conf.Positional[Where], out: Where, layout: Annotated[str, Choice(*LAYOUT_NAMES)] = "ad-eps") -> None:
    """Write learning histories in a layout of others, so that they train elsewhere.

    Args:
        directory: A directory of histories: of `kickstart ad collect`, or a run with --record-histories.
        out: A new directory.
        layout: ad-eps (.npz and .metadata; dark rooms only), or minari.
    """
    from kickstarting.ad.layouts import export_histories

    found = export_histories(directory, layout, out)
    say(console, f"{len(found):,} histories are in {out}")


def join(directories: tyro.conf.Positional[tuple[Where, ...]], out: Where) -> None:
    """Put histories of several directories into one, so that one model learns from all: of several families, or several runs.

    Args:
        directories: Directories of histories.
        out: Directory of all of them.
    """
    from kickstarting.ad.joined import join_histories

    found = join_histories(directories, out)
    say(console, f"{len(found):,} histories are in {out}; learn from them with `kickstart ad train {out}`")
