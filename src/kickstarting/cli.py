"""The command `kickstart`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import tyro

from kickstarting.ad.commands import ad
from kickstarting.commands.policies import check, evaluate, export, serve, watch
from kickstarting.commands.reports import compare, demo, metrics, reproduce, suites
from kickstarting.commands.storage import fetch, mirror
from kickstarting.commands.training import population, train, tune
from kickstarting.console import keep_streams, visible
from kickstarting.faults import Fault
from kickstarting.help import flowing_help
from kickstarting.launch.sweep import SweepError
from kickstarting.learner import TrainingError
from kickstarting.ranges import checked
from kickstarting.ranks import ReplicaError
from kickstarting.runs.signals import Stopped, listening

COMMANDS: dict[str, Callable[..., Any]] = {
    "train": train,
    "population": population,
    "tune": tune,
    "evaluate": evaluate,
    "check": check,
    "export": export,
    "watch": watch,
    "serve": serve,
    "compare": compare,
    "metrics": metrics,
    "mirror": mirror,
    "fetch": fetch,
    "reproduce": reproduce,
    "demo": demo,
    "suites": suites,
    "ad": ad,
}


def main() -> None:
    """Entry point. An error that a user can mend gives one clear line and exit code 1; a signal gives 128 + its number."""
    keep_streams()
    try:
        with listening(), flowing_help():
            commands = {name: checked(command) for name, command in COMMANDS.items()}
            tyro.extras.subcommand_cli_from_dict(commands, prog="kickstart", description=__doc__)
    except (ValueError, OSError, TrainingError, Fault, ReplicaError, SweepError) as error:
        sys.exit(f"kickstart: error: {visible(str(error))}")
    except Stopped as stopped:
        print(f"kickstart: {visible(str(stopped))}", file=sys.stderr)
        sys.exit(stopped.code)


if __name__ == "__main__":
    main()
