"""Settings: what is refused, where, and with which numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backup.settings import Settings, fewest_days

POLICY = {"backup.days_per_week": 3.0, "backup.drill_days": 92.0}


def make(tmp: Path, **more: Any) -> Settings:
    body: dict[str, Any] = {"repository": "kho", "password": "file:mat-khau", "set": {
        "noi-dung": {"level": "user", "schedule": "30 1 * * *", "source": [{"kind": "files", "paths": ["www"]}]},
        "may": {"level": "system", "schedule": "0 2 * * 1,3,5", "source": [{"kind": "system", "paths": ["/etc"]}]}}}
    return Settings.model_validate(body | more, context={"base": tmp})


def a_set(**more: Any) -> dict[str, Any]:
    return {"level": "user", "schedule": "30 1 * * *", "source": [{"kind": "files", "paths": ["/srv/www"]}]} | more


def test_a_sound_section_meets_the_policy(tmp_path: Path) -> None:
    settings = make(tmp_path)
    assert list(settings.against(POLICY)) == []
    assert settings.repository == str(tmp_path / "kho")
    assert settings.set["noi-dung"].live() == [tmp_path / "www"]


@pytest.mark.parametrize(("cron", "days"), [
    ("30 1 * * *", 7), ("0 2 * * 1,3,5", 3), ("0 1,2,3 * * 6", 1), ("*/5 * * * *", 7), ("0 2 1 * *", 0),
    ("0 2 * 1-6 *", 0), ("59 23 * * 0", 1), ("0 2 */2 * *", 3),
])
def test_distinct_days_of_the_poorest_week(cron: str, days: int) -> None:
    assert fewest_days([cron]) == days


def test_schedules_of_one_level_add_up(tmp_path: Path) -> None:
    assert fewest_days(["0 1 * * 1", "0 1 * * 3", "0 5 * * 1,5"]) == 3


def test_too_rare_a_schedule_is_told_with_both_numbers(tmp_path: Path) -> None:
    sets = {"a": a_set(schedule="0 1 * * 2,4"), "b": a_set(level="system")}
    (where, text), = make(tmp_path, set=sets).against(POLICY)
    assert where == "set.a.schedule"
    assert "2 ngày" in text.vi and "đòi 3" in text.vi
    assert "reaches 2" in text.en and "demands 3" in text.en


def test_both_levels_are_demanded(tmp_path: Path) -> None:
    (where, text), = make(tmp_path, set={"a": a_set()}).against(POLICY)
    assert where == "set"
    assert "hệ thống" in text.vi and "level = \"system\"" in text.vi
    assert list(make(tmp_path, set={"a": a_set()}).against({})) == []


def test_a_drill_too_rare(tmp_path: Path) -> None:
    (where, _), = make(tmp_path, drill_every_days=120).against(POLICY)
    assert where == "drill_every_days"


@pytest.mark.parametrize("change", [
    {"password": "thu-nghiem"},
    {"repository": "rest:https://ai:do@kho.test/"},
    {"drill_every_days": 1},
    {"set": {}},
    {"set": {"A B": a_set()}},
    {"set": {"a": a_set(schedule="0 0 31 2 *")}},
    {"set": {"a": a_set(schedule="mai")}},
    {"set": {"a": a_set(source=[])}},
    {"set": {"a": a_set(source=[{"kind": "ftp", "paths": ["/x"]}])}},
    {"set": {"a": a_set(source=[{"kind": "files", "paths": ["/"]}])}},
    {"set": {"a": a_set(source=[{"kind": "files", "paths": ["/srv"], "exclude": ["a/b"]}])}},
    {"set": {"a": a_set(source=[{"kind": "files", "paths": ["/srv"], "exclude": ["!a"]}])}},
    {"set": {"a": a_set(source=[{"kind": "files", "paths": ["/srv"], "exclude": ["/etc/x"]}])}},
    {"set": {"a": a_set(source=[{"kind": "sqlite", "name": "x", "path": "/a"}, {"kind": "sqlite", "name": "x", "path": "/b"}])}},
    {"repository": "/srv/www/kho", "set": {"a": a_set()}},
    {"repository": "/srv/x/../www/kho", "set": {"a": a_set()}},
    {"keep": 3},
])
def test_what_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make(tmp_path, **change)


def test_exclusions_stay_within_their_source(tmp_path: Path) -> None:
    found = make(tmp_path, set={"a": a_set(source=[
        {"kind": "files", "paths": ["/srv/a[1]", "/srv/b"], "exclude": ["*.sqlite", "/srv/b/cache"]}])})
    assert found.set["a"].excluded() == [r"/srv/a\[1]/**/*.sqlite", "/srv/b/**/*.sqlite", "/srv/b/cache"]


@pytest.mark.parametrize("cron", ["30 1 * * *", "0 2 * * 1,3,5", "*/5 * * * 2", "0 0 * * 0", "0 3 1 * *", "0 3 * 2 *"])
def test_run_days_equal_a_plain_walk_over_the_year(cron: str) -> None:
    from datetime import datetime, timedelta

    from cronsim import CronSim

    from backup.settings import run_days
    from ops import LOCAL

    start = datetime(2024, 1, 1, tzinfo=LOCAL)
    wanted = set()
    for day in range(53 * 7):
        midnight = start + timedelta(days=day)
        hit = next(CronSim(cron, midnight - timedelta(minutes=1)))
        if hit.date() == midnight.date():
            wanted.add(hit.date())
    assert run_days(cron) == wanted
