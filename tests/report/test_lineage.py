"""A population in a report: its best member is the run, its lineage a figure."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial

import pytest
from matplotlib.patches import StepPatch

from kickstarting.report import compare_runs
from kickstarting.report.figures import draw, lineage_figure
from kickstarting.report.figures.lineage import BEST, COPY
from kickstarting.report.runs import load_runs
from known import known

from .conftest import points, xs, ys

compare = partial(compare_runs, out=None, bootstrap=50)


def test_of_a_population_the_best_member_is_compared(population):
    for directories in ([population], [population / "best"], [population.parent], [population, population / "best"]):
        (run,) = load_runs(directories)
        assert (run.name, run.directory.name, known(run.population).name) == ("evolved", "best", "evolved-0")
    (member,) = load_runs([population / "members"])
    assert (member.name, member.population) == ("member 0", None)


def test_a_lineage_is_read(population):
    (lineage,) = compare([population]).lineages
    assert (lineage.name, lineage.seed, lineage.frames) == ("evolved", 0, (250, 500, 750, 1000))
    assert lineage.scores[2] == (None, 60.0, 90.0, 120.0)
    assert lineage.ancestry == (1, 0, 0, 2)
    assert lineage.copies == ((0, 0, 1), (2, 2, 0))
    assert list(lineage.values) == ["alpha", "learning_rate", "entropy_cost", "rho of zoo:old"]
    assert lineage.values["learning_rate"][1] == (2e-3,) * 4


def test_a_report_says_that_the_best_of_many_was_chosen(population):
    result = compare([population])
    assert "evolved is the best of 3 members, chosen by its last score." in " ".join(result.notes)
    assert "took 3 times as many" in " ".join(result.notes)
    assert result.runs[0].directory == "evolved-0/best"
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["lineages"][0]["ancestry"] == [1, 0, 0, 2]


def test_the_figure_follows_the_ancestry_through_the_copies(population):
    (lineage,) = compare([population]).lineages
    scores, members, *values = lineage_figure(lineage).axes
    (best,) = [line for line in scores.lines if line.get_color() == BEST]
    assert points(best) == [[250, 20], [500, 20], [750, 30], [1000, 120]]
    links = [points(line) for line in scores.lines if line.get_color() == COPY and len(xs(line)) == 2]
    assert links == [[[250, 20], [250, 10]], [[750, 30], [750, 90]]]
    lanes = [tuple(ys(line)) for line in members.lines if line.get_color() == BEST]
    assert lanes == [(1, 1), (0, 0), (0, 0), (2, 2)]
    assert len(members.texts) == 2  # an arrow for each copy
    assert [axes.get_title(loc="left") for axes in values] == ["alpha", "learning rate"]
    assert {axes.get_yscale() for axes in values} == {"log"}
    told = values[1].patches[-1]
    assert isinstance(told, StepPatch)
    heights, edges, _ = told.get_data()
    assert heights.tolist() == [2e-3, 1e-3, 1e-3, 3e-3]
    assert edges.tolist() == [0, 250, 500, 750, 1000]


def test_a_member_goes_on_from_where_the_copied_one_was(population):
    (lineage,) = compare([population]).lineages
    scores = lineage_figure(lineage).axes[0]
    lines = [points(line) for line in scores.lines if line.get_color() not in (BEST, COPY)]
    assert [[250, 20], [500, 20], [750, 30], [1000, 40]] in lines  # member 0, after its copy of 1
    assert [[500, 60], [750, 90]] in lines  # member 2 up to its copy of 0
    assert [[750, 30], [1000, 120]] in lines  # and from there on


def test_returns_are_not_cut_at_100(population):
    (lineage,) = compare([population]).lineages
    assert lineage_figure(lineage).axes[0].get_ylim() == (0.0, 100.0)
    assert lineage_figure(replace(lineage, points=False)).axes[0].get_ylim() == pytest.approx((0.0, 126.0))


def test_shares_of_many_teachers_are_one_panel(population):
    (lineage,) = compare([population]).lineages
    lineage.values.update({f"rho of t{k}": lineage.values["alpha"] for k in range(6)})  # beside one that never changes
    titles = [axes.get_title(loc="left") for axes in lineage_figure(lineage).axes[2:]]
    assert titles == ["alpha", "learning rate", "rho of 6 teachers, in the ancestry of the best"]


def test_every_population_has_a_figure(population, tmp_path):
    shutil.copytree(population, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "best" / "config.json").read_text())
    (tmp_path / "other" / "best" / "config.json").write_text(json.dumps({**config, "seed": 1}))
    compare_runs([population], out=tmp_path / "one", bootstrap=50)
    assert (tmp_path / "one" / "lineage.png").exists()
    assert "How the population evolved" in (tmp_path / "one" / "report.html").read_text()
    assert {"lineage-evolved-0", "lineage-evolved-1"} <= set(draw(compare([population, tmp_path / "other"])))


def test_an_unfinished_population_and_a_torn_lineage_are_refused(population, tmp_path):
    shutil.copytree(population, tmp_path / "torn")
    (tmp_path / "torn" / "lineage.json").write_text('[{"round": 0')
    with pytest.raises(ValueError, match=r"lineage\.json is damaged: .* resume the population"):
        compare([tmp_path / "torn"])
    shutil.rmtree(tmp_path / "torn" / "best")
    with pytest.raises(ValueError, match="has no best member yet; let it finish"):
        compare([tmp_path / "torn"])
