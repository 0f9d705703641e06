"""Teachers behind HTTP: they say what the local one says, and whatever a server does, the run knows what to do."""

from __future__ import annotations

import copy
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from programs import Policy, save_onnx, unroll

from kickstarting.runs.checkpoint import latest_checkpoint
from kickstarting.runs.layout import RunDirectory
from kickstarting.runs.metrics import read_metrics
from kickstarting.runs.run import resume, run
from kickstarting.serve import Served, TeacherServer
from kickstarting.teachers import wire
from kickstarting.teachers.origins import digest, http, load_teacher
from kickstarting.teachers.protocol import Kind, Label, Teacher, TeacherFault
from kickstarting.types import Inputs
from serving import serving


@contextmanager
def speaking(answer: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """A server that does with each connection, and the request that it read there, what it is told."""
    listening = socket.create_server(("127.0.0.1", 0))

    def work() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                answer(connection, connection.recv(2**16))

    threading.Thread(target=work, daemon=True).start()
    with closing(listening):
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(scope="module")
def teacher(make_policy) -> Teacher:
    return load_teacher(make_policy())


@pytest.fixture(scope="module")
def server(teacher) -> Iterator[TeacherServer]:
    with serving(teacher) as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(http, "PAUSES", (0.0, 0.01, 0.02))
    monkeypatch.setattr(sys.modules["kickstarting.teachers.check"], "EPISODES", 2)
    monkeypatch.delenv(wire.TOKEN, raising=False)


def some(teacher: Teacher, T: int = 5, B: int = 3, seed: int = 0) -> Inputs:
    """Observations of its spaces, with ends of episodes inside."""
    numbers = np.random.default_rng(seed)
    observations = {}
    for name, space in teacher.observation_space.items():
        high = 4 if space.dtype == np.uint8 else 30
        shape = (T, B, *(space.shape or ()))
        drawn = space.n if isinstance(space, spaces.Discrete) else high
        observations[name] = torch.from_numpy(numbers.integers(0, drawn, shape).astype(space.dtype))
    is_first = torch.from_numpy(numbers.random((T, B)) < 0.3)
    actions = torch.from_numpy(numbers.integers(0, 3, (T, B))).masked_fill(is_first, -1)
    return Inputs(observations, actions, torch.rand(T, B), is_first)


def test_it_says_exactly_what_the_local_one_says(teacher, server) -> None:
    """Also in a second unroll behind the first, for other columns, and as a copy at the same time."""
    remote = load_teacher(server.url)
    assert remote.observation_space == teacher.observation_space
    assert remote.action_space == teacher.action_space
    local_state, state = teacher.initial_state(3), remote.initial_state(3)
    for seed in (0, 1):
        inputs = some(teacher, seed=seed)
        expected, local_state = teacher.label(inputs, local_state)
        label, state = remote.label(inputs, state)
        assert label.kind == expected.kind
        assert torch.equal(label.policy, expected.policy)
        assert label.values is not None
        assert expected.values is not None
        assert torch.equal(label.values, expected.values)
        assert all(torch.equal(x, y) for x, y in zip(state, local_state, strict=True))
    copied = copy.deepcopy(remote)
    assert torch.equal(copied.label(inputs, local_state)[0].policy, remote.label(inputs, local_state)[0].policy)
    assert (
        load_teacher(server.url.replace(wire.MODEL, ""))
        .label(inputs, local_state)[0]
        .policy.equal(remote.label(inputs, local_state)[0].policy)
    )


def test_one_connection_serves_all_requests(teacher, monkeypatch) -> None:
    connections, real = [], TeacherServer.process_request
    monkeypatch.setattr(TeacherServer, "process_request", lambda self, *given: connections.append(given) or real(self, *given))
    with serving(teacher) as server:
        remote = load_teacher(server.url)
        for seed in range(3):
            remote.label(some(teacher, seed=seed), remote.initial_state(3))
    assert len(connections) == 1


class Spoken:
    """A teacher of a given label."""

    ref, device = "spoken", "cpu"
    observation_space = spaces.Dict(observation=spaces.Box(-1, 1, (4,)))

    def __init__(self, label: Callable[[int, int], Label], action_space: spaces.Space) -> None:
        self._label, self.action_space = label, action_space

    def initial_state(self, batch: int) -> tuple[()]:
        return ()

    def label(self, inputs: Inputs, state: tuple) -> tuple[Label, tuple]:
        return self._label(*inputs.is_first.shape), state


KNOWN = torch.tensor([[True, False], [True, True], [False, True]])
LABELS = {
    "probabilities": (lambda T, B: Label(torch.full((T, B, 4), 0.25), Kind.PROBABILITIES), spaces.Discrete(4)),
    "actions": (lambda T, B: Label(torch.full((T, B), 3), Kind.ACTIONS, known=KNOWN[:T, :B]), spaces.Discrete(4)),
    "choices": (lambda T, B: Label(torch.arange(5.0).expand(T, B, 5), values=torch.ones(T, B)), spaces.MultiDiscrete([2, 3])),
    "means": (lambda T, B: Label(torch.cat([torch.ones(T, B, 2), -torch.ones(T, B, 2)], -1)), spaces.Box(-1, 1, (2,))),
    "targets": (lambda T, B: Label(torch.full((T, B, 2), 0.3), Kind.ACTIONS), spaces.Box(-1, 1, (2,))),
}


@pytest.mark.parametrize("case", LABELS)
def test_every_kind_of_label_travels(case) -> None:
    say, space = LABELS[case]
    torch.manual_seed(0)
    with serving(Spoken(say, space)) as server:
        remote = load_teacher(server.url)
        torch.manual_seed(1)
        last_actions = torch.zeros(
            3, 2, *(space.shape or ()), dtype=torch.float32 if isinstance(space, spaces.Box) else torch.int64
        )
        label, _ = remote.label(replace(unroll(3, 2), last_actions=last_actions), ())
    torch.manual_seed(1)
    expected = say(3, 2)
    assert label.kind == expected.kind
    keep = torch.ones(3, 2, dtype=torch.bool) if expected.known is None else expected.known
    assert torch.equal(label.policy[keep], expected.policy[keep])
    assert (label.known is None) == (expected.known is None)
    assert label.known is None or torch.equal(label.known, KNOWN)
    assert (label.values is None) == (expected.values is None)


def test_a_served_program_needs_no_metadata_of_its_own(tmp_path) -> None:
    local = load_teacher(str(save_onnx(tmp_path / "policy.onnx", Policy())))
    with serving(local) as server:
        remote = load_teacher(server.url)
        assert remote.observation_space == local.observation_space
        inputs = unroll()
        assert torch.equal(
            remote.label(inputs, remote.initial_state(3))[0].policy, local.label(inputs, local.initial_state(3))[0].policy
        )


def test_a_token_is_asked_for_and_never_saved(teacher, monkeypatch) -> None:
    with serving(teacher, token="open sesame") as server:
        for token in ("", "wrong"):
            monkeypatch.setenv(wire.TOKEN, token)
            with pytest.raises(TeacherFault, match=f"answers 401, the token is wrong or missing; .* set {wire.TOKEN}"):
                load_teacher(server.url)
        monkeypatch.setenv(wire.TOKEN, "open sesame")
        load_teacher(server.url)
        monkeypatch.setenv(wire.TOKEN, "another")
        monkeypatch.setenv(f"{wire.TOKEN}_LAB", "open sesame")
        load_teacher(f"{server.url}?token={wire.TOKEN}_LAB")
    with pytest.raises(ValueError, match=r"token names 'HOME'; only variables that begin with KICKSTART_TOKEN"):
        load_teacher("http://127.0.0.1:1?token=HOME")
    with pytest.raises(ValueError, match="which is not set"):
        load_teacher(f"http://127.0.0.1:1?token={wire.TOKEN}_NONE")


CERTIFICATE = Path(__file__).parent / "localhost.pem"
"""Of 127.0.0.1 alone, with its key, signed by itself, until 2126:

    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=a test of kickstarting" \
        -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem && cat key.pem certificate.pem > localhost.pem
"""


def test_through_tls_only_a_certificate_that_is_trusted_is_believed(teacher, monkeypatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with serving(teacher, tls=context) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(TeacherFault, match=r"its certificate is refused, self.signed certificate; .*SSL_CERT_FILE"):
            load_teacher(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        remote, inputs = load_teacher(url), some(teacher)
        state = teacher.initial_state(3)
        assert remote.label(inputs, state)[0].policy.equal(teacher.label(inputs, state)[0].policy)
        assert digest(url) == digest(url)
        with pytest.raises(TeacherFault, match=r"its certificate is refused, .*localhost"):
            load_teacher(url.replace("127.0.0.1", "localhost"))
        with pytest.raises(TeacherFault, match=r"SSLError|RemoteDisconnected|BadStatusLine|ConnectionResetError"):
            load_teacher(server.url)  # not by http


@pytest.mark.parametrize(
    "address", ["http:nowhere", "http://", "http://h:0", "http://h:x", "http://h/v2", "http://h#a", "http://u:p@h"]
)
def test_addresses_are_checked(address) -> None:
    with pytest.raises(ValueError, match=r"is no address|names no model|no user and no password"):
        load_teacher(address)


def described(**changes: object) -> bytes:
    inputs = [{"name": "observation", "datatype": "FP32", "shape": [-1, 4]}]
    return json.dumps(
        {"name": "m", "inputs": inputs, "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 3]}], **changes}
    ).encode()


def whole(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    said = {"Content-Length": str(len(body)), **{name.replace("_", "-"): text for name, text in headers.items()}}
    return f"HTTP/1.1 {status}\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in said.items()).encode() + b"\r\n" + body


def logits(value: float = 1.0, rows: int | None = None, **changes: object) -> Callable[[bytes], bytes]:
    """An answer to a request of that many rows; rows: to another number."""

    def answer(request: bytes) -> bytes:
        head, _, rest = request.partition(b"\r\n\r\n")
        json_length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(wire.LENGTH.lower().encode())
        )
        n = rows or json.loads(rest[:json_length])["inputs"][0]["shape"][0]
        length, pieces = wire.pack("outputs", {"logits": np.full((n, 3), value, np.float32)})
        body = b"".join(pieces)
        return whole(body, Connection="close", **{wire.LENGTH.replace("-", "_"): str(length)})

    return answer


GARBAGE: dict[str, tuple[bytes | Callable[[bytes], bytes], str]] = {
    "nothing": (b"", "RemoteDisconnected|ConnectionResetError"),
    "no HTTP": (b"\0\1\2hello\r\n\r\n", "BadStatusLine"),
    "an error": (whole(b'{"error": "out of\\n memory"}', "500 Sorry"), "answers 500, out of memory"),
    "half of it": (whole(b"x" * 100)[:-50], "IncompleteRead|ConnectionResetError"),
    "no JSON": (whole(b"hello"), "no message of the Open Inference Protocol"),
    "other names": (whole(b'{"outputs": []}'), "no logits among nothing"),
    "another size": (logits(rows=7), "its logits has shape"),
    "no numbers": (logits(float("nan")), "its logits is not finite"),
    "a page": (whole(b"<html>", "302 Found", Location="http://elsewhere"), "answers 302"),
}


@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_is_a_fault_after_a_few_tries(case) -> None:
    said, message = GARBAGE[case]
    state = {"first": True, "asked": 0}

    def answer(connection: socket.socket, request: bytes) -> None:
        if request.startswith(b"GET"):
            connection.sendall(whole(described(), Connection="close"))
            return
        while b"FP32" not in request or len(request.partition(b"\r\n\r\n")[2]) < 100:
            request += connection.recv(2**16)
        state["asked"] += not state["first"]
        reply = logits() if state["first"] else said  # the question at loading is answered well
        state["first"] = False
        connection.sendall(reply if isinstance(reply, bytes) else reply(request))

    with speaking(answer) as url:
        teacher = load_teacher(url)
        assert teacher.action_space == spaces.Discrete(3)
        with pytest.raises(TeacherFault, match=rf"teacher http://127\.0\.0\.1:\d+: .*({message})") as error:
            teacher.label(unroll(), ())
    assert "\n" not in str(error.value)
    assert state["asked"] == (1 if case in ("another size", "no numbers", "a page") else 3)


def test_a_server_that_is_slow_is_given_up_in_time() -> None:
    def drip(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(100):
            time.sleep(0.02)
            try:
                connection.sendall(b"x")
            except OSError:
                return

    for answer in (drip, lambda connection, request: time.sleep(0.3)):
        with speaking(answer) as url:
            began = time.monotonic()
            with pytest.raises(TeacherFault, match="TimeoutError"):
                load_teacher(f"{url}?timeout=0.1")
            assert time.monotonic() - began < 2.0


def test_what_describes_nothing_is_named() -> None:
    for said in (
        b"{}",
        b"[]",
        described(inputs=[{"name": "x"}]),
        described(inputs=[{"name": "x", "datatype": "BYTES", "shape": [1]}]),
    ):
        with (
            speaking(lambda connection, _, said=said: connection.sendall(whole(said, Connection="close"))) as url,
            pytest.raises((ValueError, TeacherFault), match=r"no description of a model|is BYTES"),
        ):
            load_teacher(url)


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return taken.getsockname()[1]


def test_a_server_that_dies_costs_the_run_nothing(tiny, suite, teacher, make_policy, tmp_path: Path) -> None:
    """It saves, says how to go on, and then ends with the weights of a run with the local teacher."""
    port, out = free_port(), tmp_path / "run"
    ref, labelled = f"http://127.0.0.1:{port}", [0]

    class Mortal(Spoken):
        observation_space = teacher.observation_space

        def __init__(self) -> None:
            self.action_space = teacher.action_space

        def initial_state(self, batch: int):
            return teacher.initial_state(batch)

        def label(self, inputs: Inputs, state: tuple):
            labelled[0] += inputs.is_first.shape == (5, 4)  # an unroll of the run, not one of the check before it
            if 3 <= labelled[0] < 100:  # a request is tried three times
                raise RuntimeError("it hurts")
            return teacher.label(inputs, state)

    config = tiny(teachers=(ref,), schedule="constant:1", unroll_length=5, total_frames=100)
    with serving(Mortal(), port), pytest.raises(TeacherFault, match=r"answers 500, RuntimeError: it hurts; see that it runs and"):
        run(config, out)
    saved = latest_checkpoint(out)
    assert json.loads((saved / "state.json").read_text())["record"]["frames"] == 40
    assert "TeacherFault" in (out / "log.txt").read_text()
    with pytest.raises(TeacherFault, match="Connection refused"):
        resume(out)
    labelled[0] = 100
    with serving(Mortal(), port):
        resume(out)
    run(config.changed(teachers=(make_policy(),), checkpoint_at=("40",)), tmp_path / "local")
    files = [latest_checkpoint(path) / "network.safetensors" for path in (out, tmp_path / "local")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert "open sesame" not in (out / "config.json").read_text()


def test_a_run_goes_on_without_an_optional_one_and_takes_it_back(tiny, teacher, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("kickstarting.teachers.optional.LEAST", 0.0)
    monkeypatch.setattr("kickstarting.teachers.optional.RARELY", 0.0)
    server = TeacherServer(Served(teacher))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    updates, real = [0], Served.infer

    def infer(self, arrays):
        updates[0] += arrays["is_first"].shape == (5, 4)
        if 5 <= updates[0] < 11:  # each failure is asked three times
            raise RuntimeError("it hurts")
        return real(self, arrays)

    monkeypatch.setattr(Served, "infer", infer)
    with server:
        run(
            tiny(teachers=(server.url,), teacher_optional=True, schedule="constant:1", unroll_length=5, total_frames=160),
            tmp_path / "run",
        )
        server.shutdown()
    lines = read_metrics(RunDirectory(tmp_path / "run").metrics)
    known = [line.get(f"teacher_known/{server.url}") for line in lines]
    assert known == [None] * 4 + [0.0, 0.0] + [None] * 2
    assert [line["distillation_loss"] == 0 for line in lines] == [share == 0 for share in known]
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("going on without it") == 1
    assert said.count("is back") == 1
    assert (tmp_path / "run" / "finished.json").exists()


def test_it_is_pinned_by_what_the_server_says_of_it(teacher) -> None:
    port = free_port()
    digests = []
    for sha256 in ("a", "a", "b"):
        with serving(teacher, port, sha256=sha256):
            digests.append(digest(f"http://127.0.0.1:{port}"))
    assert digests[0] == digests[1] != digests[2]
