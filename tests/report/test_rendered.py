"""The page as a browser draws it: figures, widths, the dark, and that it asks nobody for anything."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from kickstarting.report import compare_runs

from .conftest import many_groups

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars"),
]
# a window is at least 500 pixels wide, a frame in it may be narrower
FRAME = """<!doctype html><body style="margin: 0"><iframe style="width: %dpx; border: 0" srcdoc="%s"></iframe><script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
  const page = frame.contentDocument;
  page.querySelectorAll("details").forEach(details => { details.open = true; });
  const { scrollWidth, scrollHeight } = page.documentElement;
  frame.style.height = `${scrollHeight}px`;
  const edges = item => { const r = item.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom].map(Math.round); };
  const figures = [...page.querySelectorAll("figure > svg")].map(edges);
  const size = box => ({ held: box.clientWidth, whole: box.scrollWidth, at: edges(box) });
  const tables = [...page.querySelectorAll(".scroll")].map(size);
  const requests = frame.contentWindow.performance.getEntriesByType("resource").map(entry => entry.name);
  const found = JSON.stringify({ scrollWidth, scrollHeight, figures, tables, requests });
  document.body.append(Object.assign(document.createElement("pre"), { id: "found", textContent: found }));
});
</script></body>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (apt-get install chromium)")


@pytest.fixture(scope="module")
def page(experts, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("page")
    compare_runs(experts, out=out, bootstrap=100)
    return out / "report.html"


@pytest.fixture(scope="module")
def lineage_page(population, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("lineage_page")
    compare_runs([population], out=out, bootstrap=100)
    return out / "report.html"


def framed(page: Path, width: int) -> Path:
    """A page that shows this one at a width and says what it finds in it, all details open."""
    path = page.with_name(f"framed-{width}.html")
    path.write_text(FRAME % (width, escape(page.read_text())))
    return path


def chromium(page: Path, *arguments: str, height: int = 900) -> str:
    profile = page.parent / "profile"
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", f"--window-size=1200,{height}", *arguments, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    shutil.rmtree(profile, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def find(page: Path) -> dict[str, Any]:
    found = re.search(r'<pre id="found">(.*?)</pre>', chromium(page, "--dump-dom"), flags=re.DOTALL)
    assert found
    return json.loads(unescape(found[1]))


def screenshot(page: Path, height: int, *arguments: str) -> np.ndarray:
    """[height, width, 3], 0 to 1"""
    path = page.with_suffix(".png")
    chromium(page, f"--screenshot={path}", *arguments, height=height)
    return imread(path)[:, :, :3]


def drawn(image: np.ndarray) -> float:
    """The share of pixels that are not of the image's first one's colour."""
    return float((np.abs(image - image[0, 0]).max(axis=2) > 0.1).mean())


def test_on_a_phone_nothing_is_wider_than_the_screen_and_every_figure_is_drawn(page):
    phone = framed(page, 400)
    found = find(phone)
    assert found["scrollWidth"] == 400
    assert found["requests"] == []
    assert len(found["figures"]) == 3  # curves, teachers, tasks
    image = screenshot(phone, found["scrollHeight"])
    for left, top, right, bottom in found["figures"]:
        assert 0 <= left < right <= 400
        assert right - left > 340
        assert 0.02 < drawn(image[top:bottom, left:right]) < 0.9


def test_on_a_wide_screen_in_the_dark(lineage_page):
    wide = framed(lineage_page, 1200)
    found = find(wide)
    assert found["scrollWidth"] == 1200
    assert found["requests"] == []
    assert len(found["figures"]) == 3  # curves, tasks, lineage
    image = screenshot(wide, found["scrollHeight"], "--blink-settings=preferredColorScheme=0")
    assert image[0, 0].max() < 0.2
    for left, top, right, bottom in found["figures"]:
        figure = image[top:bottom, left:right]
        assert 0.02 < drawn(figure) < 0.9
        assert (figure.min(axis=2) > 0.95).mean() < 0.001  # no white that the dark forgot
        assert figure.max() > 0.8  # and text that can be read


def test_tables_are_whole_on_a_wide_screen_and_a_shadow_says_that_there_is_more_on_a_phone(tmp_path):
    compare_runs(many_groups(tmp_path, 5), out=tmp_path / "report", bootstrap=50)
    wide = find(framed(tmp_path / "report" / "report.html", 1200))
    assert wide["scrollWidth"] == 1200
    assert len(wide["tables"]) == 3  # how fast, how far, runs
    assert all(table["whole"] <= table["held"] for table in wide["tables"])
    phone = framed(tmp_path / "report" / "report.html", 400)
    found = find(phone)
    image = screenshot(phone, found["scrollHeight"])
    assert found["scrollWidth"] == 400
    for table in found["tables"]:
        left, top, right, bottom = table["at"]
        assert 0 <= left < right <= 400
        assert table["whole"] > table["held"]
        edge, before = (np.median(image[top:bottom, column], axis=0).max() for column in (right - 2, right - 40))
        assert edge < 0.85 < before  # paper is 1
