"""PPO on continuous actions in one file and one loop, in the style of CleanRL's and with its settings, written for this comparison.

    python cleanrl_style.py HalfCheetah-v4 --frames 1000000 --seed 0 --out episodes.json

One environment, 2048 steps, 10 epochs of 32 minibatches; observations and rewards normalised by running statistics. It acts in
EnvPool's, whose step that only resets is no transition and teaches nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import envpool
import numpy as np
import torch
from torch import Tensor, nn

STEPS, EPOCHS, MINIBATCHES = 2048, 10, 32
GAMMA, GAE_LAMBDA, CLIP, VALUE_COST, MAX_GRAD_NORM = 0.99, 0.95, 0.2, 0.5, 0.5
LEARNING_RATE, ADAM_EPSILON, FAR = 3e-4, 1e-5, 10.0


class Running:
    """Mean and variance of all that was seen."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean, self.variance, self.count = np.zeros(shape), np.ones(shape), 1e-4

    def add(self, x: np.ndarray) -> None:
        self.count += 1
        shift = x - self.mean
        self.mean = self.mean + shift / self.count
        self.variance = self.variance + (shift * (x - self.mean) - self.variance) / self.count


class Agent(nn.Module):
    def __init__(self, observations: int, actions: int) -> None:
        super().__init__()
        self.actor, self.critic = _layers(observations, actions, 0.01), _layers(observations, 1, 1.0)
        self.log_std = nn.Parameter(torch.zeros(actions))

    def policy(self, x: Tensor) -> torch.distributions.Normal:
        return torch.distributions.Normal(self.actor(x), self.log_std.exp())

    def value(self, x: Tensor) -> Tensor:
        return self.critic(x)[..., 0]


def _layers(inputs: int, outputs: int, gain: float) -> nn.Sequential:
    linear = [nn.Linear(inputs, 64), nn.Linear(64, 64), nn.Linear(64, outputs)]
    for layer, size in zip(linear, (math.sqrt(2), math.sqrt(2), gain), strict=True):
        nn.init.orthogonal_(layer.weight, size)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(linear[0], nn.Tanh(), linear[1], nn.Tanh(), linear[2])


class World:
    """One environment with running statistics, and the returns of the episodes that ended in it."""

    def __init__(self, env_id: str, seed: int) -> None:
        self.env = envpool.make(env_id, env_type="gymnasium", num_envs=1, seed=seed, num_threads=1)
        self.low, self.high = self.env.action_space.low, self.env.action_space.high
        self.seen, self.returns = Running(self.env.observation_space.shape), Running(())
        self.frames, self.discounted, self.total, self.episodes = 0, 0.0, 0.0, []

    def reset(self) -> Tensor:
        return self._observed(self.env.reset()[0][0])

    def step(self, action: Tensor) -> tuple[Tensor, float, bool]:
        """The normalised observation and reward, and whether the episode ended."""
        x, reward, terminated, truncated, _ = self.env.step(action.numpy()[None].clip(self.low, self.high))
        done = bool(terminated[0] | truncated[0])
        self.frames += 1
        self.total += float(reward[0])
        self.discounted = GAMMA * self.discounted + float(reward[0])
        self.returns.add(np.asarray(self.discounted))
        scaled = float(np.clip(reward[0] / math.sqrt(self.returns.variance + 1e-8), -FAR, FAR))
        if done:
            self.episodes.append((self.frames, self.total))
            self.total = self.discounted = 0.0
        return self._observed(x[0]), scaled, done

    def _observed(self, x: np.ndarray) -> Tensor:
        self.seen.add(x)
        normal = (x - self.seen.mean) / np.sqrt(self.seen.variance + 1e-8)
        return torch.from_numpy(normal.clip(-FAR, FAR).astype(np.float32))


def advantages(rewards: Tensor, values: Tensor, done: Tensor, bootstrap: Tensor) -> Tensor:
    """Generalised advantage estimation; done [T] where an episode ended in the transition."""
    result, last, following = torch.zeros_like(rewards), torch.zeros(()), bootstrap
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
    rng, began = np.random.default_rng(arguments.seed), time.perf_counter()
    world = World(arguments.env_id, arguments.seed)
    agent = Agent(world.seen.mean.size, world.low.size)
    optimiser = torch.optim.Adam(agent.parameters(), LEARNING_RATE, eps=ADAM_EPSILON)
    x, ended = world.reset(), False
    updates = max(1, arguments.frames // STEPS)
    for update in range(updates):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - update / updates)
        steps = []
        with torch.no_grad():
            for _ in range(STEPS):
                policy = agent.policy(x)
                action = policy.sample()
                after, reward, done = world.step(action)
                log_prob, valid = policy.log_prob(action).sum(), not ended  # after an end the environment only resets
                steps.append((x, action, log_prob, agent.value(x), *map(torch.tensor, (reward, float(done or ended), valid))))
                x, ended = after, done
            observations, actions, log_probs, values, rewards, ends, valid = (
                torch.stack(part) for part in zip(*steps, strict=True)
            )
            advantage = advantages(rewards, values, ends, agent.value(x))
            returns = advantage + values
        usable = np.flatnonzero(valid.numpy())
        for _ in range(EPOCHS):
            for rows in np.array_split(rng.permutation(usable), MINIBATCHES):
                policy, value = agent.policy(observations[rows]), agent.value(observations[rows])
                ratio = (policy.log_prob(actions[rows]).sum(-1) - log_probs[rows]).exp()
                normal = (advantage[rows] - advantage[rows].mean()) / (advantage[rows].std() + 1e-8)
                policy_loss = torch.max(-normal * ratio, -normal * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
                clipped = values[rows] + (value - values[rows]).clamp(-CLIP, CLIP)
                value_loss = 0.5 * torch.max((value - returns[rows]) ** 2, (clipped - returns[rows]) ** 2).mean()
                optimiser.zero_grad()
                (policy_loss + VALUE_COST * value_loss).backward()
                nn.utils.clip_grad_norm_(agent.parameters(), MAX_GRAD_NORM)
                optimiser.step()
    seconds = time.perf_counter() - began
    arguments.out.write_text(json.dumps({"seconds": seconds, "frames": world.frames, "episodes": world.episodes}) + "\n")


if __name__ == "__main__":
    main()
