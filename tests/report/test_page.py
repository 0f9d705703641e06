from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.collections import PolyCollection

from kickstarting.report import compare_runs, headline
from kickstarting.report.figures import TOGETHER, curves_figure, draw, tasks_figure
from kickstarting.report.figures.legend import colour
from kickstarting.report.figures.score_map import DARKEST
from kickstarting.report.look import COLOURS, PALETTE
from known import known

from .conftest import bars, line_curve, xs, ys

VOID = {"meta", "br", "col", "hr", "img", "link"}


class Balanced(HTMLParser):
    """Checks that elements close in order and collects ids and the text that a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self._note(attrs)

    def handle_startendtag(self, tag, attrs):
        self._note(attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def _note(self, attrs):
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            self.references += re.findall(r"url\(#([^)]+)\)", value or "")
            if key.endswith("href"):
                assert value.startswith("#")
                self.references.append(value[1:])


@pytest.fixture(scope="module")
def report(two_groups, tmp_path_factory) -> Path:
    """Rendered once, since that takes a second; tests only read it."""
    out = tmp_path_factory.mktemp("report")
    compare_runs(two_groups, out=out, bootstrap=100)
    return out


def test_every_file_is_written(report):
    expected = {"comparison.json", "table.md", "report.html", "curves.png", "curves.svg", "tasks.png", "tasks.svg"}
    assert {path.name for path in report.iterdir()} == expected
    assert json.loads((report / "comparison.json").read_text())["groups"][1]["name"] == "student"
    assert (report / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_is_one_file_without_requests_or_scripts(report):
    page = (report / "report.html").read_text()
    for forbidden in ("http:", "https:", "<script", "<link", "@import", "src=", "file:"):
        assert forbidden not in page
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_is_well_formed_and_its_svg_references_resolve(report):
    parser = Balanced()
    parser.feed((report / "report.html").read_text())
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert parser.references
    assert set(parser.references) <= set(parser.ids)


def test_the_page_says_what_was_found(report, two_groups):
    parser = Balanced()
    parser.feed((report / "report.html").read_text())
    assert headline(compare_runs(two_groups, out=None, bootstrap=100))[0] in parser.text
    assert "Few seeds: scratch (3), student (3)" in parser.text
    assert "teacher old" in parser.text
    assert parser.text.count("student-") == 3  # the directories of its seeds


def test_no_file_names_a_folder_of_the_writer(report, two_groups):
    for path in report.iterdir():
        content = path.read_bytes()
        assert str(two_groups[0].parent).encode() not in content
        assert b"/somewhere/private" not in content


def test_the_pages_figures_follow_the_colour_scheme(report):
    page = (report / "report.html").read_text()
    figures = "".join(re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL))
    assert figures.count("<svg") == 2
    assert not re.findall(r"#[0-9a-f]{6}\b", figures)  # a colour outside the palette would stay as it is in the dark
    assert set(re.findall(r"var\(--(\w+)\)", page)) <= set(PALETTE)


def test_the_same_runs_give_the_same_files(report, two_groups, tmp_path):
    compare_runs(two_groups, out=tmp_path, bootstrap=100)
    for path in report.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_curves_show_score_band_teacher_and_lambda(two_groups):
    comparison = compare_runs(two_groups, out=None, bootstrap=100)
    top, bottom = curves_figure(comparison).axes
    assert top.get_ylim() == (0.0, 100.0)
    assert top.get_xlim() == bottom.get_xlim() == (0.0, 1000.0)
    lines = {line.get_color(): line for line in top.lines if line.get_linestyle() == "-"}
    assert ys(lines[COLOURS[0]])[-1] == pytest.approx(100.0)
    assert [ys(line)[0] for line in top.lines if line.get_linestyle() == "--"] == [45.0]
    assert len([c for c in top.collections if isinstance(c, PolyCollection)]) == 2
    (weight,) = bottom.lines
    assert ys(weight)[0] == pytest.approx(1.0)


def test_without_teachers_there_is_no_lambda_panel_and_without_tasks_no_bars(write_run, tmp_path):
    comparison = compare_runs([write_run("a", 0, line_curve())], out=tmp_path / "out")
    assert len(curves_figure(comparison).axes) == 1
    assert tasks_figure(comparison) is None
    assert not (tmp_path / "out" / "tasks.png").exists()
    assert "Every task" not in (tmp_path / "out" / "report.html").read_text()


def test_bars_are_the_final_scores(two_groups):
    comparison = compare_runs(two_groups, out=None, bootstrap=100)
    (axes,) = known(tasks_figure(comparison)).axes
    widths = {(bar.get_facecolor()[:3], round(bar.get_width(), 2)) for bar in bars(axes)}
    assert sorted(width for _, width in widths) == [38.75, 58.75, 87.5, 107.5]
    assert len({shade for shade, _ in widths}) == 2
    markers = [xs(line)[0] for line in axes.lines if line.get_marker() == "D"]
    assert markers == [60.0, 30.0]


def test_low_scores_fill_the_figure(write_run):
    path = write_run("a", 0, {0: 0.0, 1000: 30.0}, tasks={"x": 25.0, "y": 35.0})
    assert curves_figure(compare_runs([path], out=None)).axes[0].get_ylim() == pytest.approx((0.0, 33.0))


def test_a_score_below_random_stays_in_the_figure(write_run):
    path = write_run("a", 0, {0: -10.0, 1000: 20.0}, tasks={"x": -25.0, "y": 25.0})
    comparison = compare_runs([path], out=None)
    assert curves_figure(comparison).axes[0].get_ylim()[0] <= -10.0
    assert known(tasks_figure(comparison)).axes[0].get_xlim()[0] <= -5.0


@pytest.mark.parametrize("number", [2, TOGETHER + 1])
@pytest.mark.parametrize("slope", [50.0, -3.0])
def test_returns_are_not_cut_at_100(write_run, number, slope):
    options: dict[str, Any] = {"tasks": {"x": -25.0, "y": 25.0}, "returns": True}
    options |= {"lambdas": {"old": lambda frames: 1.0}, "teachers": ["*=old"]}
    options |= {"teacher_scores": {"old": {"score": 60.0 * slope, "tasks": dict.fromkeys("xy", 60.0 * slope)}}}
    paths = [write_run(f"g{i}", seed, line_curve(slope=slope + seed + i), **options) for i in range(number) for seed in range(2)]
    comparison = compare_runs(paths, out=None, bootstrap=50)
    assert not comparison.points
    figures = draw(comparison)
    assert_fits(figures["curves"].axes[0].get_ylim(), [value for line in figures["curves"].axes[0].lines for value in ys(line)])
    if number == 2:
        (axes,) = figures["tasks"].axes
        assert_fits(axes.get_xlim(), [bar.get_x() + bar.get_width() for bar in bars(axes)])
    else:  # the scale of the map is each row's own
        cells = bars(figures["tasks"].axes[0])
        assert {bar.get_alpha() for bar in cells} >= {0.0, DARKEST}
        assert len({bar.get_alpha() for bar in cells if bar.get_y() < 0}) == number + 1


def assert_fits(limits: tuple[float, float], scores: list[float]) -> None:
    """All scores and 0 are seen, and not much beside."""
    low, high = min(0.0, *scores), max(0.0, *scores)
    assert low - 0.3 * (high - low) <= limits[0] <= low <= high <= limits[1] <= high + 0.3 * (high - low)


def test_a_score_that_is_a_return_is_told_from_points(write_run):
    """A success that never came is 0 in points and as a metric, too, and says nothing."""
    nothing = write_run("never", 0, dict.fromkeys((0, 1000), 0.0), tasks={"x": 0.0}, returns=True)
    points = write_run("points", 0, line_curve(), tasks={"x": 0.0})
    returns = write_run("returns", 0, line_curve(slope=0.5), tasks={"x": 0.0}, returns=True)
    assert compare_runs([nothing, points], out=None).points
    assert not compare_runs([points, returns], out=None).points


def test_nine_groups_can_be_told_apart(write_run):
    paths = [write_run(f"g{i}", 0, line_curve(slope=0.1 * i + 0.1)) for i in range(9)]
    comparison = compare_runs(paths, out=None)
    drawn = [(line.get_color(), line.get_linestyle()) for line in curves_figure(comparison).axes[0].lines]
    assert len(set(drawn)) == 9
    assert colour(comparison, comparison.groups[0]) not in COLOURS


@pytest.mark.parametrize("taught", [False, True])
def test_many_groups_have_a_panel_each(write_run, taught):
    weights = {"old": lambda frames: 1.0 - frames / 1000}
    paths = [
        write_run(f"group {i} of a long name", 0, line_curve(slope=0.1 * i + 0.1), lambdas=weights if taught and i else None)
        for i in range(TOGETHER + 1)
    ]
    comparison = compare_runs(paths, out=None)
    panels = {ax.get_title(loc="left"): ax for ax in draw(comparison)["curves"].axes if ax.get_title(loc="left")}
    assert list(panels) == [f"group {i} of a long name" for i in range(1, TOGETHER + 1)]
    for i, panel in enumerate(panels.values(), start=1):
        (own,) = [line for line in panel.lines if line.get_color() == COLOURS[0]]
        assert ys(own)[-1] == pytest.approx(10.0 * i + 10.0)
        (final,) = [text.get_text() for text in panel.texts]
        assert float(final) == pytest.approx(ys(own)[-1], rel=0.05)
    strips = [ax for ax in draw(comparison)["curves"].axes if ax.get_ylabel() == "λ"]
    assert bool(strips) == taught
    for strip in strips:
        assert [ys(line)[0] for line in strip.lines] == pytest.approx([1.0])


def test_many_groups_have_a_map_of_scores(write_run):
    paths = [write_run(f"g{i}", 0, line_curve(slope=0.1 * i + 0.1), tasks={"easy": 5.0, "hard": -5.0}) for i in range(TOGETHER + 1)]
    comparison = compare_runs(paths, out=None)
    (axes,) = draw(comparison)["tasks"].axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"g{i}" for i in range(TOGETHER + 1)]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    for i, group in enumerate(comparison.groups):
        for task, estimate in group.tasks.items():
            (text,) = [text for text in axes.texts if text.get_position() == (i, rows.index(task))]
            assert float(text.get_text()) == pytest.approx(estimate.value, abs=0.51)
    opacity = [known(bar.get_alpha()) for bar in sorted(bars(axes), key=lambda bar: bar.get_x()) if bar.get_y() > 0]
    assert opacity == sorted(opacity)


def test_the_title_counts_the_tasks_of_a_long_list(write_run, tmp_path):
    for suite, title in (("grid-30:a,b,c,d", "4 tasks of grid-30"), ("grid-30:a,b", "grid-30:a,b"), ("grid-8", "grid-8")):
        folder = tmp_path / title
        compare_runs([write_run("a", 0, line_curve(), suite=suite, folder=title)], out=folder)
        assert f"<title>a: {title}</title>" in (folder / "report.html").read_text()
