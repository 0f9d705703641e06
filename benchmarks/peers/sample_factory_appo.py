"""Sample Factory: its APPO, with EnvPool as one batched environment.

    python sample_factory_appo.py --seconds 15 [--workload W1-no-lstm] [--mode async]

Four modes, because which is fastest depends on the machine:

- serial: everything in one process, acting and learning in turn, torch on --torch-threads threads;
- sync: a process that acts and one that learns, in turn;
- async: the same two processes at once, so the policy that acts is behind the one that learns;
- double: async, and the worker that acts has two groups of environments, one stepping while the other's actions are computed.

Sample Factory sets torch to one thread in each process of the last three.
"""

from __future__ import annotations

import os
import tempfile
from functools import partial
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
from workload import Pool, Stopwatch, Workload, parser, workload_of

MODES = {  # serial_mode, async_rl, worker_num_splits
    "serial": (True, False, 1),
    "sync": (False, False, 1),
    "async": (False, True, 1),
    "double": (False, True, 2),
}


class Environments(gymnasium.Env):
    """EnvPool as what Sample Factory calls one environment of many agents that answers in arrays."""

    metadata: dict[str, Any] = {}  # noqa: RUF012
    render_mode = None
    is_multiagent = True

    def __init__(self, workload: Workload, threads: int, envs: int, seed: int) -> None:
        """envs: of each task."""
        self.observation_space, self.action_space = workload.image, gymnasium.spaces.Discrete(workload.actions)
        self.num_agents = envs * workload.tasks
        self._pool = Pool(workload, threads, envs, seed)
        self._infos: list[dict[str, Any]] = [{} for _ in range(self.num_agents)]

    def reset(self, **kwargs: Any) -> tuple[Any, Any]:
        return self._pool.reset(), self._infos

    def step(self, action: np.ndarray) -> tuple[Any, Any, Any, Any, Any]:
        return *self._pool.step(np.asarray(action).reshape(-1)), self._infos

    def close(self) -> None:
        """Nothing: EnvPool stays open until its process ends."""


def make_env(
    workload: Workload, threads: int, name: str, cfg: Any, env_config: Any, render_mode: str | None = None
) -> Environments:
    seed = env_config.env_id if env_config is not None else 0
    return Environments(workload, threads, workload.envs // cfg.worker_num_splits, 1000 * seed)


class TorsoEncoder(Encoder):
    """The network below the LSTM, as Sample Factory wants it."""

    def __init__(self, workload: Workload, cfg: Any, obs_space: gymnasium.Space) -> None:
        super().__init__(cfg)
        self.torso = workload.torso()

    def forward(self, obs_dict: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.torso(obs_dict["obs"])

    def get_out_size(self) -> int:
        return 256


class Laps(AlgoObserver):
    """Tells the stopwatch of every update, and ends the run when that has enough. Steps are those the learner consumed."""

    def __init__(self, stopwatch: Stopwatch, batch: int) -> None:
        self._stopwatch, self._batch = stopwatch, batch

    def on_training_step(self, runner: Runner, training_iteration_since_resume: int) -> None:
        if self._stopwatch.lap(training_iteration_since_resume * self._batch):
            runner.cfg.train_for_seconds = -1  # it looks at this next


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--mode", default="async", choices=MODES)
    options.add_argument("--torch-threads", type=int, default=os.cpu_count() or 1, help="in mode serial")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.torch_threads)
    workload = workload_of(arguments)
    serial, asynchronous, splits = MODES[arguments.mode]
    register_env(workload.name, partial(make_env, workload, arguments.env_threads))
    global_model_factory().register_encoder_factory(partial(TorsoEncoder, workload))
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "algo": "APPO",
            "env": workload.name,
            "train_dir": folder,
            "experiment": "benchmark",
            "device": "cpu",
            "seed": 0,
            "serial_mode": serial,
            "async_rl": asynchronous,
            "batched_sampling": True,
            "num_workers": 1,
            "num_envs_per_worker": splits,
            "worker_num_splits": splits,
            "set_workers_cpu_affinity": False,
            "rollout": workload.unroll,
            "recurrence": workload.unroll if workload.lstm else 1,
            "batch_size": workload.batch,
            "num_batches_per_epoch": 1,
            "num_epochs": 1,
            "use_rnn": bool(workload.lstm),
            "rnn_type": "lstm",
            "rnn_size": workload.lstm or 256,
            "normalize_input": False,
            "normalize_returns": False,
            "save_every_sec": 10**6,
            "save_best_every_sec": 10**6,
        }
        argv = [f"--{key}={value}" for key, value in settings.items()]
        sf_parser, _ = parse_sf_args(argv)
        _, runner = make_runner(parse_full_cfg(sf_parser, argv))
        stopwatch = Stopwatch(arguments.seconds)
        runner.register_observer(Laps(stopwatch, workload.batch))
        status = runner.init()
        if status == ExperimentStatus.SUCCESS:
            status = runner.run()
    threads = {"torch_threads": arguments.torch_threads if serial else 1, "env_threads": arguments.env_threads}
    stopwatch.report("Sample Factory APPO", "sample-factory", workload, mode=arguments.mode, **threads)


if __name__ == "__main__":
    main()
