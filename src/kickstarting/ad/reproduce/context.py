"""How many episodes must a model look back on to learn in its context? (Laskin et al. 2022, figure 7.)"""

from dataclasses import replace

from kickstarting.ad.plan import Plan
from kickstarting.ad.recipes import DARK_ROOM, DARK_ROOM_SHOWN, DARK_ROOM_TRAINING

EPISODES = (1, 2, 3, 4, 6, 10)


def arms(plan: Plan) -> None:
    for episodes in EPISODES:
        name = f"{episodes} episode{'s' * (episodes > 1)} of context"
        plan.arm(name, DARK_ROOM, replace(DARK_ROOM_TRAINING, episodes=episodes), DARK_ROOM_SHOWN)
