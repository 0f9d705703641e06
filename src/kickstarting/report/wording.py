"""How numbers and findings read: 131k frames, 37.4, +55.2%, 6.92×, and the headline."""

from __future__ import annotations

import math
from collections.abc import Callable

from kickstarting.report.comparison import Comparison, Estimate, GroupResult, Passing

NEVER = "-"
MOST_SENTENCES = 3
UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def frames_text(frames: float | int) -> str:
    """Three significant digits: 131k, 1.39M, 10B."""
    rounded = float(f"{frames:.3g}")
    for size, unit in UNITS:
        if rounded >= size:
            return f"{rounded / size:.3g}{unit}"
    return f"{rounded:g}"


def score_text(score: float) -> str:
    return f"{score:.1f}"


def percent_text(percent: float) -> str:
    return f"{percent:+.1f}%" if abs(percent) < 1000 else f"{percent:+,.0f}%"


def speedup_text(speedup: float) -> str:
    return f"{speedup:.2f}×" if speedup < 100 else f"{speedup:,.0f}×"


def probability_text(probability: float) -> str:
    return f"{probability:.2f}"


def value_text(estimate: Estimate | None, text: Callable[[float], str]) -> str:
    """The value alone, '-' where there is none."""
    if estimate is None or estimate.value is None:
        return NEVER
    return f"{estimate.bound} {text(estimate.value)}".strip()


def interval_text(estimate: Estimate | None, text: Callable[[float], str], *, budget: int | None = None) -> str:
    """'36.1 to 38.7', or '' without one. budget: the frames behind which an interval has no end, written '>10M'."""
    if estimate is None or estimate.value is None or estimate.low is None or estimate.high is None:
        return ""

    def end(value: float) -> str:
        if math.isfinite(value):
            return text(value)
        return f">{text(budget)}" if budget is not None else ("∞" if value > 0 else "-∞")

    return f"{end(estimate.low)} to {end(estimate.high)}"


def passing_text(passing: Passing) -> str:
    """How a group fared against a teacher: 'yes, after 1.2M', 'reached at 1.2M, not held', 'no'."""
    if passing.passed:
        return "yes" if passing.frames.value is None else f"yes, after {value_text(passing.frames, frames_text)}"
    return "no" if passing.frames.value is None else f"reached at {value_text(passing.frames, frames_text)}, not held"


def tasks_passed_text(passing: Passing) -> str:
    """'above on 22 of 30 tasks'; '' for one task, of which all is said."""
    return f"above on {passing.tasks_passed} of {passing.tasks} tasks" if passing.tasks > 1 else ""


def headline(comparison: Comparison) -> tuple[str, ...]:
    """A sentence for each group but the baseline, of more than three for the highest; or one for the baseline alone."""
    base = comparison.baseline_result
    if len(comparison.groups) == 1:
        return (f"{base.name} ends at {_with_interval(base.final, score_text)} after {frames_text(base.frames)} frames.",)
    ranked = sorted(comparison.groups[1:], key=lambda group: -math.inf if group.final.value is None else group.final.value)[::-1]
    if len(ranked) <= MOST_SENTENCES:
        return tuple(_sentence(group, base) for group in comparison.groups[1:])
    others = [value_text(group.final, score_text) for group in ranked[MOST_SENTENCES:]]
    others = (
        f"{len(others)} others end at {others[-1]} to {others[0]}" if len(others) > 1 else f"{ranked[-1].name} ends at {others[0]}"
    )
    return (*(_sentence(group, base) for group in ranked[:MOST_SENTENCES]), f"{others}.")


def _sentence(group: GroupResult, base: GroupResult) -> str:
    assert group.versus is not None
    speedup, reached = group.versus.speedups[-1], group.frames_to[-1]
    level = f"the final score of {base.name} ({value_text(base.final, score_text)})"
    if reached.value is None:
        start = f"{group.name} does not reach {level} within {frames_text(group.frames)} frames"
    else:
        start = f"{group.name} reaches {level} after {value_text(reached, frames_text)} frames"
        if speedup.value is not None:
            start += (
                f" instead of {value_text(base.frames_to[-1], frames_text)}, a speed-up of {_with_interval(speedup, speedup_text)}"
            )
    change = group.versus.final_improvement
    end = f"ends at {value_text(group.final, score_text)}"
    if change.value is not None:
        end += f", {_with_interval(change, percent_text)}"
    return f"{start}, and {end}.{_caution(speedup, change)}"


def _with_interval(estimate: Estimate, text: Callable[[float], str]) -> str:
    interval = interval_text(estimate, text)
    return value_text(estimate, text) + (f" (95% interval {interval})" if interval else "")


def _caution(speedup: Estimate, change: Estimate) -> str:
    """Says so where an interval includes no difference, since a reader takes a headline at its word."""
    open_questions = []
    if _includes(speedup, 1.0):
        open_questions.append("speed")
    if _includes(change, 0.0):
        open_questions.append("final score")
    return f" The interval includes no difference in {' and '.join(open_questions)}." if open_questions else ""


def _includes(estimate: Estimate, value: float) -> bool:
    return estimate.low is not None and estimate.high is not None and estimate.low <= value <= estimate.high
