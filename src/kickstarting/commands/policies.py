"""`kickstart evaluate | check | export | watch | serve`: what can be done with a policy."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import tyro
from rich.console import Console

from kickstarting.console import in_figures, literal, say
from kickstarting.help import Where
from kickstarting.ranges import COUNT, PORT, SEED, Choice, Name, Range
from kickstarting.trust import TrustConfig, trust

console = Console()
FORMATS = ("safetensors", "onnx", "torch-export")
NOTHING = TrustConfig()


def evaluate(
    ref: tyro.conf.Positional[str],
    suite: tyro.conf.Positional[str],
    episodes: Annotated[int, COUNT] = 100,
    greedy: bool = False,
    seed: Annotated[int, SEED] = 1_000_003,
    teacher_adapters: str = "",
    trusting: tyro.conf.OmitArgPrefixes[TrustConfig] = NOTHING,
    json_file: Annotated[Where | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Run whole episodes of every task with frozen weights, and print return, success and score.

    Args:
        ref: A run directory, one of its checkpoints, zoo:NAME, or `random`.
        suite: A suite's name, a .toml file, or an environment id.
        episodes: Number of episodes of each task.
        greedy: Take the most likely action instead of sampling.
        seed: Seed of environments and sampling.
        teacher_adapters: What stands between the environments and the policy, as for `train`.
        trusting: What of others may run.
        json_file: Also write the numbers to this file.
    """
    from kickstarting.evaluate import evaluate_ref
    from kickstarting.listing import check_json, evaluation_table, write_evaluation

    trust(trusting.names)
    if json_file:
        check_json(json_file)
    with console.status("evaluating ...", spinner="line") as status:

        def progress(done: int, total: int) -> None:
            status.update(literal(f"evaluating {ref}: {done} of {total} episodes"))

        options = {"episodes": episodes, "seed": seed, "greedy": greedy, "progress": progress}
        results = evaluate_ref(ref, suite, teacher_adapters, **options)
    console.print(evaluation_table(results))
    if json_file:
        write_evaluation(json_file, results, ref=ref, suite=suite, greedy=greedy, seed=seed)


def check(
    ref: tyro.conf.Positional[str],
    suite: tyro.conf.Positional[str],
    teacher_adapters: str = "",
    episodes: Annotated[int, COUNT] = 64,
    seed: Annotated[int, SEED] = 1_000_003,
    trusting: tyro.conf.OmitArgPrefixes[TrustConfig] = NOTHING,
    json_file: Annotated[Where | None, tyro.conf.arg(name="json")] = None,
    out: Where | None = None,
) -> None:
    """See whether a teacher can teach a suite: play it in several ways, listen to what it says, and say what is wrong.

    The exit code is 1 if it cannot.

    Args:
        ref: The teacher, as --teacher of `train` takes it.
        suite: A suite's name, a .toml file, or an environment id.
        teacher_adapters: What stands between the environments and the teacher, as NAME or NAME+NAME.
        episodes: Number of episodes of each task, for each way of playing.
        seed: Seed of environments and sampling.
        trusting: What of others may run.
        json_file: Also write the numbers to this file.
        out: Directory for a page with the table and a clip of the teacher.
    """
    from kickstarting.checking import run_check

    trust(trusting.names)
    if not run_check(ref, suite, teacher_adapters, episodes=episodes, seed=seed, json_file=json_file, out=out, console=console):
        sys.exit(1)


def export(
    ref: tyro.conf.Positional[str],
    out: Where,
    format: Annotated[str, Choice(*FORMATS)] = "safetensors",
    suite: str = "",
    name: Annotated[str, Name()] = "",
    license: str = "",
    episodes: Annotated[int, COUNT] = 100,
    seed: Annotated[int, SEED] = 1_000_003,
    trusting: tyro.conf.OmitArgPrefixes[TrustConfig] = NOTHING,
) -> None:
    """Write a policy to a folder that others can load, with a card and scores, as model hubs take it.

    Args:
        ref: A run directory, one of its checkpoints, or zoo:NAME.
        out: The folder.
        format: safetensors; onnx or torch-export add the policy as a program, for those who do not have this package.
        suite: What it is scored on; the run's own suite unless given.
        name: Of the policy on its card; that of the directory unless given.
        license: Of the policy, as model hubs write it: apache-2.0, cc-by-4.0 ...
        episodes: Number of episodes of each task that are scored.
        seed: Seed of environments and sampling.
        trusting: What of others may run.
    """
    from kickstarting.export import export as write_export
    from kickstarting.listing import evaluation_table

    trust(trusting.names)
    what = {"format": format, "suite_name": suite, "name": name, "license": license, "episodes": episodes, "seed": seed}
    with console.status("evaluating ...", spinner="line"):
        results = write_export(ref, out, **what)
    console.print(evaluation_table(results))
    say(console, f"written to {out}; as a teacher: --teacher {shlex.quote(str(out))}")


def watch(
    ref: tyro.conf.Positional[str],
    suite: tyro.conf.Positional[str],
    out: Where,
    task: str = "",
    teacher: str = "",
    teacher_adapters: str = "",
    steps: Annotated[int, COUNT] = 300,
    per_second: Annotated[float, Range(0.1, 60)] = 6.0,
    seed: Annotated[int, SEED] = 0,
    greedy: bool = False,
    trusting: tyro.conf.OmitArgPrefixes[TrustConfig] = NOTHING,
) -> None:
    """Write a clip of a policy that plays one episode, with its action probabilities and values beside it.

    Args:
        ref: A run directory, one of its checkpoints, zoo:NAME, or any teacher.
        suite: A suite's name, a .toml file, or an environment id.
        out: The clip, a .gif or .mp4.
        task: The task of the suite; its first unless given.
        teacher: A teacher whose probabilities and values are shown beside those of the policy, at the same steps.
        teacher_adapters: What stands between the environments and the teacher, or without one the policy, as NAME or NAME+NAME.
        steps: The longest clip; a longer episode is cut there.
        per_second: Steps in a second of the clip.
        seed: Seed of the episode.
        greedy: Take the most likely action instead of sampling.
        trusting: What of others may run.
    """
    from kickstarting.teachers.adapters import parse_adapters
    from kickstarting.watch import watch as write_clip

    trust(trusting.names)
    what = {"task": task, "teacher": teacher, "adapters": parse_adapters(teacher_adapters), "steps": steps, "greedy": greedy}
    with console.status("watching ...", spinner="line"):
        recording = write_clip(ref, suite, out, per_second=per_second, seed=seed, **what)
    last = recording.moments[-1]
    say(console, f"{len(recording.moments) - 1} steps of {recording.title}, return {in_figures(last.total)}: {out}")


def serve(
    ref: tyro.conf.Positional[str],
    port: Annotated[int, PORT] = 8000,
    host: str = "127.0.0.1",
    token_from: str = "",
    trusting: tyro.conf.OmitArgPrefixes[TrustConfig] = NOTHING,
) -> None:
    """Serve a teacher to other processes and machines, where `--teacher http://HOST:PORT` names it (docs/serving.md).

    Args:
        ref: Any reference to a teacher, as --teacher takes it.
        port: To listen on; 0 takes a free one.
        host: Address to listen on; another than this machine's own needs a token.
        token_from: Name of the environment variable with the token that requests must bring.
        trusting: What of others may run.
    """
    from kickstarting.serve import serve_ref

    trust(trusting.names)
    serve_ref(ref, host=host, port=port, token_from=token_from, said=lambda text: say(console, text))
