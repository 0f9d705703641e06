"""How adapters are written: one parser, whose errors name what would be right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kickstarting.config import Config
from kickstarting.teachers import parse_reference, pinned
from kickstarting.teachers.adapters import ADAPTERS, absolute, files_of, parse_adapters
from kickstarting.teachers.build import check_pin


@pytest.mark.parametrize(
    ("text", "adapters"),
    [
        ("", ()),
        ("identity", ("identity",)),
        ("crop(5,5,top=0)+grey+stack(4)", ("crop(5,5,top=0)", "grey", "stack(4)")),
        ("scale(1e+3) + rename(observation=image)", ("scale(1e+3)", "rename(observation=image)")),
        ("actions(0,1/2,-)+mask", ("actions(0,1/2,-)", "mask")),
        ("select(image,mission)", ("select(image,mission)",)),
    ],
)
def test_what_is_written_is_read(text: str, adapters: tuple[str, ...]) -> None:
    assert parse_adapters(text) == adapters
    assert parse_adapters("+".join(adapters)) == adapters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crpo(5,5)", "did you mean crop"),
        ("crop(5,5,tpo=1)", "no option 'tpo'; did you mean top"),
        ("crop(5)", r"missing a required argument: 'width'; it is written crop\(height,width,top=...,left=...,key=...\)"),
        ("crop(5,five)", "width of adapter crop is 'five' .*; it must be an integer"),
        ("crop(5,0)", "width of adapter crop is 0; it must be at least 1"),
        ("resize(5,5,method=aera)", "did you mean area"),
        ("stack(4,padding=zero,padding=repeat)", "'padding' twice"),
        ("stack(4", "parenthesis without its other"),
        ("stack)4(", "parenthesis without its other"),
        ("stack((4))", "parenthesis without its other"),
        ("stack 4", r"is not NAME or NAME\("),
        ("grey(key=a,kez=b)", "no option 'kez'"),
        ("actions(0,one)", "has 'one'; each of the student's actions is a number"),
        ("scale(1/0)", "factor of adapter scale is '1/0'"),
        ("mask(3)", "too many positional arguments; it is written mask"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_would_be_right(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_adapters(text)
    with pytest.raises(ValueError, match=message):
        Config.of("x", teachers=("a",), teacher_adapters=(text,)).check()


def test_every_adapter_says_what_it_does() -> None:
    page = (Path(__file__).parents[3] / "docs" / "teachers.md").read_text()
    for name, function in ADAPTERS.items():
        assert f"| `{name}" in page, f"docs/teachers.md has no {name}"
        assert function.__doc__ or name == "identity"


def test_files_are_found_pinned_and_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_policy) -> None:
    """Whatever characters their names have; a run that resumes with other statistics is refused."""
    monkeypatch.chdir(tmp_path)
    np.savez("a,(b).npz", mean=0.0, var=1.0)
    (written,) = parse_adapters("normalise(a%2C%28b%29.npz,clip=5)")
    assert files_of([written, "stack(4)"]) == [Path("a,(b).npz")]
    (resolved,) = absolute([written])
    assert files_of([resolved]) == [tmp_path / "a,(b).npz"]
    assert absolute(parse_adapters(resolved)) == (resolved,)
    assert absolute(["stack(4)"]) == ("stack(4)",)
    reference = Config.of("x", teachers=(make_policy(),), teacher_adapters=(written,)).teaching.references
    (pin,) = pinned(reference)
    assert pin.adapters == (resolved,)
    assert pin.sha256 != pinned([parse_reference(pin.ref)])[0].sha256
    check_pin(pin)
    np.savez("a,(b).npz", mean=1.0, var=1.0)
    with pytest.raises(ValueError, match="this run began with"):
        check_pin(pin)
