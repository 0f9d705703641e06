"""Health: what a run says about itself while it trains, in one line, and what to try.

`Health.see` takes each logged line. A diagnosis stands from the moment when its symptom was seen on enough lines in a row
until it was not seen on RECOVERED lines. The texts are here, the conditions in `symptoms.py`, both without torch: the report
reads them. Every diagnosis is described in docs/health.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kickstarting.algo.parsing import parse_schedule, written
from kickstarting.algo.schedules import Progress
from kickstarting.runs import symptoms
from kickstarting.runs.symptoms import LINES, Facts, Past

HEALTH = "health/"
RECOVERED = 5
"""Lines without the symptom. One better line among bad ones is no recovery, and a diagnosis that flickers is not read."""


@dataclass(frozen=True)
class Diagnosis:
    name: str
    """`health/NAME` in the metrics."""
    title: str
    """What it is, without a run's numbers."""
    advice: str
    symptom: Callable[[Past], str | None]
    lines: int = LINES
    """How many in a row show the symptom before it is believed."""


DIAGNOSES = (
    Diagnosis(
        "uniform_policy",
        "the policy is still near uniform",
        "raise --learning-rate, lower --entropy-cost, or give it a --teacher",
        symptoms.uniform_policy,
    ),
    Diagnosis(
        "collapsed_policy",
        "the policy became certain before it was good",
        "raise --entropy-cost, or lower --learning-rate",
        symptoms.collapsed_policy,
    ),
    Diagnosis(
        "no_reward",
        "no reward was ever seen on a task",
        "give a teacher for it (--teacher TASK=REF), or practise an easier task of its kind beside it",
        symptoms.no_reward,
        lines=1,  # it is about all lines so far
    ),
    Diagnosis(
        "exploding_value",
        "the critic's loss explodes",
        "lower --learning-rate, or bound the rewards with --reward-clip abs_one",
        symptoms.exploding_value,
    ),
    Diagnosis(
        "blind_critic",
        "the critic is worse than a constant",
        "raise --baseline-cost, or warm the critic up with --policy-cost step:0:1:5%",
        symptoms.blind_critic,
    ),
    Diagnosis(
        "clipped_gradient",
        "the gradient is cut down in nearly every step",
        "raise --max-grad-norm, or bound the rewards with --reward-clip abs_one",
        symptoms.clipped_gradient,
    ),
    Diagnosis(
        "below_teacher",
        "the student was let go below its teacher",
        "let it listen longer, as with --schedule {longer} instead of {schedule}",
        symptoms.below_teacher,
    ),
    Diagnosis(
        "unheard_teacher",
        "the student does not come closer to its teachers",
        "see with `kickstart check REF SUITE` whether they can play here, and whether they see what the student sees",
        symptoms.unheard_teacher,
    ),
    Diagnosis(
        "off_policy",
        "V-trace clips nearly everywhere",
        "lower --learning-rate, --epochs or --minibatches, and leave out --overlap",
        symptoms.off_policy,
    ),
    Diagnosis(
        "eaten_task",
        "one task was unlearned while another was learned",
        "lower --learning-rate, take a larger --network, or give a teacher for the task that fell",
        symptoms.eaten_task,
    ),
    Diagnosis(
        "slow",
        "it trains at less than a third of its first speed",
        "see what else runs on the machine, or share it with fewer --torch-threads",
        symptoms.slow,
    ),
)
BY_NAME = {diagnosis.name: diagnosis for diagnosis in DIAGNOSES}


@dataclass(frozen=True)
class Notice:
    """That a diagnosis appeared, or has passed."""

    frames: int
    text: str
    passed: bool = False


class Health:
    """Which diagnoses stand. Made from the lines that a resumed run has already written, it goes on as if never interrupted;
    only speed is judged anew in every process."""

    def __init__(self, facts: Facts, lines: Sequence[Mapping[str, Any]] = ()) -> None:
        self.standing: dict[str, str] = {}
        """By name what was seen last and what to try."""
        self._in_a_row = dict.fromkeys(BY_NAME, 0)
        self._past = Past(facts, begun=len(lines))
        for line in lines:
            self.see(line)

    def see(self, line: Mapping[str, Any]) -> tuple[Notice, ...]:
        """Take a logged line, `frames` and metrics; returns what changed."""
        self._past.lines.append(line)
        return tuple(notice for diagnosis in DIAGNOSES if (notice := self._judge(diagnosis)))

    def metrics(self) -> dict[str, float | None]:
        """1 for each diagnosis that stands, 0 for each other."""
        return {HEALTH + name: float(name in self.standing) for name in BY_NAME}

    def _judge(self, diagnosis: Diagnosis) -> Notice | None:
        name, facts, frames = diagnosis.name, self._past.facts, self._past.lines[-1]["frames"]
        seen = diagnosis.symptom(self._past)
        stood = name in self.standing
        self._in_a_row[name] = self._in_a_row[name] + 1 if bool(seen) != stood else 0
        if seen and (stood or self._in_a_row[name] >= diagnosis.lines):
            self.standing[name] = f"{name}: {seen}; {advice(diagnosis, facts.schedule, facts.total_frames)}"
        if stood and self._in_a_row[name] >= RECOVERED:
            del self.standing[name]
        if stood == (name in self.standing):
            return None
        self._in_a_row[name] = 0
        return Notice(frames, f"{name} has passed" if stood else self.standing[name], passed=stood)


def advice(diagnosis: Diagnosis, schedule: str, total_frames: int) -> str:
    """What to try in a run with this schedule of lambda."""
    return diagnosis.advice.format(longer=longer(schedule, total_frames), schedule=schedule)


def longer(schedule: str, total_frames: int) -> str:
    """The same schedule over twice its horizon; one of another kind where there is none to double."""
    try:
        parsed = parse_schedule(schedule, total_frames)
    except ValueError:  # the file of an evolved one
        return "progress:1"
    if not math.isfinite(parsed.horizon) or parsed.horizon >= total_frames:
        return "linear:1:0:100%" if isinstance(parsed, Progress) else "progress:1"
    doubled = parsed.changed(frames=lambda frames: float(f"{min(100.0, 200 * frames / total_frames):.3g}") * total_frames / 100)
    return written(doubled, total_frames)
