"""Mirrors on S3, spoken by a local server: atomic, fenced, killed in the middle of an upload, and gone on with."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("s3fs", reason="pip install 'kickstarting[s3]'")
server = pytest.importorskip("moto.server", reason="pip install 'moto[server]'")

from kickstarting.runs.fetch import fetch  # noqa: E402
from kickstarting.runs.layout import MIRROR, RunDirectory  # noqa: E402
from kickstarting.runs.manifest import read_owner  # noqa: E402
from kickstarting.runs.mirror import begin_mirror, bring_up_to_date, check_vacant  # noqa: E402
from kickstarting.runs.run import run  # noqa: E402
from kickstarting.runs.storage import Storage, StorageError  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def bucket(endpoint, monkeypatch, tmp_path_factory) -> str:
    """A new bucket, found as on any machine: by the environment."""
    import s3fs

    environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in {**environment, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"bucket-{tmp_path_factory.mktemp('x').name.lower()}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"


def weights(path: Path) -> bytes:
    newest = RunDirectory(path).newest_checkpoint
    assert newest is not None
    return (newest / "network.safetensors").read_bytes()


def test_files_are_created_once_and_read_as_they_were_written(bucket):
    storage = Storage(f"{bucket}/run")
    assert storage.read("owner.json") is None
    assert storage.create("owner.json", b"first")
    assert not storage.create("owner.json", b"second")
    assert storage.read("owner.json") == b"first"
    data = os.urandom(7 * 2**20)
    storage.write("a/parts/x", data)
    assert storage.read("a/parts/x") == data
    assert storage.names("a") == ["a/parts/x"]
    storage.remove("a/parts/x")
    storage.remove("a/parts/x")
    assert storage.names("a") == []


def test_a_bucket_that_is_not_there_and_keys_that_are_missing_are_one_line(bucket, tmp_path, monkeypatch):
    with pytest.raises(StorageError, match=r"s3://no-such-bucket/run cannot be written: .*bucket"):
        check_vacant("s3://no-such-bucket/run", tmp_path)


def test_a_run_is_mirrored_and_comes_back(bucket, tiny, tmp_path):
    run(tiny(checkpoint_every="64"), tmp_path / "run", mirror=f"{bucket}/run")
    fetch(f"{bucket}/run", tmp_path / "back", said=print)
    kept = {path.relative_to(tmp_path / "run") for path in (tmp_path / "run").rglob("*") if path.is_file()} - {Path(MIRROR)}
    assert kept == {path.relative_to(tmp_path / "back") for path in (tmp_path / "back").rglob("*") if path.is_file()}
    assert weights(tmp_path / "run") == weights(tmp_path / "back")
    with pytest.raises(ValueError, match="is mirrored to"):
        run(tiny(), tmp_path / "other", mirror=f"{bucket}/run")
    assert not (tmp_path / "other").exists()


SCRIPT = """
import sys, threading
from pathlib import Path
from kickstarting.runs.copied import Copy
from kickstarting.runs.mirror import mirror_of
from kickstarting.runs.storage import Storage

about = mirror_of(Path(sys.argv[1]))
copy = Copy(Path(sys.argv[1]), Storage(about.url), about.writer)
number, write = 0, copy.storage.write
def counted(name, data):
    global number
    print(number, flush=True)
    number += 1
    write(name, data)
copy.storage.write = counted
copy.bring_now()
print("done", flush=True)
"""


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 4])
def test_a_process_killed_in_the_middle_of_an_upload_leaves_the_moment_before(bucket, tmp_path, writes):
    directory = tmp_path / "run"
    (directory / "checkpoints" / "00000001").mkdir(parents=True)
    (directory / "config.json").write_text('{"suite": "s", "total_frames": 1}')
    (directory / "checkpoints" / "00000001" / "state.json").write_text("1")
    begin_mirror(directory, f"{bucket}/run")
    (directory / "checkpoints" / "00000002").mkdir()
    for name in ("network", "optimiser", "state"):
        (directory / "checkpoints" / "00000002" / name).write_bytes(os.urandom(24 * 2**20))
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(directory)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() in (str(writes), "done"):
            break
    time.sleep(0.01 * writes)
    process.send_signal(signal.SIGKILL)
    process.wait()
    fetch(f"{bucket}/run", tmp_path / "back", said=print)
    there = sorted(path.name for path in (tmp_path / "back" / "checkpoints").iterdir())
    assert there in (["00000001"], ["00000001", "00000002"])
    if there[-1] == "00000002":
        names = sorted(path.name for path in (tmp_path / "back" / "checkpoints" / "00000002").iterdir())
        assert names == ["network", "optimiser", "state"]
    bring_up_to_date(directory)
    storage = Storage(f"{bucket}/run")
    owner = read_owner(storage)
    assert owner is not None
    parts = storage.names(f"{owner.writer}/parts")
    assert len(parts) == len({path.read_bytes() for path in directory.rglob("*") if path.is_file() and path.name != MIRROR})


def test_a_run_that_is_killed_goes_on_elsewhere_with_the_same_weights(bucket, tiny, suite, tmp_path):
    small = ["--network", "small", "--network-option", "hidden=8", "--network-option", "lstm=8", "--envs-per-task", "2"]
    small += ["--unroll-length", "8", "--precision", "float32", "--torch-threads", "1", "--learners", "1"]
    begin = ["train", suite, *small, "--frames", "2048", "--checkpoint-every", "256"]
    subprocess.run([sys.executable, "-m", "kickstarting", *begin, "--out", str(tmp_path / "whole")], check=True)
    mirrored = [*begin, "--out", str(tmp_path / "lost"), "--mirror", f"{bucket}/run"]
    process = subprocess.Popen([sys.executable, "-m", "kickstarting", *mirrored], stdout=subprocess.DEVNULL)
    storage, deadline = Storage(f"{bucket}/run"), time.monotonic() + 600
    while process.poll() is None and time.monotonic() < deadline:
        owner = read_owner(storage)
        if owner and any(name.startswith("checkpoints/") for name in _files(storage, owner.writer)):
            break
        time.sleep(0.1)
    else:
        pytest.fail("it ended, or had no checkpoint on storage, before it was killed")
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = ["train", "--resume", f"{bucket}/run", "--out", str(tmp_path / "found")]
    said = subprocess.run([sys.executable, "-m", "kickstarting", *again], check=True, capture_output=True, text=True).stdout
    assert "goes on for process" in said
    assert weights(tmp_path / "whole") == weights(tmp_path / "found")


def _files(storage: Storage, writer: str) -> list[str]:
    from kickstarting.runs.manifest import read_manifest

    with contextlib.suppress(StorageError):
        return list(read_manifest(storage, writer))
    return []
