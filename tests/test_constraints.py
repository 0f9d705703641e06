"""The oldest versions that are tested are the oldest that are admitted."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_constraints_oldest_are_the_lower_bounds() -> None:
    """`==8.0.0` for `>=8`: a bound that is raised is raised in both files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    admitted = [re.fullmatch(r"([\w-]+)>=([\d.]+)", x) for x in project["dependencies"] + project["optional-dependencies"]["test"]]
    pinned = dict(line.split("==") for line in (ROOT / "constraints-oldest.txt").read_text().split() if "==" in line)
    for requirement in admitted:
        assert requirement is not None, "a requirement of another form than NAME>=VERSION"
        name, bound = requirement.groups()
        assert f"{pinned.pop(name)}.0.0".startswith(f"{bound}."), name
