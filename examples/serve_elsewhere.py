"""Serve a teacher from another framework: the Open Inference Protocol in a few lines of the standard library and NumPy.

    python examples/serve_elsewhere.py &
    kickstart train CartPole-v1 --teacher http://127.0.0.1:8000

Put your own model in the place of `policy`: JAX, TensorFlow, a C library, whatever runs in a process of its own.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

INPUTS = [{"name": "observation", "datatype": "FP32", "shape": [-1, 4]}]
OUTPUTS = [{"name": "logits", "datatype": "FP32", "shape": [-1, 2]}]
DTYPES = {"FP32": "<f4", "UINT8": "<u1", "INT64": "<i8", "BOOL": "?"}


def policy(observation: np.ndarray) -> np.ndarray:
    """Logits [N, 2] for CartPole: push to where the pole falls, the harder the faster it does."""
    lean = observation[:, 2] + 0.5 * observation[:, 3]
    return np.stack([-10 * lean, 10 * lean], 1)


class Teacher(BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

    def do_GET(self) -> None:
        self.answer(json.dumps({"name": "teacher", "inputs": INPUTS, "outputs": OUTPUTS}).encode())

    def do_POST(self) -> None:
        body, begin = self.rfile.read(int(self.headers["Content-Length"])), int(self.headers["Inference-Header-Content-Length"])
        inputs = {}
        for said in json.loads(body[:begin])["inputs"]:
            end = begin + said["parameters"]["binary_data_size"]
            inputs[said["name"]] = np.frombuffer(body[begin:end], DTYPES[said["datatype"]]).reshape(said["shape"])
            begin = end
        logits = policy(inputs["observation"]).astype("<f4")
        output = {**OUTPUTS[0], "shape": logits.shape, "parameters": {"binary_data_size": logits.nbytes}}
        header = json.dumps({"model_name": "teacher", "outputs": [output]}).encode()
        self.answer(header + logits.tobytes(), {"Inference-Header-Content-Length": str(len(header))})

    def answer(self, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 8000), Teacher).serve_forever()
