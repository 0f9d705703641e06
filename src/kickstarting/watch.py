"""Watch a policy play: one episode of a task as a clip, with what it thinks at every step, and what a teacher thinks of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from rich.console import Console

from kickstarting.actor import Actor
from kickstarting.algo.distributions import LOG_STD
from kickstarting.algo.losses import mask_logits
from kickstarting.algo.moments import squashed_gaussian
from kickstarting.algo.parsing import nearest
from kickstarting.clip import Moment, Recording, Thought, frames, need_ffmpeg, to_gif, to_mp4
from kickstarting.console import say
from kickstarting.envs import EnvironmentFault, MultiTaskEnv, describe
from kickstarting.faults import Fault
from kickstarting.report.runs import load_runs
from kickstarting.report.teachers import name_teachers
from kickstarting.runs.files import check_replaceable, check_writable, write_bytes
from kickstarting.runs.layout import RunDirectory
from kickstarting.spaces import Grid, Pixels, Squashed, Text, tokenise
from kickstarting.suites import Suite, Task, load_suite
from kickstarting.teachers import AsNetwork, Teacher, adapt, load_teacher
from kickstarting.tiles import draw_view
from kickstarting.types import Inputs, Output, State

STEPS = 300
PER_SECOND = 6.0
TILE = 24
MINIGRID = ("left", "right", "forward", "pick up", "drop", "toggle", "done")
WORDS = """
a the to and then of or you your it is in on by go get goal green goto put pick up open use key door doors ball box balls boxes
red blue purple yellow grey next near object matching find fetch out maze square reach avoid lava move left right front behind
after room hallway unlock keys two same start middle traverse toggle corresponding leave drop opening without through
"""
"""Of MiniGrid's and BabyAI's missions, which policies know as numbers only. Where two have one number, the first is meant."""


def watch(ref: str, suite_name: str, out: Path, *, per_second: float = PER_SECOND, **episode: Any) -> Recording:
    """Write a clip of one episode in which a policy acts. episode: which one, and who thinks along, as for `record`.

    Raises ValueError before any work for a file that is neither .gif nor .mp4, or cannot be written, or policies that do not fit.
    """
    if out.suffix not in (".gif", ".mp4"):
        raise ValueError(f"{out} is neither a .gif nor a .mp4; choose one by the name of --out")
    check_writable(out.parent)
    check_replaceable(out)
    if out.suffix == ".mp4":
        need_ffmpeg()
    recording = record(ref, suite_name, **episode)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".mp4":
        to_mp4(frames(recording), per_second, out)
    else:
        write_bytes(out, to_gif(frames(recording), per_second))
    return recording


def clip_of_runs(directories: Sequence[Path], console: Console) -> tuple[bytes, str] | None:
    """A GIF, with a caption, of a student and one of its teachers, from the first run that has both, else from the first that has a
    checkpoint; None if there is none, or it cannot play here, which is said."""
    runs = [run for run in name_teachers(load_runs(directories)) if RunDirectory(run.directory).newest_checkpoint]
    for run in sorted(runs, key=lambda run: not run.teachers)[:1]:
        student = f"{run.name}, seed {run.seed}"
        try:
            suite = load_suite(run.suite)
            known, task = describe(suite.tasks), 0
            policies, names = [load_teacher(str(run.directory))], [student]
            if run.teachers:
                policies.append(load_teacher(run.teachers[0].where))
                names.append(run.teacher_names[0])
                task = run.teachers[0].tasks([task.name for task in suite.tasks])[0]
            adapters = [(), *(reference.adapters for reference in run.teachers[:1])]
            known = known.as_of(policies[0].action_space)
            spaces_here = known.observation_space, known.action_space
            fitted = [adapt(policy, own, *spaces_here) for policy, own in zip(policies, adapters, strict=True)]
            shown = record_policies(fitted, names, suite, task, steps=STEPS, seed=0, greedy=False)
        except (ValueError, Fault) as error:
            say(console, f"no clip of {run.directory}: {error}", style="yellow")
            return None
        beside = f" and, beside it, what its teacher {names[1]} would have done" if run.teachers else ""
        caption = f"{student} plays an episode of {shown.title} at the end of its training{beside}."
        return to_gif(frames(shown), PER_SECOND), caption
    return None


def record(
    ref: str,
    suite_name: str,
    *,
    task: str = "",
    teacher: str = "",
    adapters: Sequence[str] = (),
    steps: int = STEPS,
    seed: int = 0,
    greedy: bool = False,
) -> Recording:
    """One episode, or its first steps. teacher: the reference of one who thinks along. adapters: of the teacher, or without one of
    the policy itself. task: the first unless given."""
    suite = load_suite(suite_name)
    names = [known.name for known in suite.tasks]
    if task and task not in names:
        raise ValueError(f"suite {suite.name} has no task {task!r}; {nearest(task, names)}")
    refs = (ref, teacher) if teacher else (ref,)
    policies = [load_teacher(r) for r in refs]
    known = describe(suite.tasks).as_of(policies[0].action_space)
    theirs = known.observation_space, known.action_space
    fitted = [adapt(policy, adapters if policy is policies[-1] else (), *theirs) for policy in policies]
    return record_policies(fitted, refs, suite, names.index(task or names[0]), steps=steps, seed=seed, greedy=greedy)


def record_policies(
    policies: Sequence[Teacher], names: Sequence[str], suite: Suite, task: int, *, steps: int, seed: int, greedy: bool
) -> Recording:
    """The first policy acts, all of them think. They fit the suite already."""
    known = describe(suite.tasks).as_of(policies[0].action_space)
    networks = [AsNetwork(policy, known.distribution, known.action_space) for policy in policies]
    chosen = suite.tasks[task]
    with closing(_rendering(chosen, known.distribution.size, seed)) as env:
        listening = _Listening(networks)
        actor = Actor(env, listening, 1, seed=seed, greedy=greedy, distribution=known.distribution)
        recording = Recording(chosen.name, "", tuple(names), _action_names(env))
        total, ended, last = 0.0, False, {}
        while not ended and len(recording.moments) < steps:
            picture = env.render()
            unroll = actor.unroll()
            seen = {name: x[0, 0].cpu().numpy() for name, x in unroll.inputs.observations.items()}
            if not recording.moments:
                recording = replace(recording, subtitle=_mission(env.observation_space, seen))
            action = int(unroll.actions[0, 0]) if isinstance(env.action_space, spaces.Discrete) else None
            thoughts = tuple(_thought(output, env, known.action_space) for output in listening.outputs)
            recording.moments.append(_moment(env, picture, seen, thoughts, action, total))
            total += float(unroll.rewards[0, 0])
            ended = bool(unroll.terminated[0, 0] | unroll.truncated[0, 0])
            last = {name: x[1, 0].cpu().numpy() for name, x in unroll.inputs.observations.items()}
        recording.moments.append(_moment(env, env.render(), last, (), None, total))
    return recording


class _Listening:
    """The first network, whose inputs all the others hear; `outputs` has what each said last."""

    def __init__(self, networks: Sequence[AsNetwork]) -> None:
        self._networks = networks
        self.outputs: list[Output] = []
        self._states = [network.initial_state(1) for network in networks]

    def initial_state(self, batch: int) -> State:
        return self._networks[0].initial_state(batch)

    def __call__(self, inputs: Inputs, state: State) -> tuple[Output, State]:
        self.outputs = []
        for i, network in enumerate(self._networks):
            output, self._states[i] = network(inputs, self._states[i])
            self.outputs.append(output)
        return self.outputs[0], self._states[0]


def _rendering(task: Task, num_actions: int, seed: int) -> MultiTaskEnv:
    """One environment of a task, which draws itself if it can."""
    shown = replace(task, options={**task.options, "render_mode": "rgb_array"})
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*render_mode")  # an environment that cannot has no picture, that is all
            return MultiTaskEnv([shown], 1, seed=seed, num_actions=num_actions)
    except (ValueError, EnvironmentFault):  # it knows no such option
        return MultiTaskEnv([task], 1, seed=seed, num_actions=num_actions)


def _moment(
    env: MultiTaskEnv,
    picture: np.ndarray | None,
    seen: dict[str, Any],
    thoughts: tuple[Thought, ...],
    action: int | None,
    total: float,
) -> Moment:
    """Symbols are drawn, pixels are shown as they are; else it is the environment's own frame."""
    for name, space in env.observation_space.items():
        if isinstance(space, Grid):
            return Moment(picture, np.asarray(draw_view(seen[name], TILE)), thoughts, action, total)
    for name, space in env.observation_space.items():
        if isinstance(space, Pixels):
            return Moment(_pixels(seen[name]), None, thoughts, action, total)
    return Moment(picture, None, thoughts, action, total)


def _pixels(x: np.ndarray) -> np.ndarray:
    """Of a stack of frames the newest, as uint8 [H, W, 3]."""
    x = x if x.shape[-1] == 3 else np.repeat(x[..., -1:], 3, -1)
    return x if x.dtype == np.uint8 else (255 * x.clip(0, 1)).astype(np.uint8)


def _thought(output: Output, env: MultiTaskEnv, action_space: gymnasium.Space) -> Thought:
    value = float(output.values[0, 0])
    logits = mask_logits(output.logits[0, 0], None if env.action_mask is None else env.action_mask[0])
    if isinstance(env.action_space, spaces.Box):
        mean, log_std = logits.chunk(2)
        std = log_std.clamp(*LOG_STD).exp()
        if isinstance(action_space, Squashed):
            mean, variance = squashed_gaussian(mean, std)
            std = variance.sqrt()
        return Thought(torch.stack([mean, std]).cpu().numpy(), value)
    counts = [int(n) for n in env.action_space.nvec] if isinstance(env.action_space, spaces.MultiDiscrete) else [len(logits)]
    return Thought(torch.cat([part.softmax(-1) for part in logits.split(counts)]).cpu().numpy(), value)


def _action_names(env: MultiTaskEnv) -> tuple[str, ...]:
    space = env.action_space
    if isinstance(space, spaces.Box):
        return tuple(f"action {i}" for i in range(space.shape[0]))
    if isinstance(space, spaces.MultiDiscrete):
        return tuple(f"{i}: {choice}" for i, n in enumerate(space.nvec) for choice in range(int(n)))
    count = int(space.n) if isinstance(space, spaces.Discrete) else 0
    symbols = any(isinstance(part, Grid) for part in env.observation_space.values())
    return MINIGRID[:count] if symbols and count <= len(MINIGRID) else tuple(f"action {i}" for i in range(count))


def _mission(space: spaces.Dict, seen: dict[str, Any]) -> str:
    """What a text says, as far as its words are known."""
    known = {int(tokenise(word)[0]): word for word in reversed(WORDS.split())}
    texts = [seen[name] for name, part in space.items() if isinstance(part, Text)]
    return " / ".join(" ".join(known.get(int(token), "…") for token in text if token >= 0) for text in texts)
