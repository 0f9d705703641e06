"""What is wrong with a teacher, in words: for each diagnosis a function of what was measured. docs/check.md describes each.

A fault means that it cannot teach as it is. Everything else is a remark: where to look if it scores badly, or what is worth
knowing of one that teaches well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kickstarting.console import in_figures
from kickstarting.teachers.checked import SURE, Checked, clearly_above, mean_score
from kickstarting.teachers.listen import CERTAIN

OUTSIDE = 0.02
"""Share of the numbers that may be outside of the range that a teacher declares."""
LARGE = 10.0
"""Root mean square of a vector: no normalised observation has it, and few networks are trained on more."""
MOSTLY = 0.95
UNIFORM = 0.98


@dataclass(frozen=True)
class Diagnosis:
    name: str
    advice: str
    seen: Callable[[Checked], str | None]
    """What is seen, in numbers; None if it is not."""
    fault: bool = False


@dataclass(frozen=True)
class Finding:
    """A diagnosis that holds."""

    name: str
    seen: str
    advice: str
    fault: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.seen}; {self.advice}"


def findings(checked: Checked) -> tuple[Finding, ...]:
    """Faults first."""
    found = [Finding(d.name, seen, d.advice, d.fault) for d in DIAGNOSES if (seen := d.seen(checked))]
    return tuple(sorted(found, key=lambda finding: not finding.fault))


def can_teach(found: Sequence[Finding]) -> bool:
    return not any(finding.fault for finding in found)


def not_finite(c: Checked) -> str | None:
    return None if c.listened.finite else "some of what it says is no finite number"


def silent(c: Checked) -> str | None:
    opinion = c.listened.opinion
    return f"it has no opinion in {1 - opinion:.0%} of the steps" if opinion < 1 - MOSTLY else None


def worse_than_random(c: Checked) -> str | None:
    """Neither on any task beyond doubt, nor on their mean by two standard errors."""
    chances = [c.random[r.task] for r in c.sampled]
    gain = sum(r.score - x.score - x.margin for r, x in zip(c.sampled, chances, strict=True))
    error = math.sqrt(sum(r.score_error**2 + x.error**2 for r, x in zip(c.sampled, chances, strict=True)))
    if gain > 2 * error or any(c.above_random(r, SURE) for r in c.sampled):
        return None
    random = sum(chance.score for chance in chances) / len(chances)
    return f"it scores {in_figures(mean_score(c.sampled))}, random actions {in_figures(random)}, and on no task is it better"


def useless_tasks(c: Checked) -> str | None:
    if not c.useless or worse_than_random(c):
        return None
    return f"it is no better than random on {', '.join(c.useless)}"


def wrong_layout(c: Checked) -> str | None:
    if c.fit is None:
        return None
    now, then = mean_score(c.fit.before), mean_score(c.fit.results)
    tasks = f" on {', '.join(r.task for r in c.fit.results)}" if len(c.fit.results) < len(c.sampled) else ""
    return f"with {c.fit.layout} it scores {in_figures(then)}{tasks}, as it is {in_figures(now)}"


def state_not_carried(c: Checked) -> str | None:
    return None if c.listened.carries else "asked step by step it says something else than of a whole unroll"


def state_not_reset(c: Checked) -> str | None:
    return None if c.listened.resets else "what it says of an episode depends on the episode before"


def state_hurts(c: Checked) -> str | None:
    if not c.forgetful or not clearly_above(c.forgetful, c.sampled, c.points):
        return None
    wiped, kept = in_figures(mean_score(c.forgetful)), in_figures(mean_score(c.sampled))
    return f"with its state wiped at every step it scores {wiped}, with it {kept}"


def not_repeatable(c: Checked) -> str | None:
    return None if c.listened.repeats else "asked twice the same, it says two different things"


def state_unused(c: Checked) -> str | None:
    return "it has a state, which changes nothing that it says" if c.listened.remembers is False else None


def deaf(c: Checked) -> str | None:
    return "it says the same whatever it reads" if c.useless and c.listened.deaf else None


def constant_action(c: Checked) -> str | None:
    favourite = c.listened.favourite
    if favourite is None or not c.useless or c.listened.deaf:
        return None
    return f"its most probable action is number {favourite} everywhere"


def never_trained(c: Checked) -> str | None:
    said = c.listened.overall
    if not said.entropy > UNIFORM * said.most_entropy or all(c.above_random(r, SURE) for r in c.sampled):
        return None
    return f"its actions are nearly even: an entropy of {said.entropy:.2f} of {said.most_entropy:.2f} nats"


def out_of_range(c: Checked) -> str | None:
    for name, read in (c.ranges or {}).items() if c.useless else ():
        if read.outside > OUTSIDE:
            return f"{read.outside:.0%} of the numbers in {name!r} are outside of the range that it declares"
        if read.vector and read.root_mean_square > LARGE:
            return f"it reads numbers from {read.low:.3g} to {read.high:.3g} in {name!r}, which are not normalised"
    return None


def saturated(c: Checked) -> str | None:
    said = c.listened.overall
    if not said.saturated > MOSTLY:
        return None
    return f"in {said.saturated:.0%} of the steps its entropy is below {CERTAIN:.0%} of the largest"


def greedy_better(c: Checked) -> str | None:
    if not c.greedy or not clearly_above(c.greedy, c.sampled, c.points):
        return None
    return f"its most probable actions score {in_figures(mean_score(c.greedy))}, sampled ones {in_figures(mean_score(c.sampled))}"


DIAGNOSES = (
    Diagnosis("not_finite", "its inputs or its file are damaged", not_finite, fault=True),
    Diagnosis("silent", "it has nothing to teach here", silent, fault=True),
    Diagnosis(
        "wrong_layout", "give it its observations and actions in that layout, by an adapter or a wrapper", wrong_layout, fault=True
    ),
    Diagnosis(
        "worse_than_random",
        "see that it was trained on these tasks, and reads what it read then",
        worse_than_random,
        fault=True,
    ),
    Diagnosis(
        "state_not_carried",
        "its state must go in and come out at every call, and depend on nothing else",
        state_not_carried,
        fault=True,
    ),
    Diagnosis("state_not_reset", "its state must be reset before every input that has is_first", state_not_reset, fault=True),
    Diagnosis(
        "state_hurts", "its state is not what it was in training: see when it is reset, and in which order", state_hurts, fault=True
    ),
    Diagnosis("never_trained", "see that its weights were loaded", never_trained, fault=True),
    Diagnosis(
        "state_unused",
        "its memory was lost when it was exported; if it needs none, export it without a state",
        state_unused,
        fault=True,
    ),
    Diagnosis("useless_tasks", "give it a pattern that leaves them out, or another teacher for them", useless_tasks),
    Diagnosis("deaf", "its inputs do not reach it: see their names and scale, and that its weights were loaded", deaf),
    Diagnosis("constant_action", "see that its observations are normalised as in training", constant_action),
    Diagnosis("out_of_range", "load the statistics that its observations were normalised by in training", out_of_range),
    Diagnosis("not_repeatable", "see whether it samples, or has dropout on; it should give probabilities", not_repeatable),
    Diagnosis("saturated", "it tells little beside its first choice: soften it by a temperature", saturated),
    Diagnosis("greedy_better", "the student learns all that it would do: sharpen it by a temperature", greedy_better),
)
