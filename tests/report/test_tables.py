from __future__ import annotations

import io
import re
from functools import partial

import numpy as np
import pytest
from rich.console import Console

from kickstarting.report import compare_runs, headline, to_markdown, to_rich
from kickstarting.report.comparison import Estimate
from kickstarting.report.tables import final_table, progress_table, to_html
from kickstarting.report.wording import frames_text, interval_text, percent_text, score_text, speedup_text, value_text

from .conftest import line_curve, many_groups

compare = partial(compare_runs, out=None, bootstrap=300)


@pytest.mark.parametrize(
    ("frames", "text"),
    [(0, "0"), (512, "512"), (131_072, "131k"), (999_700, "1M"), (1_390_000, "1.39M"), (8_140_000_000, "8.14B"), (10**10, "10B")],
)
def test_frames_have_three_digits_and_a_unit(frames, text):
    assert frames_text(frames) == text


def test_numbers_read_as_in_the_paper():
    assert (percent_text(55.18), percent_text(-3.0), percent_text(12345.6)) == ("+55.2%", "-3.0%", "+12,346%")
    assert (speedup_text(6.916), speedup_text(250.0)) == ("6.92×", "250×")
    assert value_text(Estimate(None, 1.0, 2.0), score_text) == "-"
    assert value_text(Estimate(1.2e6, bound="≤"), frames_text) == "≤ 1.2M"


def test_an_open_interval_ends_behind_the_budget():
    estimate = Estimate(3e6, 2e6, np.inf)
    assert interval_text(estimate, frames_text, budget=10_000_000) == "2M to >10M"
    assert interval_text(estimate, speedup_text) == "2,000,000× to ∞"
    assert interval_text(Estimate(3e6), frames_text) == ""


def test_markdown_holds_table_1(two_groups):
    lines = to_markdown(compare(two_groups, at_frames=[100, 1000], levels=[30.0])).splitlines()
    assert lines[0] == "|  | Score at 100 | Score at 1k | Frames to reach 30.0 | Frames to reach 48.8 (scratch's final) |"
    interval = r" \(\S+ to \S+\) \| "
    assert re.match(interval.join([r"\| scratch \| 5\.0", r"50\.0", "600", "975"]), lines[2])
    assert re.match(interval.join([r"\| student \| 10\.0", r"100\.0", "300", "487"]), lines[3])
    assert re.match(interval.join([r"\| \*improvement\* \| \+100\.0%", r"\+100\.0%", "2.00×", "2.00×"]), lines[4])
    assert all(line.count("|") == 6 for line in lines[:5])
    assert "| teacher old |  | 45.0 |" in "\n".join(lines)
    assert "yes, after 450" in "\n".join(lines)


def test_never_reached_is_a_dash_in_every_format(write_run):
    paths = [write_run("low", 0, line_curve(slope=0.3)), write_run("high", 0, line_curve(slope=0.9))]
    result = compare(paths, levels=[60.0])
    low, high, versus = progress_table(result).rows
    assert [row.cells[-2].text for row in (low, high, versus)] == ["-", "667", "-"]
    assert "| - | 975 |" in to_markdown(result)
    assert "<td>-</td>" in to_html(result)


def test_an_interval_that_some_resamples_leave_open_says_so(write_run):
    paths = [write_run("a", seed, line_curve(slope=slope)) for seed, slope in enumerate((0.2, 0.5, 0.9))]
    assert re.search(r"\| 844 \(500 to >1k\) \|", to_markdown(compare(paths, levels=[45.0])))


def test_what_a_reader_must_know_is_in_every_format(write_run):
    """A run that was cut short looks finished in a table."""
    paths = [write_run("whole", 0, line_curve()), write_run("cut", 0, line_curve(total=500), total_frames=1000)]
    result = compare(paths)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(to_rich(result))
    for text in (to_markdown(result), console.export_text()):
        assert "Seed 0 of cut stopped at 500 of 1k frames" in text


def test_names_cannot_break_the_markup(write_run):
    paths = [write_run("a|b", 0, line_curve(slope=0.5), folder="x"), write_run("<b>[red]", 0, line_curve(), folder="y")]
    result = compare(paths)
    assert "| a\\|b |" in to_markdown(result)
    assert "<b>" not in to_html(result)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(to_rich(result))
    assert "<b>[red]" in console.export_text()


def test_the_terminal_shows_every_number_of_the_table(two_groups):
    result = compare(two_groups)
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(to_rich(result))
    text = console.export_text()
    for row in progress_table(result).rows:
        for cell in row.cells:
            assert cell.text in text
            assert cell.interval in text


@pytest.mark.parametrize("number", [1, 2, 3, 4, 6, 8])
def test_a_terminal_of_80_characters_breaks_no_word(tmp_path, number):
    result = compare(many_groups(tmp_path, number), bootstrap=20)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(to_rich(result))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    words = set(re.findall(r"[^\s┃│]+", text))
    for table in (progress_table(result), final_table(result)):
        shown = [row for row in table.rows if row.kind != "teacher"]
        assert words >= {word for column in table.columns for word in f"{column.heading} {column.title}".split()}
        assert words >= {word for row in shown for cell in (row.label, *(c.text for c in row.cells)) for word in cell.split()}
    in_rows = re.search(r"^ two-teachers-evolved +│ +3\.3 │ +6\.7 │ +16\.8 │ +67\.0 $", text, flags=re.MULTILINE)
    assert bool(in_rows) == (number > 3)


def test_headline_states_speed_and_height(write_run):
    slopes = (0.5, 0.51, 0.52)
    paths = [write_run("scratch", seed, line_curve(slope=s)) for seed, s in enumerate(slopes)]
    paths += [write_run("student", seed, line_curve(slope=1.5 * s)) for seed, s in enumerate(slopes)]
    (sentence,) = headline(compare(paths))
    assert sentence.startswith(
        "student reaches the final score of scratch (49.7) after 650 frames instead of 975, a speed-up of 1.50× (95% interval 1.4"
    )
    assert "and ends at 74.6, +50.0% (95% interval +4" in sentence
    assert "no difference" not in sentence


def test_headline_admits_what_it_does_not_know(write_run):
    slopes = (0.4, 0.5, 0.6)
    paths = [write_run(name, seed, line_curve(slope=s)) for name in ("a", "b") for seed, s in enumerate(slopes)]
    (sentence,) = headline(compare(paths))
    assert sentence.endswith("The interval includes no difference in speed and final score.")


def test_headline_when_the_student_never_gets_there(write_run):
    paths = [write_run("a", 0, line_curve(slope=0.9)), write_run("b", 0, line_curve(slope=0.3))]
    (sentence,) = headline(compare(paths))
    assert sentence == "b does not reach the final score of a (87.8) within 1k frames, and ends at 29.2, -66.7%."


def test_headlines_of_many_groups_are_of_the_best(write_run):
    paths = [write_run(f"g{i}", 0, line_curve(slope=slope)) for i, slope in enumerate((0.1, 0.5, 0.9, 0.3, 0.7, 0.2))]
    result = compare(paths)
    *sentences, others = headline(result)
    assert [sentence.split()[0] for sentence in sentences] == ["g2", "g4", "g1"]
    assert others == "2 others end at 19.5 to 29.2."
    assert headline(compare(paths[:5]))[-1] == "g3 ends at 29.2."
    assert [sentence.split()[0] for sentence in headline(compare(paths[:4]))] == ["g1", "g2", "g3"]


def test_headline_of_one_group_compares_nothing(write_run):
    assert headline(compare([write_run("a", 0, line_curve())])) == ("a ends at 97.5 after 1k frames.",)
