"""The families of tasks by name, and each as a Gymnasium environment.

`kickstarting.ad.tasks:DarkRoom-v0` is an id for `gymnasium.make_vec`, and with `gymnasium-vector:` in front of it a suite.
"""

from __future__ import annotations

import gymnasium

from kickstarting.ad.tasks.arena import Arena
from kickstarting.ad.tasks.bandit import Bandit
from kickstarting.ad.tasks.family import PARTS, Batch, Drawn, Family, Search, Split, check_disjoint
from kickstarting.ad.tasks.grid import Rooms
from kickstarting.algo.parsing import nearest

__all__ = ["FAMILIES", "PARTS", "Batch", "Drawn", "Family", "Search", "Split", "check_disjoint", "find_family"]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Rooms("dark-room", size=9, horizon=20, episodes=400, every_step=True),
        *(Rooms(f"dark-room-{size}", size=size, horizon=20, episodes=400, every_step=True) for size in (7, 10, 11)),
        Rooms("dark-room-anywhere", size=9, horizon=20, episodes=400, every_step=True, anywhere=True),
        Rooms("dark-room-hard", size=17, horizon=20, episodes=1000),
        Rooms("key-to-door", size=9, horizon=50, episodes=1000, goals=2, anywhere=True),
        Bandit(),
        Arena(),
    )
}
IDS = {
    "DarkRoom-v0": "dark-room",
    "DarkRoomHard-v0": "dark-room-hard",
    "DarkKeyToDoor-v0": "key-to-door",
    "AdversarialBandit-v0": "bandit",
    "Arena-v0": "arena",
}

for _id, _family in IDS.items():
    if _id not in gymnasium.registry:
        gymnasium.register(
            _id,
            vector_entry_point="kickstarting.ad.tasks.vector:TaskVectorEnv",
            kwargs={"family": _family},
            disable_env_checker=True,
        )


def find_family(name: str) -> Family:
    """The family of a name. Raises ValueError with the nearest names."""
    if name not in FAMILIES:
        raise ValueError(f"no family of tasks is called {name!r}; {nearest(name, FAMILIES)}")
    return FAMILIES[name]
