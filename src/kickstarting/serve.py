"""`kickstart serve`: a teacher for other processes and machines, by the Open Inference Protocol over HTTP (docs/serving.md).

Requests are unrolls, and the recurrent state comes and goes with them: the server keeps nothing between two of them.
"""

from __future__ import annotations

import hmac
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.machine import fastest_threads, resolve_device, use_machine
from kickstarting.space_json import describe_space
from kickstarting.spaces import Shaped, make_distribution
from kickstarting.teachers import Kind, Label, Teacher, load_teacher
from kickstarting.teachers.origins import digest
from kickstarting.teachers.signature import METADATA
from kickstarting.teachers.wire import LENGTH, MODEL, MOST_BYTES, datatype, pack, unpack
from kickstarting.types import Inputs

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Served:
    """A teacher as a function of named arrays, and its description.

    sha256: of what it says, for who pins it. Raises ValueError if it does not say what it reads, or cannot label a blank step.
    """

    def __init__(self, teacher: Teacher, sha256: str = "") -> None:
        if not teacher.observation_space.spaces:
            raise ValueError(f"teacher {teacher.ref} does not say what it reads; give it an observation_space")
        self.teacher = teacher
        self._lock = threading.Lock()  # a teacher may cache
        distribution = make_distribution(teacher.action_space)
        blanks: dict[str, Any] = {
            f"obs.{name}": np.zeros((1, 1, *(space.shape or ())), space.dtype) for name, space in teacher.observation_space.items()
        }
        blanks["is_first"] = np.ones((1, 1), bool)
        blanks["last_actions"] = np.full((1, 1, *distribution.action_shape), distribution.no_action)
        blanks["last_actions"] = blanks["last_actions"].astype(torch.empty(0, dtype=distribution.action_dtype).numpy().dtype)
        blanks["last_rewards"] = np.zeros((1, 1), np.float32)
        blanks |= {f"state_{i}": x.cpu().numpy() for i, x in enumerate(teacher.initial_state(1))}
        self._ports = {name: (x.dtype, x.shape[1 if name.startswith("state_") else 2 :]) for name, x in blanks.items()}
        answers = self.infer(blanks)
        observed = teacher.observation_space.items()
        said: dict[str, Any] = {"action_space": describe_space(teacher.action_space)}
        if not any(isinstance(space, Shaped) for _, space in observed):  # those of a program that does not know its kinds
            said["observation_space"] = {name: describe_space(space) for name, space in observed}
        self.description = {
            "name": MODEL.rpartition("/")[2],
            "versions": ["1"],
            "platform": "kickstarting",
            "inputs": [_said(name, x) for name, x in blanks.items()],
            "outputs": [_said(name, x) for name, x in answers.items()],
            "properties": {METADATA: json.dumps(said), "sha256": sha256},
        }

    def infer(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The teacher's label of an unroll. Raises ValueError, naming both, for arrays that are not as described."""
        for name, (dtype, shape) in self._ports.items():
            if name not in arrays:
                raise ValueError(f"the input {name} is missing")
            x, leading = arrays[name], 1 if name.startswith("state_") else 2
            if x.dtype != dtype or x.ndim != leading + len(shape) or x.shape[leading:] != shape:
                raise ValueError(
                    f"the input {name} is {x.dtype} {list(x.shape)}; it must be {dtype} {[-1] * leading + list(shape)}"
                )
        T, B = arrays["is_first"].shape
        for name in self._ports:
            rows = arrays[name].shape[:1] if name.startswith("state_") else arrays[name].shape[:2]
            if rows != ((B,) if name.startswith("state_") else (T, B)):
                raise ValueError(
                    f"the input {name} is {list(arrays[name].shape)}, is_first {[T, B]}; they must be of the same unroll"
                )
        tensors = {name: torch.from_numpy(arrays[name]).to(self.teacher.device) for name in self._ports}
        observations = {name.removeprefix("obs."): x for name, x in tensors.items() if name.startswith("obs.")}
        inputs = Inputs(observations, tensors["last_actions"], tensors["last_rewards"], tensors["is_first"])
        with self._lock:
            label, state = self.teacher.label(inputs, tuple(x for name, x in tensors.items() if name.startswith("state_")))
        answers = _answers(label, self.teacher) | {f"next_state_{i}": x for i, x in enumerate(state)}
        return {name: x.cpu().numpy() for name, x in answers.items()}


def _answers(label: Label, teacher: Teacher) -> dict[str, Tensor]:
    """As `teachers/answers.py` reads them."""
    if label.kind != Kind.PARAMETERS:
        answers = {str(label.kind): label.policy}
    elif isinstance(teacher.action_space, spaces.Box):
        answers = dict(zip(("mean", "log_std"), label.policy.chunk(2, -1), strict=True))
    else:
        answers = {"logits": label.policy}
    also = {"value": label.values, "known": label.known}
    return answers | {name: x for name, x in also.items() if x is not None}


def _said(name: str, x: np.ndarray) -> dict[str, Any]:
    leading = 1 if "state_" in name else 2
    return {"name": name, "datatype": datatype(x.dtype), "shape": [-1] * leading + list(x.shape[leading:])}


class TeacherServer(ThreadingHTTPServer):
    """Serves one teacher, a thread for each connection. port: 0 takes a free one. token: what requests must bring, if not empty.

    Raises ValueError if it would be open to other machines without a token, or the address cannot be had.
    """

    daemon_threads = True

    def __init__(self, served: Served, host: str = "127.0.0.1", port: int = 0, token: str = "") -> None:
        if host not in LOOPBACK and not token:
            raise ValueError(f"host is {host}, which other machines may reach; give --token-from VARIABLE, or serve on 127.0.0.1")
        self.served, self.token = served, token
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise ValueError(
                f"cannot serve at {host}:{port}: {error.strerror or error}; choose another --host or --port"
            ) from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One that went away before its answer has no complaint."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        host = host if isinstance(host, str) else host.decode()
        return f"http://{f'[{host}]' if ':' in host else host}:{port}{MODEL}"


def serve_ref(ref: str, *, host: str, port: int, token_from: str, said: Callable[[str], None]) -> None:
    """Serve the teacher behind a reference until a signal comes. said: called with where it is, when it is ready.

    token_from: name of an environment variable; empty for none. Raises ValueError if it is not set, or nothing can be served.
    """
    if token_from and not os.environ.get(token_from):
        raise ValueError(f"token_from names {token_from}, which is not set; set it to the token that requests must bring")
    device = resolve_device("auto")
    use_machine(fastest_threads(os.cpu_count() or 1), "auto", device)
    served = Served(load_teacher(ref, device), digest(ref))
    with TeacherServer(served, host, port, os.environ.get(token_from, "")) as server:
        said(f"{ref} teaches at {server.url}; stop it with Ctrl-C")
        server.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300.0  # of a connection that says nothing
    server: TeacherServer  # type: ignore[assignment]

    def do_GET(self) -> None:
        ready = {path: {} for path in ("/v2/health/live", "/v2/health/ready", f"{MODEL}/ready")}
        known = {
            **ready,
            "/v2": {"name": "kickstarting", "extensions": ["binary_tensor_data"]},
            MODEL: self.server.served.description,
        }
        if not self._admitted():
            return
        if self.path in known:
            self._say(200, known[self.path])
        else:
            self._say(404, {"error": f"there is no {self.path}; the teacher is at {MODEL}"})

    def do_POST(self) -> None:
        self.close_connection = True  # unless all that it said was read
        length = self.headers.get("Content-Length", "")
        if not self._admitted():
            return None
        if self.path != f"{MODEL}/infer":
            return self._say(404, {"error": f"there is no {self.path}; the teacher is at {MODEL}/infer"})
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return self._say(413, {"error": f"Content-Length is {length or 'missing'}; it must be at most {MOST_BYTES}"})
        body = bytearray(int(length))
        if self.rfile.readinto(body) != len(body):  # type: ignore[attr-defined]
            return None
        self.close_connection = self.headers.get("Connection", "").lower() == "close"
        try:
            of_json = self.headers.get(LENGTH)
            answers = self.server.served.infer(unpack("inputs", body, None if of_json is None else int(of_json)))
        except ValueError as error:
            return self._say(400, {"error": str(error)})
        except Exception as error:  # whatever a teacher raises
            return self._say(500, {"error": f"{type(error).__name__}: {error}"})
        said, pieces = pack("outputs", answers, model_name=self.server.served.description["name"])
        return self._send(200, b"".join(pieces), {LENGTH: str(said), "Content-Type": "application/octet-stream"})

    def _admitted(self) -> bool:
        given, token = self.headers.get("Authorization", ""), self.server.token
        if not token or hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return True
        self.close_connection = True
        self._say(401, {"error": "the token is wrong or missing"})
        return False

    def _say(self, status: int, data: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Every request of a training run would be a line."""
