"""PufferLib: its own trainer and LSTM wrapper, with EnvPool as its vector environment; version 1.0 or 3.0, whichever is installed.

    python pufferlib_ppo.py --seconds 15 [--workload W1-no-lstm] [--precision bfloat16] [--compile]

One epoch of one minibatch is one update. Neither version resets its LSTM at the ends of episodes: 1.0 never in acting, though
learning starts every unroll from zeros; 3.0 at the beginning of every unroll, in acting and learning. Version 3.0 has an option
`precision`, for GPUs; version 1.0 has none. Here bfloat16 is torch's autocast around acting and around learning, for both.
"""

from __future__ import annotations

import ast
import configparser
import os
import tempfile
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from workload import Pool, Stopwatch, Workload, parser, workload_of

VERSION = int(version("pufferlib").split(".")[0])
NEVER = 10**12  # steps or updates


class Environments:
    """EnvPool as PufferLib's vector environment: the environments step while PufferLib does something else."""

    def __init__(self, workload: Workload, threads: int) -> None:
        self.num_agents = self.agents_per_batch = workload.columns
        self.single_observation_space = workload.image
        self.single_action_space = gymnasium.spaces.Discrete(workload.actions)
        self._pool = Pool(workload, threads)
        self._ids, self._all = np.arange(workload.columns), np.ones(workload.columns, bool)
        self._first: tuple[np.ndarray, ...] | None = None

    def async_reset(self, seed: int) -> None:
        none = np.zeros(self.num_agents, bool)
        self._first = self._pool.reset(), np.zeros(self.num_agents, np.float32), none, none

    def recv(self) -> tuple[Any, ...]:
        step, self._first = self._first or self._pool.recv(), None
        return (*step, [], self._ids, self._all)

    def send(self, actions: np.ndarray) -> None:
        self._pool.send(actions)


class Policy(nn.Module):
    """Torso and heads as PufferLib's LSTM wrappers want them, or alone, without an LSTM."""

    is_continuous = False

    def __init__(self, workload: Workload) -> None:
        super().__init__()
        self.hidden_size = workload.lstm or 256
        self.torso = workload.torso()
        self.actor = nn.Linear(self.hidden_size, workload.actions)
        self.critic = nn.Linear(self.hidden_size, 1)

    def encode_observations(self, observations: Tensor, state: Any = None) -> Any:
        hidden = self.torso(observations)
        return (hidden, None) if VERSION == 1 else hidden

    def decode_actions(self, hidden: Tensor, lookup: Any = None) -> tuple[Tensor, Tensor]:
        return self.actor(hidden).float(), self.critic(hidden).float()

    def forward(self, observations: Tensor, state: Any = None) -> tuple[Tensor, Tensor]:
        return self.decode_actions(self.torso(observations))

    forward_eval = forward


Phases = tuple[Callable[[], Any], Callable[[], Any], Callable[[], int]]
"""Acting, learning, and the agent steps so far."""


def trainer_1(workload: Workload, environments: Environments, policy: Policy, compiled: bool, folder: str) -> Phases:
    import clean_pufferl  # not in the package; see README.md
    import pufferlib
    from pufferlib.frameworks import cleanrl
    from pufferlib.models import LSTMWrapper

    class FloatState(LSTMWrapper):
        """With the state in float32, as the trainer keeps it."""

        def forward(self, x: Tensor, state: Any) -> Any:
            logits, values, state = super().forward(x, state)
            return logits, values, tuple(part.float() for part in state)

    lstm = workload.lstm
    model = cleanrl.RecurrentPolicy(FloatState(environments, policy, 256, lstm)) if lstm else cleanrl.Policy(policy)
    config = {
        "env": workload.name,
        "data_dir": folder,
        "exp_id": "benchmark",
        "checkpoint_interval": NEVER,
        "total_timesteps": NEVER,
    }
    config |= {"device": "cpu", "cpu_offload": False, "seed": 0, "torch_deterministic": True}
    config |= {"batch_size": workload.batch, "minibatch_size": workload.batch, "bptt_horizon": workload.unroll, "update_epochs": 1}
    config |= {"learning_rate": 2.5e-4, "anneal_lr": True, "gamma": 0.99, "gae_lambda": 0.95, "norm_adv": True, "clip_coef": 0.1}
    config |= {"clip_vloss": True, "vf_clip_coef": 0.1, "vf_coef": 0.5, "ent_coef": 0.01, "max_grad_norm": 0.5, "target_kl": None}
    data = clean_pufferl.create(pufferlib.namespace(**config, compile=compiled, compile_mode="default"), environments, model)
    return lambda: clean_pufferl.evaluate(data), lambda: clean_pufferl.train(data), lambda: data.global_step


def trainer_3(workload: Workload, environments: Environments, policy: Policy, compiled: bool, folder: str) -> Phases:
    import pufferlib.models
    from pufferlib import pufferl

    pufferl.ADVANTAGE_CUDA = False  # it takes an installed nvcc for a GPU
    defaults = configparser.ConfigParser()
    defaults.read(Path(str(pufferlib.__file__)).parent / "config" / "default.ini")
    config: dict[str, Any] = {}
    for name, text in defaults["train"].items():
        try:
            config[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):  # a word
            config[name] = text
    config |= {"env": workload.name, "data_dir": folder, "checkpoint_interval": NEVER, "total_timesteps": NEVER}
    config |= {"device": "cpu", "optimizer": "adam"}
    config |= {"batch_size": workload.batch, "minibatch_size": workload.batch, "max_minibatch_size": workload.batch}
    config |= {"bptt_horizon": workload.unroll, "use_rnn": bool(workload.lstm)}
    config |= {"compile": compiled, "compile_mode": "default", "compile_fullgraph": False}
    model = pufferlib.models.LSTMWrapper(environments, policy, 256, workload.lstm) if workload.lstm else policy
    trainer = pufferl.PuffeRL(config, environments, model)
    trainer.amp_context = nullcontext()  # its own is for GPUs
    return trainer.evaluate, trainer.train, lambda: trainer.global_step


def main() -> None:
    options = parser(__doc__, precisions=("float32", "bfloat16"))
    options.add_argument("--torch-threads", type=int, default=os.cpu_count() or 1)
    options.add_argument("--compile", action="store_true", help="torch.compile the policy, as PufferLib offers")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.torch_threads)
    torch.manual_seed(0)
    workload = workload_of(arguments)
    environments, policy = Environments(workload, arguments.env_threads), Policy(workload)
    low = arguments.precision == "bfloat16"
    stopwatch = Stopwatch(arguments.seconds)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # importing PufferLib leaves a link in the current folder
        trainer = trainer_1 if VERSION == 1 else trainer_3
        act, learn, steps = trainer(workload, environments, policy, arguments.compile, folder)
        while not stopwatch.lap(steps()):
            for phase in (act, learn):
                with torch.autocast("cpu", torch.bfloat16, enabled=low):
                    phase()
    settings = {"torch_threads": arguments.torch_threads, "env_threads": arguments.env_threads, "compile": arguments.compile}
    stopwatch.report(f"PufferLib {VERSION}", "pufferlib", workload, precision=arguments.precision, **settings)


if __name__ == "__main__":
    try:
        main()
    except Exception:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # PufferLib's thread that watches the processor would go on
