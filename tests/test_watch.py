"""Clips: what is drawn is what happened, in every kind of environment, and files are what they are called."""

from __future__ import annotations

import builtins
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kickstarting.clip import Moment, Recording, Thought, frames, to_gif
from kickstarting.tiles import BALL, COLOURS, DOOR, EMPTY, GOAL, GROUND, WALL, draw_view
from kickstarting.watch import record, watch
from known import known

EXAMPLES = Path(__file__).parent.parent / "examples"
SMALL = {"hidden": 8, "lstm": 8}


def test_an_episode_shows_what_student_and_teacher_think(make_policy, suite, tmp_path):
    """The student likes one action, its teacher another; both see what the student does."""
    student, teacher = make_policy(favourite=2), make_policy(favourite=1)
    recording = watch(student, suite, tmp_path / "clip.gif", teacher=teacher, steps=8)
    assert recording.policies == (student, teacher)
    assert recording.actions[2] == "forward"
    assert recording.subtitle.startswith("go to the ")
    acted = recording.moments[:-1]
    assert [m.thoughts[0].policy.argmax() for m in acted] == [2] * len(acted)
    assert [m.thoughts[1].policy.argmax() for m in acted] == [1] * len(acted)
    assert all(np.isclose(thought.policy.sum(), 1) for m in acted for thought in m.thoughts)
    assert not recording.moments[-1].thoughts
    with Image.open(tmp_path / "clip.gif") as clip:
        assert (clip.format, getattr(clip, "n_frames", 1)) == ("GIF", len(recording.moments))


@pytest.mark.parametrize("name", ["CartPole-v1", "gymnasium:CartPole-v1", "Pendulum-v1"])
def test_an_environment_draws_itself(make_policy, name):
    recording = record(make_policy(name, options=SMALL), name, steps=12)
    pictures = [known(moment.picture) for moment in recording.moments]
    assert all(picture.dtype == np.uint8 and picture.shape[-1] == 3 for picture in pictures)
    assert any(not np.array_equal(pictures[0], later) for later in pictures[1:])
    assert recording.moments[0].thoughts[0].policy.shape == ((2, 1) if "Pendulum" in name else (2,))


def test_an_environment_that_cannot_draw_itself_has_no_picture_and_no_warning(make_policy, monkeypatch, recwarn):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    maze = "gymnasium:t_maze:TMaze-v0"
    ref = make_policy(maze, options=SMALL)
    assert all(moment.picture is None for moment in record(ref, maze, steps=4).moments)
    assert not [warning for warning in recwarn if "render_mode" in str(warning.message)]


def test_the_same_seed_gives_the_same_clip(make_policy, suite):
    ref = make_policy()
    first, again, other = (to_gif(frames(record(ref, suite, steps=4, seed=seed)), 5) for seed in (1, 1, 2))
    assert first == again != other


def test_tiles_are_told_apart():
    cells = np.zeros((5, 2, 3), np.uint8)
    for x, cell in enumerate([(WALL, 5, 0), (BALL, 2, 0), (GOAL, 1, 0), (DOOR, 4, 0), (DOOR, 4, 2)]):
        cells[x, 0] = cell
    cells[:, 1] = (EMPTY, 0, 0)
    view = np.asarray(draw_view(cells, 16))
    tiles = [view[:16, 16 * x : 16 * x + 16] for x in range(5)]
    assert len({tile.tobytes() for tile in tiles}) == 5
    assert tuple(tiles[1][9, 8]) == COLOURS[2]
    assert tuple(view[24, 8]) == GROUND
    assert tuple(view[24, 40]) != GROUND  # the agent, in the middle of the last row


def test_bars_are_as_long_as_actions_are_probable():
    thought = Thought(np.array([0.25, 0.75]), None)
    (frame,) = frames(Recording("t", "", ("p",), ("a", "b"), [Moment(None, None, (thought,), 1, 0.0)]))
    blue = (np.asarray(frame) == (0x00, 0x72, 0xB2)).all(-1)
    rows = [blue[y].sum() for y in range(blue.shape[0]) if blue[y].sum() > 20]
    assert min(rows) / max(rows) == pytest.approx(1 / 3, abs=0.05)


def test_a_clip_is_a_gif_or_an_mp4(make_policy, suite, tmp_path, monkeypatch):
    ref = make_policy()
    with pytest.raises(ValueError, match=r"neither a \.gif nor a \.mp4"):
        watch(ref, suite, tmp_path / "clip.webm")
    with pytest.raises(ValueError, match="no task 'obstacle'; did you mean obstacles"):
        watch(ref, suite, tmp_path / "clip.gif", task="obstacle")
    watch(ref, suite, tmp_path / "clip.mp4", steps=3)
    assert (tmp_path / "clip.mp4").read_bytes()[4:8] == b"ftyp"
    real = builtins.__import__

    def without(name: str, *rest, **more):
        if name == "imageio_ffmpeg":
            raise ImportError("No module named 'imageio_ffmpeg'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"pip install 'kickstarting\[video\]'"):
        watch(ref, suite, tmp_path / "other.mp4")
    assert not (tmp_path / "other.mp4").exists()


def test_pictures_of_a_gif_keep_their_colours():
    picture = Image.new("RGB", (8, 8), (0, 114, 178))
    with Image.open(io.BytesIO(to_gif([picture, picture], 2))) as clip:
        assert clip.convert("RGB").getpixel((4, 4)) == (0, 114, 178)
