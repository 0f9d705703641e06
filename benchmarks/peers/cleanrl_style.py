"""PPO in one file and one loop, in the style of CleanRL's recurrent PPO on EnvPool, written for this comparison.

    python cleanrl_style.py --seconds 15 [--workload W2] [--resets] [--precision bfloat16]

One epoch of one minibatch is one update. With --resets the LSTM forgets at the ends of episodes and runs step by step, as CleanRL's
does; without, it never forgets, and torch's LSTM runs the unroll in one call. Acting and learning alternate.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from workload import Pool, Stopwatch, Workload, parser, workload_of

GAMMA, GAE_LAMBDA, CLIP, ENTROPY_COST, VALUE_COST, MAX_GRAD_NORM = 0.99, 0.95, 0.1, 0.01, 0.5, 0.5
LEARNING_RATE, ADAM_EPSILON = 2.5e-4, 1e-5

State = tuple[Tensor, Tensor] | None


class Agent(nn.Module):
    """Torso, LSTM or none, two heads."""

    def __init__(self, workload: Workload, resets: bool) -> None:
        super().__init__()
        self.torso = workload.torso()
        self.core = nn.LSTM(256, workload.lstm) if workload.lstm else None
        self.actor = nn.Linear(256, workload.actions)
        self.critic = nn.Linear(256, 1)
        self.resets = resets

    def initial_state(self, columns: int) -> State:
        return (torch.zeros(1, columns, 256), torch.zeros(1, columns, 256)) if self.core else None

    def forward(self, image: Tensor, state: State, first: Tensor) -> tuple[Tensor, Tensor, State]:
        """image [T, B, ...], first [T, B]: 1 at the first observation of an episode. Returns logits, values and the next state."""
        x = self.torso(image.flatten(0, 1)).unflatten(0, first.shape)
        if self.core:
            x, state = self._stepwise(x, state, first) if self.resets else self.core(x, state)
        return self.actor(x).float(), self.critic(x)[..., 0].float(), state

    def _stepwise(self, x: Tensor, state: State, first: Tensor) -> tuple[Tensor, State]:
        assert self.core is not None
        outputs = []
        for x_t, first_t in zip(x, first, strict=True):
            assert state is not None
            keep = (1.0 - first_t)[None, :, None]
            y, state = self.core(x_t[None], (keep * state[0], keep * state[1]))
            outputs.append(y)
        return torch.cat(outputs), state


class Unroll:
    """What the loop stores: [T, B] each."""

    def __init__(self, workload: Workload) -> None:
        shape = workload.unroll, workload.columns
        self.images = torch.zeros(*shape, *workload.image.shape, dtype=torch.uint8)
        self.actions = torch.zeros(shape, dtype=torch.int64)
        self.log_probs, self.values, self.rewards, self.first = (torch.zeros(shape) for _ in range(4))


@torch.no_grad()
def advantages(unroll: Unroll, bootstrap: Tensor, first: Tensor) -> Tensor:
    """Generalised advantage estimation. bootstrap, first [B]: value of the observation after the unroll, and whether it begins an
    episode."""
    result, last = torch.zeros_like(unroll.rewards), torch.zeros_like(bootstrap)
    for t in reversed(range(len(result))):
        end = t + 1 == len(result)
        value, goes_on = (bootstrap, 1.0 - first) if end else (unroll.values[t + 1], 1.0 - unroll.first[t + 1])
        delta = unroll.rewards[t] + GAMMA * goes_on * value - unroll.values[t]
        result[t] = last = delta + GAMMA * GAE_LAMBDA * goes_on * last
    return result


def ppo_loss(logits: Tensor, values: Tensor, unroll: Unroll, advantage: Tensor) -> Tensor:
    log_policy = F.log_softmax(logits, -1)
    ratio = (log_policy.gather(-1, unroll.actions[..., None])[..., 0] - unroll.log_probs).exp()
    entropy = -(log_policy.exp() * log_policy).sum(-1).mean()
    returns = advantage + unroll.values
    normal = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    policy_loss = torch.max(-normal * ratio, -normal * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
    clipped = unroll.values + (values - unroll.values).clamp(-CLIP, CLIP)
    value_loss = 0.5 * torch.max((values - returns) ** 2, (clipped - returns) ** 2).mean()
    return policy_loss + VALUE_COST * value_loss - ENTROPY_COST * entropy


def main() -> None:
    options = parser(__doc__, precisions=("float32", "bfloat16"))
    options.add_argument("--resets", action="store_true", help="the LSTM forgets at the ends of episodes")
    options.add_argument("--torch-threads", type=int, default=os.cpu_count() or 1)
    arguments = options.parse_args()
    torch.set_num_threads(arguments.torch_threads)
    torch.manual_seed(0)
    workload = workload_of(arguments)
    low = arguments.precision == "bfloat16"
    pool, agent, unroll = Pool(workload, arguments.env_threads), Agent(workload, arguments.resets), Unroll(workload)
    optimiser = torch.optim.Adam(agent.parameters(), LEARNING_RATE, eps=ADAM_EPSILON)
    image, first = torch.from_numpy(pool.reset()), torch.ones(workload.columns)
    state = agent.initial_state(workload.columns)
    stopwatch, steps = Stopwatch(arguments.seconds), 0
    while not stopwatch.lap(steps):
        initial_state = state
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=low):
            for t in range(workload.unroll):
                unroll.images[t], unroll.first[t] = image, first
                logits, values, state = agent(image[None], state, first[None])
                log_policy = F.log_softmax(logits[0], -1)
                actions = torch.multinomial(log_policy.exp(), 1)
                unroll.actions[t], unroll.values[t] = actions[:, 0], values[0]
                unroll.log_probs[t] = log_policy.gather(-1, actions)[:, 0]
                observations, rewards, terminated, truncated = pool.step(actions[:, 0].numpy())
                image, unroll.rewards[t] = torch.from_numpy(observations), torch.from_numpy(rewards)
                first = torch.from_numpy(terminated | truncated).float()
            bootstrap = agent(image[None], state, first[None])[1][0]
        advantage = advantages(unroll, bootstrap, first)
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            logits, values, _ = agent(unroll.images, initial_state, unroll.first)
        optimiser.zero_grad()
        ppo_loss(logits, values, unroll, advantage).backward()
        nn.utils.clip_grad_norm_(agent.parameters(), MAX_GRAD_NORM)
        optimiser.step()
        steps += workload.batch
    threads = {"torch_threads": arguments.torch_threads, "env_threads": arguments.env_threads}
    stopwatch.report("CleanRL-style PPO", "torch", workload, precision=arguments.precision, resets=arguments.resets, **threads)


if __name__ == "__main__":
    main()
