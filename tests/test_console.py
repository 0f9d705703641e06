"""Names are printed as they stand, and nothing that happens to a stream ends the work."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.live import Live
from rich.table import Table

from fuzzing_files import NASTY_NAMES
from kickstarting import Config, console
from kickstarting.console import JOINERS, literal, say, visible
from kickstarting.display import Display, Race, panel, plain_line
from kickstarting.evaluate import TaskResult
from kickstarting.listing import check_json, evaluation_table, suite_table, write_evaluation
from kickstarting.runs.files import FileError
from kickstarting.suites import Suite, Task

NAMES = st.sampled_from(NASTY_NAMES) | st.text(max_size=20)


def printed(*what: object, terminal: bool = False) -> str:
    file = io.StringIO()
    Console(file=file, width=3000, force_terminal=terminal, color_system=None, legacy_windows=False).print(*what)
    return file.getvalue()


@settings(deadline=None)
@given(st.text())
def test_what_is_visible_stays_on_its_line_and_moves_no_cursor(text):
    shown = visible(text)
    assert {unicodedata.category(c) for c in shown if c not in JOINERS}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})
    assert shown.splitlines() in ([], [shown])
    assert visible(shown) == shown
    shown.encode()


def test_what_can_be_seen_already_is_left_alone():
    for text in ("grid-8", "λ = 0.5", "日本語", "👨\u200d👩\u200d👧", "[bold] \\ {} %s | <b>"):
        assert visible(text) == text
    assert visible("a\nb\x1b[31m\u202e\udcff") == r"a\nb\x1b[31m\u202e\udcff"


@settings(deadline=None)
@given(NAMES)
def test_rich_finds_no_markup_in_a_literal(name):
    assert printed(literal(name)) == f"{visible(name)}\n"
    file = io.StringIO()
    say(Console(file=file, width=10), name)
    assert file.getvalue() == f"{visible(name)}\n"


@settings(deadline=None, max_examples=40)
@given(NAMES, NAMES)
def test_everything_that_is_printed_of_a_run_shows_names_as_they_stand(name, task):
    config = Config("x", name=name)
    metrics: dict[str, float | None] = {f"task_success/{task}": 0.5, f"lambda/{task}": 0.25, "score": float("nan")}
    metrics |= {"frames_per_second": float("nan"), "task_success/x": float("inf"), f"health/{task}": 1.0}
    shown = printed(panel(config, 100, metrics, [f"warning of {task}"]))
    for text in (f"{config.group} seed 0", task, f"lambda 0.250  {task}", f"warning of {task}"):
        assert visible(text).split() == [word for word in visible(text).split() if word in shown]
    assert f"{config.group}:0  100/1M frames  score -  0 frames/s  left ?" in plain_line(config, 100, metrics)
    race = Race({Path("nowhere"): config}, Console(file=io.StringIO()))
    assert visible(f"{config.group}:0") in printed(race._table({Path("nowhere"): {"frames": 1, **metrics}}))
    result = TaskResult(task, 1, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert all(word in printed(evaluation_table([result])) for word in visible(task).split())
    suite = Suite("s", (Task(task, name, "gymnasium", category=name),), description=name)
    assert all(word in printed(suite_table(suite)) for word in visible(f"{task} {name}").split())


@pytest.mark.parametrize("terminal", [False, True])
def test_a_display_takes_any_name_on_a_terminal_and_elsewhere(terminal, tmp_path):
    file = io.StringIO()
    for name in NASTY_NAMES:
        with Display(Config("x", name=name, total_frames=9), Console(file=file, force_terminal=terminal, width=100)) as display:
            display(9, {f"task_success/{name}": 0.5, f"lambda/{name}": 1.0, "score": 1.0}, [name])
        (tmp_path / "metrics.jsonl").write_text("{", encoding="utf-8")
        with Race({tmp_path: Config("x", name=name)}, Console(file=file, force_terminal=terminal, width=100)) as race:
            race.refresh()
    assert "\x1b[31mred" not in file.getvalue()
    assert "[bold]" in file.getvalue()


def test_episodes_that_were_cut_are_said():
    result = TaskResult("t", 10, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert "cut" not in printed(evaluation_table([result]))
    assert "3 episodes were cut at the limit of steps" in printed(evaluation_table([result, replace(result, cut=3)]))


# The file of an evaluation


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.symlink_to(path.parent / "else"), "is a link to"),
        (lambda path: path.symlink_to("/dev/stdout"), "is a link to"),
        (lambda path: os.mkfifo(path), "is no regular file"),
        (lambda path: path.write_text("my notes", encoding="utf-8"), "it is no JSON"),
        (lambda path: path.write_text('{"score": 1}', encoding="utf-8"), "of no earlier evaluation"),
        (lambda path: path.write_text("[]", encoding="utf-8"), "instead of an object"),
    ],
)
def test_an_evaluation_takes_the_place_of_nothing_but_an_evaluation(tmp_path, make, message):
    path = tmp_path / "x.json"
    make(path)
    with pytest.raises(ValueError, match=message) as error:
        check_json(path)
    assert str(path) in str(error.value)
    with pytest.raises(ValueError, match=message):
        write_evaluation(path, [], ref="random", suite="s")
    assert list(tmp_path.iterdir()) == [path]


def test_an_evaluation_is_written_over_an_earlier_one_and_over_an_empty_file(tmp_path):
    result = TaskResult("t", 10, 0.0, 0.0, 0.0, 0.0, 1.0)
    path = tmp_path / "x.json"
    path.touch()
    for _ in range(2):
        write_evaluation(path, [result], ref="random", suite="s")
    for elsewhere in (Path("/dev/full"), Path("/proc/x.json"), path / "below"):
        with pytest.raises(ValueError, match=str(elsewhere.parent)):
            check_json(elsewhere)
    with pytest.raises(FileError):
        check_json(Path("/dev/null"))


# Streams


# the module alone, since the package imports torch for seconds
ALONE = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("console", {console.__file__!r})
console = importlib.util.module_from_spec(spec)
spec.loader.exec_module(console)
keep_streams, say = console.keep_streams, console.say
keep_streams()
"""
TALK = f"""{ALONE}
from rich.console import Console
console = Console()
for i in range(3000):
    say(console, f"line {{i}} of \\u03bb \\U0001f600 \\udcff")
    print("and plainly \\u03bb", file=sys.stderr if i % 2 else sys.stdout)
with console.status("working"):
    pass
open(sys.argv[1], "w").write("done")
"""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


def shell(command: str, *arguments: object, code: str = TALK, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of shell in which "$@" is this Python with the code."""
    return subprocess.run(
        ["bash", "-c", command, "bash", sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    "command",
    [
        *(
            '"$@" | head -1',
            '"$@" 2>&1 | head -1',
            '"$@" >&-',
            '"$@" 2>&-',
            '"$@" >&- 2>&- <&-',
            '"$@" > /dev/full 2>&1',
            '"$@" | true',
        ),
        *('PYTHONUNBUFFERED=1 "$@" | head -1', '"$@" 1</dev/null'),
    ],
)
def test_work_goes_on_when_its_output_is_lost(tmp_path, command):
    result = shell(f'{command}; exit "${{PIPESTATUS[0]}}"', tmp_path / "file")
    assert result.returncode == 0
    assert (tmp_path / "file").read_text(encoding="utf-8") == "done"
    for word in ("Traceback", "Exception ignored", "Error"):
        assert word not in result.stderr


def test_a_disk_that_is_full_is_said_where_it_can_be(tmp_path):
    result = shell('"$@" > /dev/full', tmp_path / "file")
    assert "standard output cannot be written: No space left on device; going on without it" in result.stderr
    assert result.stderr.count("cannot be written") == 1


def test_a_character_that_the_locale_lacks_is_escaped(tmp_path):
    result = shell('"$@"', tmp_path / "file", **ASCII)
    assert result.returncode == 0
    assert r"line 7 of \u03bb \U0001f600 \udcff" in result.stdout
    assert result.stdout.isascii()


def test_a_terminal_that_went_away_ends_nothing(tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", TALK, str(tmp_path / "file")], stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.read(ours, 10)
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert (tmp_path / "file").exists()


def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_everything(tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = subprocess.Popen([sys.executable, "-c", TALK, str(tmp_path / "file")], stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    with open(reader, encoding="utf-8") as file:
        lines = file.read().splitlines()
    assert process.wait(timeout=60) == 0
    assert len([line for line in lines if line.startswith("line ")]) == 3000


def test_a_file_of_a_run_does_not_become_standard_output(tmp_path):
    code = f"{ALONE}import os; file = open(sys.argv[1], 'w')\n"
    code += "os.write(1, b'from a library'); print('from us'); file.close()"
    assert shell('"$@" >&-', tmp_path / "file", code=code).returncode == 0
    assert (tmp_path / "file").read_text(encoding="utf-8") == ""


COMMAND = "from kickstarting.console import keep_streams; keep_streams(); from kickstarting.cli import main; main()"


@pytest.mark.parametrize("arguments", ["suites", "train --help"])
def test_short_commands_end_quietly(arguments):
    result = shell(f'"$@" {arguments} | head -1; exit "${{PIPESTATUS[0]}}"', code=COMMAND, **ASCII)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1


def test_training_ends_well_when_nobody_listens(tmp_path):
    options = "--envs-per-task 2 --unroll-length 8 --network small --torch-threads 1 --frames 64 --score-window 1"
    command = f'"$@" train CartPole-v1 {options} --out "{tmp_path}/run" | head -0; exit "${{PIPESTATUS[0]}}"'
    result = shell(command, code=COMMAND, **ASCII)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "run" / "finished.json").exists()


def test_live_displays_survive_ascii(capsys):
    """Rich draws with what the encoding has."""
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    console = Console(file=file, force_terminal=True, width=80)
    with Live(Table("λ"), console=console):
        console.print(literal("😀"))
    file.flush()
    assert b"\\U0001f600" in file.buffer.getvalue()  # type: ignore[attr-defined]
