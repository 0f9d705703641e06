"""What every origin of teachers does, whatever it loads. A new origin needs an example here."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from pathlib import Path

import programs
import pytest
import torch

from kickstarting.ad.demo import SHIPPED
from kickstarting.runs.mirror import begin_mirror
from kickstarting.serve import Served, TeacherServer
from kickstarting.spaces import make_distribution
from kickstarting.teachers.origins import ORIGINS, absolute, digest, load_teacher
from kickstarting.teachers.protocol import Kind, Teacher, across_episodes
from kickstarting.trust import CODE
from kickstarting.types import Inputs

FOREIGN = Path(__file__).parent / "foreign"
T, B = 4, 2


@pytest.fixture(params=sorted(set(ORIGINS) - {"https", "hf"}))  # tests have no certificates, and hf: needs a hub
def ref(request, make_policy, monkeypatch, tmp_path) -> str:
    monkeypatch.setattr("kickstarting.trust._trusted", {CODE})

    def own_agent() -> str:
        monkeypatch.syspath_prepend(str(Path(__file__).parent))
        agents = importlib.import_module("own_agents")
        torch.save(agents.Recurrent().state_dict(), tmp_path / "agent.pt")
        return f"module:own_agents:Recurrent?weights={tmp_path / 'agent.pt'}"

    def mirrored() -> str:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        begin_mirror(Path(make_policy()), str(tmp_path / "shared"))
        return f"mirror:{tmp_path / 'shared'}"

    examples = {
        "ad": lambda: f"ad:{SHIPPED}",
        "run": lambda: f"run:{make_policy()}",
        "zoo": lambda: "zoo:grid-8-small",
        "onnx": lambda: f"onnx:{programs.save_onnx(tmp_path / 'policy.onnx', programs.Policy())}",
        "http": lambda: request.getfixturevalue("address"),
        "script": lambda: "script:programs:prefer_the_first?actions=3",
        "observation": lambda: "observation:expert?actions=3",
        "torch": lambda: f"torch:{programs.save_exported(tmp_path / 'policy.pt2', programs.Policy(), *programs.EXAMPLES)}",
        "module": own_agent,
        "sb3": lambda: f"sb3:{FOREIGN / 'recurrent-ppo-plain-critic.zip'}",
        "ensemble": lambda: f"ensemble:{make_policy()},{make_policy(seed=9)}",
        "mirror": mirrored,
    }
    return examples[request.param]()


@pytest.fixture
def address(make_policy) -> Iterator[str]:
    """Where a teacher is served."""
    with TeacherServer(Served(load_teacher(make_policy()))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server.url
        server.shutdown()


def blank(teacher: Teacher) -> Inputs:
    """Inputs that every teacher of discrete actions can read; the second column begins an episode in the middle."""
    is_first = torch.zeros(T, B, dtype=torch.bool)
    is_first[0], is_first[2, 1] = True, True
    spaces = teacher.observation_space.items()
    observations = {name: torch.as_tensor(space.sample() * 0).expand(T, B, *(space.shape or ())) for name, space in spaces}
    return Inputs(observations, torch.full((T, B), -1), torch.zeros(T, B), is_first)


def test_a_teacher_labels_an_unroll_as_it_would_step_by_step(ref) -> None:
    teacher = load_teacher(ref)
    assert isinstance(teacher, Teacher)
    assert teacher.ref == ref
    inputs = blank(teacher)
    label, state = teacher.label(inputs, teacher.initial_state(B))
    if label.kind == Kind.PARAMETERS:
        assert label.policy.shape == (T, B, make_distribution(teacher.action_space).size)
    assert not label.policy.requires_grad
    stepwise, parts = teacher.initial_state(B), []
    for t in range(T):
        part, stepwise = teacher.label(inputs[t : t + 1], stepwise)
        parts.append(part.policy)
    torch.testing.assert_close(label.policy, torch.cat(parts))
    torch.testing.assert_close(state, stepwise)
    if not across_episodes(teacher):
        torch.testing.assert_close(label.policy[2, 1], label.policy[0, 1])  # its state was reset there


def test_a_digest_is_that_of_what_was_loaded(ref, make_policy) -> None:
    assert len(digest(ref)) == 64
    assert digest(ref) == digest(ref)
    assert digest(ref) != digest(make_policy(seed=7))


@pytest.mark.parametrize("prefix", sorted(ORIGINS))
def test_what_is_not_there_is_named(prefix) -> None:
    with pytest.raises((ValueError, OSError), match="nowhere"):
        load_teacher(f"{prefix}:nowhere")


def test_a_mirrored_teacher_is_brought_once_and_is_the_same_as_where_it_came_from(make_policy, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path, shared = make_policy(), tmp_path / "shared"
    begin_mirror(Path(path), str(shared))
    assert digest(f"mirror:{shared}") == digest(path)
    for part in shared.glob("*/parts/*"):
        part.unlink()
    assert digest(f"mirror:{shared}") == digest(path)
    assert absolute("mirror:s3://bucket/run") == "mirror:s3://bucket/run"
    monkeypatch.chdir(tmp_path)
    assert absolute("mirror:shared") == f"mirror:{shared}"
