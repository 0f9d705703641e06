"""Every option says what it may be, in one place, and nothing else is taken: one clear line before any work."""

# ruff: noqa: PT012
from __future__ import annotations

import dataclasses
import inspect
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

import gymnasium
import jaxtyping
import pytest

from kickstarting import cli, load_suite
from kickstarting.algo.distributions import Categorical
from kickstarting.algo.parsing import Rate, Share
from kickstarting.config import Config
from kickstarting.networks import Agent, build_network
from kickstarting.population.config import PopulationConfig
from kickstarting.ranges import NOWHERE, Choice, Range, bare, check, check_label, check_name, declarations, hints_of
from kickstarting.settings import GROUPS, flat
from kickstarting.teachers.config import TeachingConfig
from kickstarting.tuning.recipe import read_recipe

COMMANDS = [
    cli.train,
    cli.population,
    cli.tune,
    cli.evaluate,
    cli.check,
    cli.export,
    cli.watch,
    cli.compare,
    cli.demo,
    cli.reproduce,
    cli.serve,
    cli.metrics,
    cli.mirror,
    cli.fetch,
]


def leaves(settings: Any) -> Iterator[tuple[str, Any]]:
    """Name and annotation of every setting of a configuration."""
    hints = hints_of(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value)
        else:
            yield field.name, hints[field.name]


def numbers_in(hint: Any) -> bool:
    kind = bare(hint)
    return kind in (int, float) or any(numbers_in(part) for part in get_args(kind))


SETTINGS = {name: hint for config in (Config(), PopulationConfig()) for name, hint in leaves(config)}
PARAMETERS = {
    (command.__name__, name): hint
    for command in COMMANDS
    for name, hint in hints_of(command).items()
    if not dataclasses.is_dataclass(bare(hint))
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_number_has_a_range(name):
    if numbers_in(SETTINGS[name]):
        assert any(isinstance(declared, Range) for declared in declarations(SETTINGS[name])), name


@pytest.mark.parametrize(("command", "name"), PARAMETERS)
def test_so_has_every_number_of_a_command(command, name):
    hint = PARAMETERS[command, name]
    if numbers_in(hint):
        assert any(isinstance(declared, Range) for declared in declarations(hint)), name


@pytest.mark.parametrize("name", [name for name in hints_of(Agent.__init__) if name not in ("observation_space", "distribution")])
def test_so_has_every_number_of_a_network(name):
    hint = hints_of(Agent.__init__)[name]
    if numbers_in(hint):
        assert any(isinstance(declared, Range) for declared in declarations(hint))


def population_of(name: str, value: Any) -> Any:
    make: Any = PopulationConfig
    return make(**{name: value})


def outside(declared: Any) -> list[Any]:
    """What a declaration must refuse."""
    if isinstance(declared, Range):
        beyond = [declared.low - 1, declared.high + 1, declared.high * 2 + 1, -(10**30), 10**30, math.nan, math.inf, -math.inf]
        return [value for value in [*beyond, declared.low, declared.high] if value not in declared]
    if isinstance(declared, Choice):
        return ["", "nothing", declared.words[0] + " ", declared.words[0].upper()]
    if isinstance(declared, Rate):
        return [
            "-1",
            "nan",
            "inf",
            "1e400",
            "linear:1:-1:10%",
            "progress:1",
            "linear",
            "fast",
            "",
            "1:2",
            "constant:1e31",
            "9" * 5000,
        ]
    if isinstance(declared, Share):
        return ["0", "-1%", "nan", "often", "", "1e300", "0%", "-5k", "%"]
    return []


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_outside_is_refused_by_its_name(name):
    hint, of_run = SETTINGS[name], name in flat(Config())
    for declared in declarations(hint):
        for one in outside(declared):
            value: Any = (one,) if isinstance(flat(Config() if of_run else PopulationConfig())[name], tuple) else one
            if numbers_in(hint) and bare(hint) is float:
                value = float(value)
            with pytest.raises(ValueError, match=name) as error:
                if of_run:
                    Config.of("x", **{name: value}).check()
                else:
                    population_of(name, value).check(Config("x"))
            assert "\n" not in str(error.value)
            assert len(str(error.value)) < 600


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("value", [object(), [1, 2], {"a": 1}, b"1", 1j, True, None, "\x1b[31m"], ids=lambda x: type(x).__name__)
def test_what_is_of_another_type_is_refused(name, value):
    default = flat(Config() if name in flat(Config()) else PopulationConfig())[name]
    if isinstance(default, bool) or (value is None and default is None):
        return
    if name in ("suite", "network", "trust_modules", "inputs", "teachers", "network_options") and isinstance(value, str | tuple):
        return
    with pytest.raises((ValueError, TypeError)):
        if name in flat(Config()):
            Config.of("x", **{name: value}).check()
        else:
            population_of(name, value).check(Config("x"))


@pytest.fixture
def error(monkeypatch) -> Callable[..., str]:
    def call(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["kickstart", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, str), arguments
        assert "\n" not in stop.value.code
        return stop.value.code

    return call


@pytest.mark.parametrize(
    "words",
    [
        ("train", "CartPole-v1", "--frames", "0"),
        ("train", "CartPole-v1", "--frames", "-5"),
        ("train", "CartPole-v1", "--seed", "-1"),
        ("train", "CartPole-v1", "--seed", 2**64),
        ("train", "CartPole-v1", "--torch-threads", "100000"),
        ("train", "CartPole-v1", "--environment-threads", "-1"),
        ("train", "CartPole-v1", "--max-grad-norm", "nan"),
        ("train", "CartPole-v1", "--epsilon", "-1"),
        ("train", "CartPole-v1", "--learning-rate", "1e308"),
        ("train", "CartPole-v1", "--name", "../../../up"),
        ("train", "CartPole-v1", "--name", "a\x1b[31mb"),
        ("train", "CartPole-v1", "--out", ""),
        ("train", "CartPole-v1", "--recipe", ""),
        ("train", "--resume", ""),
        ("train", "CartPole-v1", "--network-option", "hidden=0"),
        ("train", "CartPole-v1", "--network-option", "lstm=-1"),
        ("train", "CartPole-v1", "--network-option", "hidden=wide"),
        ("train", "MiniGrid-Empty-5x5-v0", "--network-option", "channels=(0,)"),
        ("train", "MiniGrid-Empty-5x5-v0", "--network-option", "channels=16"),
        ("train", "MiniGrid-Empty-5x5-v0", "--network-option", "deep=3"),
        ("population", "CartPole-v1", "--members", "1"),
        ("population", "CartPole-v1", "--significance", "nan"),
        ("population", "CartPole-v1", "--alpha-range", "0.1:inf"),
        ("tune", "CartPole-v1", "--budget", "-1"),
        ("tune", "CartPole-v1", "--jobs", "-1", "--budget", "9M"),
        ("evaluate", "random", "CartPole-v1", "--episodes", "0"),
        ("evaluate", "random", "CartPole-v1", "--seed", "-1"),
        ("evaluate", "random", "CartPole-v1", "--json", ""),
        ("reproduce", "memory", "--jobs", "-1"),
        ("reproduce", "memory", "--seeds", "0"),
        ("reproduce", "memory", "--out", ""),
        ("serve", "zoo:grid-8-small", "--port", "65536"),
        ("serve", "zoo:grid-8-small", "--token-from", "NO_SUCH_VARIABLE"),
        ("serve", "zoo:grid-8-small", "--host", "0.0.0.0", "--port", "0"),
        ("demo", "--frames", "0"),
        ("demo", "--out", ""),
        ("compare", "x", "--out", ""),
    ],
)
def test_commands_refuse_in_one_line(error, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    message = error(*words)
    option = next((str(word).removeprefix("--") for word in words if str(word).startswith("--")), "")
    assert option.replace("-", "_").split("=")[0].rstrip("s") in message.replace("-", "_").replace(" ", "_") or "json" in option, (
        message
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", "\x1b[0m", "x" * 101, "é" * 101])
def test_names_of_files(name):
    with pytest.raises(ValueError, match="name"):
        check_name("name", name)


@pytest.mark.parametrize("name", ["[x]", "$x_{", "a b", "ü", "#1", "x" * 100, "scratch"])
def test_names_that_are_odd_but_harmless(name):
    check_name("name", name)
    check_label("name", name)


def test_a_wrong_argument_is_named():
    assert Path(NOWHERE) != Path()
    with pytest.raises(ValueError, match=r"x is 'a' \(str\); it must be an integer"):
        check("x", "a", Annotated[int, Range(0, 5)])
    with pytest.raises(ValueError, match=r"x is 6; it must lie in \[0, 5\]"):
        check("x", 6, Annotated[int, Range(0, 5)])
    check("x", None, Annotated[int | None, Range(0, 5)])
    assert inspect.signature(cli.train)


def refused(call: Callable[[], object], *words: str) -> None:
    """In one short line that says these words, by a plain ValueError."""
    with pytest.raises(ValueError, match=r".") as error:
        call()
    assert type(error.value) is ValueError
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize("value", [3, None, "x", [], {}, Config], ids=repr)
@pytest.mark.parametrize("group", GROUPS)
def test_a_group_is_of_its_class(group, value, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # it checks types, which are wrong on purpose
    refused(lambda: Config.of("x", **{group: value}).check(), f"{group} is ")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        *((f"lstm={x}", "network option lstm is ") for x in ("-1", "x", "1e9", "2.5", "True", "None", "9" * 4000, "()")),
        *((f"{name}={x}", f"network option {name} is ") for name in ("hidden", "language") for x in ("0", "1e9", "-1", "", "nan")),
        *((f"channels={x}", "network option channels is ") for x in ("16", "(0,)", "(16,'x')", "(1e9,)", "{}", "x", "(16,(3,))")),
        *((f"deep={x}", "network option deep is ") for x in ("3", "yes", "1", "None")),
        *((f"lstm={x}", "network option lstm is ") for x in ("{[]: 1}", "(" * 1000, "1" + "+1" * 20_000, "\0", "\udcff")),
        ("=3", "network option '=3' is not KEY=VALUE"),
        ("lstmm=3", "network 'small' has no option 'lstmm'; did you mean lstm"),
    ],
)
def test_network_options_are_checked_before_anything_is_made(option, said):
    refused(lambda: Config.of("x", network="small", network_options=(option,)).check(), said)


def test_a_class_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "faulty_networks.py").write_text(
        "from torch import nn\n"
        "class Faulty(nn.Module):\n"
        "    def __init__(self, space, distribution, width=1): raise ZeroDivisionError('a\\nb')\n"
        "class Bare(nn.Module):\n"
        "    def __init__(self, space, distribution): super().__init__()\n"
    )
    (tmp_path / "faulty_module.py").write_text("raise RuntimeError('at import')\n")
    monkeypatch.syspath_prepend(tmp_path)
    space = gymnasium.spaces.Dict({"observation": gymnasium.spaces.Box(-1, 1, (4,))})
    for name, options, said in (
        ("faulty_networks:Faulty", {"width": 3}, "cannot be made with {'width': 3}: ZeroDivisionError: a b"),
        ("faulty_networks:Faulty", {"depth": 3}, "unexpected keyword argument 'depth'"),
        ("faulty_networks:Bare", {}, "it must be a torch.nn.Module with initial_state"),
        ("faulty_module:Own", {}, "cannot be imported: at import"),
        (":Own", {}, "cannot be imported"),
        (".relative:Own", {}, "cannot be imported"),
    ):
        refused(lambda name=name, options=options: build_network(name, space, Categorical(2), options), name, said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"env_groups": 3}, "env_groups is 3; it must divide envs_per_task, 16, evenly"),
        ({"clip_rho_threshold": 0.5}, "clip_rho_threshold 0.5 is below clip_pg_rho_threshold 1.0"),
        ({"envs_per_task": 10**5, "unroll_length": 10**5}, "GiB of this machine"),
        ({"schedule": "piecewise:" + "0=piecewise:" * 400 + "0=1"}, "has pieces in a piece"),
        ({"learning_rate": "piecewise:0=1;5%=" + "9" * 5000}, "learning_rate"),
        ({"network": "smal"}, "did you mean small"),
        ({"epsilon": 1e-320}, "epsilon is 1e-320"),
    ],
)
def test_what_cannot_work_together_or_here(changes, said):
    refused(lambda: Config.of("x", **changes).check(), said)


def test_seeds_of_members_have_a_range_too():
    refused(lambda: PopulationConfig().check(Config("x", seed=2**32 - 1)), "seed is 4294967295", "at most 4294959")
    refused(lambda: population_of("alpha_range", "1e-3:1e300").check(Config("x")), "alpha_range", "1e+300")


@pytest.mark.parametrize(
    ("frames", "specs"),
    [
        ([0, math.nan], ["1", "2"]),
        ([0, math.inf], ["1", "2"]),
        ([0], ["-1"]),
        ([0], ["1e300"]),
        ([], []),
        ([10**400], ["1"]),
        ([-5, 0], ["1", "1"]),
        ({}, None),
    ],
)
def test_an_evolved_schedule_of_other_numbers(tmp_path, frames, specs):
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps({"frames": frames, "teachers": {"old": specs}}))
    refused(lambda: TeachingConfig(teachers=("old",), schedule=str(path)).check(1000, 4), str(path))


@pytest.mark.parametrize(
    "task",
    [
        'env_id = "Pong-v5"\noptions = {frame_skip = [1]}',
        'env_id = "Pong-v5"\noptions = {frame_skip = 1e300}',
        'env_id = "Pong-v5"\naction_repeat = 4\noptions = {frame_skip = inf}',
        'env_id = "CartPole-v1"\nrandom = 0.0\nreference = 1e-300',
        f'env_id = "CartPole-v1"\n{"x" * 3000} = 1',
    ],
)
def test_tasks_that_no_backend_can_make(tmp_path, task):
    path = tmp_path / "s.toml"
    path.write_text(f"[[task]]\n{task}\n")
    refused(lambda: load_suite(str(path)), str(path))
    refused(lambda: load_suite(f"{'x' * 300}.toml"), "no suite file")


@pytest.mark.parametrize(
    "text",
    ["format = true", "format = 1.0", f"format = 1\n[options]\n{'x' * 3000} = 1"]
    + [f"format = 1\n[options]\n{name} = 0x{'f' * 5000}" for name in ("learning_rate", "discount", "epochs", "normalise_returns")],
)
def test_recipes_that_are_none(tmp_path, text):
    path = tmp_path / "r.toml"
    path.write_text(text)
    refused(lambda: Config("x").changed(**read_recipe(path).options).check(), "epochs" if "epochs" in text else str(path))
