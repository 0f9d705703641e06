"""The documentation is true where a program can tell: links, names, commands, code and examples."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
import sys
import threading
import unicodedata
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

import kickstarting
from kickstarting import Config, Inputs, cli, train
from kickstarting.ad.commands import COMMANDS as AD_COMMANDS
from kickstarting.algo.distributions import Categorical
from kickstarting.evaluate import evaluate_ref

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PAGES = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/**/*.md"), *ROOT.glob("benchmarks/**/*.md")}
)
REFERENCE = sorted(ROOT.glob("docs/reference/*.md"))
DIRECTIVES = [name for page in REFERENCE for name in re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)]


def prose(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "code", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings that both the site and a code host give them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = [heading.replace("`", "") for heading in re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)]
    host = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    ascii_headings = (unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode() for heading in headings)
    site = {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in ascii_headings}
    return host & site


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.relative_to(ROOT)} links to {target}"
        assert not anchor or anchor in anchors(file), f"{page.relative_to(ROOT)} links to {target}; it has {sorted(anchors(file))}"
    for included in re.findall(r'^--8<-- "(.+)"', page.read_text(), re.MULTILINE):
        assert (ROOT / included).is_file(), f"{page.relative_to(ROOT)} includes {included}"


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = set(re.findall(r"(\S+\.md)$", navigation, re.MULTILINE))
    pages = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")}
    decisions = {page for page in pages if re.match(r"decisions/\d", page)}  # listed on their own page
    assert pages - decisions == {name for name in listed if (ROOT / "docs" / name).is_file()}
    assert all((ROOT / name).is_file() for name in listed - pages - {"readme.md"})
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert all(f"({Path(decision).name})" in index for decision in decisions)


def test_public_names_have_docstrings_and_a_place_in_the_reference() -> None:
    table = (ROOT / "docs" / "reference" / "index.md").read_text()
    for name in kickstarting.__all__:
        thing = getattr(kickstarting, name)
        assert documented(thing), f"kickstarting.{name} has no docstring"
        (path,) = re.findall(rf"^\| \[`{name}`\]\[(\S+)\]", table, re.MULTILINE) or [""]
        assert path, f"docs/reference/index.md lacks {name}"
        assert resolve(path) is thing
        assert {path, path.rpartition(".")[0]} & set(DIRECTIVES), f"no page of docs/reference has {path}"
    assert len(re.findall(r"^\| \[", table, re.MULTILINE)) == len(kickstarting.__all__)


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_documented_modules_have_docstrings(directive: str) -> None:
    thing = resolve(directive)
    if not inspect.ismodule(thing):
        return
    own = {name: x for name, x in vars(thing).items() if getattr(x, "__module__", None) == directive}
    public = {name: x for name, x in own.items() if not name.startswith("_") and (inspect.isclass(x) or inspect.isfunction(x))}
    assert thing.__doc__
    for name, x in public.items():
        assert documented(x), f"{directive}.{name} has no docstring"


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.name)
def test_references_name_what_exists(page: Path) -> None:
    for path in re.findall(r"\]\[(kickstarting\S*)\]", page.read_text()):
        assert resolve(path) is not None


def documented(x: object) -> bool:
    """Whether it has a docstring of its own: not that of a class above it, nor the signature that dataclasses write."""
    doc = (vars(x).get("__doc__") if inspect.isclass(x) else x.__doc__) or ""
    return bool(doc) and not doc.startswith((f"{getattr(x, '__name__', '')}(", "Alias for field"))


def resolve(path: str) -> object:
    """The module, class or function at a dotted path."""
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)


def test_the_architecture_page_names_what_exists() -> None:
    spans = re.findall(r"`([a-z_]+(?:/[\w.]+)*(?:\.py|/|\.toml))`", read("docs/architecture.md"))
    spans += re.findall(r"`((?:[a-z_]+/)+NAME\.(?:py|toml))`", read("docs/architecture.md"))
    missing = set()
    for span in set(spans):
        place = ROOT if span.startswith(("tests/", "scripts/", "experiments/")) else ROOT / "src" / "kickstarting"
        if not ((place / span).parent if "NAME" in span else place / span).exists():
            missing.add(span)
    assert not missing


def test_the_reading_list_of_the_readme_is_true() -> None:
    files = re.findall(r"^\| \d \| `(\S+)` \|", read("README.md"), re.MULTILINE)
    assert len(files) == 9
    lines = sum(len(read(f"src/kickstarting/{file}").splitlines()) for file in files)
    (claimed,) = re.findall(r"^About ([\d,]+) lines, in this order", read("README.md"), re.MULTILINE)
    assert lines <= 1.02 * int(claimed.replace(",", ""))


COMMANDS = ("train", "population", "tune", "evaluate", "check", "export", "watch", "compare", "demo", "reproduce", "suites")


@pytest.fixture(scope="module")
def options() -> dict[str, set[str]]:
    """The options of every command, from its help."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for command in (
            "train",
            "population",
            "tune",
            "evaluate",
            "check",
            "export",
            "watch",
            "compare",
            "demo",
            "reproduce",
            "suites",
            "serve",
            "metrics",
            "mirror",
            "fetch",
        ):
            patch.setattr(sys, "argv", ["kickstart", command, "--help"])
            written = io.StringIO()
            with contextlib.redirect_stdout(written), pytest.raises(SystemExit):
                cli.main()
            found[command] = set(re.findall(r"--[a-z][a-z-]*", written.getvalue()))
        found["ad"] = set()
        for command in AD_COMMANDS:
            patch.setattr(sys, "argv", ["kickstart", "ad", command, "--help"])
            written = io.StringIO()
            with contextlib.redirect_stdout(written), pytest.raises(SystemExit):
                cli.main()
            found["ad"] |= set(re.findall(r"--[a-z][a-z-]*", written.getvalue()))
    return found


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_commands_have_the_options_that_pages_name(page: Path, options) -> None:
    text = page.read_text()
    for command, arguments in re.findall(r"kickstart ([a-z]+)\b([^`\n#]*)", text):
        if command in options:
            for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", arguments):
                assert option in options[command], f"{page.relative_to(ROOT)}: kickstart {command} {arguments.strip()}"
    if page.is_relative_to(ROOT / "docs"):
        for option in re.findall(r"`(--[a-z][a-z-]*)", text):
            assert any(option in known for known in options.values()), f"{page.relative_to(ROOT)}: {option}"


def test_the_example_of_a_network_acts_as_it_learns_and_trains(monkeypatch) -> None:
    """T single steps give what one call on T gives, as the page asks of every network."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("own_network")
    space = gymnasium.spaces.Dict({"observation": gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float32)})
    network = example.GRUAgent(space, Categorical(3), hidden=8)
    T, B = 5, 2
    actions, is_first = torch.randint(3, (T, B)), torch.rand(T, B) < 0.4
    inputs = Inputs({"observation": torch.randn(T, B, 4)}, actions, torch.randn(T, B), is_first)
    at_once, last = network(inputs, network.initial_state(B))
    state, steps = network.initial_state(B), []
    for t in range(T):
        output, state = network(inputs[t : t + 1], state)
        steps.append(output)
    torch.testing.assert_close(at_once.logits, torch.cat([step.logits for step in steps]))
    torch.testing.assert_close(at_once.values, torch.cat([step.values for step in steps]))
    torch.testing.assert_close(last, state)
    example.main(total_frames=256)


def test_the_example_of_a_loop_gains_a_teacher(monkeypatch, capsys) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    importlib.import_module("cleanrl_style").main(total_frames=1_024, seeds=1)
    assert "128 units with the teacher" in capsys.readouterr().out


def test_the_example_of_a_bot_trains(monkeypatch, capsys) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    importlib.import_module("babyai_bot").main(total_frames=12 * 32 * 2)
    assert "which had advice on" in capsys.readouterr().out


def test_the_example_of_a_server_teaches(monkeypatch) -> None:
    """Balancing is what it teaches, so it must be good at it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("serve_elsewhere")
    with example.ThreadingHTTPServer(("127.0.0.1", 0), example.Teacher) as server:
        server.daemon_threads = True
        example.Teacher.log_message = lambda *said: None
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        (result,) = evaluate_ref(
            f"http://127.0.0.1:{server.server_address[1]}", "CartPole-v1", episodes=4, seed=0, episode_limit=200
        )
        server.shutdown()
    assert result.mean_return > 150


def test_the_corridor_of_bring_your_own_trains(monkeypatch, tmp_path) -> None:
    (code,) = re.findall(
        r"^```python\n((?:(?!^```).)*class Corridor.*?)^```", read("docs/bring-your-own.md"), re.MULTILINE | re.DOTALL
    )
    (suite,) = re.findall(r'^```toml\n((?:(?!^```).)*"corridor".*?)^```', read("docs/bring-your-own.md"), re.MULTILINE | re.DOTALL)
    (tmp_path / "corridor.py").write_text(code)
    (tmp_path / "corridor.toml").write_text(suite)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("gymnasium:corridor:Corridor-v0", str(tmp_path / "corridor.toml")):
        config = Config.of(name, network="small", total_frames=64, envs_per_task=2, unroll_length=8, torch_threads=1)
        assert [update.frames for update in train(config)][-1] == 64


def read(path: str) -> str:
    return (ROOT / path).read_text()
