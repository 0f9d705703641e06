"""Other trainers and ours on workload W1, alternately, in one run on one machine: the table in ../results/peers.md.

    python benchmarks/peers/run.py                     # about half an hour, after the installation
    python benchmarks/peers/run.py --only sb3 rllib --rounds 1 --seconds 5 --tune-seconds 0

Each peer has a virtual environment of its own, because they ask for different versions of the same packages. Which threads and
processes suit it is first tried out here, because that depends on the machine; then all run alternately and several times,
because machines are noisy. A peer that fails is a row of the table that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
BENCHMARKS = HERE.parent
sys.path.insert(0, str(BENCHMARKS))

import throughput  # noqa: E402

START_SECONDS = 180.0  # a run may take this much longer than it measures
WORKLOADS = {256: "W1", 0: "W1 without LSTM"}
OURS = ("float32", "bfloat16")


class Failure(Exception):
    """A command failed; the message is the last line it wrote to stderr, or to stdout if that is empty."""


class Peer(NamedTuple):
    """A trainer's name in the table, its script, its package, and the options among which `--tune-seconds` looks for the best."""

    name: str
    script: str
    package: str
    candidates: tuple[str, ...]


ALL = os.cpu_count() or 1
PEERS = {
    "sb3": Peer(
        "Stable-Baselines3",
        "stable_baselines3_ppo.py",
        "sb3-contrib",
        tuple(f"--torch-threads {t} --env-threads {e}" for t in dict.fromkeys((1, ALL)) for e in dict.fromkeys((1, ALL))),
    ),
    "sf": Peer(
        "Sample Factory",
        "sample_factory_appo.py",
        "sample-factory",
        (
            *(f"--mode {mode} --env-threads {e}" for mode in ("async", "double") for e in dict.fromkeys((1, ALL))),
            f"--mode sync --env-threads {ALL}",
            f"--mode serial --torch-threads {ALL} --env-threads {ALL}",
        ),
    ),
    "rllib": Peer(
        "RLlib",
        "rllib_impala.py",
        "ray",
        (
            "--env-runners 1 --learners 0 --env-threads 1",
            f"--env-runners 1 --learners 0 --torch-threads {ALL} --env-threads 1",
            "--env-runners 1 --learners 1 --env-threads 1",
            "--env-runners 2 --learners 0 --env-threads 1",
            f"--env-runners 0 --learners 0 --torch-threads {ALL} --env-threads {ALL}",
        ),
    ),
}


class Measured(NamedTuple):
    """The steps/s of every round of one trainer on one workload, and what went wrong in the last round that failed."""

    rounds: list[float]
    failures: list[str]

    @property
    def median(self) -> float | None:
        return statistics.median(self.rounds) if self.rounds else None

    def cell(self) -> str:
        if self.median is None:
            return f"failed: {self.failures[-1]}" if self.failures else "-"
        return f"{self.median:,.0f}" + (f" ({len(self.failures)} rounds failed: {self.failures[-1]})" if self.failures else "")


def run(command: list[str], seconds: float) -> str:
    """The command's stdout. Kills it, with all that it started, after `seconds`."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HERE, start_new_session=True)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise Failure(f"no result after {seconds:.0f} s") from None
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    if process.returncode:
        lines = [line for line in (err.strip() or out.strip()).splitlines() if line.strip()]
        raise Failure(lines[-1].strip().replace("|", "\\|")[:200] if lines else f"exit status {process.returncode}")
    return out


def prepare(key: str, venvs: Path) -> str:
    """The interpreter of the peer's virtual environment, which is made and filled if need be."""
    folder = venvs / key
    python = folder / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", str(folder)], 600)
    requirements = HERE / f"requirements-{key}.txt"
    run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)], 3600)
    return str(python)


def our_command(workload: str, precision: str, seconds: float) -> list[str]:
    """Our row of throughput.py: no teacher, acting and learning in turn. It is the first of its name and precision."""
    table = throughput.rows("cpu")
    index = next(i for i, row in enumerate(table) if (row.name, row.precision) == (workload, precision))
    return [sys.executable, str(BENCHMARKS / "throughput.py"), "--row", str(index), "--seconds", str(seconds)]


def measure(command: list[str], key: str, seconds: float, into: Measured) -> dict:
    """Adds one round to `into`; returns what the command printed."""
    try:
        result = json.loads(run(command, seconds + START_SECONDS).strip().splitlines()[-1])
        into.rounds.append(float(result[key]))
    except (Failure, ValueError, IndexError, KeyError) as error:
        into.failures.append(str(error) or type(error).__name__)
        return {}
    return result


def peer_command(python: str, key: str, lstm: int, seconds: float, options: str) -> list[str]:
    return [python, str(HERE / PEERS[key].script), "--seconds", str(seconds), "--lstm", str(lstm), *options.split()]


def fastest(python: str, key: str, lstm: int, seconds: float) -> tuple[str, dict[str, str]]:
    """The best of the peer's candidates on this machine, and what each of them gave. The first one if all fail."""
    speeds: dict[str, float] = {}
    seen: dict[str, str] = {}
    for options in PEERS[key].candidates:
        tried = Measured([], [])
        measure(peer_command(python, key, lstm, seconds, options), "steps_per_second", seconds, tried)
        speeds[options], seen[options] = tried.median or 0.0, tried.cell()
        print(f"tuning {key}, {WORKLOADS[lstm]}: {options}: {seen[options]}", flush=True)
    return max(speeds, key=speeds.__getitem__), seen


def table(ours: dict[tuple[int, str], Measured], peers: dict[tuple[int, str], Measured], versions: dict[str, str]) -> list[str]:
    """The Markdown table, ours first."""
    columns = ["trainer", "version", *(f"{name} steps/s" for name in WORKLOADS.values())]
    columns += [f"{name}: ours, {precision} / it" for name in WORKLOADS.values() for precision in OURS]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]

    def add(name: str, its_version: str, cells: dict[int, Measured]) -> None:
        ratios = []
        for lstm in WORKLOADS:
            for precision in OURS:
                mine, its = ours[lstm, precision].median, cells[lstm].median
                ratios.append(f"{mine / its:.2f}" if mine and its else "-")
        row = [name, its_version, *(cells[lstm].cell() for lstm in WORKLOADS), *ratios]
        lines.append("| " + " | ".join(row) + " |")

    for precision in OURS:
        add(f"kickstarting, {precision}", version("kickstarting"), {lstm: ours[lstm, precision] for lstm in WORKLOADS})
    for key in versions:
        add(PEERS[key].name, versions[key], {lstm: peers[lstm, key] for lstm in WORKLOADS})
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venvs", type=Path, default=BENCHMARKS.parent / ".peers", help="folder of the virtual environments")
    parser.add_argument("--seconds", type=float, default=15.0, help="of measurement in each run")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tune-seconds", type=float, default=6.0, help="for each candidate setting; 0: the scripts' defaults")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), help="these peers")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results" / "peers.md")
    arguments = parser.parse_args()
    venvs = arguments.venvs.resolve()
    if not venvs.exists():
        venvs.mkdir(parents=True)
        (venvs / ".gitignore").write_text("*\n")

    ours = {(lstm, precision): Measured([], []) for lstm in WORKLOADS for precision in OURS}
    peers = {(lstm, key): Measured([], []) for lstm in WORKLOADS for key in arguments.only}
    pythons: dict[str, str] = {}
    versions: dict[str, str] = {}
    settings: dict[str, str] = {}
    for key in arguments.only:
        print(f"preparing {key} ...", flush=True)
        versions[key] = "-"
        try:
            pythons[key] = prepare(key, venvs)
            show = f"from importlib.metadata import version; print(version({PEERS[key].package!r}))"
            versions[key] = run([pythons[key], "-c", show], 60).strip()
        except Failure as error:
            for lstm in WORKLOADS:
                peers[lstm, key].failures.append(f"installation: {error}")

    chosen = {(lstm, key): "" for lstm in WORKLOADS for key in pythons}
    tried: dict[str, dict[str, str]] = {}
    if arguments.tune_seconds:
        for lstm, key in chosen:
            chosen[lstm, key], seen = fastest(pythons[key], key, lstm, arguments.tune_seconds)
            tried[f"{WORKLOADS[lstm]}, {PEERS[key].name}"] = seen

    for i in range(arguments.rounds):
        for lstm, workload in WORKLOADS.items():
            for precision in OURS:
                command = our_command(workload, precision, arguments.seconds)
                measure(command, "steps/s", arguments.seconds, ours[lstm, precision])
                print(f"round {i + 1}, {workload}, ours, {precision}: {ours[lstm, precision]}", flush=True)
            for key, python in pythons.items():
                command = peer_command(python, key, lstm, arguments.seconds, chosen[lstm, key])
                result = measure(command, "steps_per_second", arguments.seconds, peers[lstm, key])
                if result:
                    settings[f"{result['peer']}, {workload}"] = json.dumps(result["settings"])
                print(f"round {i + 1}, {workload}, {key}: {peers[lstm, key]}", flush=True)

    everything = {f"{WORKLOADS[lstm]}, ours, {precision}": m for (lstm, precision), m in ours.items()}
    everything |= {f"{WORKLOADS[lstm]}, {PEERS[key].name}": m for (lstm, key), m in peers.items()}
    lines = [
        *table(ours, peers, versions),
        "",
        f"Medians of {arguments.rounds} rounds of {arguments.seconds:g} s, run alternately. torch {version('torch')} (ours), "
        f"{os.cpu_count()} cores, {throughput._processor()}.",
        "",
        "Every round, steps/s:",
        "",
        *(f"- {name}: {', '.join(f'{x:,.0f}' for x in m.rounds) or m.cell()}" for name, m in everything.items()),
        "",
        "Settings:",
        "",
        *(f"- {name}: `{value}`" for name, value in settings.items()),
    ]
    if tried:
        lines += ["", f"Settings tried first, {arguments.tune_seconds:g} s each, steps/s; the best was kept:", ""]
        lines += [f"- {name}: `{options}` {speed}" for name, seen in tried.items() for options, speed in seen.items()]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
