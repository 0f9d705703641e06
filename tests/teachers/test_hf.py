"""Teachers from a model hub: one that runs here, on this machine, and speaks as the real one does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from kickstarting.export import export
from kickstarting.teachers.origins import digest, hf, load_teacher
from kickstarting.types import Inputs

COMMITS = {"main": "1" * 40, "v1": "2" * 40}


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol by which repositories are listed and files downloaded. `folders`: by commit."""

    folders: dict[str, Path]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts[:4] == ["api", "models", "somebody", "old-agent"]:
            commit = COMMITS.get(parts[5] if len(parts) > 5 else "main", parts[5] if len(parts) > 5 else "")
            if commit in self.folders:
                return self._api(commit, tree=len(parts) > 4 and parts[4] == "tree")
        elif len(parts) == 5 and parts[2] == "resolve":
            commit = COMMITS.get(parts[3], parts[3])
            if commit in self.folders and (file := self.folders[commit] / parts[4]).is_file():
                return self._answer(200, file.read_bytes(), {"X-Repo-Commit": commit})
        return self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "nothing here"})

    def _api(self, commit: str, tree: bool) -> None:
        files = sorted(path for path in self.folders[commit].iterdir())
        listed = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40} for f in files]
        about = {
            "id": "somebody/old-agent",
            "sha": commit,
            "private": False,
            "gated": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
        }
        whole = {**about, "siblings": [{"rfilename": f.name} for f in files]}
        self._answer(200, json.dumps(listed if tree else whole).encode(), {"Content-Type": "application/json"})

    def _answer(self, code: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(data)), "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def hub(make_policy, suite, tmp_path_factory) -> Iterator[str]:
    """Serves two revisions of a policy, and returns its address."""
    folders = {}
    for seed, (revision, commit) in enumerate(COMMITS.items()):
        folders[commit] = tmp_path_factory.mktemp(revision)
        export(make_policy(seed=seed), folders[commit], suite_name=suite, episodes=1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Hub,), {"folders": folders}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def online(hub, tmp_path, monkeypatch) -> str:
    """The cache is where the library has looked when it was imported."""
    monkeypatch.setenv("HF_ENDPOINT", hub)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return hub


def test_a_teacher_is_downloaded_once_and_pinned_by_its_revision(online, monkeypatch):
    newest, older = digest("hf:somebody/old-agent"), digest("hf:somebody/old-agent@v1")
    assert newest != older
    assert str(load_teacher("hf:somebody/old-agent@v1").action_space) == "Discrete(7)"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody answers there
    assert digest(f"hf:somebody/old-agent@{COMMITS['v1']}") == older


FOREIGN = Path(__file__).parent / "foreign"


def test_options_are_those_of_what_is_inside(tmp_path, monkeypatch):
    """Paths are files of the repository, and nothing outside of it."""
    folder = tmp_path / "snapshots" / "abc"
    folder.mkdir(parents=True)
    for name in ("dqn-cartpole.zip", "ppo-pendulum-normalised.zip", "ppo-pendulum-normalised.pkl"):
        (folder / name).write_bytes((FOREIGN / name).read_bytes())
    monkeypatch.setattr(hf, "download", lambda name: folder)
    with pytest.raises(ValueError, match=r"several teachers; give \?file=NAME of dqn-cartpole\.zip, ppo-pendulum"):
        load_teacher("hf:a/b")
    inputs = Inputs({"observation": torch.randn(2, 3, 4)}, torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3).bool())
    warm, cool = (load_teacher(f"hf:a/b?file=dqn-cartpole.zip{more}") for more in ("", "&temperature=0.1"))
    torch.testing.assert_close(cool.label(inputs, ())[0].policy, warm.label(inputs, ())[0].policy / 0.1)
    assert digest("hf:a/b?file=dqn-cartpole.zip") != digest("hf:a/b?file=dqn-cartpole.zip&temperature=0.1")
    normalised = "hf:a/b?file=ppo-pendulum-normalised.zip&normalise="
    load_teacher(f"{normalised}ppo-pendulum-normalised.pkl")
    load_teacher(f"{normalised}none")
    for file in ("nowhere.pkl", "../../../secret.pkl"):
        with pytest.raises(ValueError, match=f"hf:a/b has no file '{file}'"):
            load_teacher(normalised + file)
    with pytest.raises(ValueError, match=r"holds a teacher of sb3:, which has no option 'shape'; known: normalise, std"):
        load_teacher("hf:a/b?file=dqn-cartpole.zip&shape=4")
    with pytest.raises(ValueError, match="has no option 'temprature'; did you mean temperature"):
        load_teacher("hf:a/b?temprature=3")


@pytest.mark.parametrize("name", ["somebody/nothing", "somebody/old-agent@v9"])
def test_what_is_not_on_the_hub_is_named(online, name):
    with pytest.raises(ValueError, match=f"hf:{name} cannot be downloaded"):
        load_teacher(f"hf:{name}")


@pytest.mark.slow
def test_the_environment_says_where_the_hub_is(hub, tmp_path):
    settings = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "kickstarting", "evaluate", "hf:somebody/old-agent", "BabyAI-GoToObj-v0", "--episodes", "1"]
    result = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_repository_has_an_owner_and_a_name():
    with pytest.raises(ValueError, match="hf:OWNER/NAME"):
        hf.load("nowhere", "hf:nowhere")


def test_a_folder_without_a_teacher_is_said_to_be_one(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"nothing that a teacher could be loaded from: notes\.txt"):
        hf._inside(tmp_path, "a/b", {})
