"""Train the teachers that the package ships, and write each into the zoo in half precision, with its card and a row of the docs.

    python scripts/make_zoo.py                     # all that are not there yet; resumes where it was killed
    python scripts/make_zoo.py door_key memory_7   # these, anew if they are there

`grid-8-small` learns from scratch. Ten experts, one for each task of the experiment `experts`, have a smaller network; where the
zoo's own `grid-8-small` knows something of the task it is their teacher. `grid-10-small` is taught by these experts. An
expert that is not better than random, by its interval, is not written.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path

from rich.console import Console

from kickstarting.config import Config
from kickstarting.demo import ZOO_TEACHER, teacher_config
from kickstarting.export import SURE, export
from kickstarting.launch.sweep import run_all
from kickstarting.reproduce.lab import SCALES, SUITE
from kickstarting.runs.exported import ExportDirectory
from kickstarting.teachers.origins.zoo import ZOO, names

TASKS = SCALES["cpu"].tasks
ALL = "grid-10-small"
TINY = ("hidden=64", "lstm=64")
"""About 100,000 parameters."""
FRAMES = {
    "crossing_easy": 100_000,
    "two_rooms": 400_000,
    "lava_gap": 100_000,
    "memory_7": 800_000,
    "go_to_object": 400_000,
    "go_to_local": 400_000,
    "pick_up": 400_000,
    "door_key": 100_000,
    "unlock": 100_000,
    "key_corridor": 600_000,
    ALL: 1_000_000,
}
UNTAUGHT = ("memory_7", "go_to_object")
"""No task of grid-8 is like these."""
EPISODES = 512
PAGE = Path(__file__).parent.parent / "docs" / "zoo.md"


def expert(task: str) -> Config:
    teachers = () if task in UNTAUGHT else (f"zoo:{ZOO_TEACHER}",)
    return Config.of(
        f"{SUITE}:{task}",
        network="small",
        network_options=TINY,
        name=task,
        total_frames=FRAMES[task],
        envs_per_task=32,
        teachers=teachers,
        accept_weak_teachers=True,  # the schedule does not listen to them
    )


def teacher_of_all() -> Config:
    teachers = tuple(f"{task}=zoo:{task}" for task in TASKS if task in names())
    suite = f"{SUITE}:{','.join(TASKS)}"
    return Config.of(suite, network="small", name=ALL, total_frames=FRAMES[ALL], teachers=teachers)


def make(name: str, out: Path, console: Console) -> None:
    """Train one to its end, and write it into the zoo if it has learned something."""
    config = expert(name) if name in TASKS else teacher_of_all() if name == ALL else teacher_config()
    run = out / name
    run_all({run: config.changed(torch_threads=1)}, jobs=1, console=console)
    written = out / "exported" / name
    results = export(str(run), written, name=name, license="apache-2.0", episodes=EPISODES, half=True)
    for result in results:
        said = f"{name}: {result.task} scores {result.score:.1f} +/- {SURE * result.score_error:.1f}"
        console.print(said, highlight=False)
    if all(result.score <= SURE * result.score_error for result in results):
        console.print(f"{name} is not better than random, and stays out of the zoo", highlight=False)
        return
    shutil.copytree(written, ZOO / name, dirs_exist_ok=True)


def write_table() -> None:
    """What the zoo has, into the table of its page."""
    rows = "".join(f"{row(name)}\n" for name in names())
    page = re.sub(r"(?m)(^\|---.*\n)(?:^\| `zoo:.*\n)*", lambda head: head[1] + rows, PAGE.read_text(), count=1)
    PAGE.write_text(page)


def row(name: str) -> str:
    folder = ExportDirectory(ZOO / name)
    config, results = (json.loads(file.read_text()) for file in (folder.config, folder.results))
    low, high = results["score_interval"]
    teachers = config["training"]["teachers"]
    taught = "from scratch" if not teachers else f"`{teachers[0]}`" if len(teachers) == 1 else f"{len(teachers)} experts"
    return f"| `zoo:{name}` | {config['frames']:,} | {results['score']:.1f} ({low:.1f} to {high:.1f}) | {taught} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of teachers; all that the zoo lacks unless given")
    parser.add_argument("--out", type=Path, default=Path("runs/zoo"))
    arguments = parser.parse_args()
    known = (ZOO_TEACHER, *TASKS, ALL)  # the last is taught by those before it
    for name in arguments.names:
        if name not in known:
            parser.error(f"the zoo is to have no {name!r}; known: {', '.join(known)}")
    for name in arguments.names or [name for name in known if name not in names()]:
        make(name, arguments.out, Console())
    write_table()


if __name__ == "__main__":
    main()
