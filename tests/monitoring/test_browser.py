"""The page in a real browser, at the size of a phone and of a desk: fits, obeys its own policy, can be read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest

from monitoring.page.desk import Desk
from monitoring.page.passwords import hashed
from ops import Secret
from tests.monitoring.browser import Browser, browser
from tests.monitoring.desk import BROKEN as BAD
from tests.monitoring.desk import HOSTILE, clause, duty, night, policy, read, state
from tests.monitoring.seeded import seeded
from tests.monitoring.test_page import served

pytestmark = [
    pytest.mark.needs_browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed (apt-get install chromium)"),
]
SIZES = {"phone": (360, 800), "desk": (1280, 900)}
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
SMALL = """[...document.querySelectorAll('summary, .fleet a, .next code, .jumps a, button, input:not([type=hidden]):not([tabindex="-1"]), .tap')].filter(e => e.offsetParent)
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


# ---------------------------------------------------------------------- one site with its ninety days

PAGES = ["/", "/status", "/site/xamau/evidence", "/site/xamau/evidence/7", "/?lang=en"]
AXE = """axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
  .then(r => r.violations.map(v => [v.id, v.impact, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160))]))"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    found, store = seeded(tmp_path_factory.mktemp("seeded"), datetime.now(UTC).replace(microsecond=0))
    yield found
    store.close()


def axe() -> str:
    """axe-core (MPL-2.0) as the package axe-playwright-python carries it; nothing of Playwright is imported."""
    found = find_spec("axe_playwright_python")
    if found is None or not found.submodule_search_locations:
        pytest.skip("axe-playwright-python is not installed")
    return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")


def shot(tab: Browser, name: str) -> None:
    if shots := os.environ.get("GACCONG_SHOTS"):
        tab.picture(Path(shots) / f"{name}.png", whole=True)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", sorted(SIZES))
def test_a_whole_site_for_everybody(tab: Browser, desk: Desk, size: str, dark: bool) -> None:
    """axe finds nothing; it fits; asks only us; every target is large enough for a thumb."""
    width, height = SIZES[size]
    with served(lambda: [desk.read("xamau")], desk=desk, public=["xamau"]) as site:
        origin = f"http://127.0.0.1:{site.port}"
        for path in PAGES:
            tab.open(origin + path, width, height, dark=dark)
            shot(tab, f"whole-{size}{'-dark' if dark else ''}-{path.strip('/?').replace('/', '_') or 'front'}")
            complaints, requests = tab.complaints(), tab.requests()
            assert tab.ask(CONTRAST) == [], path
            assert tab.ask(SMALL) == 0, path
            assert tab.ask("document.documentElement.scrollWidth") <= width, path
            tab.ask(axe())
            assert tab.promised(AXE) == [], path
            assert complaints == []
            assert all(url.startswith(origin + "/") for url in requests)


@pytest.mark.parametrize("dark", [False, True])
def test_the_login_and_the_fleet_for_everybody(tab: Browser, dark: bool) -> None:
    fleet = [night(site=f"xa{number}", name=f"Xã Số {number}") for number in range(14)]
    word = Secret(hashed("bốn từ không liên quan").encode())
    with served(fleet) as many, served([night()], password=word) as locked:
        for url in (f"http://127.0.0.1:{many.port}/?q=so+1", f"http://127.0.0.1:{locked.port}/site/xamau"):
            tab.open(url, 360, 800, dark=dark)
            assert tab.ask(CONTRAST) == []
            assert tab.ask(SMALL) == 0
            tab.ask(axe())
            assert tab.promised(AXE) == []


def test_a_person_logs_in_and_out(tab: Browser) -> None:
    """With the form, the content policy and the origin check as a browser has them."""
    word = "bốn từ không liên quan"
    with served([night()], password=Secret(hashed(word).encode())) as site:
        origin = f"http://127.0.0.1:{site.port}"
        tab.open(f"{origin}/site/xamau", 360, 800)
        assert tab.ask("location.pathname + location.search") == "/login?next=/site/xamau"
        for typed, wanted in (("sai sai sai sai", "/login"), (word, "/site/xamau")):
            tab.ask(f"document.getElementById('password').value = {json.dumps(typed)}")
            tab.follow("document.querySelector('form.login button').click()")
            assert tab.ask("location.pathname") == wanted
        assert tab.ask("document.cookie") == "", "no script could read it"
        tab.follow("document.querySelector('.logout button').click()")
        assert tab.ask("location.pathname") == "/login"
        tab.open(f"{origin}/site/xamau", 360, 800)
        assert tab.ask("location.pathname") == "/login"


def test_script_in_a_title_does_not_run(tab: Browser) -> None:
    bomb = "<img src=x onerror='document.title=\"ran\"'><svg onload='document.title=\"ran\"'>" + HOSTILE
    status = read([state("web.http", bomb, BAD, bomb, bomb, command=bomb)], policy(clause("TN-1", bomb, "web.http")),
                  [duty("web.http")], name=bomb)
    with served([status]) as site:
        tab.open(f"http://127.0.0.1:{site.port}/", 360, 800)
        assert "ran" not in tab.ask("document.title").partition("<img")[0]
        assert tab.ask("document.images.length + document.scripts.length") == 0
        assert tab.ask("document.querySelector('h1').innerText") == "1 việc đang hỏng"
        assert bomb.split("'")[0] in tab.ask("document.querySelector('.name').innerText")


def test_paper_holds_every_figure(tab: Browser, desk: Desk) -> None:
    with served(lambda: [desk.read("xamau")], desk=desk) as site:
        tab.open(f"http://127.0.0.1:{site.port}/", 794, 1123, media="print")
        shot(tab, "whole-print")
        for what in (".days rect", ".plot polyline", ".calendar td", ".proofs li"):
            assert tab.ask(f"document.querySelector('{what}').getBoundingClientRect().width > 0"), what
        assert tab.ask("getComputedStyle(document.querySelector('.jumps')).display") == "none"
        assert tab.ask(CONTRAST) == []
