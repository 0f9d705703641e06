"""The commands `kickstart ad ...`."""

from collections.abc import Callable
from functools import partial, wraps
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


def later(command: Callable[..., Any]) -> Callable[..., Callable[[], Any]]:
    """The command as tyro may build it: with its arguments, and not run yet. An error that it raises is its own, and none of the
    command line."""

    @wraps(command)
    def chosen(*args: Any, **kwargs: Any) -> Callable[[], Any]:
        return partial(checked(command), *args, **kwargs)

    return chosen


Command: Any = Union[  # noqa: UP007
    tuple(
        Annotated[Any, tyro.conf.subcommand(name, constructor=later(command), prefix_name=False)]
        for name, command in COMMANDS.items()
    )
]

Chosen: Any = Annotated[Command, tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes]


def ad(command: Chosen) -> None:  # pyright: ignore[reportInvalidTypeForm]
    """Algorithm Distillation: collect learning histories, train a sequence model on them, and watch it learn in its context."""
    command()
