"""One HTML file with everything in it: no script, no request, readable on a phone and in the dark."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from kickstarting.report.cluster import cluster_sentence, cluster_table
from kickstarting.report.comparison import ClusterHistory, Comparison, RunResult
from kickstarting.report.figures import TOGETHER, stem_of
from kickstarting.report.figures.cluster import lanes_of
from kickstarting.report.figures.teachers import voices
from kickstarting.report.health import health_table
from kickstarting.report.layout import ReportDirectory
from kickstarting.report.lineage import Lineage
from kickstarting.report.look import PALETTE
from kickstarting.report.tables import to_html
from kickstarting.report.teachers import NAMED
from kickstarting.report.wording import NEVER, frames_text, headline, score_text

STYLE = """
:root { color-scheme: light dark; %(light)s }
@media (prefers-color-scheme: dark) { :root { %(dark)s } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1.5rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: break-word; }
body > * { max-width: 46rem; margin-inline: auto; }
body > .wide { width: fit-content; min-width: min(46rem, 100%%); max-width: 100%%; }
h1 { font-size: 1.5rem; line-height: 1.25; margin-block: 0 .75rem; }
h2 { font-size: 1.1rem; margin-block: 2.5rem .5rem; }
.headline { font-size: 1.1rem; margin-block: 0 .75rem; }
figure { margin: 1rem 0; }
body > figure { margin-inline: auto; }
figure svg { display: block; width: 100%%; max-width: 40rem; height: auto; }
figure img { display: block; max-width: 100%%; height: auto; border-radius: .4rem; }
figcaption, .notes, footer { color: var(--faint); font-size: .875rem; }
figcaption { margin-top: .5rem; max-width: 46rem; }
.notes { padding-left: 1.1rem; }
/* a shadow at the right edge as long as there is more behind it: the paper, which scrolls, covers it at the end */
.scroll { overflow-x: auto; scrollbar-width: thin; scrollbar-color: var(--faint) transparent;
  background: linear-gradient(to left, var(--paper) 50%%, transparent) right / 4rem 100%% no-repeat local,
    linear-gradient(to left, rgb(110 118 129 / .5), transparent) right / 1.25rem 100%% no-repeat scroll; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; min-width: 100%%; }
th, td { padding: .35rem .5rem; text-align: right; vertical-align: top; }
td { white-space: nowrap; }
thead th { font-weight: 600; vertical-align: bottom; }
thead tr:first-child th { text-align: left; color: var(--faint); font-weight: 500; padding-bottom: 0; }
thead tr:last-child th { max-width: 7.5rem; }
thead tr:last-child { border-bottom: 1px solid var(--faint); }
tbody th { text-align: left; font-weight: 600; position: sticky; left: 0; background: var(--paper); max-width: 10rem; }
thead td:first-child { position: sticky; left: 0; background: var(--paper); }
tbody tr.group { border-top: 1px solid var(--grid); }
tr.versus th { font-weight: 400; font-style: italic; padding-left: 1.2rem; }
tr.teacher th, tr.teacher td { color: var(--faint); font-weight: 400; }
tr.teacher { border-top: 1px solid var(--grid); }
table.runs td, table.runs th { text-align: left; }
table.runs td.number { text-align: right; }
table.runs td.words { white-space: normal; min-width: 8rem; }
summary { cursor: pointer; }
small { display: block; white-space: normal; color: var(--faint); font-size: .75rem; }
"""


def to_page(comparison: Comparison, figures: Mapping[str, str], clip: tuple[bytes, str] | None = None) -> str:
    """figures: by their stems, as SVG files' text. clip: a GIF and its caption."""
    suite, _, part = comparison.suite.partition(":")
    suite = f"{part.count(',') + 1} tasks of {suite}" if part.count(",") > 2 else comparison.suite  # the tables name them
    title = " and ".join(group.name for group in comparison.groups) + f": {suite}" if len(comparison.groups) < 4 else suite
    sentences = "\n".join(f'<p class="headline">{escape(sentence)}</p>' for sentence in headline(comparison))
    notes = "".join(f"<li>{escape(note)}</li>" for note in comparison.notes)
    parts = [
        f"<h1>{escape(title)}</h1>",
        sentences,
        f'<ul class="notes">{notes}</ul>' if notes else "",
        svg_figure(figures["curves"], _curves_caption(comparison), "curves"),
        "<h2>How fast, and how far</h2>",
        to_html(comparison),
        *_section("Who was listened to, when", figures.get("teachers"), _teachers_caption(), "teachers"),
        *_section("Every task", figures.get("tasks"), _tasks_caption(comparison), "tasks"),
        *(part for lineage in comparison.lineages for part in _lineage_section(comparison, lineage, figures)),
        *(part for cluster in comparison.clusters for part in _cluster_section(comparison, cluster, figures)),
        *(("<h2>An episode</h2>", clip_figure(*clip)) if clip else ()),
        "<h2>Runs</h2>",
        _runs_table(comparison.runs),
        *_health_section(comparison.runs),
        f"<footer><p>Percentile bootstrap, {comparison.bootstrap} resamples, seed {comparison.bootstrap_seed}. "
        f"Written by kickstarting; {ReportDirectory(Path()).numbers} beside this page holds all numbers.</p></footer>",
    ]
    return document(title, parts)


def document(title: str, parts: Sequence[str]) -> str:
    """A page in this style, of these parts as HTML; empty ones are left out."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_style_sheet()}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, parts))
        + "\n</body>\n</html>\n"
    )


def clip_figure(clip: bytes, caption: str) -> str:
    """A GIF inside the page."""
    data = base64.b64encode(clip).decode("ascii")
    image = f'<img alt="{escape(caption)}" src="data:image/gif;base64,{data}">'
    return f"<figure>{image}\n<figcaption>{escape(caption)}</figcaption></figure>"


def _style_sheet() -> str:
    light = " ".join(f"--{name}: {shade};" for name, (shade, _) in PALETTE.items())
    dark = " ".join(f"--{name}: {shade};" for name, (_, shade) in PALETTE.items())
    return STYLE % {"light": light, "dark": dark}


def _section(title: str, svg: str | None, caption: str, name: str) -> tuple[str, ...]:
    return (f"<h2>{escape(title)}</h2>", svg_figure(svg, caption, name)) if svg else ()


def _lineage_section(comparison: Comparison, lineage: Lineage, figures: Mapping[str, str]) -> tuple[str, ...]:
    stem = stem_of("lineage", lineage, comparison.lineages)
    title = _title("How the population evolved", lineage, comparison.lineages)
    return _section(title, figures.get(stem), _lineage_caption(lineage), stem)


def _cluster_section(comparison: Comparison, cluster: ClusterHistory, figures: Mapping[str, str]) -> tuple[str, ...]:
    stem = stem_of("cluster", cluster, comparison.clusters)
    title = _title("How the cluster fared", cluster, comparison.clusters)
    return (*_section(title, figures.get(stem), _cluster_caption(cluster), stem), cluster_table(cluster))


def _title(title: str, one: Lineage | ClusterHistory, several: Sequence[object]) -> str:
    return f"{title}: {one.name}, seed {one.seed}" if len(several) > 1 else title


def _health_section(runs: tuple[RunResult, ...]) -> tuple[str, ...]:
    table = health_table(runs)
    return ("<h2>What they said while they ran</h2>", table) if table else ()


def svg_figure(svg: str, caption: str, name: str) -> str:
    """An SVG file's text inside the page, in its colours. name: what its ids begin with."""
    return f"<figure>{_inline_svg(svg, caption, name)}\n<figcaption>{escape(caption)}</figcaption></figure>"


def _inline_svg(text: str, label: str, name: str) -> str:
    """The figure's <svg> alone, its colours as CSS variables, its ids prefixed, since a page has one space of ids."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'<svg\b([^>]*?)\s+width="[^"]*"', r"<svg\1", text, count=1)
    text = re.sub(r'<svg\b([^>]*?)\s+height="[^"]*"', r"<svg\1", text, count=1)
    for variable, (shade, _) in PALETTE.items():
        text = text.replace(shade, f"var(--{variable})")
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1).strip()


def _curves_caption(comparison: Comparison) -> str:
    caption = "Score, mean over seeds"
    if any(group.curve.low for group in comparison.groups):
        caption += " with 95% bootstrap bands"
    if any(teacher.whole_suite for teacher in comparison.teachers):
        caption += "; dashed: what a teacher scores alone"
    if any(group.lambdas for group in comparison.groups):
        caption += ". Below: the weight λ of the teachers in the student's loss, mean over seeds"
        if any(len(voices(group)) > NAMED for group in comparison.groups if group.lambdas):
            caption += "; of teachers with many different weights their mean and range"
    return f"{caption}."


def _tasks_caption(comparison: Comparison) -> str:
    caption = "Final score on every task, mean over seeds"
    if len(comparison.groups) > TOGETHER:
        return f"{caption}; behind the second line: what a teacher scores alone."
    if any(group.curve.low for group in comparison.groups):
        caption += " with 95% bootstrap intervals"
    if any(teacher.tasks for teacher in comparison.teachers):
        caption += "; markers: what a teacher scores alone"
    return f"{caption}."


def _teachers_caption() -> str:
    return (
        "The weight λ of every teacher in the student's loss, mean over seeds: the stronger the colour, the more it was heard. "
        "Sorted by how much that was altogether."
    )


def _lineage_caption(lineage: Lineage) -> str:
    return (
        f"{len(lineage.scores)} members, {len(lineage.copies)} copies. From the top: the score of every member, which goes on from "
        "where the copied one was; who copied whom; every hyperparameter that changed, over the slices in which it was in force."
    )


def _cluster_caption(cluster: ClusterHistory) -> str:
    lanes = len(lanes_of(cluster))
    which = "Who was alive when" if lanes == len(cluster.parts) else f"The {lanes} parts to which most happened"
    return (
        f"{cluster_sentence(cluster)} {which}; the actors that were alive, the unrolls that waited for the learner, and the lag: "
        "the updates between the weights that acted and the step on what they did."
    )


def _runs_table(runs: tuple[RunResult, ...]) -> str:
    titles = ("run", "seed", "frames", "final", "hours", "frames/s", "teachers", "directory")
    rows = []
    for run in runs:
        frames = frames_text(run.frames) + (f" of {frames_text(run.total_frames)}" if run.frames < run.total_frames else "")
        hours = NEVER if run.seconds is None else f"{run.seconds / 3600:.2f}"
        speed = NEVER if run.frames_per_second is None else f"{run.frames_per_second:,.0f}"
        numbers = "".join(f'<td class="number">{text}</td>' for text in (run.seed, frames, score_text(run.final), hours, speed))
        teachers = ", ".join(run.teachers) if len(run.teachers) < 3 else f"{len(run.teachers)} teachers"
        words = "".join(f"<td>{escape(text)}</td>" for text in (teachers or NEVER, run.directory))
        rows.append(f'<tr class="group"><th scope="row">{escape(run.name)}</th>{numbers}{words}</tr>')
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    table = f'<table class="runs"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="scroll wide" role="region" aria-label="table" tabindex="0">{table}</div>'
