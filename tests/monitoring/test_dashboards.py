"""Every panel's every query, asked of a Prometheus that scrapes a real exporter: a name that is misspelt gives nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from monitoring.boards.__main__ import BOARDS, documents
from monitoring.export import Scrape, _scraping
from tests.conftest import ROOT
from tests.monitoring.catalogue import names_in, own, told
from tests.monitoring.observatory import TOKEN, Prometheus, find, page, prometheus

FOLDER = ROOT / "monitoring" / "dashboards"
RULES = sorted((ROOT / "monitoring" / "rules").glob("*.yml"))
PANELS = [(board.uid, panel, query) for board in BOARDS for panel in board.panels for query in panel.queries]
NAMES = sorted({name for _, _, query in PANELS for name in names_in(query.expr) if ":" not in name})
needs = pytest.mark.skipif(not find("prometheus"), reason="prometheus is not installed (./setup test)")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus, by the very file that `gaccong export prometheus` writes, after some scrapes and evaluations."""
    folder = tmp_path_factory.mktemp("xem")
    secret = folder / "ma"
    secret.write_bytes(TOKEN.reveal())
    with page(folder / "state", [name for name in NAMES if name not in own()]) as port:
        config = _scraping(Scrape(f"127.0.0.1:{port}", "http", str(secret), ("xamau",)))
        config = config.replace("1m", "1s").replace("scrape_timeout: 20s", "scrape_timeout: 1s")
        with prometheus(folder / "p", config, RULES) as made:
            deadline = time.monotonic() + 60
            while not (made.query("count_over_time(site_family:gaccong_probe_failures:ratio_rate1h[1m]) > 2")
                       and made.query('ALERTS{alertname="GaccongSiteDownIPv6",alertstate="firing"}')):
                assert time.monotonic() < deadline, made.ask("targets")
                time.sleep(0.3)
            yield made


@needs
@pytest.mark.parametrize("at", range(len(PANELS)), ids=[f"{uid} {panel.title} {n}" for n, (uid, panel, _) in enumerate(PANELS)])
def test_every_query_gives_something(watched: Prometheus, at: int) -> None:
    expression = PANELS[at][2].expr.replace("$site", ".+").replace("$__range:1h", "10s:1s").replace("$__rate_interval", "10s")
    assert "$" not in expression
    found = watched.query(expression)
    assert found, f"nothing for {expression}"
    legend, columns = PANELS[at][2].legend, [label for label, _ in PANELS[at][1].columns]
    wanted = {part.partition("}}")[0] for part in legend.split("{{")[1:]} | set(columns)
    labels = set().union(*(one["metric"] for one in found))
    assert wanted <= labels, f"{wanted - labels} is no label of {expression}"


@needs
def test_the_choice_of_sites(watched: Prometheus) -> None:
    assert watched.ask("label/site/values", **{"match[]": "gaccong_site_info"}) == ["khac", "xamau"]


@needs
def test_the_rules_were_read_and_speak_of_what_is_there(watched: Prometheus) -> None:
    groups = watched.ask("rules")["groups"]
    assert {one["name"] for one in groups} >= {"gaccong-site", "gaccong-watch", "gaccong-backup"}
    faults = {rule["name"]: rule["lastError"] for group in groups for rule in group["rules"] if rule.get("lastError")}
    assert faults == {}
    firing = {one["metric"]["alertname"] for one in watched.query('ALERTS{alertstate="firing"}')}
    assert {"GaccongWatchdog", "GaccongSiteDownIPv6", "GaccongMaintenance", "GaccongLeaverStillIn", "GaccongContentStale"} <= firing
    assert not firing & {"GaccongSiteDown", "GaccongGone", "GaccongBlind", "GaccongProberSilent", "GaccongManyDown", "GaccongRecordFailing"}


@needs
def test_figures_of_the_record_and_of_maintenance(watched: Prometheus) -> None:
    ratio = {one["metric"]["ip_family"]: float(one["value"][1])
             for one in watched.query('gaccong_availability_ratio{site="xamau",period="year"}')}
    assert ratio["ipv4"] == 1.0 and 0.6 < ratio["ipv6"] < 0.72  # 19 of 60 minutes
    assert {one["metric"]["site"]: one["value"][1] for one in watched.query("gaccong_maintenance_active")} == {"xamau": "0", "khac": "1"}
    assert not watched.query('{__name__=~"gaccong.+",subject=~".*Phạm.*"}')


def test_files_are_what_the_code_writes() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")} == documents(), (
        "run python -m monitoring.boards")


def test_every_name_is_one_that_the_exporter_gives() -> None:
    assert len(NAMES) > 25
    assert [name for name in NAMES if name != "ALERTS" and not told(name)] == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_form(path: Path) -> None:
    made: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    panels = made["panels"]
    assert made["schemaVersion"] == 41 and made["uid"].startswith("gaccong-") and made["description"]
    assert [one["id"] for one in panels] == list(range(1, len(panels) + 1))
    for one in panels:
        place = one["gridPos"]
        assert place["x"] + place["w"] <= 24 and one["title"] and "(" in one["description"]
        assert one["fieldConfig"]["defaults"]["unit"] and one["options"] and one["datasource"]["uid"] == "${source}"
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart = (one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
                 or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"])
        assert apart, (one, other)
