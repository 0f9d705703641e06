"""The file of histories: what is flushed stays, whatever happens to the writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from kickstarting.runs import histories
from kickstarting.runs.files import FileError
from kickstarting.runs.histories import FLAGS, About, Columns, read_about, read_histories
from kickstarting.runs.histories_writer import HistoriesWriter
from kickstarting.spaces import Grid, Scaled, Vector, tokens

SPACE = spaces.Dict(
    {
        "cell": spaces.MultiDiscrete([9, 9]),
        "view": Grid(0, 255, (3, 3, 3), np.uint8),
        "mission": tokens(),
        "speed": Vector(-np.inf, np.inf, (2,), np.float32),
        "arm": spaces.Discrete(4),
    }
)
ABOUT = About(SPACE, spaces.Discrete(5), [[1, 2], [3, 4], "door"], {"source": "nobody"})


def block(about: About, steps: int, seed: int) -> Columns:
    rng = np.random.default_rng(seed)
    shape = len(about.tasks), steps
    return {name: rng.integers(2, size=(*shape, *inner)).astype(dtype) for name, (dtype, inner) in about.kinds.items()}


def written(path: Path, steps: tuple[int, ...] = (3, 4)) -> list[Columns]:
    writer = HistoriesWriter(path, ABOUT)
    blocks = [block(ABOUT, n, seed=n) for n in steps]
    for columns in blocks:
        writer.append(columns)
        writer.flush()
    writer.close()
    return blocks


def assert_holds(path: Path, blocks: list[Columns]) -> None:
    read = read_histories(path)
    for history in range(len(read)):
        rows = slice(read.starts[history], read.starts[history + 1])
        for name in ABOUT.kinds:
            expected = np.concatenate([columns[name][history] for columns in blocks])
            np.testing.assert_array_equal(read.columns[name][rows], expected, err_msg=name)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "histories.arrow"
    assert_holds(path, written(path))
    about = read_about(path)
    assert {name: type(part) for name, part in about.observation_space.items()} == {
        name: type(part) for name, part in SPACE.items()
    }
    assert about.kinds == ABOUT.kinds
    assert (about.tasks, about.facts) == (ABOUT.tasks, ABOUT.facts)


def test_other_programs_read_it(tmp_path):
    pa = pytest.importorskip("pyarrow")
    written(path := tmp_path / "histories.arrow")
    table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
    assert table.num_rows == 3 * 7
    assert set(FLAGS) < set(table.column_names)


@pytest.mark.parametrize("cut", [1, 8, 200])
def test_a_torn_end_is_left_out(tmp_path, cut):
    path = tmp_path / "histories.arrow"
    blocks = written(path, (3, 4, 5))
    os.truncate(path, path.stat().st_size - cut)
    assert read_histories(path).torn > 0
    assert_holds(path, blocks[:2])


def test_a_resumed_run_leaves_no_gap_and_no_double(tmp_path):
    path = tmp_path / "histories.arrow"
    blocks = written(path, (3, 4, 5))
    os.truncate(path, path.stat().st_size - 3)  # a writer died while it wrote; the checkpoint was before the second block
    writer = HistoriesWriter(path, ABOUT, steps=3)
    writer.append(again := block(ABOUT, 6, seed=9))
    writer.close()
    assert_holds(path, [blocks[0], again])


def test_what_is_missing_is_told(tmp_path):
    path = tmp_path / "histories.arrow"
    written(path, (3, 4))
    for steps in (2, 8):
        with pytest.raises(FileError, match=f"the run's checkpoint is at {steps}"):
            HistoriesWriter(path, ABOUT, steps=steps)
    other = About(SPACE, spaces.Discrete(6), ABOUT.tasks)
    with pytest.raises(FileError, match="other histories"):
        HistoriesWriter(path, other, steps=3)


@pytest.mark.parametrize("content", [b"", b"x" * 1000, b"\xff\xff\xff\xff\x10\0\0\0", None])
def test_what_is_no_file_of_histories(tmp_path, content):
    path = tmp_path / "histories.arrow"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=r"histories\.arrow") as error:
        read_histories(path)
    assert "\n" not in str(error.value)


def test_another_version_is_told(tmp_path, monkeypatch):
    path = tmp_path / "histories.arrow"
    monkeypatch.setattr(histories, "FORMAT", 2)
    written(path)
    monkeypatch.undo()
    with pytest.raises(FileError, match="format 2, this version reads 1"):
        read_histories(path)


def test_continuous_actions_keep_their_numbers(tmp_path):
    path = tmp_path / "histories.arrow"
    low = np.full(2, -1, np.float32)
    about = About(spaces.Dict({"x": Vector(-1, 1, (1,), np.float32)}), Scaled(low, -low, as_is=False), ["a"])
    columns = block(about, 4, 0)
    columns["action"] = np.random.default_rng(0).normal(size=(1, 4, 2)).astype(np.float32)
    writer = HistoriesWriter(path, about)
    writer.append(columns)
    writer.close()
    np.testing.assert_array_equal(read_histories(path).columns["action"], columns["action"][0])


WRITES = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_histories import ABOUT, block
from kickstarting.runs.histories_writer import HistoriesWriter
writer = HistoriesWriter(Path({path!r}), ABOUT)
for seed in range(10**6):
    writer.append(block(ABOUT, 50, seed))
    writer.flush()
    print(seed, flush=True)
"""


def test_sigkill_loses_nothing_that_was_flushed(tmp_path):
    path = tmp_path / "histories.arrow"
    script = WRITES.format(tests=str(Path(__file__).parent), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    while int(process.stdout.readline()) < 3:
        pass
    time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    flushed = 4 + len(process.communicate()[0].split())
    read = read_histories(path)
    assert flushed * 50 <= read.starts[1] <= (flushed + 1) * 50
    assert_holds(path, [block(ABOUT, 50, seed) for seed in range(read.starts[1] // 50)])
