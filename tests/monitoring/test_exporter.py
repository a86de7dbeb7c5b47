"""Metrics: names that promtool accepts, values in base units, persons never named."""

from __future__ import annotations

import math
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.exporter import Exposition, exposition_text
from monitoring.units import metric_unit
from ops import SiteStatus
from tests.kit import NOW
from tests.monitoring.desk import BROKEN, MET, RISK, UNSEEN, clause, duty, night, policy, read, state

PRIVATE = frozenset({"accounts.leavers"})


def exported(*sites: SiteStatus) -> str:
    return exposition_text(lambda: Exposition(sites, PRIVATE, "1.2.3")).decode()


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {(one.name, tuple(sorted(one.labels.items()))): one.value
            for family in text_string_to_metric_families(text) for one in family.samples}


def made(**measures: float) -> SiteStatus:
    states = [
        state("web.http", "ipv4", MET, "a", "a", measures={"duration_seconds": 0.25}),
        state("web.http", "ipv6", BROKEN, "b", "b", measures={"duration_seconds": 0.5}),
        state("tls.certificate", "ipv4", RISK, "c", "c", measures={"days_left": 2.0, "free_percent": 50.0, **measures}),
        state("accounts.leavers", "Nguyễn Văn Mẫu", BROKEN, "Nguyễn Văn Mẫu", "x", measures={"logins": 2}),
        state("accounts.leavers", "Trần Thị Thử", MET, "Trần Thị Thử", "x"),
    ]
    rules = policy(clause("TN-10.1.a", "Hoạt động liên tục", "web.http"), clause("TN-10.1.đ", "Thu hồi", "chua.co"))
    return read(states, rules, [duty("web.http"), duty("tls.certificate"), duty("accounts.leavers", private=True)])


def test_values() -> None:
    found = samples(exported(made()))
    assert found["gaccong_verdict", (("duty", "web.http"), ("site", "xamau"), ("subject", "ipv6"))] == 3
    assert found["gaccong_verdict", (("duty", "tls.certificate"), ("site", "xamau"), ("subject", "ipv4"))] == 2
    where = (("clause", "TN-10.1.đ"), ("policy", "thong-nhat"), ("site", "xamau"))
    assert found["gaccong_clause_verdict", where] == 1
    assert ("gaccong_clause_verdict_since_timestamp_seconds", where) not in found
    assert found["gaccong_tls_certificate_left_seconds", (("site", "xamau"), ("subject", "ipv4"))] == 2 * 86400
    assert found["gaccong_tls_certificate_free_ratio", (("site", "xamau"), ("subject", "ipv4"))] == 0.5
    assert found["gaccong_web_http_duration_seconds", (("site", "xamau"), ("subject", "ipv6"))] == 0.5
    assert found["gaccong_ledger_lines", (("site", "xamau"),)] == 1204
    assert found["gaccong_build_info", (("version", "1.2.3"),)] == 1
    since = found["gaccong_verdict_since_timestamp_seconds",
                  (("duty", "web.http"), ("site", "xamau"), ("subject", "ipv4"))]
    assert since == NOW.timestamp() - 3 * 3600


def test_persons_are_counted_not_named() -> None:
    text = exported(made(), night(site="khac"))
    assert "Nguyễn" not in text
    assert "Trần" not in text
    found = samples(text)
    counts = {dict(labels)["verdict"]: value for (name, labels), value in found.items()
              if name == "gaccong_subjects" and dict(labels)["duty"] == "accounts.leavers"
              and dict(labels)["site"] == "xamau"}
    assert counts == {"met": 1, "at_risk": 0, "broken": 1, "unseen": 0}
    assert not any(name.startswith("gaccong_accounts_leavers") for name, _ in found)


def test_what_cannot_be_carried_is_counted() -> None:
    found = samples(exported(made(odd=math.nan, left_seconds=7.0)))
    where = (("duty", "tls.certificate"), ("site", "xamau"))
    assert found["gaccong_exporter_unusable_measures", where] == 2
    assert found["gaccong_exporter_unusable_measures", (("duty", "web.http"), ("site", "xamau"))] == 0


def test_hostile_labels_are_escaped() -> None:
    nasty = 'a"b\\c\nd{}'
    status = read([state("web.http", nasty, MET, "a", "a")], policy(clause("TN-1", "x", "web.http")), [duty("web.http")])
    found = samples(exported(status))
    assert found["gaccong_verdict", (("duty", "web.http"), ("site", "xamau"), ("subject", nasty))] == 0


def test_no_site_at_all() -> None:
    assert samples(exported())["gaccong_build_info", (("version", "1.2.3"),)] == 1


@pytest.mark.parametrize(("measure", "name", "factor"), [
    ("tls_days_left", "tls_left_seconds", 86400.0), ("disk_free_percent", "disk_free_ratio", 0.01),
    ("backup_longest_gap_hours", "backup_longest_gap_seconds", 3600.0), ("a_size_bytes", "a_size_bytes", 1.0),
    ("a_bytes_free", "a_free_bytes", 1.0), ("a_runs_total", "a_runs_all", 1.0), ("a_count", "a_number", 1.0),
    ("a_days_per_week", "a_day_per_week", 1.0), ("a_wait_ms", "a_wait_seconds", 0.001), ("x_gauge", "x", 1.0),
])
def test_units(measure: str, name: str, factor: float) -> None:
    assert metric_unit(measure) == (name, factor)


def test_promtool_has_nothing_to_say() -> None:
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    odd = {"days_left": 1.0, "runs_total": 2.0, "x_count": 3.0, "y_sum": 4.0, "wait_ms": 5.0, "size_mib": 6.0,
           "days_per_week": 3.0, "Camel-Case": 1.0, "z_bucket": 2.0, "hours": 3.0, "percent": 4.0, "histogram": 1.0}
    text = exported(made(**odd), night(site="khac"))
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert UNSEEN.weight == 1
