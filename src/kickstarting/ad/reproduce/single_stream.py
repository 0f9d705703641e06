"""Does a model learn in fewer episodes than the algorithm that it was distilled from, one actor for each task? With slices of every
n-th episode of a history, and of every one. (Laskin et al. 2022, figure 6.)"""

from dataclasses import replace

from kickstarting.ad.plan import Plan
from kickstarting.ad.recipes import (
    DARK_ROOM,
    DARK_ROOM_SHOWN,
    DARK_ROOM_TRAINING,
    KEY_TO_DOOR,
    KEY_TO_DOOR_SHOWN,
    KEY_TO_DOOR_TRAINING,
)


def arms(plan: Plan) -> None:
    for panel, data, training, shown in (
        ("dark room", DARK_ROOM, DARK_ROOM_TRAINING, DARK_ROOM_SHOWN),
        ("key to door", KEY_TO_DOOR, KEY_TO_DOOR_TRAINING, KEY_TO_DOOR_SHOWN),
    ):
        plan.arm("every n-th episode", data, training, shown, panel=panel, baselines=True)
        plan.arm("episodes in a row", data, replace(training, skip=(1,)), shown, panel=panel)
