"""The page in a real browser, at the size of a phone and of a desk: fits, obeys its own policy, can be read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.monitoring.browser import Browser, browser
from tests.monitoring.desk import night
from tests.monitoring.test_page import served

pytestmark = [
    pytest.mark.needs_browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed (apt-get install chromium)"),
]
SIZES = {"phone": (360, 740), "desk": (1280, 900)}
CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 :
    ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
    if (c[3] > 250) return c; } return [255, 255, 255, 255]; };
  document.querySelectorAll('details').forEach(d => d.open = true);
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.closest('svg')) continue;
    const a = light(rgb(getComputedStyle(e).color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) poor.push(e.className + ' ' + e.tagName + ' ' + ratio.toFixed(2) + ' ' + e.textContent.slice(0, 30));
  }
  return [...new Set(poor)];
})()"""
SMALL = """[...document.querySelectorAll('summary, .fleet a, .next code')].filter(e => e.offsetParent)
  .map(e => e.getBoundingClientRect()).filter(r => r.height < 43.5).length"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.mark.parametrize("size", sorted(SIZES))
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("path", ["/", "/site/xamau", "/site/khongco"])
def test_it_fits_is_legible_and_asks_only_us(tab: Browser, size: str, dark: bool, path: str) -> None:
    width, height = SIZES[size]
    statuses = [night()] if path == "/site/xamau" else [night(), night(site="khe", name="Xã Khe Mát")]
    with served(statuses) as site:
        origin = f"http://127.0.0.1:{site.port}"
        tab.open(origin + path, width, height, dark=dark)
        assert tab.ask("document.documentElement.scrollWidth") <= width
        assert tab.ask(CONTRAST) == []
        assert tab.ask(SMALL) == 0
        assert tab.ask("document.documentElement.scrollWidth") <= width, "with everything unfolded"
        assert all(url.startswith(origin + "/") for url in tab.requests())
        complaints = [text for text in tab.complaints() if "404" not in text]
        assert complaints == []
        shots = os.environ.get("GACCONG_SHOTS")
        if shots:
            tab.open(origin + path, width, height, dark=dark)
            name = f"{size}{'-dark' if dark else ''}-{path.strip('/').replace('/', '_') or 'fleet'}"
            tab.picture(Path(shots) / f"{name}.png")
            tab.picture(Path(shots) / f"{name}-whole.png", whole=True)


def test_print_shows_what_is_folded(tab: Browser) -> None:
    """What stands in a closed fold has no height on a screen and has one on paper."""
    fold = "document.querySelector('details.heap:not([open]) > :not(summary)')"
    seen = f"{fold}.checkVisibility({{contentVisibilityAuto: true}}) && {fold}.getBoundingClientRect().height > 10"
    with served([night()]) as site:
        tab.open(f"http://127.0.0.1:{site.port}/", 800, 1000)
        assert tab.ask(f"{fold} !== null")
        assert tab.ask(seen) is False
        tab.open(f"http://127.0.0.1:{site.port}/", 800, 1000, media="print")
        assert tab.ask("getComputedStyle(document.querySelector('.top')).position") == "static"
        assert tab.ask(f"{fold} !== null"), "still folded"
        assert tab.ask(seen) is True
