"""What runs said about themselves while they trained: read from their metrics, shown as a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import PurePath

import numpy as np

from kickstarting.report.comparison import RunResult, Spell
from kickstarting.report.runs import Run
from kickstarting.report.wording import frames_text
from kickstarting.runs.health import BY_NAME, HEALTH, advice


def spells(run: Run) -> tuple[Spell, ...] | None:
    """When each diagnosis stood; None if the run logged none."""
    names = run.names(HEALTH)
    found = [spell for name in names for spell in _spells_of(run, name)]
    return tuple(sorted(found, key=lambda spell: (spell.since, spell.diagnosis))) if names else None


def _spells_of(run: Run, name: str) -> list[Spell]:
    frames, values = run.curve(HEALTH + name)
    steps = np.diff(values > 0, prepend=False, append=False).nonzero()[0]  # where it appears and where it has passed, in turns
    title, to_try = name, ""  # of a diagnosis that this version does not know
    if diagnosis := BY_NAME.get(name):
        schedule = PurePath(run.schedule).name  # a report must not carry its writer's folders
        title, to_try = diagnosis.title, advice(diagnosis, schedule, run.total_frames)
    return [
        Spell(name, title, to_try, int(frames[begin]), int(frames[end]) if end < len(frames) else None)
        for begin, end in zip(steps[::2], steps[1::2], strict=True)
    ]


def health_table(runs: Sequence[RunResult]) -> str:
    """What stood at the end of each run, then what came and went; '' if no run watched itself."""
    watched = [run for run in runs if run.health is not None]
    if not watched:
        return ""
    rows = [_row(run, spell) for run in watched for spell in sorted(run.health or (), key=lambda spell: spell.until is not None)]
    head = "".join(f'<th scope="col">{title}</th>' for title in ("run", "seed", "diagnosis", "frames", "what to try"))
    table = f'<table class="runs"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    parts = [f'<div class="scroll wide" role="region" aria-label="table" tabindex="0">{table}</div>'] if rows else []
    sentences = [
        _sentence("Nothing was wrong with", [run for run in watched if not run.health]),
        _sentence("Nobody watched", [run for run in runs if run.health is None]),
    ]
    return "\n".join(parts + [f'<p class="notes">{escape(sentence)}</p>' for sentence in sentences if sentence])


def _row(run: RunResult, spell: Spell) -> str:
    when = f"since {frames_text(spell.since)}, to the end"
    if spell.until is not None:
        when = f"{frames_text(spell.since)} to {frames_text(spell.until)}, passed"
    words = "".join(f'<td class="words">{escape(text)}</td>' for text in (spell.title, when, spell.advice))
    return f'<tr class="group"><th scope="row">{escape(run.name)}</th><td class="number">{run.seed}</td>{words}</tr>'


def _sentence(start: str, runs: Sequence[RunResult]) -> str:
    seeds: dict[str, list[str]] = {}
    for run in runs:
        seeds.setdefault(run.name, []).append(str(run.seed))
    named = [f"{name} (seed{'s' if len(numbers) > 1 else ''} {', '.join(numbers)})" for name, numbers in seeds.items()]
    return f"{start} {', '.join(named)}." if runs else ""
