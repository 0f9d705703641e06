"""`onnx:FILE`: policies that any framework exported to ONNX, run by onnxruntime (`teachers/signature.py` has the names)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kickstarting.runs.files import read_bytes
from kickstarting.teachers import signature
from kickstarting.teachers.program import Port, ProgramTeacher, named, takes_rows

if TYPE_CHECKING:
    import onnx

OPTIONS: Mapping[str, str] = signature.OPTIONS
BY_PATH = True
REMEDY = "give the path of an .onnx file"
_TYPES = {
    "tensor(float)": torch.float32,
    "tensor(double)": torch.float64,
    "tensor(float16)": torch.float16,
    "tensor(int64)": torch.int64,
    "tensor(int32)": torch.int32,
    "tensor(int16)": torch.int16,
    "tensor(int8)": torch.int8,
    "tensor(uint8)": torch.uint8,
    "tensor(bool)": torch.bool,
}


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> ProgramTeacher:
    options = options or {}
    with named(ref):
        model = read(Path(name), options.get("output"))
        return ProgramTeacher(_program(model, options), ref, device, options)


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    """Of the file, of what it keeps outside, and of the options."""
    path = Path(name)
    sha256 = hashlib.sha256(read_bytes(path, remedy=REMEDY))
    for file in sorted(set(_outside(_parsed(path), path))):
        sha256.update(read_bytes(file, remedy="put it back beside the model"))
    sha256.update(repr(sorted((options or {}).items())).encode() if options else b"")
    return sha256.hexdigest()


def recognises(path: Path) -> bool:
    return path.suffix == ".onnx" and path.is_file()


def read(path: Path, output: str | None = None) -> onnx.ModelProto:
    """The model in a file, with the weights that it keeps in its folder; output: an inner tensor that becomes one, too.

    Raises ValueError if it is no model, or keeps weights outside of its folder.
    """
    import onnx.external_data_helper

    model = _parsed(path)
    for file in _outside(model, path):
        if not file.is_file():
            raise ValueError(f"{path} keeps weights in {file.name}, which is not there; put it back beside the model")
    onnx.external_data_helper.load_external_data_for_model(model, str(path.parent.resolve()))
    if output and output not in {value.name for value in model.graph.output}:
        made = [name for node in model.graph.node for name in node.output if name]
        if output not in made:
            raise ValueError(f"{path} computes no {output!r}; its last tensors are {', '.join(made[-8:])}")
        model.graph.output.append(onnx.ValueInfoProto(name=output))
    return model


def _parsed(path: Path) -> onnx.ModelProto:
    try:
        import onnx
    except ImportError as error:
        raise ValueError(f"{error}; an ONNX teacher needs pip install 'kickstarting[onnx]'") from error
    data = read_bytes(path, remedy=REMEDY)
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's own
        raise ValueError(f"{path} is no ONNX model: {' '.join(str(error).split())}; {REMEDY}") from error
    if not model.graph.output:
        raise ValueError(f"{path} is no ONNX model: its graph has no outputs; {REMEDY}")
    return model


def _outside(model: onnx.ModelProto, path: Path) -> Iterator[Path]:
    """The files beside the model that hold its weights. Raises ValueError for one that is not in its folder."""
    folder = path.parent.resolve()
    for tensor in _tensors(model):
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), None)
        if location is not None:
            file = (folder / location).resolve()
            if not file.is_relative_to(folder):
                raise ValueError(
                    f"{path} names the file {location!r}, outside of its folder; it must keep its weights beside itself"
                )
            yield file


def _tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """All tensors anywhere in a message: weights, constants of nodes, those of inner graphs and functions."""
    for description, value in message.ListFields():
        if description.type == description.TYPE_MESSAGE:
            for part in value if isinstance(value, Sequence) or hasattr(value, "add") else [value]:
                if part.DESCRIPTOR.name == "TensorProto":
                    yield part
                else:
                    yield from _tensors(part)


class _Program:
    """A session of onnxruntime, which may be asked by several threads."""

    def __init__(self, model: onnx.ModelProto, one_by_one: bool) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other threads need the cores
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.inputs = {port.name: _port(port) for port in self._session.get_inputs()}
        self.outputs = [port.name for port in self._session.get_outputs()]
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.one_by_one = one_by_one

    def __call__(self, arrays: Mapping[str, Tensor], wanted: Sequence[str]) -> dict[str, Tensor]:
        found = self._session.run(list(wanted), {name: np.ascontiguousarray(x.numpy()) for name, x in arrays.items()})
        return {name: torch.from_numpy(np.asarray(x)) for name, x in zip(wanted, found, strict=True)}


def _port(port: Any) -> Port:
    if port.type not in _TYPES:
        raise ValueError(f"its input {port.name!r} is a {port.type}; known: {', '.join(_TYPES)}")
    return Port(tuple(n if isinstance(n, int) else None for n in port.shape), _TYPES[port.type])


def _program(model: onnx.ModelProto, options: Mapping[str, str]) -> _Program:
    """With a batch of any size, if that is so, or can be made so: exporters that fix it at 1 mostly mean any."""
    try:
        alone = _Program(model, one_by_one=True)
    except ValueError:
        raise
    except Exception as error:  # onnxruntime's own: an operator or a version that it does not know, a graph that does not fit
        raise ValueError(f"onnxruntime cannot run it: {' '.join(str(error).split())}") from error
    states = signature.read_signature(alone.inputs, alone.outputs, options).states
    batches = {name: port.shape[:1] for name, port in alone.inputs.items() if name not in states}
    if fixed := {name: alone.inputs[name].shape for name, batch in batches.items() if batch not in ((None,), (1,))}:
        sizes = ", ".join(f"{name} {list(shape)}" for name, shape in fixed.items())
        raise ValueError(f"its batch is fixed ({sizes}); export it with a dynamic one, or with 1")
    alone.one_by_one = (1,) in batches.values() or any(None not in alone.inputs[name].shape for name in states)
    return (None if states or not alone.one_by_one else _any_batch(model, alone)) or alone


def _any_batch(model: onnx.ModelProto, alone: _Program) -> _Program | None:
    """The same with the batch of inputs and outputs renamed, if two rows together then get what each gets alone."""
    changed = type(model)()
    changed.CopyFrom(model)
    del changed.graph.value_info[:]
    weights = {weight.name for weight in changed.graph.initializer}
    for value in (*(x for x in changed.graph.input if x.name not in weights), *changed.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    try:
        together = _Program(changed, one_by_one=False)
    except Exception:  # onnxruntime finds that the graph does not fit
        return None
    return together if takes_rows(together, alone) else None
