"""PPO on images in one file and one loop, in the style of CleanRL's for Atari and with its settings, written for this comparison.

    python cleanrl_style.py Breakout-v5 --frames 1000000 --seed 0 --out episodes.json

Eight environments, 128 steps, 4 epochs of 4 minibatches; a lost life ends an episode, rewards are their sign. It acts in EnvPool's,
whose step that only resets is no transition and teaches nothing. A frame is a simulator's: four to a step.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import TypeVar

import envpool
import numpy as np
import torch
from torch import Tensor, nn

ENVS, STEPS, EPOCHS, MINIBATCHES, SKIP = 8, 128, 4, 4, 4
GAMMA, GAE_LAMBDA, CLIP, ENTROPY_COST, VALUE_COST, MAX_GRAD_NORM = 0.99, 0.95, 0.1, 0.01, 0.5, 0.5
LEARNING_RATE, ADAM_EPSILON = 2.5e-4, 1e-5
Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


class Agent(nn.Module):
    """The network of Mnih et al. 2015 with a policy and a value."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(4, 32, 8, 4), nn.Conv2d(32, 64, 4, 2), nn.Conv2d(64, 64, 3), nn.Linear(64 * 7 * 7, 512)]
        for layer in layers:
            _orthogonal(layer, math.sqrt(2))
        convs = [part for layer in layers[:3] for part in (layer, nn.ReLU())]
        self.torso = nn.Sequential(*convs, nn.Flatten(), layers[3], nn.ReLU())
        self.actor, self.critic = _orthogonal(nn.Linear(512, actions), 0.01), _orthogonal(nn.Linear(512, 1), 1.0)

    def forward(self, x: Tensor) -> tuple[torch.distributions.Categorical, Tensor]:
        features = self.torso(x / 255.0)
        return torch.distributions.Categorical(logits=self.actor(features)), self.critic(features)[..., 0]


def _orthogonal(layer: Layer, gain: float) -> Layer:
    nn.init.orthogonal_(layer.weight, gain)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def advantages(rewards: Tensor, values: Tensor, done: Tensor, bootstrap: Tensor) -> Tensor:
    """Generalised advantage estimation [T, B]; done [T, B] where an episode ended in the transition."""
    result, last, following = torch.zeros_like(rewards), torch.zeros_like(bootstrap), bootstrap
    for t in reversed(range(len(rewards))):
        goes_on = 1.0 - done[t]
        last = rewards[t] + GAMMA * goes_on * following - values[t] + GAMMA * GAE_LAMBDA * goes_on * last
        result[t], following = last, values[t]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("env_id")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    began = time.perf_counter()
    env = envpool.make(
        arguments.env_id, env_type="gymnasium", num_envs=ENVS, seed=arguments.seed, num_threads=1, episodic_life=True
    )
    agent = Agent(env.action_space.n)
    optimiser = torch.optim.Adam(agent.parameters(), LEARNING_RATE, eps=ADAM_EPSILON)
    x, ended = torch.from_numpy(env.reset()[0]), torch.zeros(ENVS)
    frames, games, episodes = 0, np.zeros(ENVS), []
    updates = max(1, arguments.frames // (ENVS * STEPS * SKIP))
    for update in range(updates):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - update / updates)
        steps = []
        with torch.no_grad():
            for _ in range(STEPS):
                policy, value = agent(x)
                action = policy.sample()
                after, reward, terminated, truncated, info = env.step(action.numpy().astype(np.int32))
                done = torch.from_numpy(terminated | truncated).float()
                frames += ENVS * SKIP
                games += info.get("reward", reward)
                for i in np.flatnonzero(info["terminated"] | truncated):
                    episodes.append((frames, float(games[i])))
                    games[i] = 0.0
                goes_on = 1 - ended  # after an end the environment only resets
                reward = torch.from_numpy(np.sign(reward)).float() * goes_on
                steps.append((x, action, policy.log_prob(action), value, reward, torch.maximum(done, ended), goes_on))
                x, ended = torch.from_numpy(after), done
            parts = [torch.stack(part) for part in zip(*steps, strict=True)]
            advantage = advantages(parts[4], parts[3], parts[5], agent(x)[1])
        observations, actions, log_probs, values, _, _, valid = (part.flatten(0, 1) for part in parts)
        advantage, usable = advantage.flatten(), torch.nonzero(valid.flatten())[:, 0]
        returns = advantage + values
        for _ in range(EPOCHS):
            for rows in usable[torch.randperm(len(usable))].chunk(MINIBATCHES):
                policy, value = agent(observations[rows])
                ratio = (policy.log_prob(actions[rows]) - log_probs[rows]).exp()
                normal = (advantage[rows] - advantage[rows].mean()) / (advantage[rows].std() + 1e-8)
                policy_loss = torch.max(-normal * ratio, -normal * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
                clipped = values[rows] + (value - values[rows]).clamp(-CLIP, CLIP)
                value_loss = 0.5 * torch.max((value - returns[rows]) ** 2, (clipped - returns[rows]) ** 2).mean()
                optimiser.zero_grad()
                (policy_loss - ENTROPY_COST * policy.entropy().mean() + VALUE_COST * value_loss).backward()
                nn.utils.clip_grad_norm_(agent.parameters(), MAX_GRAD_NORM)
                optimiser.step()
        if update % 10 == 0:
            explained = 1 - (returns - values)[usable].var() / returns[usable].var()
            mean = np.mean([total for _, total in episodes[-50:]]) if episodes else math.nan
            print(
                f"{frames} frames  return {mean:.2f}  explained {explained:.2f}  {frames / (time.perf_counter() - began):.0f}/s",
                flush=True,
            )
    seconds = time.perf_counter() - began
    arguments.out.write_text(json.dumps({"seconds": seconds, "frames": frames, "episodes": episodes}) + "\n")


if __name__ == "__main__":
    main()
