"""Health: what provokes each diagnosis, what leaves it silent, and what becomes of it."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text

from kickstarting import Config
from kickstarting.display import Display, ailing, panel
from kickstarting.runs.health import BY_NAME, DIAGNOSES, Facts, Health, longer
from kickstarting.runs.metrics import explained_variance, summarise
from known import known

Line = dict[str, Any]
LINES = 100
LOG7 = math.log(7)
FACTS = Facts(
    total_frames=1000 * LINES,
    tasks=("door", "key"),
    points=True,
    most_entropy=LOG7,
    max_grad_norm=1.0,
    teacher_scores={"old": {"door": 80.0, "key": 60.0}},
)


def explaining(share: float, baseline_loss: float = 0.02) -> Line:
    """Of a critic that explains this share of its targets' variance."""
    variance = 2 * baseline_loss / (1 - share)
    return {"baseline_loss": baseline_loss, "value_error": 0.0, "target": 0.5, "target_square": variance + 0.25}


def healthy(x: float) -> Line:
    """A kickstarted run that goes well, after the share x of its frames: lambda is 0 from a fifth on, the teacher scores 70."""
    score, critic = 95.0 * min(1.0, x / 0.3), 0.02 + 0.01 * math.sin(50 * x)
    tasks = {"door": score + 3, "key": score - 3}
    return {
        "entropy_loss": -LOG7 * max(0.05, 1.0 - 2 * x),
        "policy_cost": 1.0,
        "baseline_cost": 0.5,
        **explaining(0.7 * x, critic),
        "grad_norm": 1.5,
        "grad_clipped": 0.9,
        "rho_clipped": 0.05,
        "lambda/old": max(0.0, 1.0 - x / 0.2),
        "distillation_loss": LOG7 * max(0.4, 1.0 - 3 * x) if x < 0.2 else None,
        "score": score,
        "frames_per_second": 9000.0 + 1000 * math.sin(70 * x),
        **{f"task_score/{task}": value for task, value in tasks.items()},
        **{f"task_return/{task}": value / 100 for task, value in tasks.items()},
        **{f"task_success/{task}": value / 100 for task, value in tasks.items()},
    }


def lines(change: Callable[[float], Line] = lambda x: {}, base: Callable[[float], Line] = healthy) -> Iterator[Line]:
    """The healthy run with some of its numbers changed."""
    for i in range(1, LINES + 1):
        yield {"frames": 1000 * i, **base(i / LINES), **change(i / LINES)}


def said(seen: Iterator[Line], facts: Facts = FACTS) -> list[tuple[int, str]]:
    """Frames and text of every notice."""
    health = Health(facts)
    return [(notice.frames, notice.text) for line in seen for notice in health.see(line)]


def spells(seen: Iterator[Line], facts: Facts = FACTS) -> dict[str, list[int]]:
    """By diagnosis the frames at which it appeared, passed, appeared again, ..."""
    found: dict[str, list[int]] = {}
    for frames, text in said(seen, facts):
        found.setdefault(re.split(r"[: ]", text)[0], []).append(frames)
    return found


def test_a_healthy_run_has_nothing_to_say():
    assert said(lines()) == []
    assert said(lines(), replace(FACTS, points=False, most_entropy=math.nan, teacher_scores={}, schedule="x.json")) == []


def test_what_is_not_known_accuses_nobody():
    assert said(lines(base=lambda x: {})) == []
    assert said(lines(base=lambda x: dict.fromkeys(healthy(x)))) == []
    assert said(lines(), Facts(total_frames=1000 * LINES)) == []
    for name in healthy(0.5):
        assert said(lines(lambda x, name=name: {name: None})) == [], name


BAD: dict[str, tuple[Callable[[float], Line], int, str]] = {
    # the change that provokes it, the frames at which it is said, and words that are
    "uniform_policy": (lambda x: {"entropy_loss": -0.95 * LOG7}, 24_000, "95% of the largest; raise --learning-rate"),
    "collapsed_policy": (
        lambda x: {"entropy_loss": -0.01 * LOG7, "score": 40.0} if x > 0.6 else {},
        65_000,
        "it scores 40 .* raise --entropy-cost",
    ),
    "no_reward": (lambda x: {"task_return/key": 0.0, "task_success/key": 0.0}, 20_000, "on key; give a teacher"),
    "exploding_value": (lambda x: explaining(0.3, 5.0) if x > 0.5 else {}, 55_000, "explodes: 5, where 0.02"),
    "blind_critic": (lambda x: explaining(-0.5), 35_000, "explains -0.50 .* raise --baseline-cost"),
    "clipped_gradient": (
        lambda x: {"grad_clipped": 0.99, "grad_norm": 12.0} if x > 0.3 else {},
        35_000,
        "99% of the steps: its norm is 12, max_grad_norm 1; raise --max-grad-norm",
    ),
    "below_teacher": (
        lambda x: {f"task_score/{task}": 150 * min(x, 0.2) for task in ("door", "key")},
        24_000,
        r"40 points below its teacher old, most on door \(50\); .* --schedule linear:1:0:40% instead of linear:1:0:20%",
    ),
    "unheard_teacher": (
        lambda x: {"distillation_loss": 0.98 * LOG7 if x < 0.2 else None},
        15_000,
        "cross-entropy 1.91, at first 1.91; see with `kickstart check",
    ),
    "off_policy": (lambda x: {"rho_clipped": 0.7} if x > 0.4 else {}, 45_000, "70% of the transitions; lower"),
    "eaten_task": (
        lambda x: {"task_score/door": 80.0 - 50 * (x > 0.5), "task_score/key": 62.0 + 35 * (x > 0.5)},
        60_000,  # the mean of five lines fell by 30 before the last of them: four of five, and five lines in a row
        "door fell by 50 points from its best while key rose by 35",
    ),
    "slow": (lambda x: {"frames_per_second": 2500.0} if x > 0.5 else {}, 57_000, "2,500 frames/s, where .*load average 3.5 on"),
}


@pytest.mark.parametrize("name", BY_NAME)
def test_each_diagnosis_appears_alone_and_once(name, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (3.5, 1.0, 1.0))
    change, frames, words = BAD[name]
    notices = said(lines(change))
    texts = [text for _, text in notices if not text.endswith("has passed")]
    assert len(texts) == 1
    assert texts[0].startswith(f"{name}: ")
    assert re.search(words, texts[0]), texts[0]
    assert abs(notices[0][0] - frames) <= 1000, notices


@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in ("collapsed_policy", "below_teacher", "eaten_task")])
def test_each_passes_once_when_its_cause_has(name):
    """The others of them need a story of their own, below."""
    change, frames, _ = BAD[name]
    end = (frames + 10_000) / FACTS.total_frames if name != "unheard_teacher" else 0.19
    found = spells(lines(lambda x: change(x) if x < end else {}))
    assert list(found) == [name]
    appeared, passed = found[name]
    assert abs(appeared - frames) <= 1000
    assert appeared < passed <= 1000 * round(LINES * end) + 10_000


# What looks like a diagnosis and is none


def test_a_bad_line_among_good_ones_is_no_diagnosis_and_a_good_one_among_bad_ones_no_recovery():
    def change(x: float) -> Line:
        bad = x > 0.5 and round(LINES * x) % 4 == 0
        return {"rho_clipped": 0.9, "grad_clipped": 1.0, "grad_norm": 99.0, **explaining(0.3, 9.0)} if bad else {}

    assert said(lines(change)) == []
    assert spells(lines(lambda x: {"rho_clipped": 0.9 if round(LINES * x) % 6 else 0.1})) == {"off_policy": [5000]}


def test_a_certain_policy_may_be_right_or_late_or_its_teachers():
    low = {"entropy_loss": -0.01 * LOG7}
    assert said(lines(lambda x: low if x > 0.4 else {})) == []  # it scores 95
    assert said(lines(lambda x: {**low, "score": 60.0} if x > 0.76 else {})) == []
    assert said(lines(lambda x: {**low, "score": 60.0, "policy_cost": 0.0})) == []
    assert spells(lines(lambda x: {**low, "score": 60.0} if x > 0.5 else {})) == {"collapsed_policy": [55_000]}  # and stays
    ends = spells(lines(lambda x: {**low, "score": 60.0} if 0.5 < x < 0.7 else {}))
    assert ends == {"collapsed_policy": [55_000, 74_000]}


def test_without_reference_scores_a_certain_policy_is_judged_by_its_own_best():
    facts = replace(FACTS, points=False)
    change = {"entropy_loss": -0.01 * LOG7}
    assert said(lines(lambda x: {**change, "score": -200 + 100 * x} if x > 0.4 else {"score": -200.0}), facts) == []
    (found,) = spells(lines(lambda x: {"score": -20.0 - 80 * (x > 0.5), **(change if x > 0.4 else {})}), facts).items()
    assert found[0] == "collapsed_policy"


def test_penalties_are_rewards_too_and_a_task_without_episodes_is_not_judged():
    assert said(lines(lambda x: {"task_return/key": -1.0, "task_success/key": 0.0})) == []
    assert said(lines(lambda x: {"task_return/key": None, "task_success/key": None})) == []
    rare = spells(lines(lambda x: {f"task_{kind}/key": 0.02 * (x > 0.5) for kind in ("return", "success")}))
    assert rare == {"no_reward": [20_000, 55_000]}


def test_many_tasks_without_reward_are_counted():
    facts = replace(FACTS, tasks=tuple(f"task_{i}" for i in range(7)), teacher_scores={})
    ((_, text),) = said(lines(lambda x: {f"task_return/task_{i}": 0.0 for i in range(7)}), facts)
    assert "on task_0, task_1, task_2, task_3 and 3 more" in text


def test_first_rewards_are_no_explosion():
    """The critic's loss goes from nothing to 0.1 with the returns, for the first and for larger ones."""
    for before in (0.0, 0.01):
        first, then = ({f"task_return/{task}": value for task in FACTS.tasks} for value in (before, 0.5))
        change = {True: {**then, **explaining(0.3, 0.1)}, False: {**first, **explaining(0.3, 1e-4)}}
        assert said(lines(lambda x, change=change: change[x > 0.5])) == []
    tiny = lines(lambda x: explaining(0.3, 9e-3 if x > 0.5 else 1e-6))
    assert said(tiny) == []
    assert "exploding_value" in spells(lines(lambda x: explaining(0.3, 9e-2 if x > 0.5 else 1e-6)))


def test_a_critic_that_does_not_learn_or_sees_no_reward_is_not_judged():
    blind = explaining(-3.0)
    assert said(lines(lambda x: {**blind, "baseline_cost": 0.0})) == []
    assert said(lines(lambda x: {"baseline_cost": 0.0, "baseline_loss": 1.0 if x < 0.5 else 100.0})) == []
    none = {f"task_{kind}/{task}": 0.0 for kind in ("return", "success") for task in FACTS.tasks}
    assert list(spells(lines(lambda x: {**blind, **none}))) == ["no_reward"]
    assert said(lines(lambda x: blind if x < 0.19 else {})) == []


def test_mild_clipping_is_usual():
    assert said(lines(lambda x: {"grad_clipped": 1.0, "grad_norm": 4.9})) == []
    assert said(lines(lambda x: {"grad_clipped": 0.9, "grad_norm": 50.0})) == []
    weighed = {"grad_clipped": 1.0, "baseline_cost": 10.0}  # the usual weight of a critic of robots scales the gradient
    assert said(lines(lambda x: {**weighed, "grad_norm": 49.0})) == []
    assert list(spells(lines(lambda x: {**weighed, "grad_norm": 51.0}))) == ["clipped_gradient"]


def scores(value: float) -> Line:
    return {f"task_score/{task}": value for task in FACTS.tasks}


def test_a_student_that_catches_up_is_not_told_to_listen_longer():
    climbing = lines(lambda x: scores(min(90.0, 250 * x)))  # 50 where lambda ends, the teacher's 70 at 0.28
    assert said(climbing) == []
    slowly = spells(lines(lambda x: scores(40 + 50 * max(0.0, x - 0.2))))  # there at 0.8
    assert slowly == {"below_teacher": [24_000, slowly["below_teacher"][1]]}
    assert 50_000 < slowly["below_teacher"][1] < 80_000


def test_a_teacher_is_not_passed_by_noise_nor_while_it_is_heard():
    assert said(lines(lambda x: scores(60.0))) == []  # 10 of 70 on two tasks
    assert list(spells(lines(lambda x: scores(50.0)))) == ["below_teacher"]
    assert said(lines(lambda x: {**scores(10.0), "lambda/old": 0.5})) == []
    assert said(lines(lambda x: {**scores(10.0), "lambda/old": 0.0})) == []  # it was never heard
    fading = spells(lines(lambda x: {**scores(10.0), "lambda/old": 0.5 ** (20 * x)}))  # below a hundredth at 0.33 + a line's worth
    assert 30_000 < fading["below_teacher"][0] < 45_000
    assert said(lines(lambda x: scores(10.0)), replace(FACTS, points=False)) == []


def test_the_worst_of_several_teachers_is_named():
    facts = replace(FACTS, teacher_scores={"weak": {"door": 30.0}, "old": {"door": 80.0, "key": 60.0}, "key expert": {"key": 95.0}})
    silent = {f"lambda/{name}": 0.0 for name in facts.teacher_scores}
    notices = said(lines(lambda x: {**scores(20.0), **(silent if x > 0.1 else dict.fromkeys(silent, 1.0))}), facts)
    assert "75 points below its teacher key expert on key;" in notices[0][1]


def test_a_student_that_starts_close_or_came_closer_once_is_not_accused():
    assert said(lines(lambda x: {"lambda/old": 1.0, "distillation_loss": 0.5})) == []  # its teacher's own entropy, perhaps
    away = {"lambda/old": 1.0}
    assert said(lines(lambda x: {**away, "distillation_loss": LOG7 * (0.7 if 0.03 < x < 0.1 else 1.0)})) == []
    assert said(lines(lambda x: {**away, "distillation_loss": LOG7}), replace(FACTS, most_entropy=math.nan)) == []
    late = spells(lines(lambda x: {**away, "distillation_loss": None if x < 0.5 else LOG7}))
    assert late == {"unheard_teacher": [65_000]}  # a tenth after it is first heard, and five lines


def test_one_task_falls_but_none_rises_or_both_fall():
    change = {"task_score/key": 90.0}
    assert said(lines(lambda x: {**change, "task_score/door": 80.0 - 50 * (x > 0.5)}), replace(FACTS, teacher_scores={})) == []
    eaten = lines(lambda x: {"task_score/door": 80.0 - 50 * (0.5 < x < 0.7), "task_score/key": 62.0 + 35 * (x > 0.5)})
    ((name, (_, passed)),) = spells(eaten, replace(FACTS, teacher_scores={})).items()
    assert name == "eaten_task"
    assert 70_000 < passed < 80_000
    raw = replace(FACTS, points=False)
    assert said(lines(BAD["eaten_task"][0]), raw) == []


def test_speed_is_judged_from_ten_lines_of_one_process_on():
    seen = list(lines(lambda x: {"frames_per_second": 9000.0 if x <= 0.5 else 900.0}))
    health = Health(FACTS, seen[:50])
    assert not [notice for line in seen[50:] for notice in health.see(line)]
    half = {"frames_per_second": 4000.0}
    assert said(lines(lambda x: half if x > 0.5 else {})) == []


# What becomes of them


def test_a_longer_schedule():
    for schedule, expected in [
        ("linear:1:0:20%", "linear:1:0:40%"),
        ("cosine:2:0.1:60%", "cosine:2:0.1:100%"),
        ("step:1:0:150k", "step:1:0:30%"),
        ("exponential:1:10%:0.01", "exponential:1:20%:0.01"),
        ("progress:1:5%", "progress:1:10%"),
        ("evidence:1", "evidence:1:20%:100%"),
        ("progress:1", "linear:1:0:100%"),
        ("constant:1", "progress:1"),
        ("linear:1:0:100%", "progress:1"),
        ("runs/population/best/schedule.json", "progress:1"),
    ]:
        assert longer(schedule, 1_000_000) == expected


@pytest.mark.parametrize("at", [1, 23, 30, 60, 97])
def test_health_rebuilt_from_lines_goes_on_as_if_never_interrupted(at):
    """All diagnoses at once, each for a while."""

    def change(x: float) -> Line:
        return {key: value for name in BAD if name != "slow" and x < 0.8 for key, value in BAD[name][0](x).items()}

    whole, seen = Health(FACTS), list(lines(change))
    expected = [(whole.see(line), whole.metrics(), dict(whole.standing)) for line in seen]
    resumed = Health(FACTS, seen[:at])
    assert [(resumed.see(line), resumed.metrics(), dict(resumed.standing)) for line in seen[at:]] == expected[at:]
    assert sum(len(notices) for notices, _, _ in expected) >= 10


def test_metrics_are_ones_and_zeros():
    health = Health(FACTS)
    for line in lines(BAD["off_policy"][0]):
        health.see(line)
    assert health.metrics() == {f"health/{d.name}": float(d.name == "off_policy") for d in DIAGNOSES}
    assert ailing(health.metrics()) == ["off_policy"]


def test_every_diagnosis_and_metric_is_documented():
    docs = Path(__file__).parents[2] / "docs"
    for name in BY_NAME:
        assert f"## {name}\n" in (docs / "health.md").read_text()
        assert f"`health/{name}`" in (docs / "metrics.md").read_text()


def test_a_critic_of_environments_in_step_is_judged_by_many_lines():
    """The targets of a line hardly vary, and less than the critic's noise: it is worse than a constant of that line, and far better
    than one of all lines."""

    def in_step(x: float, share: float) -> Line:
        target = math.sin(200 * x)
        error = (1 - share) * target
        square = error**2 + 2e-3
        return {"baseline_loss": 0.5 * square, "value_error": error, "target": target, "target_square": target**2 + 1e-3}

    assert said(lines(lambda x: in_step(x, 0.9))) == []
    assert "blind_critic" in spells(lines(lambda x: in_step(x, -0.5)))
    assert explained_variance([in_step(0.1, 0.9)]) < 0 < explained_variance([in_step(0.05 * n, 0.9) for n in range(20)])


def test_what_the_critic_explains_is_of_all_transitions_since_the_line_before():
    """By definition, from the transitions themselves; not known where targets do not vary, or a line lacks what it takes."""
    rng, updates = np.random.default_rng(0), []
    targets, errors = rng.normal(3.0, 1.0, (4, 100)), rng.normal(0.2, 0.5, (4, 100))
    for target, error in zip(targets, errors, strict=True):
        loss = 0.5 * np.square(error).mean()
        moments = {"value_error": error.mean(), "target": target.mean(), "target_square": np.square(target).mean()}
        updates.append({"baseline_loss": loss, **moments})
    assert summarise(updates)["explained_variance"] == pytest.approx(1 - errors.var() / targets.var())
    assert summarise([{**update, "target": 1.0, "target_square": 1.0} for update in updates])["explained_variance"] is None
    assert math.isnan(explained_variance([*updates, {"baseline_loss": 1.0}]))
    assert "explained_variance" not in summarise([{"baseline_loss": 1.0}])


def test_shares_are_averaged_over_the_steps_of_a_line():
    names = ("rho_clipped", "grad_clipped")
    averaged = summarise([dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.5)])
    assert averaged == dict.fromkeys(names, 0.25)


def test_a_terminal_shows_what_stands_and_prints_what_has_passed():
    config = Config("unused", total_frames=FACTS.total_frames)
    file = io.StringIO()
    health, with_warning = Health(FACTS), None
    with Display(config, Console(file=file, force_terminal=True, width=200)) as show:
        for line in lines(lambda x: {"rho_clipped": 0.7} if 0.4 < x < 0.6 else {}):
            notices = health.see(line)
            if line["frames"] == 50_000:
                with_warning = panel(config, 50_000, line, tuple(health.standing.values()))
            show(line["frames"], line, tuple(health.standing.values()))
            show.say(notices)
    assert [text.plain for text in known(with_warning).renderables if isinstance(text, Text) and text.style == "yellow"] == [
        "off_policy: V-trace clips the importance weight of 70% of the transitions; "
        "lower --learning-rate, --epochs or --minibatches, and leave out --overlap"
    ]
    assert file.getvalue().count("off_policy has passed") == 1
