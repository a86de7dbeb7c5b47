"""The demo is the good example: every look at the site is met, at its own address and by its own register."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from monitoring import register
from monitoring.workdays import calendar
from ops.cli.demo import deadlines, pages
from ops.cli.demo.layout import Demo
from ops.cli.demo.site import make_demo

SEEN = ("web.", "dns.", "tls.", "text.", "content.", "deadline.", "renewal.", "maintenance.")
UNSIGNED = ("dns.dnssec", "zone", "unseen")
"""The demo's own name server is no validating resolver: that this cannot be seen is the truth."""


def test_every_look_at_the_site_is_met(demo: Demo) -> None:
    words = [str(Path(sys.executable).with_name("gaccong")), "--config", str(demo.config), "--json", "run"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=110, check=False)
    rows = [row for row in json.loads(done.stdout)["rows"] if row["duty"].startswith(SEEN)]
    assert len({row["duty"] for row in rows}) >= 40
    other = [row for row in rows if row["verdict"] != "met"]
    assert [(row["duty"], row["subject"], row["verdict"]) for row in other] == [UNSIGNED], other


DAYS = (date(2026, 1, 1), date(2026, 2, 23), date(2026, 3, 1), date(2026, 5, 4), date(2026, 11, 22), date(2027, 2, 12))
"""New Year, the first working day after Tết, a first of the month that is a Sunday, after the May holidays, ..."""
TERMS = {"legal_document": 3, "policy": 7, "news": 1, "immediate": 1, "conference": 2, "statistics": 0, "other": 10}


@pytest.mark.parametrize("today", DAYS)
def test_the_register_is_believed_and_in_time_on_any_day(tmp_path: Path, today: date) -> None:
    demo = make_demo(tmp_path / "site", today)
    found = register.read(demo.register, datetime.combine(today, time(5), UTC))
    assert found.faults == []
    work = calendar()
    kinds = Counter(entry.kind for entry in found.entries)
    assert set(kinds) >= {*TERMS, "question", "submission"}
    for entry in found.entries:
        assert entry.trigger <= today
        if entry.kind in TERMS:
            assert entry.days["ngay_dang"] <= work.due(entry.trigger, TERMS[entry.kind]), entry
            if entry.link:
                assert (demo.www / entry.link.strip("/") / "index.html").is_file()
        if entry.kind == "question":
            assert entry.days["ngay_chuyen"] == entry.trigger
            assert entry.days["ngay_tra_loi"] <= min(today, work.due(entry.trigger, 15))
    monday = today - timedelta(days=today.weekday())
    for unit in deadlines.UNITS:
        assert [one for one in found.entries if one.unit == unit and monday - timedelta(days=7) <= one.trigger < monday]
    month = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    for member in deadlines.MEMBERS:
        mine = [one for one in found.entries if one.author == member]
        assert sum(month <= one.trigger < today.replace(day=1) for one in mine) >= 2
        assert sum(one.trigger >= today.replace(day=1) for one in mine) >= 2


@pytest.mark.parametrize("today", DAYS)
def test_something_came_out_on_each_of_the_last_working_days(today: date) -> None:
    published = {pages.news_day(today, number) for number in range(6)}
    assert today in published
    assert {calendar().before(today, back) for back in range(1, 6)} <= published
