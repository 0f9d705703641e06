"""Sample Factory on W1: its APPO, with EnvPool as one batched environment.

    python sample_factory_appo.py --seconds 15 [--lstm 0] [--mode async]

Four modes, because which is fastest depends on the machine:

- serial: everything in one process, acting and learning in turn, torch on --torch-threads threads;
- sync: a process that acts and one that learns, in turn;
- async: the same two processes at once, so the policy that acts is behind the one that learns;
- double: async, and the worker that acts has two groups of 32 environments, one stepping while the other's actions are computed.

Sample Factory sets torch to one thread in each process of the last three.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import gymnasium
import numpy as np
import torch
from sample_factory.algo.runners.runner import AlgoObserver, Runner
from sample_factory.algo.utils.context import global_model_factory
from sample_factory.algo.utils.misc import ExperimentStatus
from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
from sample_factory.envs.env_utils import register_env
from sample_factory.model.encoder import Encoder
from sample_factory.train import make_runner
from workload import ACTIONS, BATCH, ENVS, IMAGE, TASK, UNROLL, Stopwatch, Torso, make_pool, parser

MODES = {  # serial_mode, async_rl, worker_num_splits
    "serial": (True, False, 1),
    "sync": (False, False, 1),
    "async": (False, True, 1),
    "double": (False, True, 2),
}


class Pool(gymnasium.Env):
    """EnvPool as what Sample Factory calls one environment of many agents that answers in arrays."""

    metadata: dict[str, Any] = {}  # noqa: RUF012
    render_mode = None
    is_multiagent = True
    observation_space = IMAGE
    action_space = gymnasium.spaces.Discrete(ACTIONS)

    def __init__(self, num_envs: int, threads: int, seed: int) -> None:
        self.num_agents = num_envs
        self._pool = make_pool(num_envs, threads, seed)
        self._infos: list[dict[str, Any]] = [{} for _ in range(num_envs)]

    def reset(self, **kwargs: Any) -> tuple[Any, Any]:
        return self._pool.reset()[0]["image"], self._infos

    def step(self, action: np.ndarray) -> tuple[Any, Any, Any, Any, Any]:
        observations, rewards, terminated, truncated, _ = self._pool.step(np.asarray(action).astype(np.int32).reshape(-1))
        return observations["image"], rewards, terminated, truncated, self._infos

    def close(self) -> None:
        """Leaves EnvPool open until its process ends: its close does not work with the gymnasium that Sample Factory wants."""


def make_env(name: str, cfg: Any, env_config: Any, render_mode: str | None = None) -> Pool:
    seed = env_config.env_id if env_config is not None else 0
    splits = cfg.worker_num_splits
    return Pool(ENVS // splits, int(os.environ["W1_ENV_THREADS"]), 1000 * seed)


class W1Encoder(Encoder):
    """W1's network below the LSTM, as Sample Factory wants it."""

    def __init__(self, cfg: Any, obs_space: gymnasium.Space) -> None:
        super().__init__(cfg)
        self.torso = Torso()

    def forward(self, obs_dict: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.torso(obs_dict["obs"])

    def get_out_size(self) -> int:
        return 256


class Laps(AlgoObserver):
    """Tells the stopwatch of every update, and ends the run when that has enough. Steps are those the learner consumed."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch

    def on_training_step(self, runner: Runner, training_iteration_since_resume: int) -> None:
        if self._stopwatch.lap(training_iteration_since_resume * BATCH):
            runner.cfg.train_for_seconds = -1  # it looks at this next


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--mode", default="async", choices=MODES)
    options.add_argument("--torch-threads", type=int, default=os.cpu_count() or 1, help="in mode serial")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.torch_threads)
    os.environ["W1_ENV_THREADS"] = str(arguments.env_threads)  # the environments are made in another process
    serial, asynchronous, splits = MODES[arguments.mode]
    register_env(TASK, make_env)
    global_model_factory().register_encoder_factory(W1Encoder)
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "algo": "APPO",
            "env": TASK,
            "train_dir": folder,
            "experiment": "w1",
            "device": "cpu",
            "seed": 0,
            "serial_mode": serial,
            "async_rl": asynchronous,
            "batched_sampling": True,
            "num_workers": 1,
            "num_envs_per_worker": splits,
            "worker_num_splits": splits,
            "set_workers_cpu_affinity": False,
            "rollout": UNROLL,
            "recurrence": UNROLL if arguments.lstm else 1,
            "batch_size": BATCH,
            "num_batches_per_epoch": 1,
            "num_epochs": 1,
            "use_rnn": bool(arguments.lstm),
            "rnn_type": "lstm",
            "rnn_size": arguments.lstm or 256,
            "normalize_input": False,
            "normalize_returns": False,
            "save_every_sec": 10**6,
            "save_best_every_sec": 10**6,
        }
        argv = [f"--{key}={value}" for key, value in settings.items()]
        sf_parser, _ = parse_sf_args(argv)
        _, runner = make_runner(parse_full_cfg(sf_parser, argv))
        stopwatch = Stopwatch(arguments.seconds)
        runner.register_observer(Laps(stopwatch))
        status = runner.init()
        if status == ExperimentStatus.SUCCESS:
            status = runner.run()
    threads = {"torch_threads": arguments.torch_threads if serial else 1, "env_threads": arguments.env_threads}
    stopwatch.report("Sample Factory APPO", "sample-factory", arguments.lstm, mode=arguments.mode, **threads)


if __name__ == "__main__":
    main()
