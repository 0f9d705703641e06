"""The versions that a result depends on, which every config.json names."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import torch


def versions() -> dict[str, str]:
    """What a result depends on besides its configuration."""
    names = ("kickstarting", "torch", "numpy", "gymnasium", "envpool")
    found = {name: importlib.metadata.version(name) for name in names}
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return {
        **found,
        "python": platform.python_version(),
        "platform": platform.machine(),
        "commit": git.stdout.strip() or "none",
        "torch_threads": str(torch.get_num_threads()),
    }
