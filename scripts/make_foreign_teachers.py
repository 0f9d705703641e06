"""Write tests/teachers/foreign/: small teachers by their own trainers, and what these say of recorded observations.

    python -m venv .peers && .peers/bin/pip install stable-baselines3==2.9.2 sb3-contrib==2.9.2 minigrid
    .peers/bin/python scripts/make_foreign_teachers.py [NAME ...]        # about ten minutes on one core

Each teacher is trained briefly, some not at all: what is tested is that its labels are the peer's. NAME.zip is the peer's archive,
deflated and without its optimiser. NAME.npz has observations [T, B, ...] as the environment gave them, `is_first`, and the peer's
outputs of them.
"""

# These packages are in an environment of their own
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import argparse
import copy
import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

ROOT = Path(__file__).parent.parent
OUT = ROOT / "tests" / "teachers" / "foreign"
T, B = 12, 3
MLP = {"net_arch": [16, 16]}
UNSAVED = ["ep_info_buffer", "ep_success_buffer", "_last_obs", "_last_original_obs", "_last_episode_starts", "_last_lstm_states"]


class Cells(gymnasium.ObservationWrapper):
    """MiniGrid without its mission, which is text, and without bounds that make its cells an image to the peer."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        parts = env.observation_space.spaces
        cells = gymnasium.spaces.Box(0, 10, parts["image"].shape, np.uint8)
        self.observation_space = gymnasium.spaces.Dict({"direction": parts["direction"], "image": cells})

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        return {name: observation[name] for name in ("direction", "image")}


class Frames(gymnasium.Env):
    """Noise of 36 x 40 pixels in colour, for networks of pixels."""

    observation_space = gymnasium.spaces.Box(0, 255, (36, 40, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._steps = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._steps += 1
        return self._observe(), 0.0, self._steps == 5, False, {}

    def _observe(self) -> np.ndarray:
        rows = self.np_random.integers(0, 256, (36, 1, 3))  # which deflate well, as noise by pixel would not
        return np.broadcast_to(rows, (36, 40, 3)).astype(np.uint8)


class Several(gymnasium.Env):
    """Everything that a dict may hold, and several actions at once."""

    observation_space = gymnasium.spaces.Dict(
        {
            "where": gymnasium.spaces.Discrete(3),
            "both": gymnasium.spaces.MultiDiscrete([2, 3]),
            "flags": gymnasium.spaces.MultiBinary(2),
            "speed": gymnasium.spaces.Box(-1, 1, (2,), np.float32),
        }
    )
    action_space = gymnasium.spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self._steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        self._steps += 1
        return self.observation_space.sample(), float(action[0]), self._steps == 4, False, {}


def minigrid(wrapper: Callable[[Any], Any]) -> Callable[[], gymnasium.Env]:
    def make() -> gymnasium.Env:
        import minigrid  # noqa: F401

        return wrapper(gymnasium.make("MiniGrid-Empty-5x5-v0"))

    return make


def cells_only() -> gymnasium.Env:
    from minigrid.wrappers import ImgObsWrapper

    return minigrid(ImgObsWrapper)()


def t_maze() -> gymnasium.Env:
    sys.path.insert(0, str(ROOT / "examples"))
    import t_maze  # noqa: F401

    return gymnasium.make("TMaze-v0", length=4)


def of(name: str) -> Callable[[], gymnasium.Env]:
    return lambda: gymnasium.make(name)


def invalid_actions() -> gymnasium.Env:
    from sb3_contrib.common.envs import InvalidActionEnvDiscrete

    return InvalidActionEnvDiscrete(dim=6, n_invalid_actions=3)


def cases() -> dict[str, dict[str, Any]]:
    """Of each teacher: how to make its environment, its algorithm, policy, options, and the steps that it is trained for."""
    from sb3_contrib import ARS, QRDQN, TQC, TRPO, CrossQ, MaskablePPO, RecurrentPPO
    from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3

    cart, pendulum = of("CartPole-v1"), of("Pendulum-v1")
    quick: dict[str, Any] = {"policy_kwargs": MLP}
    replay = {**quick, "buffer_size": 10_000, "learning_starts": 500}
    fast = {**quick, "n_steps": 256, "learning_rate": 1e-3, "gamma": 0.98, "ent_coef": 0.005}
    memory = {"net_arch": [16], "lstm_hidden_size": 16}
    often = {"train_freq": 256, "gradient_steps": 128, "target_update_interval": 10}
    dqn = {**replay, **often, "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 50_000, "exploration_final_eps": 0.04}
    small_pixels = {"net_arch": [8], "features_extractor_kwargs": {"features_dim": 8}}
    return {
        "ppo-cartpole": dict(env=cart, algorithm=PPO, options=fast, steps=40_000),
        "ppo-minigrid": dict(env=cells_only, algorithm=PPO, options=fast, steps=40_000),
        "ppo-minigrid-dict": dict(
            env=minigrid(Cells), algorithm=PPO, policy="MultiInputPolicy", options={**fast, "n_steps": 64}, steps=256
        ),
        "ppo-several": dict(env=Several, algorithm=PPO, policy="MultiInputPolicy", options={**fast, "n_steps": 64}, steps=256),
        "ppo-pendulum-normalised": dict(env=pendulum, algorithm=PPO, options={**fast, "n_steps": 64}, steps=512, normalise=True),
        "ppo-pendulum-stacked": dict(
            env=pendulum, algorithm=PPO, options={**fast, "n_steps": 64}, steps=512, normalise=True, stack=3
        ),
        "ppo-sde": dict(
            env=pendulum,
            algorithm=PPO,
            options={**fast, "use_sde": True, "n_steps": 64, "policy_kwargs": {**MLP, "squash_output": True}},
            steps=256,
        ),
        "ppo-pixels": dict(
            env=Frames, algorithm=PPO, policy="CnnPolicy", options={"policy_kwargs": small_pixels, "n_steps": 16}, steps=0
        ),
        "a2c-cartpole": dict(env=cart, algorithm=A2C, options={"policy_kwargs": {"net_arch": {"pi": [16], "vf": []}}}, steps=500),
        "trpo-cartpole": dict(env=cart, algorithm=TRPO, options={**quick, "n_steps": 64}, steps=128),
        "recurrent-ppo-maze": dict(
            env=t_maze,
            algorithm=RecurrentPPO,
            policy="MlpLstmPolicy",
            options={"policy_kwargs": memory, "n_steps": 128, "batch_size": 128, "learning_rate": 3e-3, "ent_coef": 0.02},
            steps=30_000,
            envs=4,
        ),
        "recurrent-ppo-shared": dict(
            env=cart,
            algorithm=RecurrentPPO,
            policy="MlpLstmPolicy",
            options={
                "policy_kwargs": {**memory, "n_lstm_layers": 2, "shared_lstm": True, "enable_critic_lstm": False},
                "n_steps": 32,
            },
            steps=64,
        ),
        "recurrent-ppo-plain-critic": dict(
            env=cart,
            algorithm=RecurrentPPO,
            policy="MlpLstmPolicy",
            options={"policy_kwargs": {**memory, "enable_critic_lstm": False}, "n_steps": 32},
            steps=64,
        ),
        "maskable-ppo": dict(env=invalid_actions, algorithm=MaskablePPO, options={**quick, "n_steps": 64}, steps=128),
        "dqn-cartpole": dict(env=cart, algorithm=DQN, options={**dqn, "policy_kwargs": {"net_arch": [32, 32]}}, steps=50_000),
        "qrdqn-cartpole": dict(
            env=cart, algorithm=QRDQN, options={**dqn, "policy_kwargs": {**MLP, "n_quantiles": 10}}, steps=2_000
        ),
        "sac-pendulum": dict(env=pendulum, algorithm=SAC, options={**replay, "learning_rate": 3e-3}, steps=5_000),
        "tqc-sde": dict(env=pendulum, algorithm=TQC, options={**replay, "use_sde": True}, steps=600),
        "td3-pendulum": dict(env=pendulum, algorithm=TD3, options={**replay, "learning_rate": 3e-3}, steps=1_000),
        "ddpg-pendulum": dict(env=pendulum, algorithm=DDPG, options=replay, steps=600),
        "crossq-pendulum": dict(env=pendulum, algorithm=CrossQ, options=replay, steps=600),
        "ars-cartpole": dict(env=cart, algorithm=ARS, policy="LinearPolicy", options={"n_delta": 4}, steps=2_000),
        "ars-pendulum": dict(env=pendulum, algorithm=ARS, options={**quick, "n_delta": 2}, steps=1_000),
    }


def make(name: str, case: dict[str, Any]) -> None:
    """Train one, save it, and write down what it says."""
    from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

    def environments(number: int) -> Any:
        vector = DummyVecEnv([case["env"]] * number)
        vector.seed(7)
        vector = normalised = VecNormalize(vector) if case.get("normalise") else vector
        return (VecFrameStack(vector, case["stack"]) if "stack" in case else vector), normalised

    vector, normalised = environments(case.get("envs", 1))
    policy = case.get("policy", "MlpPolicy")
    options = copy.deepcopy(case["options"])  # the peer writes into it
    model = case["algorithm"](policy, vector, seed=1, device="cpu", **options)
    if case["steps"]:
        model.learn(case["steps"])
    if policy == "CnnPolicy":  # sixteenths deflate well
        with torch.no_grad():
            for parameter in model.policy.parameters():
                parameter.copy_((parameter * 16).round() / 16)
    write_archive(model, OUT / f"{name}.zip")
    other, others = environments(B)
    if case.get("normalise"):
        normalised.save(str(OUT / f"{name}.pkl"))
        others.obs_rms, others.ret_rms, others.training = normalised.obs_rms, normalised.ret_rms, False
    recorded = record(model, other, others)
    if case.get("normalise"):
        recorded["reward_scale"] = np.sqrt(others.ret_rms.var + others.epsilon)
    np.savez_compressed(OUT / f"{name}.npz", **recorded)  # pyright: ignore[reportArgumentType]
    print(f"{name}: {sum(path.stat().st_size for path in OUT.glob(f'{name}.*')) / 1e3:.0f} kB", flush=True)


def write_archive(model: Any, path: Path) -> None:
    """As the peer writes it, deflated, without its optimisers."""
    whole = io.BytesIO()
    model.save(whole, exclude=UNSAVED)
    with zipfile.ZipFile(whole) as before, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as after:
        for member in before.namelist():
            if "optimizer" not in member:
                after.writestr(member, before.read(member))


def record(model: Any, vector: Any, normalised: Any) -> dict[str, np.ndarray]:
    """Observations along episodes that are acted at random, and the outputs of the policy."""
    kept: dict[str, list[np.ndarray]] = {}
    read, is_first, state = vector.reset(), np.ones(B, bool), None
    vector.action_space.seed(3)
    for _ in range(T):
        raw = normalised.get_original_obs() if hasattr(normalised, "get_original_obs") else read
        raw = {f"observations/{key}": x for key, x in (raw if isinstance(raw, dict) else {"observation": raw}).items()}
        outputs, state = said(model, read, state, is_first)
        for key, x in {**raw, "is_first": is_first, **outputs}.items():
            kept.setdefault(key, []).append(x.numpy().copy() if isinstance(x, torch.Tensor) else np.array(x))
        read, _, is_first, _ = vector.step(np.array([vector.action_space.sample() for _ in range(B)]))
    return {key: np.stack(x) for key, x in kept.items()}


def said(model: Any, read: Any, state: Any, is_first: np.ndarray) -> tuple[dict[str, np.ndarray], Any]:
    """What a policy says of one step of B environments, in the peer's own terms."""
    policy, outputs = model.policy, {}
    policy.set_training_mode(False)
    with torch.no_grad():
        x, _ = policy.obs_to_tensor(read)
        if hasattr(policy, "lstm_actor"):
            starts = torch.from_numpy(is_first).float()
            own = policy.lstm_actor
            if state is None:
                state = [tuple(torch.zeros(own.num_layers, B, own.hidden_size) for _ in range(2)) for _ in range(2)]
            from sb3_contrib.common.recurrent.type_aliases import RNNStates

            distribution, _ = policy.get_distribution(x, state[0], starts)
            _, values, _, after = policy.forward(x, RNNStates(*state), starts)
            outputs["values"], state = values[:, 0], [after.pi, after.vf]
        elif hasattr(policy, "predict_values"):
            distribution, outputs["values"] = policy.get_distribution(x), policy.predict_values(x)[:, 0]
        elif hasattr(policy, "q_net"):
            return {"q": policy.q_net(x)}, None
        elif hasattr(policy, "quantile_net"):
            return {"q": policy.quantile_net(x).mean(1)}, None
        else:
            outputs["action"] = torch.from_numpy(policy.predict(read, deterministic=True)[0])
            if hasattr(getattr(policy, "actor", None), "get_action_dist_params"):
                mean, log_std, rest = policy.actor.get_action_dist_params(x)
                sde = policy.actor.action_dist.proba_distribution(mean, log_std, **rest).distribution
                outputs |= {"mean": mean, "std": sde.stddev}
            return outputs, None
        inner = distribution.distribution
        if isinstance(inner, list):
            outputs["logits"] = torch.cat([part.logits for part in inner], -1)
        elif hasattr(inner, "logits"):
            outputs["logits"] = inner.logits
        elif hasattr(distribution, "distributions"):
            outputs["logits"] = torch.cat([part.logits for part in distribution.distributions], -1)
        else:
            outputs |= {"mean": inner.mean, "std": inner.stddev}
    return outputs, state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of teachers; all unless given")
    names = parser.parse_args().names
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    known = cases()
    for name in names or known:
        make(name, known[name])


if __name__ == "__main__":
    main()
