"""A teacher served over HTTP while a test runs."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kickstarting.serve import Served, TeacherServer
from kickstarting.teachers.protocol import Teacher


@contextmanager
def serving(
    teacher: Teacher, port: int = 0, token: str = "", sha256: str = "", tls: ssl.SSLContext | None = None
) -> Iterator[TeacherServer]:
    with TeacherServer(Served(teacher, sha256), port=port, token=token) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True) if tls else server.socket
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
