"""Does one model learn several families in its context, which it must tell apart itself, and families that it never saw: another
size, another start? (Beyond Laskin et al. 2022.)"""

from dataclasses import replace

from kickstarting.ad.plan import Plan
from kickstarting.ad.recipes import DARK_ROOM, DARK_ROOM_SHOWN, KEY_TO_DOOR, KEY_TO_DOOR_SHOWN, KEY_TO_DOOR_TRAINING

SEEN, UNSEEN = ("dark-room-7", "dark-room", "dark-room-11"), ("dark-room-10", "dark-room-anywhere")


def arms(plan: Plan) -> None:
    rooms = [replace(DARK_ROOM, family=family, histories=720, every=4) for family in SEEN]
    data = (*rooms, replace(KEY_TO_DOOR, histories=1000))
    training = replace(KEY_TO_DOOR_TRAINING, updates=2500)
    for family in (*SEEN, KEY_TO_DOOR.family, *UNSEEN):
        shown = KEY_TO_DOOR_SHOWN if family == KEY_TO_DOOR.family else replace(DARK_ROOM_SHOWN, rollouts=2)
        panel = family if family not in UNSEEN else f"{family}, never seen"
        plan.arm("one model of four families", data, training, replace(shown, family=family), panel=panel, baselines=True)
