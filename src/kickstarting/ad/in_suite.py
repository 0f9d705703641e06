"""A model in the environments of a suite: of histories that `kickstart train --record-histories` wrote."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import numpy as np

from kickstarting.ad.evaluation import Outcome
from kickstarting.ad.player import Player
from kickstarting.ad.saved import TrainedModel
from kickstarting.envs import MultiTaskEnv
from kickstarting.space_json import describe_space
from kickstarting.suites import load_suite


def evaluate_in_suite(
    model: TrainedModel,
    suite_name: str,
    *,
    episodes: int,
    envs_per_task: int,
    seed: int,
    choice: str = "sample",
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Run episodes of each environment, one after the other in one context: returns [environments, episodes], as a share of 1.

    Raises ValueError if the suite shows or takes other things than the model knows, or it has no step for an episode's last
    observation, which a suite's environments show.
    """
    if not model.config.terminal:
        raise ValueError("the model was trained with --no-terminal; train it without that to evaluate it in a suite")
    suite = load_suite(suite_name)
    returns: list[list[float]] = []
    with closing(MultiTaskEnv(suite.tasks, envs_per_task, seed=seed)) as env:
        check_same(model, env)
        player = Player(model.network, env.num_envs, room=model.room, terminal=True, seed=seed, choice=choice)
        returns, so_far = [[] for _ in range(env.num_envs)], np.zeros(env.num_envs)
        step = env.reset()
        while min(map(len, returns)) < episodes:
            step = env.step(player.act(step.observations, step.is_first))
            player.see(step.rewards)
            so_far += step.rewards
            for column in np.flatnonzero(step.terminated | step.truncated):
                returns[column].append(float(so_far[column]))
                so_far[column] = 0.0
                if progress:
                    progress(sum(min(len(x), episodes) for x in returns), episodes * env.num_envs)
    return Outcome(np.array([x[:episodes] for x in returns]), np.ones(len(returns)))


def check_same(model: TrainedModel, env: MultiTaskEnv) -> None:
    """Raise ValueError if observations or actions differ."""
    own = {name: describe_space(space) for name, space in model.network.space.items()}
    shown = {name: describe_space(space) for name, space in env.observation_space.items()}
    if own != shown:
        raise ValueError(f"the model reads {own}, the suite shows {shown}; evaluate it on the suite of its histories")
    if model.network.distribution.size != env.distribution.size:
        acts, takes = model.network.distribution.size, env.distribution.size
        raise ValueError(
            f"the model has {acts} numbers for its actions, the suite {takes}; evaluate it on the suite of its histories"
        )
