"""A folder on shared or object storage, named as fsspec names it: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or a path.

A file appears there whole or not at all. Object stores do that by themselves. On a shared folder, and wherever else a file grows
while it is written, it gets another name first.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import fsspec

from kickstarting.runs.files import FileError, make_directory, write_bytes

WHOLE = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
"""Protocols that show no file before all of it is there."""
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""What to install for a protocol, as an extra of this package."""


class StorageError(FileError):
    """Storage cannot be reached, read or written; the message names the URL and what the file system said."""


class Storage:
    """The files below a URL. Names are relative to it, with / between their parts. Nothing is cached.

    Raises StorageError if nothing answers to the URL's protocol, or what answers is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") if "://" in url else os.path.abspath(url)
        scheme, separator, rest = url.partition("://")
        self._protocol = scheme if separator else "file"
        if "::" in url or not (rest if separator else url).strip():
            raise StorageError(f"storage is {url!r}; it must be one URL, as s3://BUCKET/PREFIX, or the path of a folder")
        try:
            self._system, self._root = fsspec.url_to_fs(self.url)
        except ImportError as error:
            extra = EXTRAS.get(self._protocol)
            how = f"pip install 'kickstarting[{extra}]'" if extra else "install what it needs"
            raise StorageError(f"{url} cannot be reached: {error}; {how}") from error
        except Exception as error:  # every file system raises its own
            raise self._blamed("reached", error) from error

    def read(self, name: str) -> bytes | None:
        """A file; None if there is none. Raises StorageError."""
        try:
            return self._system.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._blamed("read", error) from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file, or put it in the place of one. Raises StorageError; what was there before is untouched then."""
        path = self._path(name)
        try:
            if self._protocol in ("file", "local"):
                make_directory(Path(path).parent)
                write_bytes(Path(path), data)
            elif self._protocol in WHOLE:
                self._system.pipe_file(path, data)
            else:
                self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
                self._system.pipe_file(f"{path}.partial", data)
                self._system.mv(f"{path}.partial", path)
        except Exception as error:
            raise self._blamed("written", error) from error

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that is not there; False if it is. Of two that try at once on S3, Google's storage or a shared folder, one
        succeeds. Raises StorageError."""
        path = self._path(name)
        try:
            if self._protocol in ("file", "local"):
                make_directory(Path(path).parent)
                with open(path, "xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            else:
                self._system.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        except Exception as error:
            raise self._blamed("written", error) from error
        return True

    def names(self, below: str) -> list[str]:
        """Of all files below a folder; none if there is no such folder. Raises StorageError."""
        folder = self._path(below)
        try:
            self._system.invalidate_cache()
            found = self._system.find(folder)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._blamed("listed", error) from error
        root = self._system._strip_protocol(self._root).rstrip("/") + "/"
        return [path.removeprefix(root) for path in found if path.startswith(root)]

    def remove(self, name: str) -> None:
        """Remove a file, if it is there. Raises StorageError."""
        try:
            with contextlib.suppress(FileNotFoundError):
                self._system.rm_file(self._path(name))
        except Exception as error:
            raise self._blamed("written", error) from error

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _blamed(self, what: str, error: Exception) -> StorageError:
        if isinstance(error, FileError):
            return StorageError(str(error))
        why = " ".join(str(error).split())[:300] or type(error).__name__
        return StorageError(f"{self.url} cannot be {what}: {why}; see that it exists, and that you may write there")
