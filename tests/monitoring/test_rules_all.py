"""The alert rules of every room but backup's: each fires when it must and is silent when it must; none lacks its runbook."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops import catalog
from ops.duty import Check
from tests.conftest import ROOT
from tests.monitoring.catalogue import names_in, told

FOLDER = ROOT / "monitoring" / "rules"
FILES = sorted(FOLDER.glob("*.yml"))
RULES: dict[str, list[dict[str, Any]]] = {
    path.stem: [rule for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    for path in FILES
}
ALERTS = {rule["alert"]: (stem, rule) for stem, rules in RULES.items() for rule in rules if "alert" in rule}
RUNBOOK = (ROOT / "monitoring" / "RUNBOOK.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (./setup test)")
Series = dict[str, str]


def series(name: str, values: str, **labels: str) -> Series:
    inside = ",".join(f'{key}="{value}"' for key, value in {"job": "gaccong", **labels}.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def verdict(duty: str, values: str, subject: str = "ipv4", site: str = "xa") -> Series:
    return series("gaccong_verdict", values, site=site, duty=duty, subject=subject)


def state(values: str, family: str = "ipv4", site: str = "xa") -> Series:
    return series("gaccong_probe_state", values, site=site, ip_family=family)


def count(duty: str, verdict_: str, values: str) -> Series:
    return series("gaccong_subjects", values, site="xa", duty=duty, verdict=verdict_)


def measure(name: str, values: str, subject: str = "ipv4") -> Series:
    return series(f"gaccong_{name}", values, site="xa", subject=subject)


def prober(name: str, values: str) -> Series:
    return series(f"gaccong_prober_{name}", values)


def plain(alert: str, duty: str, bad: int, minutes: int, worse: int | None = None) -> list[tuple[str, int, list[Series], int]]:
    """A rule on one verdict: it fires at that verdict, waits its time, and is silent at the others and after a mend."""
    other = {2: "3x600", 3: "2x600"}[bad] if worse is None else "1x600"
    return [
        (alert, minutes, [verdict(duty, f"{bad}x600")], 1), (alert, minutes, [verdict(duty, "0x600")], 0),
        (alert, minutes, [verdict(duty, other)], 0), (alert, minutes, [verdict(duty, f"{bad}x1 0x600")], 0),
        *([(alert, minutes, [verdict(duty, f"{worse}x600")], 1)] if worse else []),
    ]


END, DAY = "tls_certificate_not_after_timestamp_seconds", 86400
MANY = [state("3x600", site=f"xa{one}") for one in range(6)]
WELL = [state("0x600", site=f"tot{one}") for one in range(20)]
SLOTS = "missed_slots_total"
# (alert, minute, series, how many fire). Promtool's clock starts at 1970-01-01 00:00 UTC.
CASES: list[tuple[str, int, list[Series], int]] = [
    ("GaccongSiteDown", 6, [state("3x60"), state("3x60", "ipv6")], 1),
    ("GaccongSiteDown", 6, [state("3x60"), state("2x60", "ipv6")], 1),  # a site without IPv6 address
    ("GaccongSiteDown", 6, [verdict("web.http", "3x60")], 1),  # nobody looks every minute
    ("GaccongSiteDown", 6, [state("3x60"), state("0x60", "ipv6")], 0),
    ("GaccongSiteDown", 6, [state("3x60"), state("1x60", "ipv6")], 0),
    ("GaccongSiteDown", 6, [state("0x60"), verdict("web.http", "3x60")], 0),  # the prober is fresher
    ("GaccongSiteDown", 6, [verdict("web.http", "2x60")], 0),
    ("GaccongSiteDown", 2, [state("3x60")], 0),
    ("GaccongSiteDown", 10, [state("3x6 0x60")], 1),  # a minute of answers is not the end of it
    ("GaccongSiteDown", 20, [state("3x6 0x60")], 0),
    ("GaccongSiteDownIPv4", 8, [state("3x60"), state("0x60", "ipv6")], 1),
    ("GaccongSiteDownIPv4", 8, [state("3x60"), state("3x60", "ipv6")], 0),
    ("GaccongSiteDownIPv4", 8, [state("0x60"), state("3x60", "ipv6")], 0),
    ("GaccongSiteDownIPv6", 8, [state("0x60"), state("3x60", "ipv6")], 1),
    ("GaccongSiteDownIPv6", 8, [state("0x60"), state("2x60", "ipv6")], 0),
    ("GaccongSiteDownIPv6", 8, [state("3x60"), state("3x60", "ipv6")], 0),
    ("GaccongSiteFlapping", 20, [series("gaccong_probe_flapping", "1x60", site="xa", ip_family="ipv4")], 1),
    ("GaccongSiteFlapping", 20, [series("gaccong_probe_flapping", "1x5 0x60", site="xa", ip_family="ipv4")], 0),
    *plain("GaccongPlainHttp", "web.http", 2, 20),
    ("GaccongIPv6Broken", 20, [verdict("web.ipv6", "3x60", "ipv6"), state("2x60", "ipv6")], 1),
    ("GaccongIPv6Broken", 20, [verdict("web.ipv6", "3x60", "ipv6"), state("3x60", "ipv6")], 0),  # told as an outage
    ("GaccongIPv6Broken", 20, [verdict("web.ipv6", "1x60", "ipv6")], 0),
    *plain("GaccongSiteSlow", "web.response_time", 2, 2, 3)[:3],
    *plain("GaccongHttpsRedirect", "web.https_redirect", 3, 35),
    *plain("GaccongPageLacks", "web.search", 3, 70), *plain("GaccongPageLacks", "web.footer_identity", 3, 70),
    ("GaccongPageLacks", 70, [verdict("web.http", "3x80")], 0),
    *plain("GaccongDnsBroken", "dns.address", 3, 8), *plain("GaccongDnsServersBroken", "dns.servers", 3, 0)[:3],
    *plain("GaccongDnsServersAtRisk", "dns.servers", 2, 130), *plain("GaccongDnsMoved", "dns.change", 2, 0, 3)[:3],
    *plain("GaccongDnssecBroken", "dns.dnssec", 3, 0)[:3], *plain("GaccongDnssecAtRisk", "dns.dnssec", 2, 70),
    *plain("GaccongLookalike", "dns.lookalike", 2, 0, 3)[:3],
    *plain("GaccongCertificateBroken", "tls.certificate", 3, 8), *plain("GaccongCertificateAtRisk", "tls.certificate", 2, 70),
    ("GaccongCertificateAtRisk", 70, [verdict("tls.certificate", "2x80"), measure(END, f"{2 * DAY}x80")], 0),
    ("GaccongCertificateAtRisk", 70, [verdict("tls.certificate", "2x80"), measure(END, f"{9 * DAY}x80")], 1),
    ("GaccongCertificateEndsNow", 15, [measure(END, f"{2 * DAY}x60")], 1),
    ("GaccongCertificateEndsNow", 15, [measure(END, f"{4 * DAY}x60")], 0),
    ("GaccongCertificateEndsNow", 15, [measure(END, "60x60")], 0),  # over: GaccongCertificateBroken has it
    *plain("GaccongTlsProtocol", "tls.protocol", 2, 70, 3), *plain("GaccongRenewalExpired", "renewal.domain", 3, 0)[:3],
    *plain("GaccongRenewalDue", "renewal.hosting", 2, 70),
    *plain("GaccongContentStale", "content.freshness", 3, 70), *plain("GaccongNothingPublished", "content.daily_update", 3, 130),
    *plain("GaccongQuotaMissed", "content.unit_quota", 3, 70),
    ("GaccongQuotaMissed", 70, [count("content.member_quota", "broken", "2x80")], 1),
    ("GaccongQuotaMissed", 70, [count("content.member_quota", "broken", "0x80")], 0),
    *plain("GaccongDeadlineMissed", "deadline.legal_document", 3, 0)[:3], *plain("GaccongDeadlineNear", "deadline.qa_answer", 2, 70),
    *plain("GaccongContentAtRisk", "content.freshness", 2, 370), *plain("GaccongUnicode", "text.unicode", 2, 70, 3),
    *plain("GaccongMaintenanceUnannounced", "maintenance.notice", 3, 0)[:3],
    *plain("GaccongMaintenanceNoticeAtRisk", "maintenance.notice", 2, 70),
    *plain("GaccongDiskFull", "host.disk", 3, 8), *plain("GaccongDiskFills", "host.disk", 2, 35),
    ("GaccongDiskFullSoon", 70, [measure("host_disk_full_seconds", f"{2 * DAY}x80", "/")], 1),
    ("GaccongDiskFullSoon", 70, [measure("host_disk_full_seconds", f"{9 * DAY}x80", "/")], 0),
    *plain("GaccongMemoryOut", "host.load", 3, 15), *plain("GaccongLoadHigh", "host.load", 2, 35),
    *plain("GaccongServiceDown", "host.services", 3, 0)[:3], *plain("GaccongServiceAtRisk", "host.services", 2, 35),
    *plain("GaccongPortOpen", "host.ports", 2, 0, 3)[:3], *plain("GaccongClockOff", "host.clock", 3, 15),
    *plain("GaccongClockAtRisk", "host.clock", 2, 130), *plain("GaccongUpdatesWait", "host.updates", 2, 70, 3),
    ("GaccongLeaverStillIn", 15, [count("accounts.leavers", "broken", "2x60")], 1),
    ("GaccongLeaverStillIn", 15, [count("accounts.leavers", "broken", "0x60"), count("accounts.leavers", "met", "2x60")], 0),
    ("GaccongLoginNotRefused", 15, [count("accounts.refused", "broken", "1x60")], 1),
    ("GaccongLoginNotRefused", 15, [count("accounts.refused", "broken", "0x60")], 0),
    *plain("GaccongAccountsUnclear", "accounts.census", 2, 70, 3),
    ("GaccongWatchdog", 0, [], 1),
    ("GaccongMaintenance", 1, [series("gaccong_maintenance_active", "1x60", site="xa")], 1),
    ("GaccongMaintenance", 1, [series("gaccong_maintenance_active", "0x60", site="xa")], 0),
    ("GaccongManyDown", 6, [*MANY, *WELL[:9]], 1), ("GaccongManyDown", 6, [*MANY, *WELL], 0),  # 6 of 15, 6 of 26
    ("GaccongManyDown", 6, MANY[:4], 0), ("GaccongManyDown", 2, [*MANY, *WELL[:9]], 0),
    ("GaccongBlind", 8, [state("1x60", site=f"xa{one}") for one in range(9)] + [state("0x60", site="b")], 1),
    ("GaccongBlind", 8, [state("1x60", site=f"xa{one}") for one in range(7)] + [state("0x60", site=f"b{one}") for one in range(3)], 0),
    ("GaccongBlind", 8, [state("3x60", site=f"xa{one}") for one in range(9)], 0),  # they are down; we are well
    ("GaccongProberSilent", 6, [prober("last_write_timestamp_seconds", "0x60")], 1),
    ("GaccongProberSilent", 6, [prober("last_write_timestamp_seconds", "0+60x60")], 0),
    ("GaccongProberSilent", 30, [prober("last_write_timestamp_seconds", "0+60x5 _x60")], 1),  # gone with its file
    ("GaccongProberLate", 40, [prober(SLOTS, "0+1x60")], 1), ("GaccongProberLate", 40, [prober(SLOTS, "7x60")], 0),
    ("GaccongProberLate", 40, [prober(SLOTS, "0x60"), prober("tainted_looks_total", "0+3x60"), prober("looks_total", "0+9x60")], 1),
    ("GaccongProberLate", 40, [prober(SLOTS, "0x60"), prober("tainted_looks_total", "0+3x60"), prober("looks_total", "0+90x60")], 0),
    ("GaccongRecordFailing", 8, [prober("store_failing", "1x60")], 1),
    ("GaccongRecordFailing", 8, [prober("store_failing", "1x2 0x60")], 0),
    ("GaccongLooksStopped", 80, [series("gaccong_last_look_timestamp_seconds", "0x90", site="xa", duty="a", subject="b")], 1),
    ("GaccongLooksStopped", 80, [series("gaccong_last_look_timestamp_seconds", "0x90", site="xa", duty="a", subject="b"),
                                 series("gaccong_last_look_timestamp_seconds", "0+60x90", site="xa", duty="c", subject="b")], 0),
]
LONG: list[tuple[str, int, list[Series], int]] = [
    *plain("GaccongPageAtRisk", "web.headers", 2, 1500), *plain("GaccongDomainRule", "dns.tld_vn", 2, 1500, 3),
    ("GaccongAccountsUnseen", 2940, [count("accounts.leavers", "unseen", "1x200")], 1),
    ("GaccongAccountsUnseen", 2940, [count("accounts.leavers", "unseen", "0x200")], 0),
    ("GaccongUnseen", 2940, [verdict("web.http", "1x200")], 1), ("GaccongUnseen", 2940, [verdict("web.http", "1x50 0x200")], 0),
    ("GaccongUnseen", 2940, [verdict("backup.fresh", "1x200")], 0),  # GaccongBackupUnseen has it
    ("GaccongMeasureLost", 1500, [series("gaccong_exporter_unusable_measures", "1x200", site="xa", duty="a")], 1),
    ("GaccongMeasureLost", 1500, [series("gaccong_exporter_unusable_measures", "0x200", site="xa", duty="a")], 0),
]


@pytest.mark.parametrize(("cases", "every"), [(CASES, "1m"), (LONG, "30m")], ids=["minutes", "days"])
def test_each_fires_and_each_is_silent(tmp_path: Path, cases: list[tuple[str, int, list[Series], int]], every: str) -> None:
    """Each case in the file of its rule; promtool names a case that fails by its expression and number."""
    for stem in RULES:
        mine = [case for case in cases if ALERTS[case[0]][0] == stem]
        body = [
            {"name": f"{number} {alert}", "interval": every, "input_series": inputs, "promql_expr_test": [{
                "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0) + {number} * 0',
                "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": fire}]}]}
            for number, (alert, minute, inputs, fire) in enumerate(mine)
        ]
        if not body:
            continue
        path = tmp_path / f"{stem}.json"
        files = [str(FOLDER / f"{one}.yml") for one in dict.fromkeys(["site", stem] if stem in ("watch", "site") else [stem])]
        path.write_text(json.dumps({"rule_files": files, "evaluation_interval": every, "tests": body}))
        done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_of_each_kind() -> None:
    for fires in (True, False):
        tried = {alert for alert, _, _, fire in [*CASES, *LONG] if bool(fire) is fires}
        wanted = {alert for alert, (stem, _) in ALERTS.items() if stem != "backup"}
        assert wanted - tried == (set() if fires else {"GaccongWatchdog"})


def test_promtool_reads_them_all() -> None:
    done = subprocess.run(["promtool", "check", "rules", *map(str, FILES)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "duplicate" not in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_each_says_what_it_means_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert][1]
    assert {"summary", "summary_en", "description", "description_en", "next", "runbook_url"} == set(rule["annotations"])
    assert rule["labels"]["severity"] in ("critical", "warning", "none")
    assert rule["annotations"]["runbook_url"] == f"RUNBOOK.md#{alert.lower()}"
    text = RUNBOOK.split(f"### {alert}\n")
    assert len(text) == 2, f"RUNBOOK.md has not one section {alert}"
    section = text[1].partition("\n#")[0]
    assert rule["annotations"]["description"] in section and "\n1. " in section


def test_the_runbook_tells_of_no_alert_that_is_not_there() -> None:
    assert set(re.findall(r"^### (\w+)$", RUNBOOK, re.M)) == set(ALERTS)
    assert set(re.findall(r"Gaccong\w+", RUNBOOK)) <= set(ALERTS)


def test_every_check_has_an_alert() -> None:
    """A duty that breaks and calls nobody is not watched. Asked of the rules' own selectors."""
    text = "\n".join(rule.get("expr", "") for rules in RULES.values() for rule in rules if rule.get("alert") != "GaccongUnseen")
    asked = [re.compile(found) for found in re.findall(r'duty=~?"([^"]+)"', text)]
    checks = [one for one in catalog.load().duties.values() if isinstance(one, Check)]
    assert len(checks) > 40
    assert [one.name for one in checks if not any(pattern.fullmatch(one.name) for pattern in asked)] == []
    private = set(re.findall(r'gaccong_subjects\{duty=~?"([^"]+)"', text))
    assert all(any(re.fullmatch(one, check.name) for one in private) for check in checks if check.private)


def test_every_name_is_one_that_the_exporter_gives() -> None:
    recorded = {rule["record"] for rules in RULES.values() for rule in rules if "record" in rule}
    wanted = {name for rules in RULES.values() for rule in rules for name in names_in(rule["expr"])}
    assert len(wanted) > 15
    assert {name for name in wanted if not told(name)} - recorded == set()
