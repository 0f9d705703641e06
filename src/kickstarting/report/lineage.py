"""A population's lineage, read from its lineage.json: what every member scored and was told, and who copied whom."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from kickstarting.report.runs import Run, all_visible
from kickstarting.runs.files import blaming, read_json, read_json_list, typed
from kickstarting.runs.layout import PopulationDirectory, RunDirectory

REMEDY = "resume the population, or leave it out"
FIRST = ("alpha", "horizon", "learning_rate", "entropy_cost")


@dataclass(frozen=True)
class Lineage:
    """A population. What is indexed by member and round holds one tuple of rounds for each member."""

    name: str
    seed: int
    frames: tuple[int, ...]
    """Of a member at the end of each round."""
    scores: tuple[tuple[float | None, ...], ...]
    """None while a window of episodes fills."""
    goes_on_as: tuple[tuple[int, ...], ...]
    """Whose weights a member has after the round: its own, or those of the member that it copied."""
    values: dict[str, tuple[tuple[float, ...], ...]]
    """Every hyperparameter, in force during the round."""
    points: bool
    """As `Comparison.points`."""
    ancestry: tuple[int, ...]
    """For each round the member whose weights led to the best one, which is the last."""

    @property
    def copies(self) -> tuple[tuple[int, int, int], ...]:
        """(round, member, whom it copied at the round's end)"""
        rounds = range(len(self.frames))
        pairs = ((turn, member, row[turn]) for turn in rounds for member, row in enumerate(self.goes_on_as))
        return tuple(copy for copy in pairs if copy[1] != copy[2])


def read_lineage(run: Run) -> Lineage | None:
    """The lineage of the population whose best member this run is; None if it is of none.

    Raises FileError if the file is missing or damaged, since a population leaves a whole one behind.
    """
    if run.population is None:
        return None
    path, end = PopulationDirectory(run.population).lineage, RunDirectory(run.directory).end
    rows = _rows(path)
    finished = read_json(end, remedy=REMEDY)
    with blaming(end, remedy=REMEDY):
        ancestry = _ancestry(rows, _one_of(len(rows), finished["member"], "'member'"))
    with blaming(path, remedy=REMEDY):
        return Lineage(
            name=run.name,
            seed=run.seed,
            frames=tuple(entry["frames"] for entry in rows[0]),
            scores=tuple(tuple(entry["score"] for entry in row) for row in rows),
            goes_on_as=tuple(tuple(entry["goes_on_as"] for entry in row) for row in rows),
            values={
                _readable(name, run.teacher_names): tuple(tuple(entry["values"][name] for entry in row) for row in rows)
                for name in sorted(
                    rows[0][0]["values"], key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name)
                )
            },
            points=run.in_points,
            ancestry=ancestry,
        )


def _rows(path: Path) -> list[list[dict[str, Any]]]:
    """For each member an entry of each round, checked."""
    entries = all_visible(read_json_list(path, remedy=REMEDY))
    with blaming(path, remedy=REMEDY):
        table = {}
        for entry in entries:
            number = {key: typed(typed(entry, dict, "an entry")[key], int, f"{key!r}") for key in ("member", "round", "frames")}
            if entry["score"] is not None:
                entry["score"] = float(typed(entry["score"], float, "a score"))
            for name, value in typed(entry["values"], dict, "'values'").items():
                if typed(value, float, f"a value of {name!r}") <= 0.0:
                    raise ValueError(f"a value of {name!r} is {value}, not above 0")
                entry["values"][name] = float(value)  # JSON has numbers without a point that are larger than any integer of NumPy
            table[number["member"], number["round"]] = entry
        members, rounds = (1 + max((key[i] for key in table), default=-1) for i in (0, 1))
        if not table or len(table) != len(entries) or len(table) != members * rounds or min(map(min, table)) < 0:
            raise ValueError("it does not have one entry for each member and round")
        rows = [[table[member, turn] for turn in range(rounds)] for member in range(members)]
        for row in rows:
            if [entry["frames"] for entry in row] != [entry["frames"] for entry in rows[0]]:
                raise ValueError("its members did not train for the same frames")
            for entry in row:
                _one_of(members, entry["goes_on_as"], "'goes_on_as'")
        frames = [0, *(entry["frames"] for entry in rows[0])]
        if any(before >= after for before, after in pairwise(frames)):
            raise ValueError("its frames do not rise")
        return rows


def _one_of(members: int, value: Any, what: str) -> int:
    member = typed(value, int, what)
    if not 0 <= member < members:
        raise ValueError(f"{what} is {member}, but there are {members} members")
    return member


def _readable(name: str, teachers: tuple[str, ...]) -> str:
    """'rho/3' names the fourth teacher."""
    if not name.startswith("rho/"):
        return name
    number = int(name.removeprefix("rho/"))
    if not 0 <= number < len(teachers):
        raise ValueError(f"it tunes {name!r}, but the run has {len(teachers)} teachers")
    return f"rho of {teachers[number]}"


def _ancestry(rows: list[list[dict]], best: int) -> tuple[int, ...]:
    """For each round the member whose weights led to the best one."""
    path = [best]
    for turn in reversed(range(len(rows[0]) - 1)):
        path.append(rows[path[-1]][turn]["goes_on_as"])
    return tuple(reversed(path))
