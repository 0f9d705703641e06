"""Names of files stand once; who asks for a directory learns what it holds."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import kickstarting
from kickstarting.report.layout import CheckDirectory, ReportDirectory
from kickstarting.runs import layout
from kickstarting.runs.exported import ExportDirectory
from kickstarting.runs.layout import JobDirectory, PopulationDirectory, RunDirectory, TuneDirectory, finished

KINDS = (RunDirectory, PopulationDirectory, TuneDirectory, JobDirectory, ReportDirectory, CheckDirectory, ExportDirectory)
SOURCE = Path(kickstarting.__file__).parent
SPELL = {str(Path(inspect.getfile(kind)).relative_to(SOURCE)) for kind in KINDS}
"""The modules in which names of files stand."""


def names() -> set[str]:
    """Of every file and folder of a directory that has a class."""
    found = {layout.STATE, PopulationDirectory(Path()).member(0).path.parent.name}
    for kind in KINDS:
        values = [getattr(kind(Path("x")), name) for name, value in vars(kind).items() if isinstance(value, property)]
        found |= {value.name for value in values if isinstance(value, Path)}
        found |= {value.path.name for value in values if isinstance(value, RunDirectory)}
    return found


def strings(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Line and text of every string that is no docstring, and whether it stands right of a `/`."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(node.right) for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value, id(node) in parts


def spelled(source: str) -> list[tuple[int, str]]:
    """Where a path is written with such a name: a file's alone or in a path, a folder's behind a `/`."""
    known, found = names(), []
    for line, text, behind_slash in strings(ast.parse(source)):
        pieces = text.split("/")
        files = [piece for piece in pieces if piece in known and "." in piece]
        folders = [piece for piece in pieces if piece in known and (behind_slash or len(pieces) > 1)]
        if (files or folders) and not any(character.isspace() for character in text):
            found.append((line, text))
    return found


def test_no_other_module_spells_a_file_name():
    found = {str(path.relative_to(SOURCE)): spelled(path.read_text()) for path in SOURCE.rglob("*.py")}
    assert {name: lines for name, lines in found.items() if lines and name not in SPELL} == {}


@pytest.mark.parametrize(
    "line", ['out / "config.json"', 'out / "best"', 'f"{out}/log.txt"', 'out.glob("members/*")', 'open(str(out) + "/report.html")']
)
def test_a_name_that_is_spelled_is_found(line):
    assert spelled(line)


def test_no_two_files_of_a_directory_share_a_name():
    for together in (
        (RunDirectory, JobDirectory),
        (PopulationDirectory, JobDirectory),
        (TuneDirectory,),
        (ReportDirectory,),
        (CheckDirectory,),
        (ExportDirectory,),
    ):
        assert all([field.name for field in fields(kind)] == ["path"] for kind in together)
        paths = [
            value
            for kind in together
            for name, member in vars(kind).items()
            if isinstance(member, property) and isinstance(value := getattr(kind(Path("x")), name), Path)
        ]
        assert len(set(paths)) == len(paths)


def test_what_a_directory_says_of_itself(tmp_path):
    run, population = RunDirectory(tmp_path / "run"), PopulationDirectory(tmp_path / "population")
    assert (run.begun, run.finished, run.newest_checkpoint, population.members()) == (False, False, None, [])
    for name in ("00000002", "00000010", ".00000011.partial"):
        (run.checkpoints / name).mkdir(parents=True)
    (run.checkpoints / "00000012").write_text("no directory")
    run.config.write_text("{}")
    assert (run.begun, run.finished, run.newest_checkpoint) == (True, False, run.checkpoints / "00000010")
    for directory in (population.member(1), population.member(0), population.best):
        directory.path.mkdir(parents=True)
    assert population.members() == [population.member(0), population.member(1)]
    assert not finished(population.path)
    population.best.end.write_text("{}")
    assert population.finished
    assert finished(population.path)
