"""Programs as teachers: whatever maps named arrays to named arrays, by a signature that says which is what."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.spaces import Shaped
from kickstarting.teachers.answers import Reading, action_space_of
from kickstarting.teachers.protocol import Label, TeacherFault
from kickstarting.teachers.signature import bounds, counts, deviation, read_signature, said_spaces
from kickstarting.types import Inputs, State


class Port(NamedTuple):
    """An input of a program."""

    shape: tuple[int | None, ...]
    """None where it takes any size; its batch may also be fixed at 1."""
    dtype: torch.dtype


class Program(Protocol):
    """What an origin makes of a file or an address."""

    @property
    def inputs(self) -> Mapping[str, Port]: ...
    @property
    def outputs(self) -> Sequence[str]: ...
    @property
    def metadata(self) -> Mapping[str, str]: ...
    @property
    def one_by_one(self) -> bool:
        """Its batch is fixed at 1."""
        ...

    def __call__(self, arrays: Mapping[str, Tensor], wanted: Sequence[str]) -> Mapping[str, Tensor]:
        """The wanted outputs. Raises what it likes."""
        ...


def zeros(program: Program, rows: int) -> dict[str, Tensor]:
    """Something to ask a program, whatever it makes of it."""
    return {
        name: torch.zeros([rows if n is None else n for n in shape], dtype=dtype) for name, (shape, dtype) in program.inputs.items()
    }


def takes_rows(program: Program, alone: Program) -> bool:
    """Whether two rows together get from a program what each gets alone; `alone` is the same program, or what it was made of."""
    numbers, one = np.random.default_rng(0), zeros(program, 1)
    rows = [{name: torch.from_numpy(numbers.uniform(0, 2, x.shape)).to(x.dtype) for name, x in one.items()} for _ in range(2)]
    try:
        axes = {name: _batch_axis(name, program.inputs) for name in one}
        both = program({name: torch.cat([row[name] for row in rows], axis) for name, axis in axes.items()}, program.outputs)
        single = [alone(row, program.outputs) for row in rows]
        for name in program.outputs:
            parts = [part[name] for part in single]
            axis = next((i for i, (a, b) in enumerate(zip(both[name].shape, parts[0].shape, strict=True)) if a != b), 0)
            torch.testing.assert_close(both[name], torch.cat(parts, axis), rtol=1e-4, atol=1e-4)
    except Exception:  # a reshape that holds the 1, an output without a batch: whatever it is, one by one is right
        return False
    return True


@contextmanager
def named(ref: str) -> Iterator[None]:
    """A ValueError from within names the teacher."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error) if ref in str(error) else f"teacher {ref}: {error}") from error


class ProgramTeacher:
    """A program, with the options of a reference, as a teacher.

    Raises ValueError if it is not known what its inputs and outputs are, or a first question, of zeros, gets no sound answer.
    """

    def __init__(self, program: Program, ref: str, device: str, options: Mapping[str, str]) -> None:
        self.ref, self.device = ref, device
        self._program, self._signature = program, read_signature(program.inputs, program.outputs, options)
        self._axes = {name: _batch_axis(name, program.inputs) for name in self._signature.states}
        first = next(iter(self._signature.observations))
        is_first = next((name for name, what in self._signature.of_the_step.items() if what == "is_first"), None)
        self._whole = is_first is not None and len(program.inputs[is_first].shape) == 2
        self._leading = 2 if self._whole else 1
        if len(program.inputs[first].shape) < self._leading:
            raise ValueError(f"its input {first!r} has no batch: {list(program.inputs[first].shape)}")
        observed, acted = said_spaces(program.metadata)
        self.observation_space = observed or self._shapes()
        answers = self._first_answers()
        if acted is None or "actions" in options:
            acted = action_space_of(answers, 1, counts(options))
        self.action_space: gymnasium.Space = acted
        self._read = Reading(acted, deviation(options), bounds(options))
        self._read(answers, (1, 1))

    def initial_state(self, batch: int) -> State:
        return tuple(torch.zeros(batch, *shape, dtype=dtype, device=self.device) for shape, dtype in self._state_shapes())

    @torch.no_grad()
    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        try:
            return self._label(inputs, state)
        except TeacherFault:
            raise
        except Exception as error:  # whatever a program, or a library that runs it, raises
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            raise TeacherFault(f"{kind}{error}", "see `kickstart check`, or leave it out", ref=self.ref) from error

    def _label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        T, B = inputs.is_first.shape
        if self._whole:
            answers, state = self._ask(inputs, state)
        elif not state:
            answers, state = self._ask(inputs.map(lambda x: x.flatten(0, 1)), state)
        else:
            steps = []
            for t in range(T):
                fresh = inputs.is_first[t]
                state = tuple(x.masked_fill(fresh.to(x.device).reshape(-1, *[1] * (x.dim() - 1)), 0) for x in state)
                step, state = self._ask(inputs.map(lambda x, t=t: x[t]), state)
                steps.append(step)
            answers = {name: torch.cat([step[name] for step in steps]) for name in steps[0]}
        label = self._read(answers, (T, B))
        return label.to(inputs.is_first.device), state

    def _ask(self, inputs: Inputs, state: State) -> tuple[dict[str, Tensor], State]:
        """Answers by what they are, and the next state, of [B, ...] or, of a program that reads whole unrolls, [T, B, ...]."""
        signature = self._signature
        arrays = {name: inputs.observations[observation] for name, observation in signature.observations.items()}
        rows = inputs.is_first.numel() if not self._whole else inputs.is_first.shape[1]
        for name, what in signature.of_the_step.items():
            port = self._program.inputs[name]
            arrays[name] = getattr(inputs, what) if what != "action_masks" else torch.ones(rows, *(n or 1 for n in port.shape[1:]))
        arrays = {name: x.to("cpu", self._program.inputs[name].dtype) for name, x in arrays.items()}
        arrays |= dict(zip(signature.states, state, strict=True))
        parts = [self._run({name: x[i : i + 1] for name, x in arrays.items()}) for i in range(rows)] if self._splits(rows) else []
        found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else self._run(arrays)
        after = tuple(found[after].to(x) for after, x in zip(signature.states.values(), state, strict=True))
        for name, x, y in zip(signature.states.values(), state, after, strict=True):
            if x.shape != y.shape or not (y.isfinite().all() if y.is_floating_point() else True):
                raise ValueError(f"its {name} has shape {list(y.shape)} or is not finite; it must be {list(x.shape)}")
        return {what: found[name] for name, what in signature.answers.items() if name in found}, after

    def _splits(self, rows: int) -> bool:
        return self._program.one_by_one and rows > 1

    def _run(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The program itself, whose states have their batch where it wants it."""
        signature = self._signature
        turned = {name: x.movedim(0, self._axes[name]).contiguous() if name in self._axes else x for name, x in arrays.items()}
        found = dict(self._program(turned, [*signature.answers, *signature.states.values()]))
        for name, after in signature.states.items():
            found[after] = found[after].movedim(self._axes[name], 0)
        return found

    def _shapes(self) -> spaces.Dict:
        ports = {observation: self._program.inputs[name] for name, observation in self._signature.observations.items()}
        return spaces.Dict({name: Shaped.of(self._sizes(name, port.shape[self._leading :])) for name, port in ports.items()})

    def _sizes(self, name: str, shape: tuple[int | None, ...]) -> tuple[int, ...]:
        if None in shape:
            raise ValueError(f"its input {name!r} takes any size, {list(shape)}; export it with fixed ones but the batch")
        return tuple(n for n in shape if n is not None)

    def _state_shapes(self) -> list[tuple[tuple[int, ...], torch.dtype]]:
        found = []
        for name, axis in self._axes.items():
            shape, dtype = self._program.inputs[name]
            found.append((self._sizes(name, (*shape[:axis], *shape[axis + 1 :])), dtype))
        return found

    def _first_answers(self) -> dict[str, Tensor]:
        """To one step of zeros, the first of an episode."""
        shape = (1, 1) if self._whole else (1,)
        step = self._signature.of_the_step
        last = next((self._program.inputs[name] for name, what in step.items() if what == "last_actions"), None)
        last_actions = torch.zeros(*shape, *(last.shape[self._leading :] if last else ()))  # type: ignore[arg-type]
        blank: Any = {name: np.zeros(space.shape or (), space.dtype) for name, space in self.observation_space.items()}
        observations = {name: torch.from_numpy(x).expand(*shape, *x.shape) for name, x in blank.items()}
        inputs = Inputs(observations, last_actions, torch.zeros(shape), torch.ones(shape, dtype=torch.bool))
        try:
            return self._ask(inputs, self.initial_state(1))[0]
        except TeacherFault:
            raise
        except Exception as error:
            raise ValueError(f"it does not answer: {type(error).__name__}: {' '.join(str(error).split())}") from error

    def __deepcopy__(self, memo: dict[int, Any]) -> ProgramTeacher:
        """Another that may be asked at the same time; a program copies itself where that takes more than sharing it."""
        other = copy.copy(self)
        other._program = copy.copy(self._program)
        return other


def _batch_axis(name: str, inputs: Mapping[str, Port]) -> int:
    """Where an input has its batch: where any size fits, or else the first 1 is. Raises ValueError if that is nowhere."""
    shape = inputs[name].shape
    for wanted in (None, 1):
        if wanted in shape:
            return shape.index(wanted)
    raise ValueError(f"its input {name!r} is {list(shape)}, without a batch; export it with a batch of any size, or of 1")
