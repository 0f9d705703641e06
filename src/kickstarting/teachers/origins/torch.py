"""`torch:FILE`: policies as programs of torch, exported (.pt2) or TorchScript. Both can run code, so they need --trust-code.

`teachers/signature.py` has the names. An exported program's inputs are the parameters of its `forward`, its outputs the keys of the
dict that it returns; those of a tuple are called 0, 1, ... TorchScript does not say its shapes, so the option `shape` does. A
TorchScript policy may keep its state in the buffers hidden_state and cell_state [layers, B, H]. With these, or with a method
`reset`, it is one of rsl_rl or Isaac Lab, whose only output is actions.
"""

from __future__ import annotations

import copy
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kickstarting.runs.files import file_digest
from kickstarting.teachers import signature
from kickstarting.teachers.program import Port, Program, ProgramTeacher, named, takes_rows, zeros
from kickstarting.trust import CODE, check_format

OPTIONS: Mapping[str, str] = {
    **signature.OPTIONS,
    "outputs": "names of what it returns, in their order, where that is a tuple: logits,value,next_h",
    "shape": "of one step of TorchScript's only input, as 48 or 7x7x3; of several INPUT:SHAPE,INPUT:SHAPE",
}
BY_PATH = True
REMEDY = "give a file of torch.export.save or torch.jit.save"
_BUFFERS = ("hidden_state", "cell_state")


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> ProgramTeacher:
    options = options or {}
    with named(ref):
        what = _what(Path(name))
        check_format(CODE, f"{name} is a {what} program", "to load one can run any code that its maker put there")
        try:
            program: Program = _Exported(name, options) if what == "torch.export" else _Scripted(name, options)
        except ValueError:
            raise
        except Exception as error:  # torch's own, of damaged files and of those of other versions
            raise ValueError(f"{name} cannot be loaded: {' '.join(str(error).split())[:300]}; {REMEDY}") from error
        return ProgramTeacher(program, ref, device, options)


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    return file_digest(Path(name))


def recognises(path: Path) -> bool:
    try:
        return path.is_file() and bool(_what(path))
    except (ValueError, OSError):
        return False


def _what(path: Path) -> str:
    """torch.export or TorchScript. Raises ValueError if a file is neither."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}; {REMEDY}")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inside = ["/".join(name.split("/")[1:]) for name in archive.namelist()]
        if any(name.startswith("models/") and name.endswith(".json") for name in inside):
            return "torch.export"
        if "constants.pkl" in inside:
            return "TorchScript"
        if "data.pkl" in inside:
            raise ValueError(f"{path} holds weights and no program; {REMEDY}")
    raise ValueError(f"{path} is no program of torch; {REMEDY}")


class _Exported:
    """A program of torch.export, which says its shapes."""

    def __init__(self, path: str, options: Mapping[str, str]) -> None:
        files: dict[str, Any] = {signature.METADATA: ""}
        exported = torch.export.load(path, extra_files=files)
        self.metadata = {name: text for name, text in files.items() if text}
        self._module: Any = exported.module()
        spec: Any = exported.call_spec
        self._in, out = spec.in_spec, spec.out_spec
        names = [str(name) for name in exported.graph_signature.user_inputs]
        paths = [path for path, _ in pytree.tree_flatten_with_path(pytree.tree_unflatten(names, self._in))[0]]
        # behind (args or kwargs) and the parameter stands the key of a dict of observations
        self._names = [f"obs.{_key(path[-1])}" if len(path) > 2 else name for path, name in zip(paths, names, strict=True)]
        values = {node.name: node.meta["val"] for node in exported.graph.nodes if node.op == "placeholder"}
        self.inputs = {name: _port(values[given]) for name, given in zip(self._names, names, strict=True)}
        self._renamed = options.get("outputs", "").split(",") if "outputs" in options else []
        self.outputs = list(_named(pytree.tree_unflatten(range(out.num_leaves), out), self._renamed))
        self.one_by_one = 1 in {port.shape[0] for port in self.inputs.values() if port.shape}

    def __call__(self, arrays: Mapping[str, Tensor], wanted: Sequence[str]) -> dict[str, Tensor]:
        arguments, keywords = pytree.tree_unflatten([arrays[name] for name in self._names], self._in)
        return _named(self._module(*arguments, **keywords), self._renamed)


class _Scripted:
    """A program of TorchScript. What it does not say of its shapes stands in the options."""

    one_by_one = False

    def __init__(self, path: str, options: Mapping[str, str]) -> None:
        files: dict[str, Any] = {signature.METADATA: ""}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's successor of TorchScript does not read its files
            self._module: Any = torch.jit.load(path, "cpu", files)
        self._module.eval()
        self.metadata = {name: bytes(text).decode() for name, text in files.items() if text}
        buffers = {name: x for name, x in self._module.named_buffers() if name in _BUFFERS and x.dim() == 3}
        arguments = self._module._c._get_method("forward").schema.arguments[1:]
        self._names = [argument.name for argument in arguments]
        if wrong := next((a for a in arguments if str(a.type) != "Tensor"), None):
            raise ValueError(f"its input {wrong.name!r} is a {wrong.type}; script a module whose forward takes tensors")
        shapes = signature.by_name("shape", options.get("shape"), [n for n in self._names if n not in _PLAIN])
        self.inputs = {name: _said_port(name, shapes) for name in self._names}
        self.inputs |= {name: Port((len(x), None, x.shape[-1]), x.dtype) for name, x in buffers.items()}
        self._buffers = list(buffers)
        outputs = options.get("outputs", "actions" if buffers or hasattr(self._module, "reset") else "")
        self._renamed = outputs.split(",") if outputs else []
        self.outputs = list(self(zeros(self, 1), ()))
        self.one_by_one = not takes_rows(self, self)

    def __call__(self, arrays: Mapping[str, Tensor], wanted: Sequence[str]) -> dict[str, Tensor]:
        for name in self._buffers:
            setattr(self._module, name, arrays[name])
        found = _named(self._module(*(arrays[name] for name in self._names)), self._renamed)
        return found | {f"next_{name}": getattr(self._module, name) for name in self._buffers}

    def __copy__(self) -> _Scripted:
        other = object.__new__(type(self))
        other.__dict__.update(vars(self))
        other._module = copy.deepcopy(self._module) if self._buffers else self._module
        return other


_PLAIN = {"is_first": torch.bool, "last_action": torch.int64, "last_actions": torch.int64, "last_reward": torch.float32}
"""Inputs whose shape is known: one number for each step."""


def _said_port(name: str, shapes: Mapping[str, str]) -> Port:
    if name in _PLAIN:
        return Port((None,), _PLAIN[name])
    if name not in shapes:
        raise ValueError(f"TorchScript does not say the shape of its input {name!r}; give ?shape=48, or 7x7x3, of one step")
    try:
        sizes = tuple(int(n) for n in shapes[name].split("x"))
    except ValueError:
        raise ValueError(f"shape is {shapes[name]!r}; it must be sizes with x between, as 48 or 7x7x3") from None
    batched = (sizes[0], None, *sizes[1:]) if name in ("h_in", "c_in") and len(sizes) == 2 else (None, *sizes)
    return Port(batched, torch.float32)


def _port(value: Tensor) -> Port:
    return Port(tuple(n if isinstance(n, int) else None for n in value.shape), value.dtype)


def _named(returned: Any, names: Sequence[str]) -> dict[str, Any]:
    """What a forward returned by name: the keys of a dict, or numbers; names: others for these."""
    found = {".".join(map(_key, path)) or "0": x for path, x in pytree.tree_flatten_with_path(returned)[0]}
    if not names:
        return found
    if len(names) != len(found):
        raise ValueError(f"outputs names {len(names)}, {', '.join(names)}, but it returns {len(found)}")
    return dict(zip(names, found.values(), strict=True))


def _key(step: Any) -> str:
    return str(step.key if isinstance(step, pytree.MappingKey) else step.idx)
