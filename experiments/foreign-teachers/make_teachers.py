"""Write teachers/: policies that other libraries trained by their own code, in the files that they write themselves.

    python -m venv .peers
    .peers/bin/pip install stable-baselines3==2.9.2 sb3-contrib==2.9.2 minigrid onnx onnxscript tensorboard
    .peers/bin/pip install --no-deps --ignore-requires-python cleanrl==1.2.0
    .peers/bin/python experiments/foreign-teachers/make_teachers.py [NAME ...]      # about half an hour on one core

Networks are kept small, and archives are deflated and without their optimisers, so that they can be committed.
"""

# These packages are in an environment of their own
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import argparse
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import torch
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "examples")]

from make_foreign_teachers import Cells, of, write_archive  # noqa: E402

OUT = HERE / "teachers"
EVALUATED = 50
"""Episodes by which a teacher is judged here, by the peer's own code; `kickstart check` judges it again."""


def door_key() -> gymnasium.Env:
    import minigrid  # noqa: F401

    return Cells(gymnasium.make("MiniGrid-DoorKey-5x5-v0"))


def t_maze() -> gymnasium.Env:
    import t_maze  # noqa: F401

    return gymnasium.make("TMaze-v0")


def trained(
    algorithm: str, make: Callable[[], gymnasium.Env], steps: int, *, policy: str = "MlpPolicy", envs: int = 1, **options: Any
) -> Any:
    """A model of Stable-Baselines3 or sb3-contrib, and what it brings, printed."""
    import sb3_contrib
    import stable_baselines3
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

    vector = VecMonitor(DummyVecEnv([make] * envs))
    vector.seed(1)
    kind = getattr(stable_baselines3, algorithm, None) or getattr(sb3_contrib, algorithm)
    model = kind(policy, vector, seed=1, device="cpu", **options)
    model.learn(steps)
    for deterministic in (False, True):
        mean, deviation = evaluate_policy(model, vector, EVALUATED, deterministic=deterministic)
        how = "most likely" if deterministic else "sampled"
        print(f"{algorithm}, {steps} steps, {how} actions: return {mean:.2f} +/- {deviation:.2f}", flush=True)
    return model


def ppo_cartpole() -> None:
    options = {"n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98, "n_epochs": 20, "learning_rate": falling(1e-3)}
    write_archive(trained("PPO", of("CartPole-v1"), 100_000, envs=8, **options), OUT / "ppo-cartpole.zip")


def dqn_acrobot() -> None:
    options = {"learning_rate": 6.3e-4, "batch_size": 128, "buffer_size": 50_000, "learning_starts": 1_000, "gamma": 0.99}
    options |= {"target_update_interval": 250, "train_freq": 4, "exploration_fraction": 0.12, "exploration_final_eps": 0.1}
    model = trained("DQN", of("Acrobot-v1"), 100_000, policy_kwargs={"net_arch": [64, 64]}, **options)
    write_archive(model, OUT / "dqn-acrobot.zip")


def sac_pendulum() -> None:
    options = {"learning_rate": 1e-3, "policy_kwargs": {"net_arch": [64, 64]}, "buffer_size": 50_000}
    write_archive(trained("SAC", of("Pendulum-v1"), 15_000, **options), OUT / "sac-pendulum.zip")


def ppo_door_key() -> None:
    options = {"n_steps": 128, "batch_size": 256, "learning_rate": 1e-3, "ent_coef": 0.01, "n_epochs": 4}
    model = trained("PPO", door_key, 200_000, policy="MultiInputPolicy", envs=8, **options)
    write_archive(model, OUT / "ppo-door-key.zip")


def recurrent_ppo_t_maze() -> None:
    memory = {"net_arch": [32], "lstm_hidden_size": 32}
    options = {"policy_kwargs": memory, "n_steps": 128, "batch_size": 256, "learning_rate": 3e-3, "ent_coef": 0.02, "n_epochs": 4}
    model = trained("RecurrentPPO", t_maze, 150_000, policy="MlpLstmPolicy", envs=8, **options)
    write_archive(model, OUT / "recurrent-ppo-t-maze.zip")


def ppo_acrobot() -> None:
    options = {"n_steps": 128, "batch_size": 256, "gae_lambda": 0.94, "n_epochs": 4, "learning_rate": 1e-3}
    policy = trained("PPO", of("Acrobot-v1"), 200_000, envs=16, **options).policy

    class Program(nn.Module):
        """Logits and values, named as docs/programs.md says."""

        def __init__(self) -> None:
            super().__init__()
            self.policy = policy

        def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
            latent, of_critic = self.policy.mlp_extractor(observation)
            return self.policy.action_net(latent), self.policy.value_net(of_critic)[:, 0]

    names = {"input_names": ["observation"], "output_names": ["logits", "value"]}
    shapes = {"dynamic_shapes": {"observation": {0: "batch"}}, "external_data": False}
    torch.onnx.export(Program().eval(), (torch.zeros(2, 6),), str(OUT / "ppo-acrobot.onnx"), **names, **shapes)  # type: ignore[arg-type]


def cleanrl_cartpole() -> None:
    """CleanRL's script as it is; it keeps its agent to itself, so its namespace is what is asked."""
    words = ["--env-id", "CartPole-v1", "--total-timesteps", "200000", "--seed", "1", "--no-cuda"]
    argv, cwd = sys.argv, Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # it writes its logs there
        sys.argv = ["ppo.py", *words]
        namespace = runpy.run_module("cleanrl.ppo", run_name="__main__")
        sys.argv = argv
        os.chdir(cwd)
    torch.save(namespace["agent"].state_dict(), OUT / "ppo-cartpole.cleanrl_model")


def falling(rate: float) -> Callable[[float], float]:
    """Linear to 0; the peer gives the share of steps that remain."""
    return lambda remaining: rate * remaining


MADE: dict[str, Callable[[], None]] = {
    "ppo-cartpole": ppo_cartpole,
    "cleanrl-cartpole": cleanrl_cartpole,
    "dqn-acrobot": dqn_acrobot,
    "ppo-acrobot": ppo_acrobot,
    "sac-pendulum": sac_pendulum,
    "ppo-door-key": ppo_door_key,
    "recurrent-ppo-t-maze": recurrent_ppo_t_maze,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of teachers; all unless given")
    names = parser.parse_args().names or list(MADE)
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    for name in names:
        if name not in MADE:
            parser.error(f"there is no teacher {name!r}; known: {', '.join(MADE)}")
    for name in names:
        MADE[name]()
        print(f"wrote {name}", flush=True)


if __name__ == "__main__":
    main()
