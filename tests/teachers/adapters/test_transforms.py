"""Adapters of observations: each by its definition, the spaces that they promise, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from kickstarting.space_json import describe_space
from kickstarting.spaces import Grid, Pixels, Vector
from kickstarting.teachers import Label, adapt
from kickstarting.teachers.adapters import OBSERVATIONS, syntax
from kickstarting.teachers.adapters.transform import behind
from kickstarting.types import Inputs, State

T, B = 7, 3
SPACE = spaces.Dict(
    {
        "image": Pixels(0, 255, (6, 8, 3), np.uint8),
        "state": Vector(-np.inf, np.inf, (2,), np.float32),
        "direction": spaces.Discrete(4),
    }
)


class Reader:
    """Remembers what it was given; its state counts steps since an episode began."""

    ref, device = "reader", "cpu"
    action_space: spaces.Space = spaces.Discrete(2)

    def __init__(self, observation_space: spaces.Dict) -> None:
        self.observation_space, self.read = observation_space, []

    def initial_state(self, batch: int) -> State:
        return (torch.zeros(batch),)

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        self.read.append(inputs.observations)
        return Label(torch.zeros(*inputs.is_first.shape, 2)), (state[0] + len(inputs.is_first),)


def inputs(space: spaces.Dict = SPACE, steps: int = T, seed: int = 0) -> Inputs:
    rng = np.random.default_rng(seed)
    observations = {}
    for name, part in space.items():
        shape, high = (steps, B, *(part.shape or ())), 4 if isinstance(part, spaces.Discrete) else 256
        x = rng.normal(size=shape) if part.dtype == np.float32 else rng.integers(0, high, shape)
        observations[name] = torch.from_numpy(x.astype(part.dtype))
    is_first = torch.from_numpy(rng.random((steps, B)) < 0.3)
    is_first[0] = True
    return Inputs(observations, torch.zeros(steps, B), torch.zeros(steps, B), is_first)


def through(text: str, given: Inputs, space: spaces.Dict = SPACE) -> dict[str, torch.Tensor]:
    """What a teacher behind the adapters reads; as promised by the space."""
    adapters = [syntax.call(part, OBSERVATIONS) for part in syntax.split(text)]
    out = space
    for adapter in adapters:
        out = adapter(out).space
    reader = Reader(out)
    teacher = behind(reader, adapters, space)
    teacher.label(given, teacher.initial_state(B))
    (read,) = reader.read
    for name, part in out.items():
        promised = torch.from_numpy(np.empty(0, part.dtype)).dtype
        assert (read[name].shape, read[name].dtype) == ((T, B, *(part.shape or ())), promised)
    return read


def test_images_are_cropped_around_the_middle_or_where_it_is_said() -> None:
    given = inputs()
    image = given.observations["image"]
    assert through("crop(4,2)", given)["image"].equal(image[:, :, 1:5, 3:5])
    assert through("crop(4,2,top=0,left=6)", given)["image"].equal(image[:, :, :4, 6:])


def test_grey_is_luma_and_bytes_stay_bytes() -> None:
    given = inputs()
    expected = (given.observations["image"].double() @ torch.tensor([0.299, 0.587, 0.114]).double())[..., None]
    assert (through("grey", given)["image"] - expected).abs().max() <= 0.5 + 1e-4


def test_area_is_the_mean_of_what_a_pixel_covers() -> None:
    given = inputs()
    image = given.observations["image"].float()
    halved = image.unflatten(2, (3, 2)).unflatten(4, (4, 2)).mean((3, 5))
    assert (through("resize(3,4)", given)["image"].float() - halved).abs().max() <= 0.5 + 1e-3
    assert through("resize(6,8)", given)["image"].equal(given.observations["image"])
    assert through("resize(3,4,method=nearest)", given)["image"].equal(given.observations["image"][:, :, ::2, ::2])
    ramp = torch.arange(8.0).expand(1, 1, 6, 8)[..., None]
    floats = spaces.Dict({"image": Pixels(-np.inf, np.inf, (6, 8, 1), np.float32)})
    wide = Inputs({"image": ramp.expand(T, B, 6, 8, 1)}, torch.zeros(T, B), torch.zeros(T, B), torch.zeros(T, B).bool())
    # Pixels of 8/5: the first covers 0 and 0.6 of 1, so its mean is 0.6 / 1.6
    row = through("resize(6,5)", wide, floats)["image"][0, 0, 0, :, 0]
    torch.testing.assert_close(row, torch.tensor([0.375, 1.875, 3.5, 5.125, 6.625]))


def test_axes_are_moved_as_numpy_moves_them() -> None:
    given = inputs()
    assert through("transpose", given)["image"].equal(given.observations["image"].movedim(-1, 2))
    assert through("transpose(1,0,2)", given)["image"].equal(given.observations["image"].transpose(2, 3))
    with pytest.raises(ValueError, match="each from 0 to 2 must be there once"):
        through("transpose(0,0,1)", given)


def test_numbers_are_scaled_and_flattened() -> None:
    given = inputs()
    scaled = through("scale(1/255,-0.5,key=image)", given)["image"]
    torch.testing.assert_close(scaled, given.observations["image"].float() / 255 - 0.5)
    hot = through("one_hot", given)["direction"]
    assert hot.argmax(-1).equal(given.observations["direction"])
    assert hot.sum(-1).eq(1).all()
    joined = through("flatten(state,direction,image)", given)
    assert set(joined) == {"observation"}
    parts = [given.observations["state"], hot, given.observations["image"].flatten(2).float()]
    torch.testing.assert_close(joined["observation"], torch.cat(parts, -1))
    assert through("select(image)+flatten", given)["image"].equal(parts[2])


def test_names_are_chosen_and_changed() -> None:
    given = inputs()
    assert set(through("select(state)", given)) == {"state"}
    read = through("rename(observation=image,speed=state)", given)
    assert set(read) == {"observation", "speed", "direction"}
    assert read["observation"].equal(given.observations["image"])
    teacher = adapt(Reader(spaces.Dict({"observation": SPACE["image"]})), ["rename(observation=image)"], SPACE, spaces.Discrete(2))
    assert teacher.observation_space == spaces.Dict({"image": SPACE["image"]})
    exchanged = through("rename(a=state)+rename(state=a)", given)
    assert exchanged["state"].equal(given.observations["state"])


def stacked_by_hand(given: Inputs, frames: int, repeat: bool) -> torch.Tensor:
    x, expected = given.observations["state"], torch.zeros(T, B, 2 * frames)
    for b in range(B):
        for t in range(T):
            began = max(s for s in range(t + 1) if given.is_first[s, b])
            for k in range(frames):
                s = t - (frames - 1 - k)
                if s >= began or repeat:
                    expected[t, b, 2 * k : 2 * k + 2] = x[max(s, began), b]
    return expected


@pytest.mark.parametrize("padding", ["zero", "repeat"])
@pytest.mark.parametrize("seed", range(4))
def test_frames_are_stacked_within_an_episode(padding: str, seed: int) -> None:
    given = inputs(seed=seed)
    expected = stacked_by_hand(given, 3, padding == "repeat")
    torch.testing.assert_close(through(f"stack(3,padding={padding},key=state)", given)["state"], expected)
    backwards = through(f"stack(3,padding={padding},newest=first,key=state)", given)["state"]
    torch.testing.assert_close(backwards, expected.unflatten(-1, (3, 2)).flip(2).flatten(2))
    image = through("stack(2,key=image)", given)["image"]
    assert image[..., 3:].equal(given.observations["image"])


@pytest.mark.parametrize("padding", ["zero", "repeat"])
def test_a_stack_is_carried_from_unroll_to_unroll(padding: str) -> None:
    """Step by step, in pieces, and at once: the same, for the teacher's own state too."""
    given = inputs(seed=5)
    at_once = through(f"stack(4,padding={padding},key=state)", given)["state"]
    for lengths in ([1] * T, [2, 5], [5, 2]):
        adapter = syntax.call(f"stack(4,padding={padding},key=state)", OBSERVATIONS)
        reader = Reader(adapter(SPACE).space)
        teacher = behind(reader, [adapter], SPACE)
        state, t = teacher.initial_state(B), 0
        for length in lengths:
            _, state = teacher.label(given[t : t + length], state)
            t += length
        assert torch.cat([read["state"] for read in reader.read]).equal(at_once)
        assert state[-1].eq(T).all()
        assert all(len(x) == B for x in state)


def test_observations_are_normalised_by_a_file(tmp_path: Path) -> None:
    given = inputs()
    x = given.observations["state"].double()
    file = tmp_path / "statistics.npz"
    np.savez(file, mean=[1.0, 1000.0], var=[4.0, 0.25], epsilon=1.0)
    expected = (x - torch.tensor([1.0, 1000.0])) / torch.tensor([5.0, 1.25]).sqrt()
    torch.testing.assert_close(through(f"normalise({file},key=state)", given)["state"], expected.float())
    clipped = through(f"normalise({file},clip=0.25,key=state)", given)["state"]
    torch.testing.assert_close(clipped, expected.clamp(-0.25, 0.25).float())
    np.savez(file, **{"state/mean": [0.0, 0.0], "state/std": [1.0, 2.0], "state/clip": 0.5})
    named = through(f"normalise({file})", given)["state"]
    torch.testing.assert_close(named, (x / torch.tensor([1 + 1e-8, 2 + 1e-8])).clamp(-0.5, 0.5).float())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mean": [0.0, 0.0]}, "needs var or std"),
        ({"mean": [0.0, 0.0], "var": [1.0]}, "not of one shape"),
        ({"mean": [0.0, np.nan], "var": [1.0, 1.0]}, "finite"),
        ({"mean": [0.0], "var": [1.0]}, r"shape \(1,\), observation 'state' has \(2,\)"),
        ({"speed/mean": [0.0, 0.0], "speed/var": [1.0, 1.0]}, "statistics of 'speed', which is not there"),
        ({"variance": [0.0]}, "no mean among variance"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(arrays: dict, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        through(f"normalise({tmp_path / 'x.npz'},key=state)", inputs())


def test_files_that_are_no_statistics_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\3\4 nonsense")
    np.savez(tmp_path / "y.npz", mean=np.array([{}], object))
    for name in ("x.npz", "y.npz", "nowhere.npz", "x.txt"):
        with pytest.raises(ValueError, match=r"give a \.npz with mean and var"):
            through(f"normalise({tmp_path / name},key=state)", inputs())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crop(7,8)", "cannot cut 7 x 8 from 0, 0 on out of 'image', which is 6 x 8"),
        ("crop(2,2,key=state)", "'state' is none, and there is direction .*image .*state"),
        ("select(image)+one_hot", "needs a Discrete observation; there is image"),
        ("select(imgae)", "no observation 'imgae'; did you mean image"),
        ("stack(2)", "could be for image or state; write key=NAME"),
        ("grey+grey", "needs a colour image"),
        ("flatten()+select(image)", "could be for image or state|needs names"),
        ("select", "needs names of observations; there are"),
    ],
)
def test_what_an_adapter_cannot_be_used_on_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        through(text, inputs())


def test_kinds_stay_and_strangers_have_none() -> None:
    """What comes out of an adapter of images is still pixels to a teacher of this package; a plain Box fits any kind."""
    cut = syntax.call("crop(2,2)", OBSERVATIONS)(SPACE).space["image"]
    assert describe_space(cut) == {"kind": "pixels", "shape": [2, 2, 3], "dtype": "uint8"}
    grid = spaces.Dict({"image": Grid(0, 255, (7, 7, 3), np.uint8)})
    stranger = spaces.Dict({"image": spaces.Box(0, 255, (7, 7, 3), np.uint8)})
    pixels = spaces.Dict({"image": Pixels(0, 255, (7, 7, 3), np.uint8)})
    adapt(Reader(stranger), (), grid, spaces.Discrete(2))
    with pytest.raises(ValueError, match=r"'kind': 'pixels'.*'kind': 'grid'"):
        adapt(Reader(pixels), (), grid, spaces.Discrete(2))
    other = spaces.Dict({"observation": spaces.Box(0, 255, (7, 7, 3), np.uint8)})
    with pytest.raises(ValueError, match=r"no such observation, but image; .*'rename\(observation=image\)'"):
        adapt(Reader(other), (), grid, spaces.Discrete(2))
