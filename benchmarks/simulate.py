"""How many actors one learner serves, by simulation (`simulation.py`): beside the measured runs, and where nobody has measured.

    python benchmarks/simulate.py                                   # some minutes; prints the tables of docs/scaling.md
    python benchmarks/simulate.py --figure docs/figures/scaling.svg  # and draws its figure

Needs simpy (`pip install 'kickstarting[simulate]'`).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from kickstarting.report.figures import rendered
from kickstarting.report.look import COLOURS, FAINT, WIDTH, look
from kickstarting.report.wording import frames_text
from simulation import Outcome, Plan, Service, simulate

MEASURED = Path(__file__).parent / "results" / "cluster.json"
ACTORS = (1, 16, 150, 400, 1_000, 3_000, 10_000)
GIGABIT = 1e9 / 8

LAB = Service(
    frames=400, wait=1.6, act=0.0, call=0.9e-3, unroll_bytes=2.10e6, weight_bytes=6.4e6, label=1e-3, learn=3e-3, spread=0.1
)
"""DMLab, the paper: an environment an actor, 100 steps of 4 frames, 250 frames/s. A learner of 25,000 steps/s is assumed."""
GRID = Service(
    frames=2048, wait=0.0, act=0.11, call=0.9e-3, unroll_bytes=695e3, weight_bytes=6.4e6, label=15e-3, learn=45e-3, spread=0.1
)
"""MiniGrid: 64 environments an actor, 32 steps; W1 with a teacher of results/throughput.md, acting on one core, learning on two."""
LABS = {
    "a learner of 10,000 steps/s": (replace(LAB, label=2.5e-3, learn=7.5e-3), Plan(1, bandwidth=10 * GIGABIT)),
    "25,000 steps/s": (LAB, Plan(1, bandwidth=10 * GIGABIT)),
    "100,000 steps/s": (replace(LAB, label=0.25e-3, learn=0.75e-3), Plan(1, bandwidth=10 * GIGABIT)),
    "100,000 steps/s, 40 Gbit/s": (replace(LAB, label=0.25e-3, learn=0.75e-3), Plan(1, bandwidth=40 * GIGABIT)),
    "the same, weights every 8 updates": (
        replace(LAB, label=0.25e-3, learn=0.75e-3),
        Plan(1, bandwidth=40 * GIGABIT, publish_every=8),
    ),
}


def read_measured(path: Path) -> tuple[Service, dict[int, float]]:
    """The service times in a file of `benchmarks/cluster.py`, and frames per second by number of actors."""
    data = json.loads(path.read_text())
    return Service(**data["service"]), {int(actors): pace for actors, pace in data["scaling"].items()}


@cache
def at_scale(service: Service, plan: Plan, actors: int) -> Outcome:
    """With so many actors, batches of 32 unrolls as in the paper, or of all actors where there are fewer."""
    return simulate(service, replace(plan, actors=actors, batch=min(32, actors)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measured", type=Path, default=MEASURED, help="service times and runs of benchmarks/cluster.py")
    parser.add_argument("--figure", type=Path, help="also draw the curves of docs/scaling.md, into this .svg")
    arguments = parser.parse_args()
    if arguments.measured.exists():
        print(validation(*read_measured(arguments.measured)))
    columns = ("", "actors", "frames/s", "learner idle", "actors idle", "queue", "lag", "network in", "network out")
    print(f"| {' | '.join(columns)} |\n|---|" + "---:|" * (len(columns) - 1))
    for name, (service, plan) in {"MiniGrid": (GRID, Plan(1)), **LABS}.items():
        for actors in (16, 150) if service is GRID else (16, 150, 1_000, 10_000):
            got = at_scale(service, plan, actors)
            shares = (got.learner_idle, got.actor_idle, got.network_in, got.network_out)
            idle, waiting, into, out = (f"{share:.0%}" for share in shares)
            numbers = f"{actors:,} | {got.frames_per_second:,.0f} | {idle} | {waiting} | {got.queue:,.0f} | {got.lag:,.1f}"
            print(f"| {name} | {numbers} | {into} | {out} |")
    if arguments.figure:
        _, svg = rendered(draw())
        arguments.figure.write_text(svg)


def validation(service: Service, measured: dict[int, float], cores: int = 2) -> str:
    """The measured runs on one machine beside their simulation, as a table."""
    lines = ["| actors | measured frames/s | simulated | difference |", "|---:|---:|---:|---:|"]
    for actors, there in measured.items():
        here = simulate(service, Plan(actors, cores=cores), updates=60).frames_per_second
        lines.append(f"| {actors} | {there:,.0f} | {here:,.0f} | {here / there - 1:+.1%} |")
    return "\n".join([*lines, ""])


def draw() -> Figure:
    """Frames/s and lag over the number of actors, for learners and networks of several speeds."""
    with look():
        figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
        speed, lag = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        speed.plot(ACTORS, [250 * actors for actors in ACTORS], color=FAINT, linewidth=0.9, label="actors alone, 250 frames/s each")
        for (name, (service, plan)), colour in zip(LABS.items(), COLOURS, strict=False):
            outcomes = [at_scale(service, plan, actors) for actors in ACTORS]
            speed.plot(ACTORS, [x.frames_per_second for x in outcomes], color=colour, linewidth=1.8, label=name)
            lag.plot(ACTORS, [x.lag for x in outcomes], color=colour, linewidth=1.8)
        _finish(speed, "frames/s")
        _finish(lag, "lag, updates")
        lag.set_xlabel("actors")
        figure.legend(*speed.get_legend_handles_labels(), loc="outside upper left", fontsize=8.0)
        return figure


def _finish(axes: Axes, title: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda number, _: frames_text(number)))
        axis.set_minor_locator(NullLocator())
    axes.set_ylabel(title)
    axes.grid()


if __name__ == "__main__":
    main()
