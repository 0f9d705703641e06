"""The command `check`: a teacher's long check, said on a terminal, in a file and on a page."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from kickstarting.clip import frames, to_gif
from kickstarting.console import literal, say
from kickstarting.envs import describe
from kickstarting.listing import check_json, check_numbers, check_table, verdict
from kickstarting.report.check import check_check_out, check_page, write_check
from kickstarting.report.layout import CheckDirectory
from kickstarting.report.terminal import Fitted
from kickstarting.runs.files import write_json
from kickstarting.suites import load_suite
from kickstarting.teachers import adapt, load_teacher
from kickstarting.teachers.adapters import parse_adapters
from kickstarting.teachers.check import check_teacher
from kickstarting.teachers.diagnoses import can_teach, findings
from kickstarting.watch import PER_SECOND, STEPS, record_policies


def run_check(
    ref: str,
    suite_name: str,
    adapters: str,
    *,
    episodes: int,
    seed: int,
    json_file: Path | None,
    out: Path | None,
    console: Console,
) -> bool:
    """Whether the teacher can teach the suite. Raises ValueError, before any work, if it does not fit, or for files that are not
    to be written."""
    if json_file:
        check_json(json_file)
    if out:
        check_check_out(out)
    names, suite = parse_adapters(adapters), load_suite(suite_name)
    teacher = load_teacher(ref)
    known = describe(suite.tasks).as_of(teacher.action_space)
    with console.status("checking ...", spinner="line") as status:

        def doing(what: str) -> None:
            status.update(literal(f"checking {ref}: {what}"))

        checked = check_teacher(teacher, names, suite, known, episodes=episodes, seed=seed, doing=doing)
    found, table, sentence = findings(checked), check_table(checked), verdict(ref, suite.name, checked)
    console.print(Fitted(table, intervals=True))
    say(console, table.caption, style="dim")
    for finding in found:
        say(console, str(finding), style="red" if finding.fault else "yellow")
    say(console, sentence, style="bold")
    what = {"ref": ref, "suite": suite.name, "adapters": list(names), "seed": seed}
    numbers = check_numbers(checked, **what)
    if json_file:
        write_json(json_file, numbers)
    if out:
        fitted = adapt(teacher, names, known.observation_space, known.action_space)
        shown = record_policies([fitted], [ref], suite, 0, steps=STEPS, seed=seed, greedy=False)
        clip = to_gif(frames(shown), PER_SECOND)
        rows = [(finding.name, finding.seen, finding.advice, finding.fault) for finding in found]
        caption = f"It plays an episode of {shown.title}, with sampled actions."
        page = check_page(f"{ref} as a teacher of {suite.name}", sentence, table, rows, (clip, caption))
        write_check(out, page, numbers, clip)
        say(console, f"open {CheckDirectory(out).page.resolve()}")
    return can_teach(found)
