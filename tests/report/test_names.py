"""Names stand in every part of a report as they were given."""

from __future__ import annotations

import html
import io
import json
import re
import shutil
import warnings
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from fuzzing_files import NASTY_NAMES
from kickstarting.console import visible
from kickstarting.report import compare_runs, to_markdown, to_rich
from kickstarting.report.figures import draw, rendered
from kickstarting.report.look import LONGEST, label
from kickstarting.report.tables import in_markdown

from .conftest import line_curve, writer


def nasty_report(root, index: int, **options):
    """Of two groups, tasks, and a teacher, each named from the list, beginning at an index."""
    first, second, task, other, teacher, suite = (NASTY_NAMES[(index + i) % len(NASTY_NAMES)] for i in range(6))
    task, other = f"{task} 1", f"{other} 2"
    directories = []
    for name in (first, second):
        directories.append(
            writer(root)(
                name,
                0,
                line_curve(1000, 100),
                tasks={task: 5.0, other: -5.0},
                lambdas={f"run:{teacher}": lambda x: 1 - x / 1000},
                health={teacher: lambda x: float(x > 500)},
                teachers=[f"run:{teacher}"],
                teacher_scores={f"run:{teacher}": {"score": 50.0, "tasks": {task: 55.0, other: 45.0}}},
                suite=suite,
                schedule=teacher,
                folder=f"folder-{len(directories)}",
            )
        )
    return (first, second, task, other), compare_runs(directories, bootstrap=20, **options)


class Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = "", set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("index", range(0, len(NASTY_NAMES), 7))
def test_a_report_of_nasty_names(tmp_path, index):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        names, comparison = nasty_report(tmp_path, index, out=tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    texts = Texts()
    texts.feed(page)
    assert texts.tags.isdisjoint({"script", "b", "a"})
    numbers = json.loads((tmp_path / "report" / "comparison.json").read_text(encoding="utf-8"))
    assert [group["name"] for group in numbers["groups"]] == [group.name for group in comparison.groups]
    shown = io.StringIO()
    Console(file=shown, width=5000, emoji=True).print(to_rich(comparison))
    for name in map(visible, names[:2]):
        assert name in {group.name for group in comparison.groups}
        assert name in html.unescape(texts.text)
        assert name.strip() in shown.getvalue()
        assert in_markdown(name) in (tmp_path / "report" / "table.md").read_text(encoding="utf-8")
    assert set(comparison.tasks) == set(map(visible, names[2:]))
    table = (tmp_path / "report" / "table.md").read_text(encoding="utf-8")
    rows = [re.sub(r"\\.", "", line).count("|") for line in table.split("\n\n")[0].splitlines()]
    assert len(set(rows)) == 1, "a name divides a cell"


@settings(max_examples=30, deadline=None)
@given(text=st.text(max_size=30))
def test_what_is_escaped_for_markdown_divides_no_cell_and_starts_no_tag(text):
    escaped = in_markdown(visible(text))
    assert "<" not in escaped
    assert not re.search(r"[|`*\[$]", re.sub(r"\\.", "", escaped))
    plain = re.sub(r"\\([\\`*\[\]|~$_])", r"\1", escaped)
    assert html.unescape(plain) == html.unescape(visible(text)) or "&" in text


def test_names_in_figures_are_text_and_not_formulas(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in NASTY_NAMES:
            shown = label(visible(name))
            assert len(shown) <= LONGEST + 1
            assert not shown.startswith("_")
    _, comparison = nasty_report(tmp_path, NASTY_NAMES.index("$x_{"), out=None)
    legend = [text.get_text() for legend in draw(comparison)["curves"].legends for text in legend.get_texts()]
    assert "$x_{ (1 seed)" in legend


def test_lineages_of_the_same_letters_have_files_of_their_own(population, tmp_path):
    for i, name in enumerate(("a/b", "a b", "../..")):
        shutil.copytree(population, tmp_path / f"p{i}")
        path = tmp_path / f"p{i}" / "best" / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "name": name}), encoding="utf-8")
    stems = [stem for stem in draw(compare_runs([tmp_path], out=None, bootstrap=10)) if stem.startswith("lineage")]
    assert sorted(stems) == ["lineage-..-..-0", "lineage-a-b-0-1", "lineage-a-b-0-2"]


def test_a_glyph_that_the_font_lacks_warns_nobody(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, comparison = nasty_report(tmp_path, NASTY_NAMES.index("😀"), out=None)
        rendered(draw(comparison)["curves"])


def test_the_baseline_is_named_as_it_was_given(write_run):
    paths = [write_run(name, 0, {10: 1.0}, folder=str(i)) for i, name in enumerate(("x", "a\nb"))]
    assert compare_runs(paths, out=None, baseline="a\nb").baseline == r"a\nb"
    to_markdown(compare_runs(paths, out=None))
