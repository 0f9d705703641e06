"""Write tests/teachers/foreign/programs/: policies as the exporters of other libraries write them, and what the policies say.

    python -m venv .peers && .peers/bin/pip install rsl-rl-lib==5.5.1 onnx onnxscript
    .peers/bin/python scripts/make_foreign_programs.py rsl_rl

and likewise, each in an environment of its own, `sample_factory` (its version on GitHub, which has an exporter) and `ml_agents`.

NAME.pt is TorchScript, NAME.onnx a graph. Policies are not trained, but their normalisers have seen data: what is tested is that
labels are the policy's. NAME.npz has observations [T, B, ...] by name, `is_first`, and the actions, by the library's own policy.
"""

# These packages are in environments of their own
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

OUT = Path(__file__).parent.parent / "tests" / "teachers" / "foreign" / "programs"
T, B, OBSERVED, ACTIONS = 8, 3, 5, 2


def unroll() -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers far from mean 0 and deviation 1, which a forgotten normaliser would show, and ends of episodes."""
    generator = torch.Generator().manual_seed(5)
    x = 3.0 + 2.0 * torch.randn(T, B, OBSERVED, generator=generator)
    is_first = torch.rand(T, B, generator=generator) < 0.25
    is_first[0] = True
    return x, is_first


def write(name: str, observations: dict[str, torch.Tensor], is_first: torch.Tensor, actions: torch.Tensor) -> None:
    arrays = {f"observations/{key}": x.numpy() for key, x in observations.items()}
    np.savez_compressed(OUT / f"{name}.npz", is_first=is_first.numpy(), actions=actions.numpy(), **arrays)  # pyright: ignore[reportArgumentType]
    size = sum(path.stat().st_size for path in OUT.glob(f"{name}.*")) / 1e3
    print(f"{name}: {size:.0f} kB", flush=True)


@torch.no_grad()
def rsl_rl() -> None:
    """Its models by their own `as_jit` and `as_onnx`, as its runner's `export_policy_to_*` does."""
    from rsl_rl.models import MLPModel, RNNModel
    from tensordict import TensorDict

    x, is_first = unroll()
    example, groups = TensorDict({"policy": x[0]}, [B]), {"actor": ["policy"]}
    common: dict[str, Any] = {"hidden_dims": [8], "activation": "elu", "obs_normalization": True}
    for name, kind, options in (
        ("rsl_rl-mlp", MLPModel, {}),
        ("rsl_rl-lstm", RNNModel, {"rnn_type": "lstm", "rnn_hidden_dim": 6, "rnn_num_layers": 2}),
        ("rsl_rl-gru", RNNModel, {"rnn_type": "gru", "rnn_hidden_dim": 6, "rnn_num_layers": 1}),
    ):
        torch.manual_seed(6)
        normal = {"class_name": "GaussianDistribution", "init_std": 0.5}
        model = kind(example, groups, "actor", ACTIONS, distribution_cfg=normal, **common, **options)
        for step in x:
            model.update_normalization(TensorDict({"policy": step}, [B]))
        model.eval()
        actions = []
        for step, first in zip(x, is_first, strict=True):
            model.reset(first)
            actions.append(model(TensorDict({"policy": step}, [B])))
        torch.jit.script(model.as_jit()).save(OUT / f"{name}.pt")
        program = model.as_onnx(verbose=False)
        export(program.eval(), program.get_dummy_inputs(), f"{name}.onnx", program.input_names, program.output_names)
        write(name, {"observation": x}, is_first, torch.stack(actions))


@torch.no_grad()
def sample_factory() -> None:
    """Its exporter's module, with the most likely action, which `eval_deterministic` makes it give."""
    import gymnasium
    from sample_factory.algo.utils.action_distributions import argmax_actions
    from sample_factory.algo.utils.env_info import EnvInfo
    from sample_factory.algo.utils.rl_utils import prepare_and_normalize_obs
    from sample_factory.cfg.arguments import parse_full_cfg, parse_sf_args
    from sample_factory.export_onnx import OnnxExporter, patch_forward
    from sample_factory.model.actor_critic import create_actor_critic
    from sample_factory.model.model_utils import get_rnn_size

    x, is_first = unroll()
    space = gymnasium.spaces.Dict(obs=gymnasium.spaces.Box(-np.inf, np.inf, (OBSERVED,), np.float32))
    choices = gymnasium.spaces.Discrete(ACTIONS)
    for name, recurrent in (("sample_factory", False), ("sample_factory-gru", True)):
        torch.manual_seed(7)
        said = ["--env=none", "--encoder_mlp_layers", "8", "--rnn_size=6", f"--use_rnn={recurrent}", "--policy_init_gain=3"]
        parser, _ = parse_sf_args(said, evaluation=True)
        cfg = parse_full_cfg(parser, said)
        cfg.eval_deterministic = True
        torch.jit._state.disable()  # as its exporter does, for the normaliser
        model = create_actor_critic(cfg, space, choices)
        torch.jit._state.enable()
        model.train()
        for step in x:
            model.normalize_obs({"obs": step.clone()})
        model.eval()
        actions, state = [], torch.zeros(B, get_rnn_size(cfg))
        for step, first in zip(x, is_first, strict=True):
            state = state * ~first[:, None]
            state = model(prepare_and_normalize_obs(model, {"obs": step.clone()}), state)["new_rnn_states"]
            actions.append(argmax_actions(model.action_distribution()))
        program = OnnxExporter(cfg, EnvInfo(space, choices, 1, False, False, None, True, 1), model)
        inputs, outputs = (
            (["obs", "rnn_states"], ["output_actions", "output_rnn_states"]) if recurrent else (["obs"], ["output_actions"])
        )
        examples = (x[0, :1], state[:1])[: len(inputs)]
        axes = None if recurrent else {port: {0: "batch_size"} for port in (*inputs, *outputs)}
        patch_forward(program, inputs)
        export(program, examples, f"{name}.onnx", inputs, outputs, dynamic_axes=axes)
        write(name, {"observation": x}, is_first, torch.stack(actions))


@torch.no_grad()
def ml_agents() -> None:
    """Its actors by its own serializer, which is older than torch's present exporter."""
    from mlagents.trainers.settings import NetworkSettings
    from mlagents.trainers.torch_entities.model_serialization import ModelSerializer
    from mlagents.trainers.torch_entities.networks import SimpleActor
    from mlagents_envs.base_env import ActionSpec, BehaviorSpec, DimensionProperty, ObservationSpec, ObservationType

    torch.onnx.export = partial(torch.onnx.export, dynamo=False)
    x, is_first = unroll()
    seen = [ObservationSpec((OBSERVED,), (DimensionProperty.NONE,), ObservationType.DEFAULT, "vector")]
    for name, acts, memory in (
        ("ml_agents-discrete", ActionSpec.create_discrete((3,)), None),
        ("ml_agents-continuous", ActionSpec.create_continuous(ACTIONS), None),
        ("ml_agents-lstm", ActionSpec.create_discrete((3,)), NetworkSettings.MemorySettings(sequence_length=8, memory_size=12)),
    ):
        torch.manual_seed(8)
        actor = SimpleActor(seen, NetworkSettings(normalize=True, hidden_units=8, num_layers=1, memory=memory), acts)
        for parameter in actor.action_model.parameters():
            parameter.mul_(3.0)  # a fresh one prefers nothing
        for step in x:
            actor.network_body.observation_encoder.processors[0].update_normalization(step)
        actor.eval()
        actions, state = [], torch.zeros(B, 1, actor.memory_size)
        for step, first in zip(x, is_first, strict=True):
            state = state * ~first[:, None, None]
            encoding, after = actor.network_body([step], memories=state.transpose(0, 1) if memory else None, sequence_length=1)
            state = after.transpose(0, 1) if memory else state
            law = actor.action_model._get_dists(encoding, torch.ones(B, sum(acts.discrete_branches)))
            actions.append(
                law.continuous.deterministic_sample() if acts.is_continuous() else law.discrete[0].deterministic_sample()[:, 0]
            )
        policy = SimpleNamespace(actor=actor, behavior_spec=BehaviorSpec(seen, acts), export_memory_size=actor.memory_size)
        ModelSerializer(policy).export_policy_model(str(OUT / name))
        write(name, {"observation": x}, is_first, torch.stack(actions))


def export(module: Any, examples: Any, file: str, inputs: list[str], outputs: list[str], **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, examples, OUT / file, input_names=inputs, output_names=outputs, dynamo=False, **options)


def main() -> None:
    known: dict[str, Callable[[], None]] = {function.__name__: function for function in (rsl_rl, sample_factory, ml_agents)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="+", choices=known)
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for library in parser.parse_args().libraries:
        known[library]()


if __name__ == "__main__":
    main()
