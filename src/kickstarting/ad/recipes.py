"""Histories, trainings and evaluations that experiments share: what was found to work on two cores."""

from __future__ import annotations

from kickstarting.ad.collect import CollectConfig
from kickstarting.ad.model import ModelConfig
from kickstarting.ad.results import HowEvaluated
from kickstarting.ad.saved import TrainConfig

DARK_ROOM = CollectConfig("dark-room", "policy-gradient", histories=1920, episodes=400)
DARK_ROOM_TRAINING = TrainConfig(updates=5000)
"""Some ten CPU minutes. With 1,500, models lost goals that they had found."""
DARK_ROOM_SHOWN = HowEvaluated(episodes=200, rollouts=4)

KEY_TO_DOOR = CollectConfig("key-to-door", "policy-gradient", histories=1500, episodes=1000, every=10)
"""One episode of ten is kept: the others would show the same."""
THREE_LAYERS = ModelConfig(width=64, layers=3, heads=4, feedforward=128)
KEY_TO_DOOR_TRAINING = TrainConfig(episodes=4, batch=32, updates=3000, model=THREE_LAYERS)
KEY_TO_DOOR_SHOWN = HowEvaluated(episodes=100)

HARD = CollectConfig("dark-room-hard", "posterior", histories=1920, episodes=100)
HARD_TRAINING = TrainConfig(episodes=8, updates=1500)
HARD_SHOWN = HowEvaluated(episodes=200)

BANDIT = CollectConfig("bandit", "ucb", histories=2000, episodes=100)
BANDIT_TRAINING = TrainConfig(context=100, episodes=100, skip=(1,), terminal=False, from_start=1.0, updates=1500)
"""All of a history: a hundred pulls, each an episode."""
BANDIT_SHOWN = HowEvaluated(episodes=100)

ARENA = CollectConfig("arena", "posterior", histories=832, episodes=40)
ARENA_TRAINING = TrainConfig(episodes=3, skip=(1, 2), batch=32, updates=3000, model=THREE_LAYERS)
"""Some 25 CPU minutes. With an eighth of the slices, two layers, and episodes as far apart as 8, models found platforms and lost
them again."""
ARENA_SHOWN = HowEvaluated(episodes=40)
