"""Storage behind a URL: whole files or none, on a shared folder and on fsspec's file system in memory."""

from __future__ import annotations

import sys
import uuid

import fsspec
import pytest

from kickstarting.runs.storage import Storage, StorageError


@pytest.fixture(params=["memory", "folder", "file"])
def storage(request, tmp_path) -> Storage:
    urls = {"memory": f"memory://{uuid.uuid4().hex}/run", "folder": str(tmp_path / "shared"), "file": f"file://{tmp_path}/shared"}
    return Storage(urls[request.param])


def test_what_is_written_is_read_and_listed(storage):
    assert storage.read("a/b.json") is None
    assert storage.names("a") == []
    storage.write("a/b.json", b"one")
    storage.write("a/b.json", b"two")
    storage.write("a/deep/c", b"")
    storage.write("other", b"x")
    assert storage.read("a/b.json") == b"two"
    assert sorted(storage.names("a")) == ["a/b.json", "a/deep/c"]
    storage.remove("a/b.json")
    storage.remove("a/b.json")
    assert storage.names("a") == ["a/deep/c"]


def test_only_the_first_creates(storage):
    assert storage.create("owner", b"first")
    assert not storage.create("owner", b"second")
    assert storage.read("owner") == b"first"


class Growing(fsspec.AbstractFileSystem):
    """A file system that shows files while they grow, and that fails in the middle of one."""

    protocol = "growing"
    files: dict[str, bytes]

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.files, self.fails = {}, False

    def makedirs(self, path, exist_ok=False) -> None:
        pass

    def pipe_file(self, path, value, mode="overwrite", **kwargs) -> None:
        self.files[path] = value[: len(value) // 2]
        if self.fails:
            raise TimeoutError("the line went dead")
        self.files[path] = value

    def mv(self, path1, path2, recursive=False, maxdepth=None, **kwargs) -> None:
        self.files[path2] = self.files.pop(path1)

    def cat_file(self, path, start=None, end=None, **kwargs) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]


def test_where_files_grow_while_they_are_written_they_get_another_name_first():
    fsspec.register_implementation("growing", Growing, clobber=True)
    storage = Storage("growing://place")
    storage.write("a", b"whole")
    storage._system.fails = True
    with pytest.raises(StorageError, match=r"growing://place cannot be written: the line went dead; see that"):
        storage.write("a", b"torn!!")
    assert storage.read("a") == b"whole"
    with pytest.raises(StorageError):
        storage.write("b", b"torn!!")
    assert storage.read("b") is None


@pytest.mark.parametrize("url", ["", " ", "s3://", "simplecache::s3://bucket/run"])
def test_what_is_no_url_of_one_place_is_refused(url):
    with pytest.raises(StorageError, match=r"it must be one URL, as s3://BUCKET/PREFIX, or the path of a folder"):
        Storage(url)


def test_an_unknown_protocol_is_named():
    with pytest.raises(StorageError, match=r"nowhere://x cannot be reached: .*nowhere"):
        Storage("nowhere://x")


@pytest.mark.parametrize(("url", "extra"), [("s3://bucket/run", "s3"), ("gs://bucket/run", "gcs")])
def test_a_missing_package_is_named_with_its_extra(url, extra, monkeypatch):
    for name in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, name, None)
    for protocol in ("s3", "gs"):
        monkeypatch.delitem(sys.modules["fsspec.registry"].__dict__["_registry"], protocol, raising=False)
    with pytest.raises(StorageError, match=rf"pip install 'kickstarting\[{extra}\]'"):
        Storage(url)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    storage = Storage(str(tmp_path / "file" / "run"))
    with pytest.raises(StorageError, match=r"cannot be made: Not a directory"):
        storage.write("a", b"")
