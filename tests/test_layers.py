"""Every module has its layer, so that import-linter checks every import."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"


def test_every_module_stands_in_a_layer_and_every_layer_exists() -> None:
    (contract,) = [
        contract
        for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    layers = [name.strip() for line in contract["layers"] for name in line.split("|")]
    files = [path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.py")]
    modules = {".".join(path.parts).removesuffix(".__init__"): SOURCE / path.with_suffix(".py") for path in files}
    assert not set(layers) - set(modules)
    without = {name for name in modules if not any(name == layer or name.startswith(f"{layer}.") for layer in layers)}
    # The package itself and that of the teachers name what users import; the other rooms are doors without anything in them
    rooms = {name for name in without if "import" not in modules[name].read_text().partition('"""\n')[2]}
    assert without - rooms == {"kickstarting", "kickstarting.teachers"}
