"""What the inputs and outputs of a program are, by their names: ours, and those that other libraries' exporters give them.

A program reads a batch of steps, each array [B, ...]. With `is_first` [T, B] it reads whole unrolls, each array [T, B, ...].

    obs.NAME, or NAME                an observation; `obs` or `input` alone is the one that is called `observation`
    is_first, last_action(s), last_reward(s)
    state_I -> next_state_I          recurrent state [B, ...]; also X_in -> X_out and X -> output_X
    logits | probabilities | mean, log_std | actions, and value, known: see `answers.py`

rsl_rl and Isaac Lab write obs, h_in, c_in -> actions, h_out, c_out; Sample Factory obs, rnn_states -> output_actions,
output_rnn_states; rl_games obs -> logits or mu, log_std, value; ML-Agents obs_0, ..., recurrent_in, action_masks -> version_number,
deterministic_discrete_actions, ..., recurrent_out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import gymnasium
from gymnasium import spaces

from kickstarting.algo.parsing import nearest
from kickstarting.ranges import Range
from kickstarting.space_json import read_observations, read_space
from kickstarting.teachers.answers import ANSWERS, POLICIES

OPTIONS: Mapping[str, str] = {
    "observation": "which observation its only input reads; of several inputs INPUT:OBSERVATION,INPUT:OBSERVATION",
    "output": "the output that is its policy, where names do not say it",
    "kind": f"what that output is: {', '.join(POLICIES)}",
    "actions": "how many discrete actions there are, where it only says which; N,N of several choices",
    "std": "standard deviation around continuous actions, in the student's units; without it they count as exact",
    "bounds": "LOW:HIGH of continuous actions as the program says them; they become [-1, 1]",
}
"""Of every origin whose teachers are programs."""
METADATA = "kickstarting"
"""Under this name a program may say its spaces, as JSON: {"observation_space": {...}, "action_space": {...}}."""

_ALONE = ("obs", "input", "observations", "obs_0", "x")
_OF_THE_STEP = {
    "is_first": "is_first",
    **{name: "last_actions" for name in ("last_action", "last_actions")},
    **{name: "last_rewards" for name in ("last_reward", "last_rewards")},
    "action_masks": "action_masks",
}
_SYNONYMS = {
    **{name: name for name in ANSWERS},
    **{name: "logits" for name in ("action_logits",)},
    **{name: "probabilities" for name in ("probs", "action_probs")},
    **{name: "mean" for name in ("mu", "means")},
    **{name: "actions" for name in ("action", "output_actions")},
    **{f"{how}{what}_actions": "actions" for how in ("deterministic_", "") for what in ("discrete", "continuous")},
    "values": "value",
}
"""What an output is by its name; of several that are the same, the first here counts."""
_STATES = ("h_in", "c_in", "rnn_states", "recurrent_in", "hidden_state", "cell_state")
"""Inputs that are states: without the output that follows it, such a program forgets."""


@dataclass(frozen=True)
class Signature:
    """Which input and output of a program is what."""

    observations: Mapping[str, str]
    """The observation that an input reads, by input."""
    of_the_step: Mapping[str, str] = field(default_factory=dict)
    """By input: is_first, last_actions, last_rewards, or action_masks, of which all are allowed."""
    states: Mapping[str, str] = field(default_factory=dict)
    """By input the output that it is one step later."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """By output what it is in `answers.ANSWERS`."""


def read_signature(inputs: Iterable[str], outputs: Iterable[str], options: Mapping[str, str]) -> Signature:
    """Of a program by the names of its inputs and outputs.

    Raises ValueError if it has no observation, a state that does not come back, or no output that is known to be a policy.
    """
    inputs, outputs = list(inputs), list(outputs)
    states = {name: after for name in inputs if (after := _after(name, outputs))}
    for name in inputs:
        if name not in states and (name in _STATES or name.startswith("state_")):
            raise ValueError(f"it reads the state {name!r} and does not give the next one; its outputs are {', '.join(outputs)}")
    of_the_step = {name: _OF_THE_STEP[name] for name in inputs if name in _OF_THE_STEP}
    rest = [name for name in inputs if name not in states and name not in of_the_step]
    if not rest:
        raise ValueError(f"it reads no observation; its inputs are {', '.join(inputs) or 'none'}")
    return Signature(_observations(rest, options.get("observation")), of_the_step, states, _answers(outputs, states, options))


def _after(name: str, outputs: list[str]) -> str | None:
    names = [f"next_{name}", f"output_{name}", *([name.removesuffix("in") + "out"] if name.endswith("_in") else [])]
    return next((after for after in names if after in outputs), None)


def _observations(inputs: list[str], option: str | None) -> dict[str, str]:
    found = {name: name.removeprefix("obs.") for name in inputs}
    if len(inputs) == 1 and inputs[0] in _ALONE:
        found = {inputs[0]: "observation"}
    return found | by_name("observation", option, inputs)


def by_name(option: str, text: str | None, names: list[str]) -> dict[str, str]:
    """What an option says of each name: VALUE if there is one name only, or NAME:VALUE,NAME:VALUE. Raises ValueError."""
    if text is None:
        return {}
    if ":" not in text and len(names) == 1:
        return {names[0]: text}
    said = {name: value for name, _, value in (part.rpartition(":") for part in text.split(","))}
    for name, value in said.items():
        if name not in names or not value:
            raise ValueError(f"{option} is {text!r}; it must be NAME:VALUE,... of {', '.join(names)}")
    return said


def _answers(outputs: list[str], states: Mapping[str, str], options: Mapping[str, str]) -> dict[str, str]:
    rest = [name for name in outputs if name not in states.values()]
    first = {_SYNONYMS[name]: name for name in reversed(_SYNONYMS) if name in rest}
    answers = {name: what for what, name in first.items()}
    if (kind := options.get("kind")) is not None and kind not in POLICIES:
        raise ValueError(f"kind is {kind!r}; {nearest(kind, POLICIES)}")
    output = options.get("output", rest[0] if kind and len(rest) == 1 else None)
    if output is not None:
        kind = kind or _SYNONYMS.get(output)
        if kind is None:
            raise ValueError(f"nothing says what its output {output!r} is; give ?output={output}&kind={'|'.join(POLICIES)}")
        answers = {name: what for name, what in answers.items() if what not in POLICIES} | {output: kind}
    best = next((policy for policy in POLICIES if policy in answers.values()), None)
    if best is None:
        raise ValueError(
            f"its outputs are {', '.join(outputs) or 'none'}, and nothing says which is its policy; "
            f"give ?output=NAME&kind={'|'.join(POLICIES)}"
        )
    beside = ("value", "known", *(["log_std"] if best == "mean" else []))
    return {name: what for name, what in answers.items() if what == best or what in beside}


def said_spaces(metadata: Mapping[str, str]) -> tuple[spaces.Dict | None, gymnasium.Space | None]:
    """Observation and action space in the metadata of a program, as far as it says them. Raises ValueError for what is none."""
    if METADATA not in metadata:
        return None, None
    try:
        data = json.loads(metadata[METADATA])
        observed = read_observations(data["observation_space"]) if "observation_space" in data else None
        return observed, read_space(data["action_space"]) if "action_space" in data else None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"its metadata {METADATA!r} does not say spaces: {error}") from error


def counts(options: Mapping[str, str]) -> tuple[int, ...]:
    """The numbers of discrete actions in the option `actions`; none if it is not there."""
    parts = options["actions"].split(",") if "actions" in options else ()
    return tuple(int(number("actions", part, Range(1, 100_000))) for part in parts)


def deviation(options: Mapping[str, str]) -> float | None:
    """The option `std`."""
    return number("std", options["std"], Range(1e-6, 1e6)) if "std" in options else None


def bounds(options: Mapping[str, str]) -> tuple[float, float] | None:
    """The option `bounds`."""
    if "bounds" not in options:
        return None
    low, _, high = options["bounds"].partition(":")
    allowed = Range(-1e6, 1e6)
    found = number("bounds", low, allowed), number("bounds", high, allowed)
    if found[0] >= found[1]:
        raise ValueError(f"bounds is {options['bounds']!r}; it must be LOW:HIGH, as -2:2")
    return found


def number(name: str, text: str, allowed: Range) -> float:
    """The number in an option. Raises ValueError if it is none, or not allowed."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} is {text!r}; it must be a number") from None
    allowed.check(name, value)
    return value
