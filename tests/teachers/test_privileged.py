"""Observations that teachers read and the student's network does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from kickstarting import Config, load_suite, load_teacher
from kickstarting.runs.run import resume, run
from kickstarting.train import build, train


def test_a_student_learns_from_who_reads_more_than_it_does(tiny, make_policy, tmp_path: Path) -> None:
    """The teacher reads the mission; the student's network has no module for it, nor has what is made of its checkpoint."""
    teacher, out = make_policy(), tmp_path / "run"
    run(tiny(teachers=(teacher,), privileged=("mission",), checkpoint_every="50%"), out)
    student = load_teacher(str(out))
    assert set(student.observation_space) == {"direction", "image"}
    assert set(load_teacher(teacher).observation_space) == {"direction", "image", "mission"}
    (out / "finished.json").unlink()
    resume(out)


def test_what_the_network_does_not_read_changes_nothing_that_it_says(tiny) -> None:
    *_, plain, learner = build(tiny(privileged=("mission",)))
    assert "language" not in dict(learner.network.named_children())
    assert set(plain.observation_space) == {"direction", "image"}
    assert sum(1 for _ in train(tiny(privileged=("mission",), total_frames=64))) == 2


def test_a_suite_says_what_is_privileged(tiny, suite: str, tmp_path: Path) -> None:
    path = tmp_path / "told.toml"
    path.write_text('privileged = ["mission"]\n' + Path(suite).read_text())
    assert load_suite(str(path)).privileged == ("mission",)
    assert load_suite(f"{path}:object").privileged == ("mission",)
    _, spaces, spec, _ = build(tiny(suite=str(path), privileged=("direction",)))
    assert set(spaces.observation_space) == {"direction", "image", "mission"}
    assert set(spec.observation_space) == {"image"}
    path.write_text("privileged = 3\n" + Path(suite).read_text())
    with pytest.raises(ValueError, match="privileged is 3"):
        load_suite(str(path))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("misson",), "'misson' is not there; did you mean mission"),
        (("mission", "image", "direction"), "are privileged; leave the student one"),
    ],
)
def test_names_that_cannot_be_privileged_are_refused(tiny, names: tuple[str, ...], message: str) -> None:
    config: Config = tiny(privileged=names)
    with pytest.raises(ValueError, match=message):
        build(config)
