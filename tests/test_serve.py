"""The server of a teacher: what it answers to anybody, and its command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest

from kickstarting.serve import Served, TeacherServer
from kickstarting.teachers import wire
from kickstarting.teachers.origins import load_teacher
from kickstarting.teachers.protocol import Teacher
from serving import serving


@pytest.fixture(scope="module")
def teacher(make_policy) -> Teacher:
    return load_teacher(make_policy())


@pytest.fixture(scope="module")
def server(teacher) -> Iterator[TeacherServer]:
    with serving(teacher) as server:
        yield server


def test_a_server_is_not_opened_to_others_without_a_token(teacher, server) -> None:
    with pytest.raises(ValueError, match="other machines may reach; give --token-from"):
        TeacherServer(Served(teacher), host="0.0.0.0")
    with pytest.raises(ValueError, match="choose another --host or --port"):
        TeacherServer(Served(teacher), port=server.server_address[1])


def ask(url: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data, {name.replace("_", "-"): text for name, text in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_it_speaks_the_protocol_to_others(server) -> None:
    """Also with JSON alone, as curl would."""
    base = server.url.removesuffix(wire.MODEL)
    assert [ask(f"{base}{path}")[0] for path in ("/v2/health/live", "/v2/health/ready", f"{wire.MODEL}/ready", "/v2", "/x")] == [
        200
    ] * 4 + [404]
    described = json.loads(ask(server.url)[1])
    request = [{**port, "shape": [max(n, 1) for n in port["shape"]]} for port in described["inputs"]]
    for port in request:
        port["data"] = np.zeros(port["shape"], int).tolist()
    status, body = ask(f"{server.url}/infer", json.dumps({"inputs": request}).encode())
    assert status == 200
    assert json.loads(body[: body.index(b"}]}") + 3])["outputs"][0]["name"] == "logits"


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"hello", {}, 400),
        (b'{"inputs": []}', {}, 400),
        (b'{"inputs": 3}', {}, 400),
        (b'{"inputs": [{"name": "is_first", "datatype": "BOOL", "shape": [1, 1], "data": [true]}]}', {}, 400),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [9], "parameters": {"binary_data_size": 36}}]}', {}, 400),
        (b"{}", {wire.LENGTH: "99"}, 400),
        (b"{}", {wire.LENGTH: "-1"}, 400),
        (b"{}", {wire.LENGTH: "x"}, 400),
        (b"{}", {"Content-Length": str(2**40)}, 413),
    ],
)
def test_nonsense_is_answered_with_a_reason(server, body, headers, status) -> None:
    found, said = ask(f"{server.url}/infer", body, **headers)
    assert found == status
    assert json.loads(said)["error"]


def test_the_command_serves_until_a_signal_comes(make_policy) -> None:
    command = [sys.executable, "-m", "kickstarting", "serve", make_policy(), "--port", "0", "--token-from", "KICKSTART_TOKEN"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, wire.TOKEN: "x", "COLUMNS": "300"}
    ) as process:
        assert process.stdout
        url = next(word for word in process.stdout.readline().split() if word.startswith("http")).rstrip(";")
        assert ask(url)[0] == 401
        status, said = ask(url, Authorization="Bearer x")
        assert (status, len(json.loads(said)["properties"]["sha256"])) == (200, 64)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
