"""Train a teacher that the package ships, and put its last checkpoint (half precision, no optimiser) into the zoo.

python scripts/make_zoo.py            # about 20 minutes on two cores; resumes where it was killed
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from rich.console import Console

from kickstarting.demo import ZOO_TEACHER, teacher_config
from kickstarting.launch.sweep import run_all
from kickstarting.runs.checkpoint import Snapshot, latest_checkpoint, load_checkpoint, save_checkpoint
from kickstarting.teachers.origins.zoo import ZOO


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/zoo"))
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 for one a core")
    arguments = parser.parse_args()
    run = arguments.out / ZOO_TEACHER
    run_all({run: teacher_config().changed(torch_threads=arguments.threads)}, console=Console())
    export(run, ZOO / ZOO_TEACHER)


def export(run: Path, target: Path) -> None:
    """A run's newest checkpoint as a zoo entry. Half precision changes the logits by less than sampling does."""
    snapshot = load_checkpoint(latest_checkpoint(run), with_optimiser=False)
    network = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in snapshot.network.items()}
    record = {name: snapshot.record[name] for name in ("frames", "learner_steps", "spec", "task_scores")}
    written = save_checkpoint(target.parent / ".export", Snapshot(snapshot.number, record, network, {}))
    shutil.rmtree(target, ignore_errors=True)
    written.rename(target)
    (target.parent / ".export").rmdir()
    print(f"wrote {target}, {sum(f.stat().st_size for f in target.iterdir()) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
