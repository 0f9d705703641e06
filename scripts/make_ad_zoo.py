"""Make the model of `kickstart ad demo` from one that was trained: its weights and what it is.

kickstart ad reproduce sources --seeds 1
python scripts/make_ad_zoo.py runs/ad/reproduce/cpu/models/dark-room-policy-gradient-...-1
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from kickstarting.ad.demo import SHIPPED
from kickstarting.ad.saved import read_model_file
from kickstarting.runs.checkpoint import Snapshot, latest_checkpoint, load_checkpoint, save_checkpoint
from kickstarting.runs.files import write_signed
from kickstarting.runs.layout import RunDirectory


def main(model: Path) -> None:
    """Without the optimiser, and without the place of the histories."""
    data = read_model_file(model)
    snapshot = load_checkpoint(latest_checkpoint(model), with_optimiser=False)
    shutil.rmtree(SHIPPED, ignore_errors=True)
    SHIPPED.parent.mkdir(parents=True, exist_ok=True)
    bare = Snapshot(snapshot.number, {"updates": snapshot.record["updates"]}, snapshot.network, {})
    written = save_checkpoint(SHIPPED.parent / ".new", bare, run=data["id"])
    (written / "optimiser.safetensors").unlink()
    written.rename(SHIPPED)
    (SHIPPED.parent / ".new").rmdir()
    write_signed(RunDirectory(SHIPPED).config, {**data, "histories": {**data["histories"], "path": ""}})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
