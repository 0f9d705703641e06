"""RLlib: its IMPALA (new API stack), with EnvPool as one vector environment of each environment runner.

    python rllib_impala.py --seconds 15 [--workload W1-no-lstm] [--env-runners 1] [--learners 0]

With --learners 0 the learner is a thread of the main process, otherwise a process of its own; with --env-runners 0 the main
process also acts, in turn with learning. RLlib knows EnvPool's NEXT_STEP resets: it neither learns from nor counts the step
whose action is ignored. It cuts what it sampled at the ends of episodes and pads each piece to the length of an unroll.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before the import: a benchmark has nothing to report to anybody

import gymnasium
import numpy as np
import ray
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from ray.rllib.algorithms.impala import IMPALAConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.tune.registry import register_env
from torch import Tensor, nn
from workload import WORKLOADS, Pool, Stopwatch, Workload, parser, workload_of


class Environments(VectorEnv):
    """EnvPool as a vector environment of Gymnasium, with nothing but the image."""

    metadata: ClassVar[dict[str, Any]] = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, workload: Workload, envs: int, threads: int) -> None:
        """envs: of each task."""
        self.num_envs = envs * workload.tasks
        self.single_observation_space, self.single_action_space = workload.image, gymnasium.spaces.Discrete(workload.actions)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, self.num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, self.num_envs)
        self._pool = Pool(workload, threads, envs)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        return self._pool.reset(), {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        return *self._pool.step(actions), {}


class Module(TorchRLModule, ValueFunctionAPI):
    """A workload's network. With an LSTM the batches are [B, T, ...], without one [B, ...]."""

    def setup(self) -> None:
        workload = WORKLOADS[self.model_config["workload"]]
        lstm = workload.lstm
        self.torso = workload.torso()
        self.core = nn.LSTM(256, lstm, batch_first=True) if lstm else None
        self.policy = nn.Linear(lstm or 256, workload.actions)
        self.value = nn.Linear(lstm or 256, 1)

    def get_initial_state(self) -> Any:
        if self.core is None:
            return {}
        return {name: np.zeros(self.core.hidden_size, np.float32) for name in ("h", "c")}

    def _embed(self, batch: dict[str, Any]) -> tuple[Tensor, Any]:
        image = batch[Columns.OBS]
        if self.core is None:
            return self.torso(image), None
        x = self.torso(image.flatten(0, 1)).view(*image.shape[:2], -1)
        state = batch[Columns.STATE_IN]
        x, (h, c) = self.core(x, (state["h"][None], state["c"][None]))
        return x, {"h": h[0], "c": c[0]}

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        x, state = self._embed(batch)
        output = {Columns.ACTION_DIST_INPUTS: self.policy(x)}
        return output if state is None else {**output, Columns.STATE_OUT: state}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        x, _ = self._embed(batch)
        return {Columns.ACTION_DIST_INPUTS: self.policy(x), Columns.EMBEDDINGS: x}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        return self.value(self._embed(batch)[0] if embeddings is None else embeddings)[..., 0]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--env-runners", type=int, default=1, choices=(0, 1, 2))
    options.add_argument("--learners", type=int, default=0, choices=(0, 1))
    options.add_argument("--torch-threads", type=int, default=1, help="of the main process; Ray gives its others one each")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.torch_threads)
    # Four "CPUs" whatever the machine has, so that Ray starts every process asked for.
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=2**28, logging_level="error")
    runners = arguments.env_runners
    workload, threads = workload_of(arguments), arguments.env_threads
    each = workload.envs // max(1, runners)
    register_env(workload.name, lambda context: Environments(workload, each, threads))
    config = (
        IMPALAConfig()
        .framework("torch")
        .environment(workload.name)
        .env_runners(
            num_env_runners=runners,
            num_envs_per_env_runner=each * workload.tasks,
            rollout_fragment_length=workload.unroll,
            gym_env_vectorize_mode="vector_entry_point",
        )
        .learners(num_learners=arguments.learners, num_gpus_per_learner=0)
        .rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=Module,
                # One more than an unroll: the learner appends the observation whose value the last transition needs.
                model_config={"workload": workload.name, "max_seq_len": workload.unroll + 1},
            )
        )
        .training(train_batch_size_per_learner=workload.batch, num_epochs=1, minibatch_size=None, timeout_s_sampler_manager=0.1)
        # train() returns just after the update of every fourth batch: seldom, because it costs, and at a whole update.
        .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=4 * workload.batch)
        .debugging(seed=0, log_level="ERROR")
    )
    algorithm = config.build_algo()
    stopwatch = Stopwatch(arguments.seconds)
    while True:
        result = algorithm.train()
        if stopwatch.lap(int(result["env_runners"].get("num_env_steps_sampled_lifetime", 0))):
            break
    algorithm.stop()
    ray.shutdown()
    settings = {"env_runners": runners, "learners": arguments.learners, "torch_threads": arguments.torch_threads}
    stopwatch.report("RLlib IMPALA", "ray", workload, env_threads=threads, **settings)


if __name__ == "__main__":
    main()
