"""Read a population's lineage.json: what every member scored and was told, and who copied whom."""

from __future__ import annotations

import json

from kickstarting.report.comparison import Lineage
from kickstarting.report.runs import Run
from kickstarting.runs.layout import PopulationDirectory, RunDirectory

FIRST = ("alpha", "horizon", "learning_rate", "entropy_cost")


def read_lineage(run: Run) -> Lineage | None:
    """The lineage of the population whose best member this run is; None if it is of none.

    Raises ValueError if the file is missing or torn, since a population leaves a whole one behind.
    """
    if run.population is None:
        return None
    path = PopulationDirectory(run.population).lineage
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        finished = json.loads(RunDirectory(run.directory).end.read_text(encoding="utf-8"))
        table = {(entry["member"], entry["round"]): entry for entry in entries}
        members, rounds = (range(1 + max(key[i] for key in table)) for i in (0, 1))
        rows = [[table[member, turn] for turn in rounds] for member in members]
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
            ancestry=_ancestry(rows, finished["member"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error!r}); resume the population, or leave it out") from error


def _readable(name: str, teachers: tuple[str, ...]) -> str:
    """'rho/3' names the fourth teacher."""
    if not name.startswith("rho/"):
        return name
    return f"rho of {teachers[int(name.removeprefix('rho/'))]}"


def _ancestry(rows: list[list[dict]], best: int) -> tuple[int, ...]:
    """For each round the member whose weights led to the best one."""
    path = [best]
    for turn in reversed(range(len(rows[0]) - 1)):
        path.append(rows[path[-1]][turn]["goes_on_as"])
    return tuple(reversed(path))
