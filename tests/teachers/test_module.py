"""A class of the user's as teacher: what it is made with, how it is asked, what its answer means."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from kickstarting.algo.moments import clipped_gaussian, parameters, squashed_gaussian
from kickstarting.config import Config
from kickstarting.runs.configuration import checked_config
from kickstarting.teachers import Kind, Label, load_teacher
from kickstarting.teachers.origins import absolute, digest, named_modules
from kickstarting.types import Inputs, State

FOREIGN = Path(__file__).parent / "foreign"
T, B = 5, 3


@pytest.fixture(autouse=True)
def agents(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import own_agents

    yield own_agents
    sys.modules.pop("own_agents", None)


def given(width: int, seed: int = 0) -> Inputs:
    rng = torch.Generator().manual_seed(seed)
    is_first = torch.rand(T, B, generator=rng) < 0.3
    is_first[0] = True
    return Inputs({"observation": torch.randn(T, B, width, generator=rng)}, torch.zeros(T, B), torch.zeros(T, B), is_first)


def said(ref: str, inputs: Inputs) -> tuple[Label, State]:
    teacher = load_teacher(f"module:own_agents:{ref}")
    return teacher.label(inputs, teacher.initial_state(B))


def module_of(ref: str) -> Any:
    return load_teacher(f"module:own_agents:{ref}")._module  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["Discrete", "Unhooked"])
def test_probabilities_are_the_agents_own(name: str, tmp_path: Path) -> None:
    torch.save(module_of(f"{name}?env=CartPole-v1").state_dict(), tmp_path / "agent.cleanrl_model")
    ref = f"{name}?env=CartPole-v1&weights={tmp_path / 'agent.cleanrl_model'}"
    inputs, agent = given(4), module_of(ref)
    before = torch.random.get_rng_state()
    label, _ = said(ref, inputs)
    x = inputs.observations["observation"].flatten(0, 1)
    for action in range(2):
        _, log_prob, _, value = agent.get_action_and_value(x, torch.full((T * B,), action))
        torch.testing.assert_close(label.policy.log_softmax(-1)[..., action], log_prob.view(T, B))
        torch.testing.assert_close(label.values, value.view(T, B))
    fresh = load_teacher(f"module:own_agents:{ref}")
    torch.random.set_rng_state(before)
    fresh.label(inputs, ())
    assert torch.random.get_rng_state().equal(before), "an agent that is asked draws no random numbers"


@pytest.mark.parametrize(("file", "name"), [("ppo", "CartPole"), ("ppo-lstm", "Recurrent")])
def test_labels_of_saved_agents_are_what_they_said_to_their_own_loop(file: str, name: str) -> None:
    """Step by step, as scripts/make_cleanrl_teachers.py wrote it down."""
    with np.load(FOREIGN / f"{file}.npz") as arrays:
        own = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    x, is_first = own["observations"], own["is_first"]
    x = x.movedim(2, -1) if x.dim() == 5 else x  # images are [H, W, C] here
    teacher = load_teacher(f"module:own_agents:{name}?weights={FOREIGN / file}.cleanrl_model")
    inputs = Inputs({"observation": x}, torch.zeros(is_first.shape), torch.zeros(is_first.shape), is_first)
    label, _ = teacher.label(inputs, teacher.initial_state(is_first.shape[1]))
    torch.testing.assert_close(label.policy.log_softmax(-1), own["log_probs"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(label.values, own["values"], atol=1e-5, rtol=1e-5)


def test_a_recurrent_agent_is_asked_for_unrolls_and_keeps_its_state(tmp_path: Path) -> None:
    torch.save(module_of("Recurrent").state_dict(), tmp_path / "lstm.pt")
    teacher = load_teacher(f"module:own_agents:Recurrent?weights={tmp_path / 'lstm.pt'}")
    assert teacher.observation_space["observation"].shape == (12, 12, 2)
    images = torch.randint(0, 256, (T, B, 12, 12, 2), dtype=torch.uint8)
    inputs = given(1)
    inputs = Inputs({"observation": images}, inputs.last_actions, inputs.last_rewards, inputs.is_first)
    at_once, last = teacher.label(inputs, teacher.initial_state(B))
    assert all(x.shape == (B, 1, 6) for x in last)
    state, steps = teacher.initial_state(B), []
    for t in range(T):
        label, state = teacher.label(inputs[t : t + 1], state)
        steps.append(label.policy)
    torch.testing.assert_close(at_once.policy, torch.cat(steps))
    torch.testing.assert_close(last, state)
    agent: Any = teacher._module  # type: ignore[attr-defined]
    zeros = (torch.zeros(1, B, 6), torch.zeros(1, B, 6))
    x = images.flatten(0, 1).movedim(-1, 1).float()
    _, log_prob, _, value, _ = agent.get_action_and_value(x, zeros, inputs.is_first.flatten().float(), torch.ones(T * B))
    torch.testing.assert_close(at_once.policy.log_softmax(-1)[..., 1], log_prob.view(T, B))
    torch.testing.assert_close(at_once.values, value.view(T, B))


def test_continuous_actions_are_in_the_students_units() -> None:
    """Pendulum's torque is from -2 to 2."""
    inputs, one = given(3), torch.ones(1)
    x = inputs.observations["observation"]
    torch.manual_seed(0)
    agent = module_of("Continuous?env=Pendulum-v1")
    torch.manual_seed(0)
    label, _ = said("Continuous?env=Pendulum-v1", inputs)
    std = torch.full_like(x[..., :1], math.exp(-0.5)) / 2
    torch.testing.assert_close(label.policy, parameters(*clipped_gaussian(agent.actor_mean(x) / 2, std, -one, one)))
    torch.manual_seed(0)
    agent = module_of("Squashed?env=Pendulum-v1")
    torch.manual_seed(0)
    label, _ = said("Squashed?env=Pendulum-v1", inputs)
    mean, log_std = agent(x)
    torch.testing.assert_close(label.policy, parameters(*squashed_gaussian(mean, log_std.exp())))
    torch.manual_seed(0)
    agent = module_of("Deterministic?env=Pendulum-v1")
    torch.manual_seed(0)
    label, _ = said("Deterministic?env=Pendulum-v1&std=0.2", inputs)
    torch.testing.assert_close(label.policy[..., :1], agent(x) / 2)
    torch.testing.assert_close(label.policy[..., 1:].exp(), torch.full_like(x[..., :1], 0.2))


def test_answers_of_other_kinds_are_understood(agents: Any, tmp_path: Path) -> None:
    inputs = given(4)
    x = inputs.observations["observation"]
    network = agents.QNetwork(*agents.CART)
    safetensors.torch.save_file({f"_orig_mod.{k}": v for k, v in network.state_dict().items()}, tmp_path / "q.safetensors")
    label, _ = said(f"QNetwork?env=CartPole-v1&weights={tmp_path / 'q.safetensors'}&temperature=0.1", inputs)
    torch.testing.assert_close(label.policy, network(x) / 0.1)
    policy = agents.Policy()
    torch.save({"model_weights": policy.state_dict(), "args": {"seed": 1}}, tmp_path / "p.pt")
    label, _ = said(f"Policy?weights={tmp_path / 'p.pt'}", inputs)
    torch.testing.assert_close(label.policy, policy.layer(x)[..., :2].log_softmax(-1))
    torch.testing.assert_close(label.values, policy.layer(x)[..., 2])
    torch.save((policy.state_dict(), {}), tmp_path / "pair.pt")
    label, _ = said(f"two?weights={tmp_path / 'pair.pt'}&method=act", inputs)
    assert label.kind == Kind.ACTIONS
    assert label.policy.equal(policy.layer(x)[..., :2].argmax(-1))
    assert label.values is None


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("Discrette?env=CartPole-v1", "module own_agents has no 'Discrette'; did you mean Discrete"),
        ("Discrete", "is made with envs, which nobody gives here; write &env=ID, or a function"),
        ("Demanding?env=CartPole-v1", "is made with width, which nobody gives here; write a function without parameters"),
        ("Spaceless", "does not say what it reads and how it acts; write env=ID behind it"),
        ("Silent", "has none of get_action_and_value, forward, policy, act"),
        ("Policy?method=forward", "has no method 'forward'; of .* it has policy, act"),
        ("Discrete?env=CartPole-v9", "env 'CartPole-v9' cannot be made"),
        ("no_module", "makes a int; it must be a torch.nn.Module"),
        ("CART", "it must be a class or a function"),
        ("Policy?temperature=hot", "temperature is 'hot'; it must be a number"),
        ("Policy?temperature=0", "temperature is 0.0; it must"),
        ("Policy?weihgts=x", "has no option 'weihgts'; did you mean weights"),
        ("Policy?weights=nowhere.pt", "nowhere.pt cannot be read"),
    ],
)
def test_what_cannot_teach_says_why(ref: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_teacher(f"module:own_agents:{ref}")


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="cannot be imported: No module named 'no_such_package'"):
        load_teacher("module:no_such_package:Agent")


def test_weights_of_others_and_files_of_code_are_refused(agents: Any, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"these are not its weights: .*Missing key"):
        load_teacher(f"module:own_agents:Policy?weights={tmp_path / 'other.pt'}")
    torch.save(agents.Policy(), tmp_path / "whole.pt")
    with pytest.raises(ValueError, match="no weights that can be read as data"):
        load_teacher(f"module:own_agents:Policy?weights={tmp_path / 'whole.pt'}")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="holds no state_dict"):
        load_teacher(f"module:own_agents:Policy?weights={tmp_path / 'list.pt'}")


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (None, "says NoneType, which is no tensor"),
        (torch.zeros(T * B, 3), r"says a tensor \(15, 3\) of 15 observations; it must be \(15, 2\)"),
        (torch.full((T * B, 2), math.nan), "not finite"),
    ],
)
def test_nonsense_is_no_label(agents: Any, says: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.Rambling, "says", says)
    with pytest.raises(ValueError, match=message):
        said("Rambling", given(4))


def test_digests_and_absolute_references(agents: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(agents.Policy().state_dict(), "a b&c.pt")
    ref = "module:own_agents:Policy?weights=a b%26c.pt&temperature=2"
    resolved = absolute(ref)
    assert resolved == f"module:own_agents:Policy?weights={tmp_path}/a%20b%26c.pt&temperature=2"
    assert absolute(resolved) == resolved
    assert digest(ref) == digest(resolved) != digest(ref.replace("=2", "=3"))
    assert load_teacher(resolved).ref == resolved


def test_a_file_that_names_a_module_needs_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes the reference has named it; a config.json that does has not."""
    monkeypatch.setattr("kickstarting.trust._trusted", set())
    ref = "ensemble:module:own_agents:Policy,module:own_agents:Discrete?env=some_package:Env-v0"
    assert named_modules(ref) == ["own_agents:Policy", "own_agents:Discrete", "some_package:Env-v0"]
    config = Config.of("CartPole-v1", teachers=(ref,))
    assert set(config.trusted_modules) == {"own_agents", "some_package"}
    data = json.loads(json.dumps(config.to_json()))
    with pytest.raises(ValueError, match="--trust-module own_agents"):
        checked_config(data, Path("config.json"))
    monkeypatch.setattr("kickstarting.trust._trusted", {"own_agents", "some_package"})
    assert checked_config(data, Path("config.json")).teaching.teachers[0].ref == ref  # type: ignore[union-attr]
