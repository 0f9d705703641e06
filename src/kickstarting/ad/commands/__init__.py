"""The commands `kickstart ad ...`."""

from collections.abc import Callable
from typing import Annotated, Any, Union

import tyro

from kickstarting.ad.commands.histories import collect, export, histories, import_, join
from kickstarting.ad.commands.models import demo, evaluate, reproduce, train
from kickstarting.ranges import checked

COMMANDS: dict[str, Callable[..., Any]] = {
    "collect": collect,
    "train": train,
    "evaluate": evaluate,
    "histories": histories,
    "import": import_,
    "export": export,
    "join": join,
    "reproduce": reproduce,
    "demo": demo,
}

Command: Any = Union[  # noqa: UP007
    tuple(
        Annotated[Any, tyro.conf.subcommand(name, constructor=checked(command), prefix_name=False)]
        for name, command in COMMANDS.items()
    )
]

Chosen: Any = Annotated[Command, tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes]


def ad(command: Chosen) -> None:  # pyright: ignore[reportInvalidTypeForm]
    """Algorithm Distillation: collect learning histories, train a sequence model on them, and watch it learn in its context."""
