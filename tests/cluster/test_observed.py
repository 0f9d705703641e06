"""What happens on a cluster in words, numbers and lines: without one."""

from __future__ import annotations

import faulthandler
import json
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from kickstarting.cluster.connect import check_versions, in_a_line
from kickstarting.cluster.events import Event, Journal
from kickstarting.cluster.lag import lag_metrics
from kickstarting.cluster.transport import arrays_to_weights, to_array, to_tensor
from kickstarting.cluster.watchdog import main_thread


def test_a_journal_has_a_line_for_every_event_and_tells_what_went_wrong(tmp_path: Path) -> None:
    told: list[str] = []
    journal = Journal(tmp_path / "cluster.jsonl", told.append, frames=5)
    journal(Event("started", "actor 1", "b:12", "actor 1 started on node b:12"))
    journal.frames = 7
    journal(Event("lost", "actor 1", "b:12", "actor 1 on node b:12 is lost"))
    lines = [json.loads(line) for line in (tmp_path / "cluster.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [["time", "frames", "event", "part", "node", "text"]] * 2
    assert [line["frames"] for line in lines] == [5, 7]
    assert abs(lines[1]["time"] - time.time()) < 60
    assert told == ["actor 1 on node b:12 is lost"]


def test_a_disk_that_is_full_costs_the_line_only(tmp_path: Path) -> None:
    told: list[str] = []
    Journal(tmp_path / "missing" / "cluster.jsonl", told.append)(Event("lost", "actor 1", "", "it is lost"))
    assert told[0].startswith(f"{tmp_path / 'missing' / 'cluster.jsonl'} cannot be written")
    assert told[1] == "it is lost"


def test_lag_is_counted_in_bins_that_add_up() -> None:
    metrics = lag_metrics([0, 1, 1, 5, 900])
    assert (metrics["lag/mean"], metrics["lag/max"]) == (pytest.approx(181.4), 900.0)
    bins = {name.removeprefix("lag/histogram/"): share for name, share in metrics.items() if "histogram" in name and share}
    assert bins == {"0": 0.2, "1": 0.4, "6": 0.2, "more": 0.2}


def test_the_main_thread_is_found_among_all_stacks() -> None:
    """As faulthandler writes them from a thread of its own while the main one waits."""
    threading.Thread(target=time.sleep, args=(0.4,), daemon=True).start()
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback_later(0.1, file=file)
        time.sleep(0.3)
        faulthandler.cancel_dump_traceback_later()
        file.seek(0)
        stack = file.read()
    innermost, *others = main_thread(stack).split(", called by ")
    assert innermost.startswith("test_the_main_thread_is_found_among_all_stacks (test_observed.py:")
    assert len(others) == 3
    assert main_thread("") == ""


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ({"kickstarting": "1", "torch": "2"}, None),
        ({"kickstarting": "1"}, "node b has no torch, this machine has 2; install the same there"),
        ({"kickstarting": "0", "torch": "2"}, "node b has kickstarting 0, this machine has 1"),
    ],
)
def test_versions_of_nodes(theirs, said) -> None:
    ours = {"kickstarting": "1", "torch": "2"}
    if said is None:
        check_versions("b", theirs, ours)
    else:
        with pytest.raises(ValueError, match=said):
            check_versions("b", theirs, ours)


def test_tensors_travel_as_arrays() -> None:
    x = {"a": torch.arange(3), "b": torch.tensor(1.5), "c": torch.ones(2, dtype=torch.bfloat16)}
    arrays = {name: to_array(tensor) for name, tensor in x.items()}
    for array in arrays.values():
        array.flags.writeable = False
    back = arrays_to_weights(arrays)
    assert torch.equal(back["a"], x["a"])
    assert torch.equal(back["b"], x["b"])
    assert torch.equal(back["c"], x["c"].float())
    assert to_tensor(np.float32(2)).shape == ()


def test_what_ray_says_on_pages_is_said_in_a_line() -> None:
    died = "The actor died.\n\tclass_name: X\n Worker exit type: NODE_OUT_OF_MEMORY Worker exit detail: ..."
    assert in_a_line(RuntimeError(died)) == "its process ended (NODE_OUT_OF_MEMORY, out of memory)"
    assert in_a_line(ValueError("a\nb")) == "ValueError: a b"
