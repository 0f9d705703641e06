"""ONNX and torch programs: read by their names, equal to the policies that they were made of, refused with reasons."""

from __future__ import annotations

import copy
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from gymnasium import spaces
from onnx import TensorProto, helper
from programs import ACTIONS, EXAMPLES, HIDDEN, OBSERVED, Flat, Policy, save_exported, save_onnx, save_scripted, unroll
from torch import Tensor, nn

from kickstarting.spaces import Pixels, Scaled, Shaped
from kickstarting.teachers.adapters import check_spaces
from kickstarting.teachers.origins import digest, load_teacher
from kickstarting.teachers.protocol import Kind, TeacherFault
from kickstarting.teachers.signature import METADATA, read_signature
from kickstarting.trust import CODE, trust

T, B = 6, 3
close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy()


@pytest.fixture(autouse=True)
def trusting(monkeypatch) -> None:
    monkeypatch.setattr("kickstarting.trust._trusted", {CODE})


@pytest.fixture(scope="module")
def exported(policy, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "policy.pt2"
    return save_exported(path, policy, *EXAMPLES)


LAYOUTS = {
    "ours": {"names": {"obs": "obs.observation"}},
    "a fixed batch": {"batch": 1},
    "rsl_rl": {"batch": 1, "layers": True, "names": {"state_0": "h_in", "next_state_0": "h_out"}},
    "Sample Factory": {"names": {"state_0": "rnn_states", "next_state_0": "output_rnn_states", "logits": "action_logits"}},
    "ML-Agents": {"names": {"obs": "obs_0", "state_0": "recurrent_in", "next_state_0": "recurrent_out"}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_recurrent_onnx_teacher_is_the_policy_that_was_exported(policy, tmp_path, layout) -> None:
    teacher = load_teacher(f"onnx:{save_onnx(tmp_path / 'policy.onnx', policy, **LAYOUTS[layout])}")
    check_is(teacher, policy)


def check_is(teacher, policy: Policy) -> None:
    """Over two unrolls with ends of episodes inside, the second behind the first."""
    assert teacher.action_space == spaces.Discrete(ACTIONS)
    assert list(teacher.observation_space) == ["observation"]
    state, h = teacher.initial_state(B), torch.zeros(B, HIDDEN)
    for seed in (1, 2):
        inputs = unroll(T, B, seed)
        label, state = teacher.label(inputs, state)
        logits, values, h = policy.unroll(inputs, h)
        close(label.policy, logits)
        close(label.values, values)
    assert [x.shape[0] for x in state] == [B]
    copied = copy.deepcopy(teacher)
    torch.testing.assert_close(copied.label(inputs, state)[0].policy, teacher.label(inputs, state)[0].policy)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_a_feed_forward_one_takes_any_batch(policy, tmp_path, batch) -> None:
    path = save_onnx(tmp_path / "policy.onnx", policy, recurrent=False, batch=batch)
    teacher: Any = load_teacher(str(path))  # recognised by what it is
    assert not teacher._program.one_by_one
    inputs = unroll(T, B)
    label, state = teacher.label(inputs, ())
    expected = Flat(policy)(inputs.observations["observation"].flatten(0, 1))["logits"]
    close(label.policy.flatten(0, 1), expected.detach())
    assert state == ()


def test_a_graph_that_holds_its_batch_is_asked_row_by_row(policy, tmp_path) -> None:
    path = save_onnx(tmp_path / "policy.onnx", policy, recurrent=False, batch=1)
    model = onnx.load(path)
    model.graph.initializer.append(helper.make_tensor("one_row", TensorProto.INT64, [2], [1, OBSERVED]))
    model.graph.node.insert(0, helper.make_node("Reshape", ["obs", "one_row"], ["row"]))
    model.graph.node[1].input[0] = "row"
    onnx.save(model, path)
    teacher: Any = load_teacher(str(path))
    assert teacher._program.one_by_one
    inputs = unroll(T, B)
    expected = Flat(policy)(inputs.observations["observation"].flatten(0, 1))["logits"]
    close(teacher.label(inputs, ())[0].policy.flatten(0, 1), expected.detach())


def test_weights_beside_a_model_are_read_and_those_elsewhere_are_not(policy, tmp_path) -> None:
    path = save_onnx(tmp_path / "policy.onnx", policy)
    together, beside = digest(str(path)), tmp_path / "weights.bin"
    onnx.save(onnx.load(path), path, save_as_external_data=True, location=beside.name, size_threshold=0)
    assert beside.exists()
    check_is(load_teacher(str(path)), policy)
    before = digest(str(path))
    assert before != together
    beside.write_bytes(bytes(beside.stat().st_size))
    assert digest(str(path)) != before
    beside.unlink()
    with pytest.raises(ValueError, match=r"weights\.bin, which is not there"):
        load_teacher(str(path))
    model = onnx.load(path, load_external_data=False)
    for location in ("../weights.bin", str(tmp_path.parent / "weights.bin")):
        for entry in model.graph.initializer[0].external_data:
            entry.value = location if entry.key == "location" else entry.value
        path.write_bytes(model.SerializeToString())
        for read in (load_teacher, digest):
            with pytest.raises(ValueError, match="outside of its folder"):
                read(str(path))


def test_a_link_out_of_the_folder_is_outside(policy, tmp_path) -> None:
    (tmp_path / "model").mkdir()
    path = save_onnx(tmp_path / "model" / "policy.onnx", policy)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "model" / "weights.bin").rename(tmp_path / "weights.bin")
    (tmp_path / "model" / "weights.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(ValueError, match="outside of its folder"):
        load_teacher(str(path))


def test_an_inner_tensor_can_be_the_policy(policy, tmp_path) -> None:
    """Of a graph that only gives the most likely action."""
    path = save_onnx(tmp_path / "policy.onnx", policy, names={"logits": "scores"}, outputs=("value", "next_state_0"))
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("ArgMax", ["scores"], ["action"], axis=1, keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("action", TensorProto.INT64, ["batch"]))
    onnx.save(model, path)
    with pytest.raises(ValueError, match=r"not how many there are; give \?actions=N"):
        load_teacher(f"onnx:{path}")
    acting = load_teacher(f"onnx:{path}?actions={ACTIONS}")
    inputs = unroll(T, B)
    label, _ = acting.label(inputs, acting.initial_state(B))
    logits, _, _ = policy.unroll(inputs, torch.zeros(B, HIDDEN))
    assert label.kind == Kind.ACTIONS
    assert torch.equal(label.policy, logits.argmax(-1))
    check_is(load_teacher(f"onnx:{path}?output=scores&kind=logits"), policy)
    with pytest.raises(ValueError, match="nothing says what its output 'scores' is"):
        load_teacher(f"onnx:{path}?output=scores")
    with pytest.raises(ValueError, match="computes no 'score'"):
        load_teacher(f"onnx:{path}?output=score&kind=logits")
    assert digest(f"onnx:{path}") != digest(f"onnx:{path}?output=scores&kind=logits")
    with pytest.raises(ValueError, match=r"its actions are not in Discrete\(2\): 2 to 2"):
        load_teacher(f"onnx:{path}?actions=2")


def test_continuous_actions_are_scaled_and_spread(policy, tmp_path) -> None:
    path = save_onnx(tmp_path / "policy.onnx", policy, names={"logits": "actions"})
    inputs = unroll(T, B)
    mean, _, _ = policy.unroll(inputs, torch.zeros(B, HIDDEN))
    plain = load_teacher(f"onnx:{path}")
    assert isinstance(plain.action_space, Scaled)
    label, _ = plain.label(inputs, plain.initial_state(B))
    assert label.kind == Kind.ACTIONS
    close(label.policy, mean)
    spread = load_teacher(f"onnx:{path}?std=0.1&bounds=-2:4")
    label, _ = spread.label(inputs, spread.initial_state(B))
    assert label.kind == Kind.PARAMETERS
    close(label.policy[..., :ACTIONS], (mean - 1) / 3)
    torch.testing.assert_close(label.policy[..., ACTIONS:].exp(), torch.full_like(mean, 0.1))


def test_means_with_a_deviation_of_their_own(policy, tmp_path) -> None:
    """As rl_games writes them: mu and one log_std for all; in half of the environment's units."""
    path = save_onnx(tmp_path / "policy.onnx", policy, recurrent=False, names={"logits": "mu"})
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Constant", [], ["log_std"], value_floats=[0.0, -1.0, -2.0]))
    model.graph.output.append(helper.make_tensor_value_info("log_std", TensorProto.FLOAT, [ACTIONS]))
    onnx.save(model, path)
    teacher = load_teacher(f"onnx:{path}?bounds=-2:2")
    inputs = unroll(T, B)
    label, _ = teacher.label(inputs, ())
    expected = Flat(policy)(inputs.observations["observation"].flatten(0, 1))["logits"].detach().reshape(T, B, ACTIONS)
    close(label.policy[..., :ACTIONS], expected / 2)
    torch.testing.assert_close(label.policy[..., ACTIONS:].exp(), torch.tensor([0.0, -1.0, -2.0]).exp().expand(T, B, 3) / 2)


def test_metadata_say_spaces_and_without_them_a_shape_must_fit(policy, tmp_path) -> None:
    said = {
        "observation_space": {"image": {"kind": "pixels", "shape": [OBSERVED], "dtype": "float32"}},
        "action_space": {"discrete": 3},
    }
    path = save_onnx(tmp_path / "policy.onnx", policy, names={"obs": "obs.image"}, metadata={METADATA: json.dumps(said)})
    assert isinstance(load_teacher(str(path)).observation_space["image"], Pixels)
    path = save_onnx(tmp_path / "policy.onnx", policy)
    teacher = load_teacher(f"onnx:{path}?observation=view")
    assert teacher.observation_space["view"] == Shaped.of((OBSERVED,))
    check_spaces(teacher, spaces.Dict({"view": Pixels(0, 255, (OBSERVED,), np.float32)}), spaces.Discrete(ACTIONS))
    for observed in (spaces.Dict(view=spaces.Box(0, 1, (5,))), spaces.Dict(observation=spaces.Box(0, 1, (OBSERVED,)))):
        with pytest.raises(ValueError, match="reads 'view' as"):
            check_spaces(teacher, observed, spaces.Discrete(ACTIONS))


def test_what_a_program_must_not_say_is_a_fault(policy, tmp_path) -> None:
    broken = copy.deepcopy(policy)
    broken.policy.bias.data[1] = float("nan")
    with pytest.raises(ValueError, match=r"nan\.onnx.*its logits is not finite"):
        load_teacher(f"onnx:{save_onnx(tmp_path / 'nan.onnx', broken)}")
    teacher = load_teacher(f"onnx:{save_onnx(tmp_path / 'policy.onnx', policy)}")
    inputs = unroll(T, B)
    inputs.observations["observation"][2, 1] = float("inf")
    inputs.observations["observation"][2, 1, 0] = -float("inf")
    with pytest.raises(TeacherFault, match=r"teacher onnx:.*is not finite"):
        teacher.label(inputs, teacher.initial_state(B))


BAD = {
    "batch": ({"batch": 8}, "its batch is fixed .*export it with a dynamic one"),
    "no policy": ({"names": {"logits": "out"}}, r"nothing says which is its policy; give \?output=NAME"),
    "state": ({"names": {"next_state_0": "memory"}}, "reads the state 'state_0' and does not give the next one"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_teach_is_refused_with_the_remedy(policy, tmp_path, case) -> None:
    settings, message = BAD[case]
    with pytest.raises(ValueError, match=rf"policy\.onnx.*{message}") as error:
        load_teacher(str(save_onnx(tmp_path / "policy.onnx", policy, **settings)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("kind=best", "kind is 'best'"),
        ("std=-1", "std is -1"),
        ("std=wide", "std is 'wide'; it must be a number"),
        ("bounds=2:-2", "LOW:HIGH"),
        ("actions=0", "actions is 0"),
        ("observation=a:b,c:d", "observation is 'a:b,c:d'"),
        ("colour=red", "has no option 'colour'"),
    ],
)
def test_options_are_checked(policy, tmp_path, option, message) -> None:
    with pytest.raises(ValueError, match=message):
        load_teacher(f"onnx:{save_onnx(tmp_path / 'policy.onnx', policy)}?{option}")


def test_bytes_that_are_no_model(tmp_path) -> None:
    for data in (b"", b"\0" * 100, b"hello" * 100):
        (tmp_path / "policy.onnx").write_bytes(data)
        with pytest.raises(ValueError, match=r"policy\.onnx is no ONNX model"):
            load_teacher(str(tmp_path / "policy.onnx"))


def test_an_exported_program_and_torchscript_are_the_policy(policy, exported, tmp_path) -> None:
    check_is(load_teacher(str(exported)), policy)
    path = save_scripted(tmp_path / "policy.pt", policy)
    with pytest.raises(ValueError, match="does not say the shape of its input 'obs'"):
        load_teacher(str(path))
    check_is(load_teacher(f"torch:{path}?shape=obs:{OBSERVED},state_0:{HIDDEN}"), policy)


class Tupled(nn.Module):
    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, observations: dict[str, Tensor], h_in: Tensor) -> tuple[Tensor, Tensor]:
        found = self.policy(observations["observation"], h_in)
        return found["logits"], found["next_state_0"]


def test_a_tuple_gets_its_names_from_an_option_and_a_dict_of_observations_from_its_keys(policy, tmp_path) -> None:
    batch = torch.export.Dim("batch")
    examples = ({"observation": torch.zeros(2, OBSERVED)}, torch.zeros(2, HIDDEN))
    shapes = {"observations": {"observation": {0: batch}}, "h_in": {0: batch}}
    torch.export.save(torch.export.export(Tupled(policy), examples, dynamic_shapes=shapes), tmp_path / "policy.pt2")
    with pytest.raises(ValueError, match="reads the state 'h_in' and does not give"):
        load_teacher(f"torch:{tmp_path / 'policy.pt2'}")
    teacher = load_teacher(f"torch:{tmp_path / 'policy.pt2'}?outputs=logits,h_out")
    inputs = unroll(T, B)
    close(teacher.label(inputs, teacher.initial_state(B))[0].policy, policy.unroll(inputs, torch.zeros(B, HIDDEN))[0])
    with pytest.raises(ValueError, match="outputs names 1, logits, but it returns 2"):
        load_teacher(f"torch:{tmp_path / 'policy.pt2'}?outputs=logits")


class InBuffers(nn.Module):
    """As rsl_rl's TorchScript: an LSTM whose state, for one environment, stands in buffers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.rnn, self.actor = nn.LSTM(OBSERVED, HIDDEN), nn.Linear(HIDDEN, 2)
        self.register_buffer("hidden_state", torch.zeros(1, 1, HIDDEN))
        self.register_buffer("cell_state", torch.zeros(1, 1, HIDDEN))

    def forward(self, x: Tensor) -> Tensor:
        y, (h, c) = self.rnn(x.unsqueeze(0), (self.hidden_state, self.cell_state))
        self.hidden_state[:] = h  # type: ignore[index]
        self.cell_state[:] = c  # type: ignore[index]
        return self.actor(y.squeeze(0))


def test_a_state_in_buffers_travels(tmp_path) -> None:
    module = InBuffers()
    path = save_scripted(tmp_path / "policy.pt", module)
    teacher = load_teacher(f"torch:{path}?shape={OBSERVED}&std=0.2")
    inputs = unroll(T, B)
    state = teacher.initial_state(B)
    halves = [teacher.label(inputs[:2], state)]
    halves.append(teacher.label(inputs[2:], halves[0][1]))
    means = torch.cat([half[0].policy for half in halves])[..., :2]
    zeros = torch.zeros(1, 1, HIDDEN)
    with torch.no_grad():
        for b in range(B):
            for t in range(T):
                if inputs.is_first[t, b] or t == 0:
                    module.load_state_dict({"hidden_state": zeros, "cell_state": zeros}, strict=False)
                close(means[t, b], module(inputs.observations["observation"][t, b : b + 1])[0])


def test_programs_of_torch_need_trust_and_name_what_else_a_file_is(policy, exported, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("kickstarting.trust._trusted", set())
    for path in (exported, save_scripted(tmp_path / "policy.pt", policy)):
        with pytest.raises(ValueError, match=r"to load one can run any code .* give --trust-code"):
            load_teacher(str(path))
        assert len(digest(str(path))) == 64
    trust((CODE,))
    torch.save(policy.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="holds weights and no program"):
        load_teacher(f"torch:{tmp_path / 'weights.pt'}")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ValueError, match="is no program of torch"):
        load_teacher(f"torch:{tmp_path / 'text.pt'}")


@pytest.mark.parametrize(
    ("inputs", "outputs", "found"),
    [
        (("obs",), ("actions",), "actions"),
        (
            ("obs_0", "action_masks"),
            ("version_number", "discrete_actions", "deterministic_discrete_actions"),
            "deterministic_discrete_actions",
        ),
        (("obs",), ("mu", "log_std", "value"), "mu"),
        (("image", "rnn_states"), ("output_actions", "action_logits", "output_rnn_states"), "action_logits"),
        (("obs",), ("actions", "logits", "value"), "logits"),
    ],
)
def test_names_of_other_libraries(inputs, outputs, found) -> None:
    signature = read_signature(inputs, outputs, {})
    assert found in signature.answers
    assert set(signature.answers) <= {found, "value", "log_std"}
