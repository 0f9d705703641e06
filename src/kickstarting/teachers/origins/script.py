"""`script:package.module:NAME`: policies that somebody wrote as a Python function, object or class (made without arguments).

It is called with a dict of observations by name, arrays of one step: `act(observations)`. With ?per=batch each array has rows of
many steps [N, ...]. One that has `initial_state(batch)`, a tuple of arrays [batch, ...], remembers: it is called with the rows of
all environments as `act(observations, state)`, returns (answer, state), and its state is made anew where an episode begins.

It returns an action, or a dict as in `teachers/answers.py`; of many rows, arrays. None is no opinion, and so is action -1 where
actions are discrete. Its attribute `action_space`, or ?actions=N, says how it acts; `observation_space`, a Dict, what it reads, and
without that it gets everything.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from kickstarting.algo.parsing import nearest
from kickstarting.ranges import shown
from kickstarting.runs.files import read_bytes
from kickstarting.spaces import Scaled
from kickstarting.teachers import signature
from kickstarting.teachers.answers import ANSWERS, Reading
from kickstarting.teachers.program import named
from kickstarting.teachers.protocol import Label, TeacherFault
from kickstarting.types import Inputs, State

OPTIONS: Mapping[str, str] = {
    "per": "step, of one environment, unless given; or batch",
    **{name: signature.OPTIONS[name] for name in ("actions", "std", "bounds")},
}
REMEDY = "mend it, or leave it out"


def load(name: str, ref: str, device: str = "cpu", options: Mapping[str, str] | None = None) -> ScriptTeacher:
    with named(ref):
        return ScriptTeacher(_find(name), ref, device, options or {})


def modules(name: str, options: Mapping[str, str]) -> list[str]:
    """What is imported to load it, as package.module:Name."""
    return [name]


def digest(name: str, options: Mapping[str, str] | None = None) -> str:
    """Of the module's file, the name in it, and the options; not of what it imports."""
    module, _, attribute = name.partition(":")
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no module {module!r} to import; put its folder on PYTHONPATH")
    said = repr((attribute, sorted((options or {}).items()))).encode()
    return hashlib.sha256(read_bytes(Path(spec.origin), remedy="put the module back") + said).hexdigest()


def recognises(path: Path) -> bool:
    return False


def _find(name: str) -> Any:
    """What a name means. Raises ValueError if there is no such thing, or it cannot be called."""
    module, colon, attribute = name.partition(":")
    if not (colon and module and attribute):
        raise ValueError(f"script:{name} names no callable; write script:package.module:NAME")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"there is no module {error.name!r} to import; put its folder on PYTHONPATH") from error
    except Exception as error:  # whatever a module raises while it is imported
        raise ValueError(f"the module {module} raised {type(error).__name__} while it was imported: {error}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{module} has no {attribute!r}; {nearest(part, [n for n in vars(found) if not n.startswith('_')])}")
        found = getattr(found, part)
    if inspect.isclass(found):
        try:
            found = found()
        except Exception as error:
            raise ValueError(f"{name}() raised {type(error).__name__}: {error}; a class is made without arguments") from error
    if not callable(found):
        raise ValueError(f"{name} is {shown(found)}, which cannot be called; name a function, or a class with __call__")
    return found


class ScriptTeacher:
    """A Python callable as a teacher. Whatever it raises, or returns that is no answer, is a TeacherFault."""

    def __init__(self, act: Any, ref: str, device: str, options: Mapping[str, str]) -> None:
        if (per := options.get("per", "step")) not in ("step", "batch"):
            raise ValueError(f"per is {per!r}; {nearest(per, ('step', 'batch'))}")
        self.ref, self.device = ref, device
        self._act, self._remembers = act, hasattr(act, "initial_state")
        self._by_step = per == "step" and not self._remembers
        observed = getattr(act, "observation_space", spaces.Dict({}))
        if not isinstance(observed, spaces.Dict):
            raise ValueError(f"its observation_space is {shown(observed)}; it must be a gymnasium.spaces.Dict by name")
        self.observation_space = observed
        self.action_space = _action_space(act, signature.counts(options))
        self._read = Reading(self.action_space, signature.deviation(options), signature.bounds(options))

    def initial_state(self, batch: int) -> State:
        if not self._remembers:
            return ()
        made = self._ask("initial_state", self._act.initial_state, batch)
        if not isinstance(made, tuple) or any(np.shape(x)[:1] != (batch,) for x in made):
            raise self._fault(f"initial_state({batch}) returned {shown(made)}; it must be a tuple of arrays [{batch}, ...]")
        return tuple(torch.from_numpy(np.array(x)) for x in made)

    def label(self, inputs: Inputs, state: State) -> tuple[Label, State]:
        T, B = inputs.is_first.shape
        observations = {name: _read_only(x) for name, x in inputs.observations.items()}
        if self._remembers:
            answers = []
            for t in range(T):
                state = self._renewed(state, inputs.is_first[t].cpu())
                answer, state = self._step({name: x[t] for name, x in observations.items()}, state)
                answers.append(self._arrays(answer, B))
        else:
            rows = {name: x.reshape(T * B, *x.shape[2:]) for name, x in observations.items()}
            steps = range(T * B) if self._by_step else ()
            said = [self._ask("it", self._act, {name: x[i] for name, x in rows.items()}) for i in steps]
            answers = [self._joined(said)] if self._by_step else [self._arrays(self._ask("it", self._act, rows), T * B)]
        try:
            label = self._read(_together(answers), (T, B))
        except (ValueError, RuntimeError) as error:
            raise self._fault(str(error)) from error
        return label.to(inputs.is_first.device), state

    def _renewed(self, state: State, is_first: Tensor) -> State:
        if not is_first.any():
            return state
        fresh = self.initial_state(len(is_first))
        return tuple(torch.where(is_first.reshape(-1, *[1] * (x.dim() - 1)), y, x) for x, y in zip(state, fresh, strict=True))

    def _step(self, observations: dict[str, np.ndarray], state: State) -> tuple[Any, State]:
        returned = self._ask("it", self._act, observations, tuple(x.numpy() for x in state))
        if not isinstance(returned, tuple) or len(returned) != 2 or not isinstance(returned[1], tuple):
            raise self._fault(f"it returned {shown(returned)}; one with initial_state returns (answer, state)")
        after = tuple(torch.from_numpy(np.array(x)) for x in returned[1])
        if [x.shape for x in after] != [x.shape for x in state]:
            raise self._fault(f"its state has shapes {[list(x.shape) for x in after]}, before {[list(x.shape) for x in state]}")
        return returned[0], after

    def _joined(self, said: Sequence[Any]) -> dict[str, Tensor]:
        """The answers to single steps as one of many rows."""
        rows = [None if answer is None else self._arrays(answer, None) for answer in said]
        some = next((row for row in rows if row is not None), None)
        if some is None:
            return self._arrays(None, len(rows))
        for row in rows:
            if row is not None and {n: x.shape for n, x in row.items()} != {n: x.shape for n, x in some.items()}:
                raise self._fault(f"it answers {_described(some)}, and at another step {_described(row)}")
        joined = {name: torch.stack([some[name] * 0 if row is None else row[name] for row in rows]) for name in some}
        opinion = torch.tensor([row is not None for row in rows])
        return joined | {"known": joined["known"] & opinion if "known" in joined else opinion}

    def _arrays(self, answer: Any, rows: int | None) -> dict[str, Tensor]:
        """What one call returned, by name. rows: that it was about; None for one step."""
        discrete = not isinstance(self.action_space, spaces.Box)
        if answer is None:
            shape = (rows or 0, *(self.action_space.shape or ()))
            return {
                "actions": torch.zeros(shape, dtype=torch.long if discrete else torch.float),
                "known": torch.zeros(rows or 0).bool(),
            }
        answer = answer if isinstance(answer, Mapping) else {"actions": answer}
        if unknown := [name for name in answer if name not in ANSWERS]:
            raise self._fault(f"it answers {shown(unknown[0])}; known: {', '.join(ANSWERS)}")
        try:
            arrays = {name: torch.from_numpy(np.array(x)) for name, x in answer.items()}
        except (TypeError, ValueError, RuntimeError) as error:
            raise self._fault(f"it returned {shown(answer)}, which is no array of numbers") from error
        if discrete and "actions" in arrays and "known" not in arrays:
            actions = arrays["actions"]
            arrays["known"] = actions != -1 if actions.dim() <= (rows is not None) else (actions != -1).all(-1)
        return arrays

    def _ask(self, what: str, function: Any, *args: Any) -> Any:
        try:
            return function(*args)
        except Exception as error:
            fault = self._fault(f"{what} raised {type(error).__name__}: {error}")
            fault.add_note(traceback.format_exc())
            raise fault from error

    def _fault(self, what: str) -> TeacherFault:
        return TeacherFault(what, REMEDY, ref=self.ref)


def _action_space(act: Any, counts: tuple[int, ...]) -> gymnasium.Space:
    space = getattr(act, "action_space", None)
    if counts:
        return spaces.Discrete(counts[0]) if len(counts) == 1 else spaces.MultiDiscrete(list(counts))
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return Scaled(space.low, space.high, as_is=False)
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return space
    raise ValueError("it does not say how it acts; give it an action_space (Discrete, MultiDiscrete or a flat Box), or ?actions=N")


def _read_only(x: Tensor) -> np.ndarray:
    """What a script changes there would be the student's experience."""
    array = x.cpu().numpy().view()
    array.flags.writeable = False
    return array


def _together(answers: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Of all steps, one behind the other; where only some have an opinion, they all say whether."""
    names = set().union(*answers) - {"known"}
    if len(answers) == 1:
        return answers[0]
    some = {name: next(answer[name] for answer in answers if name in answer) for name in names}
    policies = names - {"value"}
    found: dict[str, list[Tensor]] = {name: [] for name in (*names, "known")}
    for answer in answers:
        rows = len(next(iter(answer.values())))
        known = answer.get("known", torch.ones(rows, dtype=torch.bool))
        silent = not policies & answer.keys() or not known.any()
        for name in names:
            found[name].append(some[name] * 0 if silent else answer[name])
        found["known"].append(torch.zeros(rows, dtype=torch.bool) if silent else known)
    return {name: torch.cat(parts) for name, parts in found.items()}


def _described(row: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {list(x.shape)}" for name, x in row.items())
