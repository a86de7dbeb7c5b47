"""What is published and when: working days, feeds (hostile ones too), freshness, daily update, quotas."""

from __future__ import annotations

import gzip
import resource
import shlex
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from monitoring.checks.daily_update import daily_update
from monitoring.checks.freshness import freshness
from monitoring.checks.member_quota import member_quota
from monitoring.checks.unit_quota import unit_quota
from monitoring.feeds import MOST_ITEMS, key_of, parse
from monitoring.moments import moment
from monitoring.sections.content import Content
from monitoring.workdays import Calendar, calendar
from ops import CannotSee, UsageError
from tests.kit import NOW
from tests.monitoring.portal import BROKEN, FRONT, MET, RISK, UNSEEN, Portal, ago, portal, rss, sitemap

PLACE = "http://xamau.test/rss.xml"

# ------------------------------------------------------------------ working days


@pytest.mark.parametrize(("day", "works"), [
    ("2026-01-01", False), ("2026-01-02", False), ("2026-01-10", True), ("2026-01-05", True), ("2026-02-16", False),
    ("2026-02-20", False), ("2026-02-23", True), ("2026-04-26", False), ("2026-04-27", False), ("2026-04-30", False),
    ("2026-08-22", True), ("2026-08-31", False), ("2026-09-01", False), ("2026-11-24", False), ("2026-11-21", False),
    ("2025-01-27", False), ("2025-02-03", True), ("2024-04-29", False), ("2024-05-04", True),
])
def test_days_as_they_were_announced(day: str, works: bool) -> None:
    found = Calendar()
    assert found.works(date.fromisoformat(day)) is works
    assert bool(found.why_off(date.fromisoformat(day))) is not works


def test_the_configuration_wins_over_the_table() -> None:
    found = calendar([date(2027, 11, 22)], [date(2027, 11, 27), date(2027, 11, 24)])
    assert [found.works(date(2027, 11, day)) for day in (22, 24, 27)] == [False, True, True]
    assert [Calendar().works(date(2027, 11, day)) for day in (22, 24, 27)] == [True, False, False]
    with pytest.raises(UsageError):
        calendar([date(2027, 11, 22)], [date(2027, 11, 22)])
    with pytest.raises(UsageError):
        Calendar().works(date(2199, 1, 1))


DAYS = st.dates(date(2019, 1, 1), date(2027, 12, 31))


@settings(max_examples=150, deadline=None)
@given(DAYS, st.integers(0, 25), st.sets(DAYS, max_size=3), st.sets(DAYS, max_size=3))
def test_terms_equal_counting_on_the_fingers(start: date, count: int, off: set[date], on: set[date]) -> None:
    days = calendar(off - on, on)
    due = days.due(start, count)
    walked = [start + timedelta(days=step) for step in range((due - start).days + 1)]
    assert days.works(due) and sum(days.works(day) for day in walked[1:]) == (count or (due != start))
    assert days.between(start, due) == -days.between(due, start) == sum(days.works(day) for day in walked[1:])
    if count:
        before = days.before(due, count)
        assert sum(days.works(before + timedelta(days=n)) for n in range((due - before).days)) == count
    else:
        assert not any(days.works(day) for day in walked[:-1])


# ------------------------------------------------------------------ dates and feeds


@pytest.mark.parametrize(("text", "says"), [
    ("Fri, 20 Nov 2026 07:00:00 +0700", "2026-11-20T00:00:00"), ("2026-11-20T07:00:00+07:00", "2026-11-20T00:00:00"),
    ("2026-11-20T07:00:00", "2026-11-20T00:00:00"), ("2026-11-20", "2026-11-20T16:59:59"),
    ("20/11/2026 2:30:00 CH", "2026-11-20T07:30:00"), ("Thứ Sáu, 20/11/2026 14:30", "2026-11-20T07:30:00"),
    ("20/11/2026", "2026-11-20T16:59:59"), ("12/11/2026 12:00 SA", "2026-11-11T17:00:00"),
])
def test_dates_are_read(text: str, says: str) -> None:
    assert moment(text) == datetime.fromisoformat(says).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "hôm qua", "31/02/2026", "0001-01-01", "Fri, 99 Nov 2026", "2026-13-01", "1" * 5000,
                                  "20/11/26", "Mon, 1 Jan 99999999999999 00:00:00 GMT", "\x00"])
def test_what_is_no_date(text: str) -> None:
    assert moment(text) is None


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_as_a_date(text: str) -> None:
    found = moment(text)
    assert found is None or found.tzinfo is UTC


def test_a_feed_as_real_portals_make_them() -> None:
    found = parse(
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\n<rss><channel>'
        + "<item><title>Họp dân&nbsp;<![CDATA[<script>alert('x')</script>]]></title><link>/xem?id=1&loai=2</link>"
          "<pubDate>11/20/2026 2:30:00 PM</pubDate><description><p>Một<br>đoạn</p></description></item>"
          "<item><title>Tin <b>hai</b> &amp; ba</title><link>http://xamau.test/b</link><pubDate>11/05/2026</pubDate></item>"
          "<item><title>Cụt".encode(), PLACE)
    first, second = found.items[:2]
    assert (found.kind, found.mended, first.url) == ("rss", True, "http://xamau.test/xem?id=1&loai=2")
    assert "<" not in first.title and first.title.startswith("Họp dân")
    assert first.published == datetime(2026, 11, 20, 7, 30, tzinfo=UTC)
    assert second.published is not None and second.published.month == 11 and second.title == "Tin hai & ba"


def test_atom_and_sitemaps() -> None:
    atom = parse(b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>A</title><link rel="edit" href="/e"/><link href="a"/>'
                 b"<published>2026-11-19T01:00:00Z</published><updated>2026-11-20T01:00:00Z</updated>"
                 b"<author><name>B</name></author></entry></feed>", PLACE)
    [item] = atom.items
    assert (item.url, item.author, item.published, item.latest) == (
        "http://xamau.test/a", "B", datetime(2026, 11, 19, 1, tzinfo=UTC), datetime(2026, 11, 20, 1, tzinfo=UTC))
    [page] = parse(gzip.compress(sitemap(("http://xamau.test/x", "2026-11-20"))), PLACE).items
    assert page.published is None and page.updated is not None
    index = parse(b"<sitemapindex><sitemap><loc>/s1.xml</loc></sitemap><sitemap><loc>/s1.xml</loc></sitemap></sitemapindex>",
                  PLACE)
    assert (index.kind, index.children) == ("index", ("http://xamau.test/s1.xml",))
    news = parse(b'<urlset xmlns:n="x"><url><loc>/n</loc><n:news><n:publication_date>2026-11-20T01:00:00Z</n:publication_date>'
                 b"<n:title>T</n:title></n:news></url></urlset>", PLACE)
    assert news.items[0].published is not None and news.items[0].title == "T"


LAUGHS = "<!DOCTYPE l [" + '<!ENTITY a0 "ha">' + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)) + "]><rss><channel><item><title>&a9;</title></item></channel></rss>"
EXTERNAL = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]><rss><item><title>&x;</title></item></rss>'


@pytest.mark.parametrize("body", [
    LAUGHS.encode(), LAUGHS.encode("utf-16"), b"\xef\xbb\xbf" + LAUGHS.encode(), EXTERNAL.encode(),
    ("<?xml version='1.0'?><!-- <a> --> \n" + LAUGHS).encode(), ("<!-- x -->" * 40 + LAUGHS).encode(),
    LAUGHS.replace("DOCTYPE", "doctype").encode(), gzip.compress(LAUGHS.encode()),
    b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE',
    LAUGHS.encode("utf-16")[2:], b"<html><body>404</body></html>", b"", b"\x00" * 100, b"\x1f\x8bnonsense", b"{}",
    ("<!-- x -->" * 600 + LAUGHS).encode(),
])
def test_hostile_xml_gives_nothing_and_says_why(body: bytes) -> None:
    found = parse(body, PLACE)
    assert found.items == () or all("ha" not in one.title and len(one.title) < 301 for one in found.items)
    assert found.items or found.fault is not None


@pytest.mark.parametrize("body", [
    b"<rss>" + b"<a>" * 2_000_000, b"<rss><channel>" + b"<x>y</x>" * 1_000_000, b"<rss><item><title>" + b"x" * 8_000_000,
    b"<?" * 4_000_000, b"<!--" * 2_000_000, b"<rss><item><title>" + b"&" * 4_000_000, b"<rss><item " + b'a="b" ' * 1_000_000,
    gzip.compress(b"<rss>" + b" " * (100 << 20)), b"<urlset>" + b"<url><loc>/a</loc></url>" * 40_000,
    b"<rss><item><title>" + b"&lt;" * 2_000_000, b"<rss><item>" + b"<b>" * 200 + b"x" * 100 + b"</item>" * 100_000,
], ids=range(11))
def test_endless_xml_ends(body: bytes) -> None:
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = parse(body, PLACE)
    assert len(found.items) <= MOST_ITEMS
    assert time.process_time() - began < 8
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # KiB


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"<rss><channel><item>", b"<feed><entry><link href='", b"<urlset><url><loc>"]))
def test_any_bytes_are_read(body: bytes, before: bytes) -> None:
    for item in parse(before + body, PLACE).items:
        assert item.url == "" or item.url.startswith(("http://", "https://"))
        assert not any(sign in item.title for sign in "\x00\x1b\u202e\n")


def test_addresses_of_the_same_page() -> None:
    assert key_of("https://www.xamau.test/Tin/M%E1%BB%9Bi/?utm_source=x#a") == key_of("http://xamau.test/tin/mới")
    assert key_of("http://xamau.test/xem?id=1&b=2") == key_of("http://xamau.test/xem?b=2&id=1") != key_of("http://xamau.test/xem?id=2")
    assert key_of("http://[") == ""


# ------------------------------------------------------------------ checks over a real server


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Portal]:
    with portal(tmp_path) as made:
        yield made


def test_freshness_finds_the_feed_by_itself(site: Portal) -> None:
    site.put("rss.xml", rss(("/tin/1", "Phiên chợ <script>alert(1)</script>", ago(2), ""), ("/tin/2", "Cũ", ago(9), "")))
    found = site.run(freshness)["site"]
    assert (found.verdict, found.measures["age_days"]) == (MET, 2.0)
    assert "<script" not in found.detail.vi and "Phiên chợ" in found.detail.vi


@pytest.mark.parametrize(("days", "limit", "verdict"), [(2, 7, MET), (6, 7, RISK), (8, 7, BROKEN), (8, 10, MET), (8.5, 10, RISK)])
def test_freshness_beside_its_limit(site: Portal, days: float, limit: float, verdict: object) -> None:
    site.put("rss.xml", rss(("/tin/1", "Tin", ago(days), ""), ("/tin/2", "Từ tương lai", ago(-400), "")))
    found = site.run(freshness, thresholds={"content.freshness_days": limit})["site"]
    assert found.verdict is verdict
    assert shlex.split(found.next or "x")


def test_freshness_over_the_new_year(site: Portal) -> None:
    now = datetime(2026, 2, 23, 2, tzinfo=UTC)  # Monday after nine days of Tết
    site.put("rss.xml", rss(("/tin/1", "Chúc Tết", datetime(2026, 2, 13, 9, tzinfo=UTC), "")))
    found = site.run(freshness, now=now)["site"]
    assert found.verdict is RISK and found.measures["workdays"] == 1
    assert site.run(freshness, now=now + timedelta(days=7))["site"].verdict is BROKEN


def test_freshness_without_a_source_accuses_nobody(site: Portal) -> None:
    with pytest.raises(CannotSee) as trouble:
        site.run(freshness)
    assert "rss.xml" in trouble.value.what.vi and "content.feeds" in trouble.value.mend.vi
    site.put("rss.xml", LAUGHS)
    with pytest.raises(CannotSee) as trouble:
        site.run(freshness)
    assert "thực thể" in trouble.value.what.vi
    site.put("rss.xml", rss(("/tin/1", "Không ngày", "hôm qua", "")))
    with pytest.raises(CannotSee):
        site.run(freshness)


def test_freshness_of_sections(site: Portal) -> None:
    site.put("rss.xml", rss(("/tin/1", "Tin", ago(1), "")))
    site.put("tt/van-hoa.xml", rss(("/vh/1", "Hội làng", ago(45), "")))
    found = site.run(freshness, sections={"Văn hóa": "/tt/van-hoa.xml", "Y tế": "/khong-co.xml"})
    assert {key: one.verdict for key, one in found.items()} == {"site": MET, "Văn hóa": BROKEN, "Y tế": UNSEEN}
    assert set(site.run(freshness, subjects=("Văn hóa",), sections={"Văn hóa": "/tt/van-hoa.xml"})) == {"Văn hóa"}


def test_sitemaps_are_followed_on_the_site_only(site: Portal) -> None:
    site.put("index.html", FRONT.replace("<link rel=alternate type=application/rss+xml href=/rss.xml>", ""))
    site.put("robots.txt", f"User-agent: *\nSitemap: {site.url}map.xml\n")
    site.put("map.xml", f"<sitemapindex><sitemap><loc>{site.url}a.xml</loc></sitemap><sitemap><loc>{site.url}map.xml</loc>"
                        "</sitemap><sitemap><loc>http://169.254.169.254/x.xml</loc></sitemap></sitemapindex>")
    site.put("a.xml", sitemap((f"{site.url}x", ago(3).isoformat()), (f"{site.url}y", ago(30).isoformat())))
    found = site.run(freshness)["site"]
    assert (found.verdict, found.measures["age_days"]) == (MET, 3.0)
    assert not any("169.254" in one["source"] for one in found.facts["sources"])


def test_a_sitemap_that_dates_everything_today_proves_nothing(site: Portal) -> None:
    site.put("map.xml", sitemap(*[(f"{site.url}{n}", NOW.isoformat()) for n in range(40)]))
    with pytest.raises(CannotSee):
        site.run(freshness, feeds=("/map.xml",))


def test_a_feed_of_a_hundred_megabytes(site: Portal) -> None:
    with (site.root / "rss.xml").open("wb") as stream:
        stream.write(rss(("/tin/1", "Mới nhất", ago(1), "")).removesuffix(b"</channel></rss>"))
        stream.write(b"<item><title>x</title></item>" * 100)
        stream.truncate(100 << 20)
    began = time.monotonic()
    found = site.run(freshness, feeds=("/rss.xml",))["site"]
    assert found.verdict is MET and found.facts["sources"][0]["partial"]
    assert time.monotonic() - began < 8


def test_a_dozen_duties_ask_the_site_once(site: Portal, tmp_path: Path) -> None:
    from monitoring.published import gather
    from monitoring.settings import Settings
    from ops import Site
    from tests.kit import make_context

    site.put("rss.xml", rss(("/tin/1", "Một", ago(1), "An")))
    place = Site("xamau", "Xã mẫu", "thong-nhat", site.url, ())
    first = gather(place, make_context(tmp_path, Settings()))
    site.put("rss.xml", rss(("/tin/2", "Hai", ago(0), "An")))
    assert gather(place, make_context(tmp_path, Settings())) == first
    assert gather(place, make_context(tmp_path, Settings(), now=NOW + timedelta(minutes=16))).items[0].title == "Hai"
    assert gather(place, make_context(tmp_path, Settings(), subjects=("site",))).items[0].title == "Hai"
    (tmp_path / "home" / "published.json").write_text('{"wanted": 1, "items": [[1]]}')
    assert gather(place, make_context(tmp_path, Settings())).items[0].title == "Hai"


def at(day: int, hour: int = 2) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(("days", "now", "verdict"), [
    ([19, 18, 17], at(20, 3), MET),  # the Friday's morning: Thursday counts
    ([19, 18, 17], at(20, 9), RISK),  # four o'clock in the afternoon and nothing yet
    ([20, 18, 17], at(20, 9), BROKEN),  # nothing on Thursday
    ([20, 19], at(23, 3), MET),  # Monday: the last working day is Friday
    ([23, 20], at(25, 3), MET),  # Tuesday 24 is a holiday
    ([24, 20], at(25, 3), BROKEN),  # work on the holiday does not stand for Monday
    ([20], at(20, 3), UNSEEN),  # the feed does not reach Thursday
])
def test_daily_update(site: Portal, days: list[int], now: datetime, verdict: object) -> None:
    site.put("rss.xml", rss(*[(f"/tin/{day}", f"Tin {day}", at(day), "") for day in days]))
    assert site.run(daily_update, now=now)["days"].verdict is verdict


def test_daily_update_by_a_sitemap_proves_presence_not_absence(site: Portal) -> None:
    pages = [(f"{site.url}{day}", at(day).isoformat()) for day in (20, 18)]
    site.put("map.xml", sitemap(*pages))
    assert site.run(daily_update, now=at(20, 3), feeds=("/map.xml",))["days"].verdict is UNSEEN
    site.put("map.xml", sitemap(*pages, (f"{site.url}19", at(19).isoformat())))
    assert site.run(daily_update, now=at(20, 3), feeds=("/map.xml",))["days"].verdict is MET
    assert site.run(daily_update, now=at(20, 3), feeds=("/map.xml",),
                    thresholds={"content.items_per_working_day": 2})["days"].verdict is UNSEEN


def test_one_short_feed_beside_a_long_one_accuses_nobody(site: Portal) -> None:
    site.put("rss.xml", rss(("/1", "Một", at(17), ""), ("/2", "Hai", at(20), "")))
    site.put("ngan.xml", rss(("/3", "Ba", at(20), "")))
    assert site.run(daily_update, now=at(20, 3), feeds=("/rss.xml",))["days"].verdict is BROKEN
    assert site.run(daily_update, now=at(20, 3), feeds=("/rss.xml", "/ngan.xml"))["days"].verdict is UNSEEN
    assert site.run(daily_update, now=at(20, 3), feeds=("/rss.xml", "/khong-co.xml"))["days"].verdict is UNSEEN


def test_a_day_at_the_edge_of_a_feed_is_not_counted_as_whole(site: Portal) -> None:
    site.put("rss.xml", rss(("/1", "Một", at(19, 9), ""), ("/2", "Hai", at(20), "")))
    found = site.run(daily_update, now=at(20, 3), thresholds={"content.items_per_working_day": 2})["days"]
    assert (found.verdict, found.measures["last_workday_items"]) == (UNSEEN, 1)


def test_a_sitemap_with_a_missing_part_is_not_whole(site: Portal) -> None:
    site.put("map.xml", "<sitemapindex><sitemap><loc>/a.xml</loc></sitemap><sitemap><loc>/mat.xml</loc></sitemap></sitemapindex>")
    site.put("a.xml", sitemap((f"{site.url}x", at(17).isoformat())))
    assert site.run(daily_update, now=at(20, 3), feeds=("/map.xml",))["days"].verdict is UNSEEN
    site.put("mat.xml", sitemap((f"{site.url}y", at(16).isoformat())))
    assert site.run(daily_update, now=at(20, 3), feeds=("/map.xml",))["days"].verdict is BROKEN


def test_member_quota(site: Portal) -> None:
    october = datetime(2026, 10, 12, tzinfo=UTC)
    site.put("rss.xml", rss(
        ("/1", "Một", october, "Mẫu  Thị An"), ("/2", "Hai", october, "mẫu thị an"), ("/3", "Ba", october, "Mẫu Văn Bình"),
        ("/4", "Cũ", datetime(2026, 9, 20, tzinfo=UTC), "Mẫu Văn Bình"),
    ))
    who = ("Mẫu Thị An", "Mẫu Văn Bình")
    found = site.run(member_quota, members=who)
    assert {key: one.verdict for key, one in found.items()} == {"Mẫu Thị An": MET, "Mẫu Văn Bình": BROKEN}
    late = site.run(member_quota, members=who, now=datetime(2026, 11, 26, tzinfo=UTC))
    assert late["Mẫu Thị An"].verdict is RISK
    assert member_quota.private
    with pytest.raises(CannotSee):
        site.run(member_quota)


def test_member_quota_by_feed_and_register_counts_each_item_once(site: Portal, tmp_path: Path) -> None:
    october = datetime(2026, 10, 12, tzinfo=UTC)
    site.put("rss.xml", rss(("/1", "Một", october, "Mẫu Văn Bình"), ("/9", "Cũ", datetime(2026, 9, 20, tzinfo=UTC), "x")))
    book = tmp_path / "so.csv"
    book.write_text("loai,ngay_nhan,tac_gia,duong_dan,tieu_de\ntin,12/10/2026,Mẫu Văn Bình,/1,Một\n"
                    "tin,12/10/2026,Mẫu Văn Bình,,Một\n", encoding="utf-8")
    assert site.run(member_quota, members=("Mẫu Văn Bình",), deadlines=book)["Mẫu Văn Bình"].verdict is BROKEN
    book.write_text(book.read_text() + "tin,20/10/2026,Mẫu Văn Bình,/2,Hai\n", encoding="utf-8")
    assert site.run(member_quota, members=("Mẫu Văn Bình",), deadlines=book)["Mẫu Văn Bình"].verdict is MET


def test_member_quota_of_a_short_feed_accuses_nobody(site: Portal) -> None:
    site.put("rss.xml", rss(("/1", "Một", datetime(2026, 11, 12, tzinfo=UTC), "Mẫu Văn Bình")))
    assert site.run(member_quota, members=("Mẫu Văn Bình",))["Mẫu Văn Bình"].verdict is UNSEEN


def test_unit_quota(site: Portal, tmp_path: Path) -> None:
    book = tmp_path / "so.csv"
    book.write_text("loai;ngay_nhan;don_vi\ntin bài;12/11/2026;Trạm Y tế\ntin bài;18/11/2026;Nhà văn hóa\n", encoding="utf-8-sig")
    units = ("Trạm y tế", "Nhà văn hóa")
    found = site.run(unit_quota, units=units, deadlines=book)
    assert {key: one.verdict for key, one in found.items()} == {"Trạm y tế": MET, "Nhà văn hóa": BROKEN}
    idle = site.run(unit_quota, units=units, deadlines=book, now=NOW + timedelta(days=60))
    assert {one.verdict for one in idle.values()} == {UNSEEN}
    with pytest.raises(CannotSee):
        site.run(unit_quota, deadlines=book)


@pytest.mark.parametrize("bad", [
    {"days_off": [20260102]}, {"days_off": ["30/02/2026"]}, {"feeds": ["ftp://x/"]}, {"feeds": ["rss.xml"]}, {"feeds": ["http://["]},
    {"days_off": ["2026-01-02"], "working_days": ["02/01/2026"]}, {"pages": 1000}, {"sections": {"a": "javascript:x"}},
    {"days_off": [datetime(2026, 1, 2)]}, {"feeds": [3]}, {"quiet_days": 0},
])
def test_settings_refuse(bad: dict) -> None:
    with pytest.raises(ValidationError):
        Content(**bad)


def test_settings_take_days_as_people_write_them() -> None:
    assert Content(days_off=[date(2027, 1, 4), "05/01/2027"]).days_off == (date(2027, 1, 4), date(2027, 1, 5))
