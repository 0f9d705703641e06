"""Does a model of learning histories learn new tasks in its context, in four families, and does the same model of experts'
episodes? (Laskin et al. 2022, figure 4; the arena stands for the water maze.)"""

from dataclasses import replace

from kickstarting.ad.plan import Plan
from kickstarting.ad.recipes import (
    ARENA,
    ARENA_SHOWN,
    ARENA_TRAINING,
    DARK_ROOM,
    DARK_ROOM_SHOWN,
    DARK_ROOM_TRAINING,
    HARD,
    HARD_SHOWN,
    HARD_TRAINING,
    KEY_TO_DOOR,
    KEY_TO_DOOR_SHOWN,
    KEY_TO_DOOR_TRAINING,
)


def arms(plan: Plan) -> None:
    for panel, data, training, shown in (
        ("dark room", DARK_ROOM, DARK_ROOM_TRAINING, DARK_ROOM_SHOWN),
        ("key to door", KEY_TO_DOOR, KEY_TO_DOOR_TRAINING, KEY_TO_DOOR_SHOWN),
        ("dark room, hard", HARD, HARD_TRAINING, HARD_SHOWN),
        ("arena", ARENA, ARENA_TRAINING, ARENA_SHOWN),
    ):
        plan.arm("in context", data, training, shown, panel=panel, baselines=True)
        expert = replace(data, source="expert", episodes=20, every=1)
        plan.arm("expert distillation", expert, replace(training, skip=(1,)), shown, panel=panel)
