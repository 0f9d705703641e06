"""Which package to install is in the message about a library that cannot be loaded."""

from __future__ import annotations

import re
import sys

import gymnasium
import pytest

from kickstarting.envs import make_task_env
from kickstarting.envs.missing import with_remedy
from kickstarting.suites import Task


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ImportError("libQt5Core.so.5: cannot open shared object file: No such file"),
            "libQt5Core.so.5 is missing, on Debian: .*libqt5gui5",
        ),
        (ImportError("libxyz.so.3: cannot open shared object file"), "libxyz.so.3 is missing, apt-file search libxyz.so.3"),
        (ModuleNotFoundError("No module named 'vizdoom'", name="vizdoom"), r"pip install 'kickstarting\[vizdoom\]'"),
        (ModuleNotFoundError("No module named 'cv2.x'", name="cv2.x"), "pip install opencv-python-headless"),
        (ValueError("two\nlines"), "^two lines$"),
    ],
)
def test_the_package_is_named(error, said):
    assert re.search(said, with_remedy(error))
    assert "\n" not in with_remedy(error)


def test_the_cause_counts_as_well():
    error = ImportError("EnvPool Procgen requires Qt")
    error.__cause__ = ImportError("libQt5Gui.so.5: cannot open shared object file")
    assert "libQt5Gui.so.5 is missing, on Debian: apt-get install libqt5gui5" in with_remedy(error)


@pytest.mark.parametrize(
    ("env_id", "module", "said"), [("VizdoomBasic-v0", "vizdoom", "kickstarting.vizdoom"), ("ALE/Pong-v5", "ale_py", "ale-py")]
)
def test_games_that_are_not_installed(monkeypatch, env_id, module, said):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not there
    registry = {name: spec for name, spec in gymnasium.registry.items() if name != env_id}
    monkeypatch.setattr(gymnasium, "registry", registry)
    monkeypatch.setattr("kickstarting.envs.games.gymnasium.registry", registry)
    with pytest.raises(ValueError, match=f"needs the package {module}.*: pip install .*{said}"):
        make_task_env(Task("x", env_id, "gymnasium-async"), 1, seed=0)
