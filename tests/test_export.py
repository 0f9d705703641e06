"""An exported policy says what the run's says, in every format, and its folder is what model hubs expect."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import safetensors.torch
import torch
import tyro
from huggingface_hub import ModelCard

from kickstarting.config import Config
from kickstarting.export import export
from kickstarting.help import flowing_help
from kickstarting.runs.checkpoint import CheckpointError
from kickstarting.runs.run import run as train_run
from kickstarting.spaces import make_distribution
from kickstarting.teachers import NetworkTeacher, load_teacher
from kickstarting.teachers.origins import digest, find_origin, run
from kickstarting.trust import CODE
from kickstarting.types import Inputs
from known import known

T, B = 6, 3
SMALL = {"hidden": 8, "lstm": 8}


@pytest.fixture(autouse=True)
def untyped(monkeypatch) -> None:
    """An exporter follows the checks of shapes, too, and would take what they compare for fixed."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def unroll(teacher: NetworkTeacher) -> Inputs:
    """With episodes that end inside."""
    generator = np.random.default_rng(0)
    is_first = torch.zeros(T, B, dtype=torch.bool)
    is_first[0], is_first[2, 1], is_first[4, 0] = True, True, True
    observations = {}
    for name, space in teacher.observation_space.items():
        numbers = generator.integers(0, 2, (T, B, *(space.shape or ()))) if known(space.dtype).kind != "f" else None
        x = generator.standard_normal((T, B, *(space.shape or ()))) if numbers is None else numbers
        observations[name] = torch.from_numpy(np.asarray(x).astype(space.dtype))
    distribution = make_distribution(teacher.action_space)
    actions = torch.zeros(T, B, *distribution.action_shape, dtype=distribution.action_dtype)
    actions[is_first] = distribution.no_action
    return Inputs(observations, actions, torch.randn(T, B).masked_fill(is_first, 0.0), is_first)


def said(program: Any, inputs: Inputs, states: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """What a program says step by step: parameters and values. program: of arrays by name."""
    policies, values = [], []
    for t in range(T):
        arrays = {f"obs.{name}": x[t].numpy() for name, x in inputs.observations.items()}
        arrays |= {"last_action": inputs.last_actions[t].numpy(), "last_reward": inputs.last_rewards[t].numpy()}
        arrays |= {"is_first": inputs.is_first[t].numpy(), **{f"state_{i}": x for i, x in enumerate(states)}}
        answer = program(arrays)
        states = [answer[f"next_state_{i}"] for i in range(len(states))]
        policies.append(np.concatenate([answer[name] for name in ("logits", "mean", "log_std") if name in answer], -1))
        values.append(answer["value"])
    return torch.from_numpy(np.stack(policies)), torch.from_numpy(np.stack(values))


def onnx_program(path: Path) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda arrays: dict(zip(names, session.run(names, arrays), strict=True))


def torch_program(path: Path) -> Any:
    module = torch.export.load(io.BytesIO(path.read_bytes())).module()

    def call(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = {name: torch.from_numpy(x) for name, x in arrays.items()}
        obs = {name.removeprefix("obs."): x for name, x in tensors.items() if name.startswith("obs.")}
        state = [x for name, x in tensors.items() if name.startswith("state_")]
        answer = module(obs, tensors["last_action"], tensors["last_reward"], tensors["is_first"], *state)
        return {name: x.numpy() for name, x in answer.items()}

    return call


PROGRAMS = {"onnx": ("policy.onnx", onnx_program), "torch-export": ("policy.pt2", torch_program)}


@pytest.mark.parametrize(
    ("format", "suite_name"),
    [("onnx", "CartPole-v1")]  # an exporter takes seconds, so one stands for all where there is no time
    + [pytest.param("onnx", "Pendulum-v1", marks=pytest.mark.slow)]
    + [pytest.param("torch-export", name, marks=pytest.mark.slow) for name in ("CartPole-v1", "Pendulum-v1")]
    + [pytest.param(format, "BabyAI-GoToObj-v0", marks=pytest.mark.slow) for format in PROGRAMS],
)
def test_a_program_says_what_the_policy_says(format, suite_name, make_policy, tmp_path, monkeypatch):
    """Whoever runs it, and as a teacher here."""
    ref = make_policy(suite_name, options=SMALL)
    export(ref, tmp_path / "out", format=format, suite_name=suite_name, episodes=1)
    teacher = load_teacher(ref)
    assert isinstance(teacher, NetworkTeacher)
    inputs = unroll(teacher)
    label, _ = teacher.label(inputs, teacher.initial_state(B))
    file, program = PROGRAMS[format]
    states = [x.numpy() for x in teacher.initial_state(B)]
    policy, values = said(program(tmp_path / "out" / file), inputs, states)
    assert len(states) == 2
    torch.testing.assert_close(policy, label.policy, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(values, label.values, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr("kickstarting.trust._trusted", {CODE})
    again = load_teacher(str(tmp_path / "out" / file))
    assert (again.observation_space, again.action_space) == (teacher.observation_space, teacher.action_space)
    own, _ = again.label(inputs, again.initial_state(B))
    torch.testing.assert_close(own.policy, label.policy, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(own.values, label.values, rtol=1e-5, atol=1e-5)


def test_an_exported_folder_is_the_same_teacher(make_policy, suite, tmp_path):
    ref = make_policy()
    export(ref, tmp_path / "out", suite_name=suite, episodes=2)
    out = str(tmp_path / "out")
    assert find_origin(out)[0] is run
    assert digest(out) == digest(ref)
    ours, theirs = load_teacher(out), load_teacher(ref)
    assert isinstance(ours, NetworkTeacher)
    inputs = unroll(ours)
    label, same = ours.label(inputs, ours.initial_state(B))[0], theirs.label(inputs, theirs.initial_state(B))[0]
    assert torch.equal(label.policy, same.policy)
    assert torch.equal(known(label.values), known(same.values))


def test_the_card_and_the_results_are_what_hubs_read(make_policy, suite, tmp_path):
    results = export(make_policy(), tmp_path / "out", suite_name=suite, episodes=4, license="cc-by-4.0", name="old one")
    card: Any = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert {"BabyAI-GoToObj-v0", "reinforcement-learning", "kickstarting"} <= set(card.data.tags or [])
    evaluated = card.data.eval_results or []
    assert [r.dataset_name for r in evaluated] == ["BabyAI-GoToObj-v0", "MiniGrid-Dynamic-Obstacles-5x5-v0"]
    assert evaluated[0].metric_value == f"{results[0].mean_return:.2f} +/- {results[0].return_deviation:.2f}"
    assert card.data.model_name == "old one"
    numbers = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [task["task"] for task in numbers["tasks"]] == ["object", "obstacles"]
    assert numbers["n_eval_episodes"] == 4
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["observation_space"]["image"]["high"] == 255
    assert str(tmp_path) not in (tmp_path / "out" / "config.json").read_text() + (tmp_path / "out" / "README.md").read_text()


def test_what_cannot_be_exported_is_refused_before_any_work(make_policy, suite, tmp_path):
    ref = make_policy()
    with pytest.raises(ValueError, match="give --suite"):
        export(ref, tmp_path / "out")
    with pytest.raises(ValueError, match="acts in"):
        export(ref, tmp_path / "out", suite_name="CartPole-v1")
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    with pytest.raises(ValueError, match="of no earlier export"):
        export(ref, tmp_path / "mine", suite_name=suite)


def test_a_damaged_export_is_refused(make_policy, suite, tmp_path):
    export(make_policy(), tmp_path / "out", suite_name=suite, episodes=1)
    weights = tmp_path / "out" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="SHA-256"):
        load_teacher(str(tmp_path / "out"))
    (tmp_path / "out" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no policy that this package exported"):
        load_teacher(str(tmp_path / "out"))


def test_half_precision_is_scored_and_says_nearly_the_same(make_policy, suite, tmp_path):
    ref = make_policy()
    export(ref, tmp_path / "out", suite_name=suite, episodes=1, half=True)
    weights = safetensors.torch.load_file(tmp_path / "out" / "model.safetensors")
    assert {x.dtype for x in weights.values()} == {torch.float16}
    halved, whole = load_teacher(str(tmp_path / "out")), load_teacher(ref)
    assert isinstance(whole, NetworkTeacher)
    inputs = unroll(whole)
    label, same = (teacher.label(inputs, teacher.initial_state(B))[0].policy for teacher in (halved, whole))
    torch.testing.assert_close(label, same, rtol=1e-2, atol=1e-2 * same.abs().max().item())
    assert not torch.equal(label, same)


def test_a_run_says_how_it_was_trained_and_so_does_what_is_exported_again(tiny, make_policy, tmp_path):
    teacher = make_policy()
    config = tiny(teachers=(f"obstacles={teacher}",), seed=3, torch_threads=1)
    train_run(config, tmp_path / "run")
    export(str(tmp_path / "run"), tmp_path / "out", episodes=1, suite_name=config.suite)
    told = json.loads((tmp_path / "out" / "config.json").read_text())["training"]
    assert (told["seed"], told["teachers"]) == (3, [f"obstacles={Path(teacher).name}"])
    words = shlex.split(told["command"])
    assert words[:3] == ["kickstart", "train", Path(config.suite).name]
    with flowing_help():  # tyro keeps the docstrings that it has read once
        again = tyro.cli(tyro.conf.OmitArgPrefixes[Config], args=words[2:])
    assert again.changed(suite=config.suite, teachers=config.teaching.teachers, machine=config.machine) == config.as_usual()
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"Seed 3, taught by {told['teachers'][0]} (commit" in card
    assert told["command"] in card
    assert str(tmp_path) not in card
    export(str(tmp_path / "out"), tmp_path / "again", episodes=1, suite_name=config.suite)
    repeated = json.loads((tmp_path / "again" / "config.json").read_text())
    assert (repeated["training"], repeated["frames"]) == (told, 256)
