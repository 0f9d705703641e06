"""PPO on CartPole in one file and in CleanRL's style, and the ten lines (marked `# teacher`) by which it gains a teacher.

    python examples/cleanrl_style.py

The loop is the script's own; from kickstarting come three functions. A small network learns first. Then it teaches a larger
one, beside the same larger network without a teacher: same seeds, same settings. Printed are the frames until the mean
return of the last 20 episodes reached GOAL. Long episodes take time, so even a perfect agent needs about 16,000 frames
(16 environments, two episodes of 500 steps each).
"""

from __future__ import annotations

import statistics
import time
from collections import deque

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from kickstarting import distillation_loss, parse_schedule, vtrace  # teacher

GOAL = 475.0  # CartPole-v1's own threshold; 500 is the most
NUM_ENVS, UNROLL_LENGTH, EPOCHS, MINIBATCHES = 16, 32, 4, 4
LEARNING_RATE, DISCOUNT, LAMBDA, CLIP, ENTROPY_COST, BASELINE_COST, MAX_GRAD_NORM = 2e-3, 0.99, 0.95, 0.2, 0.01, 0.5, 0.5


class Agent(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.policy = mlp(hidden, 2, 0.01)
        self.value = mlp(hidden, 1, 1.0)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        return self.policy(observations), self.value(observations)[..., 0]


def mlp(hidden: int, outputs: int, gain: float) -> nn.Sequential:
    layers = [nn.Linear(4, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, outputs)]
    for layer in layers[::2]:
        nn.init.orthogonal_(layer.weight, gain if layer is layers[-1] else 2**0.5)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def train(
    hidden: int,
    seed: int,
    total_frames: int,
    teacher: Agent | None = None,  # teacher
    schedule: str = "linear:1:0:20k",  # teacher
) -> tuple[Agent, int | None]:
    """The agent, and the frames after which GOAL was reached (None if it was not)."""
    torch.manual_seed(seed)
    envs = gym.make_vec("CartPole-v1", NUM_ENVS)  # resets itself on the step after an episode's last
    agent = Agent(hidden)
    optimiser = torch.optim.Adam(agent.parameters(), LEARNING_RATE, eps=1e-5, fused=True)
    weight, teacher_logits = parse_schedule(schedule, total_frames), None  # teacher

    observation, _ = envs.reset(seed=seed)
    done = np.zeros(NUM_ENVS, bool)
    returns, last_returns, frames = np.zeros(NUM_ENVS), deque(maxlen=20), 0
    while frames < total_frames:
        steps = []
        for _ in range(UNROLL_LENGTH):
            with torch.no_grad():
                logits, value = agent(torch.from_numpy(observation))
            policy = torch.distributions.Categorical(logits=logits, validate_args=False)
            action = policy.sample()
            valid = ~done  # where the last step ended an episode, this one only resets
            next_observation, reward, terminated, truncated, _ = envs.step(action.numpy())
            steps.append((observation, action, policy.log_prob(action), value, reward, terminated, valid))
            observation, done = next_observation, terminated | truncated
            returns += reward
            last_returns.extend(returns[done])
            returns[done] = 0
        frames += UNROLL_LENGTH * NUM_ENVS
        if len(last_returns) == 20 and statistics.mean(last_returns) >= GOAL:
            envs.close()
            return agent, frames

        columns = (torch.stack([torch.as_tensor(x) for x in column]) for column in zip(*steps, strict=True))
        observations, actions, log_probs, values, rewards, ended, valid = columns
        with torch.no_grad():
            bootstrap_value = agent(torch.from_numpy(observation))[1]
        targets = vtrace(  # on-policy and with lambda_ < 1, v_s is the TD(lambda) target
            log_rhos=torch.zeros_like(log_probs),
            discounts=DISCOUNT * (~ended).float(),
            rewards=rewards.float(),
            values=values,
            bootstrap_value=bootstrap_value,
            valid=valid,
            lambda_=LAMBDA,
        )
        advantages = (targets.vs - values).flatten()
        observations, actions, log_probs, vs = (x.flatten(0, 1) for x in (observations, actions, log_probs, targets.vs))
        if teacher is not None:  # teacher
            with torch.no_grad():  # teacher
                teacher_logits, _ = teacher(observations)  # teacher
        rows = valid.flatten().nonzero()[:, 0]
        for _ in range(EPOCHS):
            for batch in rows[torch.randperm(len(rows))].chunk(MINIBATCHES):
                logits, values = agent(observations[batch])
                policy = torch.distributions.Categorical(logits=logits, validate_args=False)
                ratio = (policy.log_prob(actions[batch]) - log_probs[batch]).exp()
                advantage = (advantages[batch] - advantages[batch].mean()) / (advantages[batch].std() + 1e-8)
                policy_loss = -torch.min(ratio * advantage, ratio.clamp(1 - CLIP, 1 + CLIP) * advantage).mean()
                baseline_loss = 0.5 * (vs[batch] - values).square().mean()
                loss = policy_loss + BASELINE_COST * baseline_loss - ENTROPY_COST * policy.entropy().mean()
                if teacher_logits is not None:  # teacher
                    weights = torch.full([len(batch)], float(weight.at(frames)))  # teacher
                    loss += distillation_loss(logits, teacher_logits[batch], weights)  # teacher
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), MAX_GRAD_NORM)
                optimiser.step()
    envs.close()
    return agent, None


def main(total_frames: int = 100_000, seeds: int = 3) -> None:
    torch.set_num_threads(1)
    started = time.perf_counter()
    teacher, reached = train(hidden=64, seed=100, total_frames=total_frames)
    print(f"teacher, 64 units: return {GOAL:g} after {reached} frames", flush=True)
    for name, its_teacher in (("128 units alone", None), ("128 units with the teacher", teacher)):
        results = [train(128, seed, total_frames, teacher=its_teacher)[1] for seed in range(seeds)]
        middle = statistics.median(x or float("inf") for x in results)
        print(f"{name}: return {GOAL:g} after {', '.join(str(x) for x in results)} frames, median {middle:g}", flush=True)
    print(f"took {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
