"""`http://HOST:PORT[/v2/models/NAME]`: teachers in other processes, or on other machines, by the Open Inference Protocol.

`kickstart serve` serves every teacher of this package. Others may be served by whatever speaks the protocol; which input and output
is what, their names say (`teachers/signature.py`). One request has a whole unroll, and the recurrent state travels with it: the
server keeps nothing, so a request that failed can be asked again. For https, the origin is `https.py`.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from torch import Tensor

from kickstarting.ranges import Range
from kickstarting.teachers import signature, wire
from kickstarting.teachers.program import Port, ProgramTeacher, named
from kickstarting.teachers.protocol import TeacherFault

OPTIONS: Mapping[str, str] = {
    **signature.OPTIONS,
    "timeout": "seconds for an answer, 30 unless given",
    "token": f"name of the environment variable with the server's token, which begins with {wire.TOKEN}; that one unless given",
}
TIMEOUT = 30.0
PAUSES = (0.0, 0.2, 1.0)
"""Seconds before each try: a connection that the server closed between two requests is noticed at the first."""
START = "start it with `kickstart serve`, or correct the address"
REMEDY = "see that it runs and resume, or give --teacher-optional to go on without it"


def load(
    name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None, scheme: str = "http"
) -> ProgramTeacher:
    options = options or {}
    with named(ref):
        return ProgramTeacher(_Served(f"{scheme}:{name}", ref, options), ref, device, options)


def digest(name: str, options: Mapping[str, str] | None = None, scheme: str = "http") -> str:
    """Of what the server says of the teacher: names, shapes, and, of one of this package, its SHA-256."""
    ref = f"{scheme}:{name}"
    said = _Served(ref, ref, options or {}).said
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def recognises(path: object) -> bool:
    return False


class _Served:
    """A model of a server. Every copy has a connection of its own."""

    one_by_one = False
    _connection: http.client.HTTPConnection | None = None

    def __init__(self, url: str, ref: str, options: Mapping[str, str]) -> None:
        self._ref, self._parts = ref, _address(url)
        self._timeout = signature.number("timeout", options["timeout"], Range(0.01, 86_400)) if "timeout" in options else TIMEOUT
        self._token = _token(options.get("token"))
        self._path = self._parts.path.rstrip("/") or wire.MODEL
        self._remedy = START
        self.said = self._ask("GET", self._path, lambda body, _: _description(body))
        self.inputs = {x["name"]: _port(x) for x in self.said["inputs"]}
        self.outputs: Sequence[str] = [x["name"] for x in self.said["outputs"]]
        self.metadata: Mapping[str, str] = self.said["properties"]
        self._remedy = REMEDY

    def __call__(self, arrays: Mapping[str, Tensor], wanted: Sequence[str]) -> dict[str, Tensor]:
        as_numpy = {name: x.numpy() for name, x in arrays.items()}
        length, pieces = wire.pack("inputs", as_numpy, parameters={"binary_data_output": True})

        def read(body: bytearray, json_length: str | None) -> dict[str, Tensor]:
            found = wire.unpack("outputs", body, None if json_length is None else int(json_length))
            if missing := [name for name in wanted if name not in found]:
                raise ValueError(f"no {', '.join(missing)} among {', '.join(found) or 'nothing'}")
            return {name: torch.from_numpy(np.array(x, x.dtype.newbyteorder("="))) for name, x in found.items()}

        return self._ask("POST", f"{self._path}/infer", read, pieces, {wire.LENGTH: str(length)})

    def __copy__(self) -> _Served:
        other = object.__new__(type(self))
        other.__dict__.update(vars(self), _connection=None)
        return other

    def _ask(self, method: str, path: str, read: Any, pieces: Sequence[Any] = (), headers: Mapping[str, str] | None = None) -> Any:
        """What `read` makes of the answer. Raises TeacherFault if there is none of use after a few tries."""
        why = ""
        for pause in PAUSES:
            time.sleep(pause)
            try:
                status, body, length = self._exchange(method, path, pieces, headers or {})
                if status == 200:
                    return read(body, length)
                why = f"it answers {status}{_reason(body)}"
                if status < 500:
                    break
            except ssl.SSLCertVerificationError as error:  # the same at every try
                why = f"its certificate is refused, {error.verify_message}; if you trust it, name its file in SSL_CERT_FILE"
                self._close()
                break
            except (OSError, http.client.HTTPException, ValueError) as error:  # gone, too slow, or garbage
                why = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else f"it answers {error}"
            self._close()
        hint = f"; its token is wrong or missing, set {wire.TOKEN}" if why.startswith(("it answers 401", "it answers 403")) else ""
        raise TeacherFault(f"{why}{hint}", self._remedy, ref=self._ref)

    def _exchange(
        self, method: str, path: str, pieces: Sequence[Any], headers: Mapping[str, str]
    ) -> tuple[int, bytearray, str | None]:
        """One request: status, body, and the length of its JSON."""
        deadline = time.monotonic() + self._timeout
        reusable = self._connection is not None and self._connection.sock is not None
        connection = self._connection if self._connection and reusable else self._connect()
        connection.sock.settimeout(self._timeout)
        length = {"Content-Length": str(sum(map(len, pieces)))} if pieces else {}
        kind = {"Content-Type": "application/octet-stream"} if pieces else {}
        token = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        connection.request(method, path, iter(pieces) if pieces else None, {**length, **kind, **token, **headers})
        answer = connection.getresponse()
        body = bytearray()
        while piece := answer.read1(2**20):
            body += piece
            if len(body) > wire.MOST_BYTES:
                raise ValueError(f"more than {wire.MOST_BYTES:,} bytes")
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError(f"not all of it came within {self._timeout:g} seconds")
            if connection.sock:
                connection.sock.settimeout(left)
        if answer.length:
            raise http.client.IncompleteRead(bytes(body), answer.length)
        answer.close()  # or the connection would not take another request
        return answer.status, body, answer.headers.get(wire.LENGTH)

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        self._connection = connection = kind(self._parts.hostname or "", self._parts.port, timeout=self._timeout)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def _address(url: str) -> Any:
    """The parts of an address. Raises ValueError if it is none, or says what must not be saved with a run."""
    try:
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_fits = urlsplit(""), False
    if not parts.hostname or not port_fits or parts.query or parts.fragment:
        raise ValueError(f"{url} is no address of a teacher; write http://HOST:PORT, or http://HOST:PORT/v2/models/NAME")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"an address has no user and no password, since it is saved with the run; put a token into {wire.TOKEN}")
    if parts.path.strip("/") and "/v2/models/" not in parts.path:
        raise ValueError(f"{url} names no model of the Open Inference Protocol; its path must end with /v2/models/NAME")
    return parts


def _token(variable: str | None) -> str:
    """Raises ValueError for a variable that is not set, or is somebody else's: a file of a stranger may have named it."""
    if variable is not None and not variable.startswith(wire.TOKEN):
        raise ValueError(f"token names {variable!r}; only variables that begin with {wire.TOKEN} are sent to servers")
    if variable is not None and variable not in os.environ:
        raise ValueError(f"token names {variable}, which is not set; set it to the server's token")
    return os.environ.get(variable or wire.TOKEN, "")


def _description(body: bytearray) -> dict[str, Any]:
    """What a server says of its model. Raises ValueError if it is not what the protocol says."""
    try:
        said = json.loads(body)
        ports = {
            part: [
                {"name": str(x["name"]), "datatype": str(x["datatype"]), "shape": [int(n) for n in x["shape"]]} for x in said[part]
            ]
            for part in ("inputs", "outputs")
        }
        properties = said.get("properties", {})
        return {**ports, "properties": {str(name): str(text) for name, text in properties.items()}}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"no description of a model of the Open Inference Protocol: {error}") from error


def _port(said: Mapping[str, Any]) -> Port:
    if said["datatype"] not in wire.DATATYPES:
        raise ValueError(f"its input {said['name']!r} is {said['datatype']}; known: {', '.join(wire.DATATYPES)}")
    dtype = torch.from_numpy(np.empty(0, wire.DATATYPES[said["datatype"]].newbyteorder("="))).dtype
    return Port(tuple(None if n < 0 else n for n in said["shape"]), dtype)


def _reason(body: bytearray) -> str:
    """What an answer says of its error, cut short."""
    try:
        return f", {' '.join(str(json.loads(body)['error']).split())[:200]}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
