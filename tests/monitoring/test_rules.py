"""The alert rules about backups: each fires when it must and is silent when it must, and names metrics that exist."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.backup.room import make_template
from tests.conftest import ROOT
from tests.journeys.place import Place
from tests.journeys.test_serve import fetch, serving

RULES = ROOT / "monitoring" / "rules" / "backup.yml"
TEXT = RULES.read_text(encoding="utf-8")
ALERTS = re.findall(r"- alert: (\w+)", TEXT)
PENDING: dict[str, str] = {}
"""Metrics that the rules name and no duty gives yet, with the reason. Empty is right."""
HOUR, DAY = 60, 1440
pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (./setup test)")


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    """One input series; `values` in promtool's notation, one for each minute (or half hour, see `step`)."""
    inside = ",".join(f'{key}="{value}"' for key, value in {"job": "gaccong", "site": "xa", **labels}.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def verdict(duty: str, values: str, subject: str = "user") -> dict[str, str]:
    return series("gaccong_verdict", values, duty=duty, subject=subject)


def measure(name: str, values: str, subject: str = "user") -> dict[str, str]:
    return series(f"gaccong_{name}", values, subject=subject)


def run(tmp: Path, inputs: list[dict[str, str]], minutes: int, expected: list[dict[str, Any]], alert: str = "",
        every: str = "1m", asked: str = "") -> str:
    """What promtool says of one test; "" when it passed. Of an alert, or of an expression that must give nothing."""
    body: dict[str, Any] = {"interval": every, "input_series": inputs}
    if alert:
        body["alert_rule_test"] = [{"eval_time": f"{minutes}m", "alertname": alert, "exp_alerts": expected}]
    else:
        body["promql_expr_test"] = [{"expr": asked, "eval_time": f"{minutes}m", "exp_samples": []}]
    path, rules = tmp / "rules_test.json", tmp / "rules.yml"
    rules.write_text(only(alert) if alert else TEXT, encoding="utf-8")
    path.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": every, "tests": [body]}))
    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, timeout=120, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def only(alert: str) -> str:
    """The file with this one rule, word for word: promtool then takes a tenth of the time."""
    head, *blocks = TEXT.split("      - alert: ")
    return head + next(f"      - alert: {block}" for block in blocks if block.startswith(f"{alert}\n"))


def step(minutes: int) -> str:
    """A long time is told in half hours."""
    return "30m" if minutes > 600 else "1m"


def firing(tmp: Path, inputs: list[dict[str, str]], minutes: int, alert: str, every: str = "1m") -> bool:
    """Whether the alert fires at that minute."""
    said = run(tmp, inputs, minutes, [], alert, every)
    assert not said or f"alertname: {alert}" in said, said
    return bool(said) and "got:[]" not in said.replace(" ", "")


def test_promtool_reads_them() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and f"{len(ALERTS)} rules found" in done.stdout, done.stdout + done.stderr


def test_every_alert_says_what_and_what_next_in_both_languages() -> None:
    blocks = TEXT.split("- alert: ")[1:]
    for block in blocks:
        for key in ("severity:", "summary:", "summary_en:", "next:"):
            assert key in block, f"{block.splitlines()[0]} has no {key}"
    assert {found for block in blocks for found in re.findall(r"severity: (\w+)", block)} == {"critical", "warning"}
    assert len(set(ALERTS)) == len(ALERTS)


# Of each alert: series in which it fires at the minute named, and series in which it must not.
# promtool's clock starts at 1970-01-01 00:00 UTC, a Thursday; 07:00 in Vietnam.
FRESH, DRILL, OFFSITE = "backup.fresh", "backup.drill", "backup.offsite"
NEWEST, DRILLED = "backup_fresh_newest_timestamp_seconds", "backup_drill_drilled_timestamp_seconds"
WEEK, ROLLING = "backup_fresh_day_this_week", "backup_fresh_day_rolling_7"
UNREAD, BYTES = "backup_integrity_oldest_unread_seconds", "backup_contents_bytes"
LOOKED = "gaccong_last_look_timestamp_seconds"
FOUR = [verdict(f"backup.{one}", "0x200") for one in ("fresh", "contents", "integrity", "drill")]
FIRES: list[tuple[str, int, list[dict[str, str]]]] = [
    ("GaccongBackupMissing", 85 * HOUR, [measure(NEWEST, "0x600")]),
    ("GaccongBackupMissing", 15, [verdict(FRESH, "3x60")]),
    # the exporter was away for half an hour in between: neither forgotten nor begun anew
    ("GaccongBackupMissing", 45, [verdict(FRESH, "3x12 _x30 3x5")]),
    ("GaccongBackupTooFewDays", 40, [verdict(FRESH, "3x60"), measure(ROLLING, "2x60"), measure(NEWEST, "0x60")]),
    ("GaccongBackupWeekShort", 10 * DAY + 4 * HOUR, [measure(WEEK, "2x700")]),  # Sunday
    ("GaccongBackupWeekShort", 9 * DAY + 4 * HOUR, [measure(WEEK, "1x700")]),  # Saturday
    ("GaccongBackupAtRisk", 13 * HOUR, [verdict(FRESH, "2x500")]),
    ("GaccongBackupContentsBroken", 10, [verdict("backup.contents", "3x60")]),
    ("GaccongRepositoryDamaged", 0, [verdict("backup.integrity", "3x60")]),
    ("GaccongRepositoryUnread", 2 * HOUR, [measure(UNREAD, "7948900x200"), series(LOOKED, "0x200", duty="backup.integrity",
                                                                                  subject="user")]),
    ("GaccongDrillFailed", 10, [verdict(DRILL, "0 3x60")]),
    ("GaccongDrillOld", 70, [measure(DRILLED, "-7948900x200")]),
    ("GaccongOffsiteBroken", 40, [verdict(OFFSITE, "3x100", "user")]),
    ("GaccongOffsiteLags", 7 * HOUR, [verdict(OFFSITE, "2x500")]),
    ("GaccongBackupAnomaly", 0, [verdict("backup.anomaly", "3x10")]),
    ("GaccongRetentionFrozen", DAY + 40, [measure("backup_anomaly_retention_frozen", "1x200")]),
    ("GaccongRepositoryLocked", 15, [measure("backup_fresh_lock_age_seconds", "4000+60x60")]),
    ("GaccongGone", 30, [series("gaccong_build_info", "1x5")]),
    ("GaccongGone", 15, []),
    ("GaccongNobodyLooks", 255, [series(LOOKED, "0x300", duty=FRESH, subject="user")]),
    ("GaccongBackupUnseen", 2 * DAY + 10, [verdict("backup.integrity", "1x200")]),
    ("GaccongBackupDutyAbsent", DAY + 10, FOUR[:3]),
    ("GaccongBackupDutyAbsent", DAY + 10, [series("gaccong_site_verdict", "1x200", policy="thong-nhat")]),
]
SILENT: list[tuple[str, int, list[dict[str, str]]]] = [
    ("GaccongBackupMissing", 83 * HOUR, [measure(NEWEST, "0x600")]),
    ("GaccongBackupMissing", 40, [verdict(FRESH, "3x60"), measure(NEWEST, "0x60")]),  # broken for another reason
    ("GaccongBackupMissing", 15, [verdict(FRESH, "3x3 0x60")]),  # the first copy came before anybody was called
    ("GaccongBackupTooFewDays", 40, [verdict(FRESH, "0x60"), measure(ROLLING, "3x60")]),
    ("GaccongBackupTooFewDays", 40, [verdict(FRESH, "2x60"), measure(ROLLING, "1x60")]),  # a site's first week
    ("GaccongBackupWeekShort", 10 * DAY + 4 * HOUR, [measure(WEEK, "3x700")]),
    ("GaccongBackupWeekShort", 8 * DAY + 4 * HOUR, [measure(WEEK, "1x700")]),  # Friday: two more days will do
    ("GaccongBackupWeekShort", 3 * DAY + 4 * HOUR, [measure(WEEK, "1x700")]),  # its first Sunday
    ("GaccongBackupAtRisk", 13 * HOUR, [verdict(FRESH, "2x20 0x1 2x20")]),
    ("GaccongBackupContentsBroken", 10, [verdict("backup.contents", "2x60")]),
    ("GaccongRepositoryDamaged", 5, [verdict("backup.integrity", "2x60")]),
    ("GaccongRepositoryUnread", 2 * HOUR, [measure(UNREAD, "7900000x200"), series(LOOKED, "0x200", duty="backup.integrity",
                                                                                  subject="user")]),
    ("GaccongDrillFailed", 10, [verdict(DRILL, "1x60")]),
    ("GaccongDrillOld", 70, [measure(DRILLED, "-7900000x200")]),
    ("GaccongOffsiteBroken", 40, [verdict(OFFSITE, "3x5 0x100")]),
    ("GaccongOffsiteLags", 7 * HOUR, [verdict(OFFSITE, "2x200 0x800")]),
    ("GaccongBackupAnomaly", 5, [verdict("backup.anomaly", "0x10")]),
    ("GaccongRetentionFrozen", DAY + 40, [measure("backup_anomaly_retention_frozen", "1x20 0x200")]),
    ("GaccongRepositoryLocked", 15, [measure("backup_fresh_lock_age_seconds", "0+60x60")]),  # a copy at work renews it
    ("GaccongGone", 40, [series("gaccong_build_info", "1x5 _x6 1x60")]),  # a restart of some minutes
    ("GaccongGone", 40, [series("gaccong_build_info", "1x60")]),
    ("GaccongNobodyLooks", 255, [series(LOOKED, "0+60x300", duty=FRESH, subject="user")]),
    ("GaccongNobodyLooks", 255, [series(LOOKED, "0+60x300", duty=FRESH, subject="user"),
                                 series(LOOKED, "0x300", duty="backup.drill", subject="user")]),  # weekly
    ("GaccongBackupUnseen", 2 * DAY + 10, [verdict("backup.integrity", "1x40 0 1x100")]),
    ("GaccongBackupUnseen", 2 * DAY + 10, [verdict("web.http", "1x200")]),
    ("GaccongBackupDutyAbsent", DAY + 10, FOUR),
]


@pytest.mark.parametrize(("alert", "minutes", "inputs"), FIRES, ids=[f"{one[0]}-{n}" for n, one in enumerate(FIRES)])
def test_it_fires(tmp_path: Path, alert: str, minutes: int, inputs: list[dict[str, str]]) -> None:
    assert firing(tmp_path, inputs, minutes, alert, step(minutes))


@pytest.mark.parametrize(("alert", "minutes", "inputs"), SILENT, ids=[f"{one[0]}-{n}" for n, one in enumerate(SILENT)])
def test_it_is_silent(tmp_path: Path, alert: str, minutes: int, inputs: list[dict[str, str]]) -> None:
    assert not firing(tmp_path, inputs, minutes, alert, step(minutes))


GROWTH = "GaccongBackupGrowsOddly"
MIB = 1 << 20


def growth(last: int, days: int = 30) -> list[dict[str, str]]:
    """A set of 10 GiB that grows by 20 MiB a day (a step at midnight, seen every half hour), and by `last` at the end."""
    sizes = [10240 * MIB + day * 20 * MIB for day in range(days)]
    sizes.append(sizes[-1] + last)
    return [measure(BYTES, " ".join(f"{size}x47" for size in sizes))]


@pytest.mark.parametrize(("last", "days", "fires"), [
    (3000 * MIB, 30, True), (50 * MIB, 30, False), (300 * MIB, 30, False), (3000 * MIB, 3, False)],
    ids=["a flood", "a usual day", "three times the usual but 3 %", "no history"])
def test_growth(tmp_path: Path, last: int, days: int, fires: bool) -> None:
    assert firing(tmp_path, growth(last, days), days * DAY + 4 * HOUR, GROWTH, "30m") is fires


def test_every_alert_has_a_case_of_each_kind() -> None:
    for cases in (FIRES, SILENT):
        assert {case[0] for case in cases} | {GROWTH} == set(ALERTS)


def test_a_healthy_month_is_silent(tmp_path: Path) -> None:
    """Everything met, copies each night, a drill each week, a restart each day: nobody is called."""
    def clock(name: str, every: int) -> dict[str, str]:
        told = [str(minute // every * every * 60) for minute in range(0, 31 * DAY, HOUR)]
        return measure(name, " ".join(told))

    look = series(LOOKED, "0+3600x800", duty=FRESH, subject="user")
    inputs = [
        *(verdict(f"backup.{one}", "0x800") for one in ("fresh", "contents", "integrity", "drill", "offsite", "anomaly")),
        series("gaccong_build_info", "1x800"), series("gaccong_site_verdict", "0x800", policy="thong-nhat"), look,
        series(LOOKED, "0+3600x800", duty="backup.integrity", subject="user"), clock(NEWEST, DAY), clock(DRILLED, 7 * DAY),
        measure(ROLLING, "7x800"), measure(WEEK, "7x800"), measure(UNREAD, "604800x800"), measure(BYTES, "1000+10x800"),
        measure("backup_anomaly_retention_frozen", "0x800"), measure("backup_fresh_lock_age_seconds", "0x800"),
    ]
    called = 'max_over_time(ALERTS{alertstate="firing",alertname!="GaccongGone"}[31d])'
    assert run(tmp_path, inputs, 30 * DAY, [], every="60m", asked=called) == ""


def test_what_is_said_reaches_the_reader(tmp_path: Path) -> None:
    """One alert with all its words: site, level and number filled in."""
    inputs = [verdict(FRESH, "3x60", "system"), measure(ROLLING, "2x60", "system"), measure(NEWEST, "0x60", "system")]
    labels = {"alertname": "GaccongBackupTooFewDays", "severity": "critical", "clause": "TN-10.1.d.freq", "job": "gaccong",
              "site": "xa", "duty": FRESH, "subject": "system"}
    said = {
        "summary": "[xa] mức system: chỉ có bản sao của 2 ngày trong 7 ngày qua; quy chế đòi nhiều hơn",
        "summary_en": "[xa] level system: copies on fewer days of the week than the policy demands",
        "description": "Quy chế đòi số ngày sao lưu tối thiểu trong tuần; tuần này thiếu.",
        "description_en": "The regulation demands copies on so many days of the week; this week falls short.",
        "next": "gaccong look backup.fresh --site xa; gaccong plan backup.run set=… --site xa",
        "runbook_url": "RUNBOOK.md#gaccongbackuptoofewdays",
    }
    labels.pop("alertname")
    expected = [{"exp_labels": labels, "exp_annotations": said}]
    assert run(tmp_path, inputs, 45, expected, "GaccongBackupTooFewDays") == ""
    said["summary"] = "sai"
    assert run(tmp_path, inputs, 45, expected, "GaccongBackupTooFewDays") != ""


# ---------------------------------------------------------------------- the names


def named() -> dict[str, set[str]]:
    """Metric name -> duties that the rules ask it for (label `duty`), out of the expressions alone."""
    found: dict[str, set[str]] = {}
    for name, inside in re.findall(r"\b(gaccong_[a-z0-9_]+)(?:\{([^}]*)\})?", "\n".join(
            line for line in TEXT.splitlines() if "{{" not in line and not line.lstrip().startswith(("#", "- alert")))):
        duty = re.search(r'duty="([a-z._]+)"', inside)
        found.setdefault(name, set()).update({duty[1]} if duty else set())
    return found


def test_every_name_in_the_rules_stands_on_a_real_page(tmp_path: Path) -> None:
    """A site backed up for real, its page scraped: a measure, duty or label that was renamed breaks this."""
    from prometheus_client.parser import text_string_to_metric_families

    place = Place(tmp_path / "m", make_template(tmp_path))
    for name in ("user", "system"):
        place.allow(name)
    left = place.root / "kho" / "locks" / ("a" * 64)
    left.write_bytes(b"")
    os.utime(left, (time.time() - 8000,) * 2)
    place.gaccong("look", "backup.fresh")
    left.unlink()
    place.gaccong("run", "--only", "backup.*")
    with serving(place, "--page-only") as (_, url):
        page = fetch(url + "/metrics")
    samples = [one for family in text_string_to_metric_families(page) for one in family.samples]
    there = {one.name for one in samples}
    duties = {one.labels["duty"] for one in samples if one.name == "gaccong_verdict"}
    wanted = named()
    assert len(wanted) >= 8, wanted
    assert {name for name in wanted if name not in there} == set(PENDING)
    assert {duty for group in wanted.values() for duty in group} <= duties
    subjects = {(one.labels["site"], one.labels["subject"]) for one in samples if one.name == f"gaccong_{NEWEST}"}
    assert subjects == {("a", "user"), ("a", "system")}
    locks = [one.value for one in samples if one.name == "gaccong_backup_fresh_lock_age_seconds"]
    assert len(locks) == 2 and 8000 < locks[0] < 9000
    newest = next(one.value for one in samples if one.name == f"gaccong_{NEWEST}")
    assert abs(newest - datetime.now(UTC).timestamp()) < 600
