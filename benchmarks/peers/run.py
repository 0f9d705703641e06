"""Other trainers and ours on the same workloads, alternately, in one run on one machine: the table in ../results/peers.md.

    python benchmarks/peers/run.py                     # everything: two hours, after the installation
    python benchmarks/peers/run.py --workload W1 --only cleanrl puffer3 --rounds 1 --seconds 5 --tune-seconds 0

Each peer has a virtual environment of its own, because they ask for different versions of the same packages. Which threads and
processes suit it is first tried out here, because that depends on the machine; then all run alternately and several times,
because machines are noisy. Ours runs with its default options. A peer that fails is a row of the table that says so.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from peers.installing import prepare
from peers.measuring import Failure, Measured, measure
from peers.table import Key, Results
from peers.trainers import OURS, RESULTS, TRAINERS, VENVS, WORKLOADS


def fastest(key: Key, venvs: Path, seconds: float) -> tuple[str, dict[str, str]]:
    """The best of the trainer's candidates on this machine, and what each of them gave. The first one if all fail."""
    trainer = TRAINERS[key.trainer]
    speeds: dict[str, float] = {}
    seen: dict[str, str] = {}

    def try_out(options: str) -> None:
        tried = Measured([], [])
        measure(trainer.command(venvs, key.workload, key.precision, seconds, options), seconds, tried)
        speeds[options], seen[options] = tried.median or 0.0, tried.cell()
        print(f"tuning {key}: {options}: {seen[options]}", flush=True)

    for options in trainer.candidates:
        try_out(options)
    best = max(speeds, key=speeds.__getitem__)
    for options in trainer.further:
        try_out(f"{best} {options}")
    return max(speeds, key=speeds.__getitem__), seen


def installed(names: list[str], venvs: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Versions of the trainers, - for those that cannot be installed, and why not."""
    if not venvs.exists():
        venvs.mkdir(parents=True)
        (venvs / ".gitignore").write_text("*\n")
    versions, failures = {}, {}
    for name in names:
        print(f"preparing {name} ...", flush=True)
        try:
            versions[name] = prepare(TRAINERS[name], venvs)
        except Failure as error:
            versions[name], failures[name] = "-", f"installation: {error}"
            print(failures[name], flush=True)
    return versions, failures


def compare(names: list[str], workloads: list[str], venvs: Path, rounds: int, seconds: float, tune_seconds: float) -> Results:
    """Installs, tunes and measures; ours is the first of every round."""
    versions, failures = installed(names, venvs)
    keys = [Key(workload, name, precision) for workload in workloads for name in names for precision in TRAINERS[name].here()]
    results = Results({key: Measured([], []) for key in keys}, versions, {}, {}, {})
    for key in keys:
        if key.trainer in failures:
            results.measured[key].failures.append(failures[key.trainer])
        elif tune_seconds and len(TRAINERS[key.trainer].candidates) > 1:
            results.chosen[key], results.tried[key] = fastest(key, venvs, tune_seconds)
        else:
            results.chosen[key] = ""
    for i in range(rounds):
        for key, options in results.chosen.items():
            command = TRAINERS[key.trainer].command(venvs, key.workload, key.precision, seconds, options)
            result = measure(command, seconds, results.measured[key])
            if result:
                results.settings[key] = json.dumps(result["settings"])
            print(f"round {i + 1}, {key}: {results.measured[key].cell()}", flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venvs", type=Path, default=VENVS, help="folder of the virtual environments")
    parser.add_argument("--workload", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--seconds", type=float, default=15.0, help="of measurement in each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tune-seconds", type=float, default=6.0, help="for each candidate setting; 0: the scripts' defaults")
    peers = [name for name in TRAINERS if name != OURS]
    parser.add_argument("--only", nargs="+", choices=peers, default=peers, help="these peers, and ours")
    parser.add_argument("--out", type=Path, default=RESULTS.with_suffix(".md"), help="the table; its numbers as .json beside it")
    arguments = parser.parse_args()
    venvs, seconds, tune = arguments.venvs.resolve(), arguments.seconds, arguments.tune_seconds
    results = compare([OURS, *arguments.only], arguments.workload, venvs, arguments.rounds, seconds, tune)
    print(results.write(arguments.out, f"Medians of {arguments.rounds} rounds of {seconds:g} s, run alternately."))


if __name__ == "__main__":
    main()
