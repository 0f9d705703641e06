"""From whose histories does a model learn best, and what do the source's speed and quality do to it? One family, five sources."""

from dataclasses import replace

from kickstarting.ad.plan import Plan
from kickstarting.ad.recipes import DARK_ROOM, DARK_ROOM_SHOWN, DARK_ROOM_TRAINING

SOURCES = {
    "policy gradient": DARK_ROOM,
    "actor-critic": replace(DARK_ROOM, source="actor-critic", histories=960),
    "Q-learning": replace(DARK_ROOM, source="q-learning", histories=960, episodes=600),
    "posterior sampling": replace(DARK_ROOM, source="posterior", episodes=20),
    "curriculum of noise": replace(DARK_ROOM, source="noise", episodes=100),
}


def arms(plan: Plan) -> None:
    for name, data in SOURCES.items():
        plan.arm("in context", data, DARK_ROOM_TRAINING, DARK_ROOM_SHOWN, panel=name, baselines=True)
