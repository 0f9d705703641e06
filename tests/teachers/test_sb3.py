"""Policies of Stable-Baselines3, from archives that it wrote: their labels are its own (scripts/make_foreign_teachers.py)."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.algo.moments import clipped_gaussian, parameters, squashed_gaussian
from kickstarting.envs import describe
from kickstarting.suites import load_suite
from kickstarting.teachers import adapt, load_teacher
from kickstarting.teachers.origins import ORIGINS, digest
from kickstarting.trust import PICKLE
from kickstarting.types import Inputs

FOREIGN = Path(__file__).parent / "foreign"
CARTPOLE = FOREIGN / "ppo-cartpole.zip"
NAMES = sorted(path.stem for path in FOREIGN.glob("*.zip"))
CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}


def said(name: str, **options: str) -> tuple[torch.Tensor, torch.Tensor | None, dict[str, torch.Tensor]]:
    """The label of an archive's policy on what the peer recorded, and what the peer said itself."""
    options |= {"normalise": str(FOREIGN / f"{name}.pkl")} if (FOREIGN / f"{name}.pkl").exists() else {}
    query = "&".join(f"{key}={value}" for key, value in options.items())
    teacher = load_teacher(f"sb3:{FOREIGN / name}.zip" + (f"?{query}" if query else ""))
    with np.load(FOREIGN / f"{name}.npz") as arrays:
        peer = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    given = {key.partition("/")[2]: x for key, x in peer.items() if key.startswith("observations/")}
    observations = {key: as_here(x, teacher.observation_space[key]) for key, x in given.items()}
    T, B = peer["is_first"].shape
    inputs = Inputs(observations, torch.zeros(T, B), torch.zeros(T, B), peer["is_first"])
    label, _ = teacher.label(inputs, teacher.initial_state(B))
    return label.policy, label.values, peer


def as_here(x: torch.Tensor, space: spaces.Space) -> torch.Tensor:
    """A recorded observation as our environments give it; images are [H, W, C] in both."""
    if isinstance(space, spaces.Discrete):
        return x.long()
    if isinstance(space, spaces.Box) and x.dtype == torch.int64 and space.shape == (5,):  # MultiDiscrete [2, 3]
        return torch.cat([torch.nn.functional.one_hot(x[..., i], n) for i, n in enumerate((2, 3))], -1).float()
    return x if x.dtype == torch.uint8 else x.float()


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_the_peers_own(name: str) -> None:
    policy, values, peer = said(name)
    if "logits" in peer:
        torch.testing.assert_close(policy.log_softmax(-1) if "several" not in name else normalised(policy), peer["logits"], **CLOSE)
    elif policy.dtype == torch.int64:
        assert policy.equal(peer["action"])
    elif "q" in peer:
        torch.testing.assert_close(policy, peer["q"], **CLOSE)
    else:
        torch.testing.assert_close(policy, moments(name, peer), **CLOSE)
    assert (values is not None) == ("values" in peer or "q" in peer)
    if "values" in peer:
        torch.testing.assert_close(values, peer["values"] * peer.get("reward_scale", torch.ones(())).float(), **CLOSE)


def normalised(policy: torch.Tensor) -> torch.Tensor:
    return torch.cat([part.log_softmax(-1) for part in policy.split([2, 3], -1)], -1)


def moments(name: str, peer: dict[str, torch.Tensor]) -> torch.Tensor:
    """The peer's distribution over Pendulum's torque, which is from -2 to 2, as the student's."""
    if "std" not in peer:
        return torch.cat([peer["action"] / 2, torch.full_like(peer["action"], 0.1).log()], -1)
    if any(squashed in name for squashed in ("sde", "sac", "crossq")):
        return parameters(*squashed_gaussian(peer["mean"], peer["std"]))
    one = torch.ones(1)
    return parameters(*clipped_gaussian(peer["mean"] / 2, peer["std"] / 2, -one, one))


class Bomb:
    """What a pickle may do."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/never",)


def changed(tmp_path: Path, **members: bytes | None) -> Path:
    """An archive with some members changed or, if None, left out; with others of any name."""
    path = tmp_path / "changed.zip"
    with zipfile.ZipFile(CARTPOLE) as before, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as after:
        for member in before.namelist():
            if member not in members:
                after.writestr(member, before.read(member))
        for member, content in members.items():
            if content is not None:
                after.writestr(member, content)
    return path


def with_entry(entry: str, thing: Any) -> bytes:
    """The data of an archive with another pickle in an entry."""
    with zipfile.ZipFile(CARTPOLE) as file:
        data = json.loads(file.read("data"))
    pickled = thing if isinstance(thing, bytes) else pickle.dumps(thing)
    data[entry] = {":type:": "x", ":serialized:": base64.b64encode(pickled).decode()}
    return json.dumps(data).encode()


def refused(path: Path | str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_teacher(f"sb3:{path}")


def test_a_folder_is_read_like_its_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(CARTPOLE) as file:
        file.extractall(tmp_path / "ppo-CartPole-v1")
    refs = [f"{CARTPOLE}", f"{tmp_path / 'ppo-CartPole-v1'}"]
    a, b = (load_teacher(ref) for ref in refs)
    inputs = Inputs({"observation": torch.randn(2, 3, 4)}, torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3).bool())
    assert a.label(inputs, ())[0].policy.equal(b.label(inputs, ())[0].policy)
    assert digest(refs[0]) == digest(refs[1]) != digest(f"{refs[0]}?temperature=2")


def test_an_archive_as_teacher_of_a_suite() -> None:
    """MiniGrid's cells under their name here, bounds and kinds aside."""
    spaces_of = describe(load_suite("MiniGrid-Empty-5x5-v0").tasks)
    teacher = load_teacher(f"sb3:{FOREIGN / 'ppo-minigrid.zip'}")
    with pytest.raises(ValueError, match=r"'rename\(observation=image\)'"):
        adapt(teacher, (), spaces_of.observation_space, spaces_of.action_space)
    adapted = adapt(teacher, ["rename(observation=image)"], spaces_of.observation_space, spaces_of.action_space)
    assert set(adapted.observation_space) == {"image"}
    both = load_teacher(f"sb3:{FOREIGN / 'ppo-minigrid-dict.zip'}")
    adapt(both, (), spaces_of.observation_space, spaces_of.action_space)


def test_temperature_and_deviation_are_chosen() -> None:
    cool, _, peer = said("dqn-cartpole", temperature="0.1")
    torch.testing.assert_close(cool, peer["q"] / 0.1, **CLOSE)
    wide, _, _ = said("td3-pendulum", std="0.5")
    torch.testing.assert_close(wide[..., 1].exp(), torch.full(wide.shape[:-1], 0.5))
    for option, message in (
        ("temperature=0", "it must"),
        ("std=x", "must be a number"),
        ("tmperature=1", "did you mean temperature"),
    ):
        with pytest.raises(ValueError, match=message):
            load_teacher(f"sb3:{FOREIGN / 'dqn-cartpole.zip'}?{option}")


def test_statistics_are_found_where_trainers_put_them(tmp_path: Path) -> None:
    """Beside the archive, in a folder of its name, or by the number of a checkpoint; and missed where config.yml names them."""
    archive, statistics = FOREIGN / "ppo-pendulum-normalised.zip", FOREIGN / "ppo-pendulum-normalised.pkl"
    sure, _, _ = said("ppo-pendulum-normalised")
    for at, beside in (
        ("model.zip", "vec_normalize.pkl"),
        ("Pendulum-v1.zip", "Pendulum-v1/vecnormalize.pkl"),
        ("rl_model_500_steps.zip", "rl_model_vecnormalize_500_steps.pkl"),
    ):
        folder = tmp_path / at.partition(".")[0]
        (folder / beside).parent.mkdir(parents=True)
        shutil.copy(archive, folder / at)
        (folder / "config.yml").write_text("- - normalize\n  - true\n")
        with pytest.raises(ValueError, match=r"trained on normalised observations, as .*config.yml says.*\?normalise=FILE"):
            load_teacher(f"sb3:{folder / at}")
        load_teacher(f"sb3:{folder / at}?normalise=none")
        shutil.copy(statistics, folder / beside)
        teacher = load_teacher(f"sb3:{folder / at}")
        with np.load(FOREIGN / "ppo-pendulum-normalised.npz") as arrays:
            x, first = torch.from_numpy(arrays["observations/observation"]), torch.from_numpy(arrays["is_first"])
        label, _ = teacher.label(Inputs({"observation": x}, first, first, first), teacher.initial_state(x.shape[1]))
        torch.testing.assert_close(label.policy, sure)
        assert digest(f"sb3:{folder / at}") != digest(f"sb3:{folder / at}?normalise=none")
    for text in ("normalize: false", "normalize: \"{'norm_obs': False, 'norm_reward': True}\"", "policy: MlpPolicy"):
        (tmp_path / "config.yml").write_text(text)
        shutil.copy(archive, tmp_path / "model.zip")
        load_teacher(f"sb3:{tmp_path / 'model.zip'}")


def test_statistics_of_others_are_refused(tmp_path: Path) -> None:
    other = FOREIGN / "ppo-pendulum-normalised.pkl"
    refused(f"{CARTPOLE}?normalise={other}", r"statistics of shape \(3,\); teacher .* of shape \(4,\)")
    (tmp_path / "bomb.pkl").write_bytes(pickle.dumps(Bomb()))
    refused(f"{CARTPOLE}?normalise={tmp_path / 'bomb.pkl'}", "names (posix|nt).system, whose code would run")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1]))
    refused(f"{CARTPOLE}?normalise={tmp_path / 'list.pkl'}", "holds list, no VecNormalize")


def test_no_code_of_an_archive_runs(tmp_path: Path) -> None:
    """Neither of a space, nor of options, nor of weights."""
    for entry in ("observation_space", "action_space"):
        refused(changed(tmp_path, data=with_entry(entry, Bomb())), "names (posix|nt).system, whose code would run")
    weights = io.BytesIO()
    torch.save({"x": Bomb()}, weights)
    refused(changed(tmp_path, **{"policy.pth": weights.getvalue()}), "policy.pth cannot be read")
    assert not Path("/tmp/never").exists()


def test_a_part_of_somebodys_own_needs_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kickstarting.trust._trusted", set())
    own = b"cno_such_package\nExtractor\n."
    data = with_entry("policy_kwargs", own)
    refused(changed(tmp_path, data=data), "part of somebody's own, no_such_package.Extractor, as a pickle; .* give --trust-pickle")
    monkeypatch.setattr("kickstarting.trust._trusted", {PICKLE})
    refused(changed(tmp_path, data=data), r"needs the module no_such_package; .*pip install 'kickstarting\[sb3\]'")
    data = with_entry("policy_class", own)
    refused(changed(tmp_path, data=data), "needs the module no_such_package")
    monkeypatch.setattr("kickstarting.trust._trusted", set())
    refused(changed(tmp_path, data=data), "part of somebody's own, no_such_package.Extractor, as a pickle; .* give --trust-pickle")


def test_parts_of_the_peers_own_need_no_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its extractors, torch's optimisers and activations, TensorFlow's RMSProp as the zoo uses it."""
    monkeypatch.setattr("kickstarting.trust._trusted", set())
    named = {
        b"activation_fn": b"torch.nn.modules.activation\nELU",
        b"features_extractor_class": b"stable_baselines3.common.torch_layers\nFlattenExtractor",
        b"optimizer_class": b"stable_baselines3.common.sb2_compat.rmsprop_tf_like\nRMSpropTFLike",
    }
    kwargs = b"(d" + b"".join(b"S'%b'\nc%b\ns" % entry for entry in named.items()) + b"."
    path = changed(tmp_path, data=with_entry("policy_kwargs", kwargs))
    network = load_teacher(f"sb3:{path}").network  # type: ignore[attr-defined]
    assert isinstance(network.policy_layers[1], torch.nn.ELU)


def test_an_extractor_of_somebodys_own_reads_what_the_peers_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kickstarting.trust._trusted", {PICKLE})
    kwargs = {"features_extractor_class": Doubling, "features_extractor_kwargs": {"factor": 2.0}}
    path = changed(tmp_path, data=with_entry("policy_kwargs", kwargs))
    x = torch.randn(2, 3, 4)

    def logits(ref: str, given: torch.Tensor) -> torch.Tensor:
        inputs = Inputs({"observation": given}, torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3).bool())
        return load_teacher(ref).label(inputs, ())[0].policy

    torch.testing.assert_close(logits(f"sb3:{path}", x), logits(f"sb3:{CARTPOLE}", 2 * x))


class Doubling(torch.nn.Module):
    """A features extractor."""

    def __init__(self, space: spaces.Space, factor: float) -> None:
        super().__init__()
        assert isinstance(space, spaces.Box)
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


def test_zips_that_would_do_harm_are_refused(tmp_path: Path) -> None:
    refused(changed(tmp_path, **{"../../etc/passwd": b"x"}), r"member '../../etc/passwd', outside its folder")
    refused(changed(tmp_path, **{"/etc/passwd": b"x"}), "outside its folder")
    refused(changed(tmp_path, **{"C:\\x": b"x"}), "outside its folder")
    refused(changed(tmp_path, data=b"0" * 14_000_000), "member 'data' of 14,000,000 bytes, packed into .*; no model is so dense")
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data/0", b"0" * 14_000_000)
    refused(changed(tmp_path, **{"policy.pth": inner.getvalue()}), "policy.pth has the member 'archive/data/0'")


def test_archives_of_other_versions_and_damaged_ones_are_refused_by_name(tmp_path: Path) -> None:
    refused(changed(tmp_path, _stable_baselines3_version=b"3.0.1"), "is of Stable-Baselines3 '3.0.1'; versions 1 and 2")
    refused(changed(tmp_path, _stable_baselines3_version=None), "an unknown version of Stable-Baselines3")
    refused(changed(tmp_path, **{"policy.pth": None, "parameters": b""}), "is of Stable-Baselines 2, which needs TensorFlow")
    refused(changed(tmp_path, **{"policy.pth": None}), "it has no policy.pth; give what model.save")
    refused(changed(tmp_path, data=b"{"), "its data is no JSON")
    refused(changed(tmp_path, data=b"[]"), "no JSON object")
    refused(
        changed(tmp_path, data=with_entry("observation_space", b"\x80\x04nonsense")),
        "observation_space cannot be read",
    )
    refused(changed(tmp_path, data=with_entry("observation_space", 3)), "holds int, which is no space")
    weights = io.BytesIO()
    torch.save({"actor.bn.ra_mean": torch.zeros(1)}, weights)
    refused(changed(tmp_path, **{"policy.pth": weights.getvalue()}), "has weights such as actor.bn.ra_mean; known are those of PPO")
    weights = io.BytesIO()
    torch.save({"action_net.weight": torch.zeros(2, 4)}, weights)
    refused(changed(tmp_path, **{"policy.pth": weights.getvalue()}), "its weights are not those of a policy that is known here")
    path = tmp_path / "cut.zip"
    path.write_bytes((CARTPOLE).read_bytes()[:5000])
    refused(path, "is no zip")


def test_a_bare_path_is_recognised(tmp_path: Path) -> None:
    assert ORIGINS["sb3"].recognises(FOREIGN / "dqn-cartpole.zip")
    assert ORIGINS["sb3"].recognises(changed(tmp_path, **{"policy.pth": None, "parameters": b""}))
    for other in (FOREIGN, FOREIGN / "ppo-cartpole.npz", tmp_path / "nowhere"):
        assert not ORIGINS["sb3"].recognises(other)
