"""The virtual environments of the peers, one each, because they ask for different versions of the same packages."""

from __future__ import annotations

import sys
import urllib.request
from importlib.metadata import version
from pathlib import Path

from peers.measuring import HERE, Failure, run
from peers.trainers import Trainer

REQUIREMENTS = "requirements-{}.txt"
BUILT = {"puffer1": "pufferlib==1.0.1", "puffer3": "pufferlib==3.0.0"}
"""Compiled here, against the installed torch and numpy, without what their metadata asks for beside the requirements file: one
wants a numpy that no current torch runs with, the other two services that record runs."""
BUILDING = {"NO_OCEAN": "1", "PYTHONPATH": str(HERE / "building")}
"""Without PufferLib's games, which it would download, and without CUDA: see building/sitecustomize.py."""
COMMIT = "011ddab9051c9087ffffc43aa27910cd10abcd0e"
TRAINER = f"https://raw.githubusercontent.com/PufferAI/PufferLib/{COMMIT}/"
TRAINER_FILES = ("clean_pufferl.py", "c_gae.pyx")
"""Of PufferLib 1.0, whose package has no trainer."""


def prepare(trainer: Trainer, venvs: Path) -> str:
    """Makes and fills the trainer's virtual environment if need be; returns the version of its package."""
    if not trainer.venv:
        return version(trainer.package)
    folder = venvs / trainer.venv
    python = folder / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", str(folder)], 600)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*install, "-r", str(HERE / REQUIREMENTS.format(trainer.venv))], 3600)
    if package := BUILT.get(trainer.venv):
        run([*install, "--no-deps", "--no-build-isolation", package], 3600, env=BUILDING)
    if trainer.venv == "puffer1":
        _fetch_trainer(python)
    show = f"from importlib.metadata import version; print(version({trainer.package!r}))"
    return run([str(python), "-c", show], 60).strip()


def _fetch_trainer(python: Path) -> None:
    """The two files of PufferLib 1.0's trainer, from its repository into the environment's packages."""
    packages = Path(run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], 60).strip())
    for name in TRAINER_FILES:
        if (packages / name).exists():
            continue
        try:
            urllib.request.urlretrieve(TRAINER + name, packages / name)
        except OSError as error:
            raise Failure(f"cannot fetch {TRAINER}{name} ({error}); put it into {packages}") from None
