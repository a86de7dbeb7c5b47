"""Reporting periods and dates as papers write them."""

from datetime import UTC, datetime

import pytest

from ops.errors import UsageError
from ops.report.period import paper_date, period, told, year_of

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def test_the_default_runs_from_15_december_to_14_december_in_vietnam():
    start, end, label = period("2026", NOW)
    assert start == datetime(2025, 12, 14, 17, tzinfo=UTC)
    assert end == datetime(2026, 12, 14, 17, tzinfo=UTC)
    assert label == "2026"
    assert told(start, end, NOW).vi == "từ ngày 15/12/2025 đến ngày 14/12/2026, tính đến thời điểm lập báo cáo"
    assert year_of(end) == 2026


def test_the_calendar_year_and_a_period_that_is_over():
    start, end, label = period("2025-calendar", NOW)
    assert (start, end) == (datetime(2024, 12, 31, 17, tzinfo=UTC), datetime(2025, 12, 31, 17, tzinfo=UTC))
    assert label == "2025-calendar"
    assert told(start, end, NOW).vi == "từ ngày 01/01/2025 đến ngày 31/12/2025"
    assert year_of(end) == 2025


@pytest.mark.parametrize("text", ["", "26", "2026-fiscal", "năm 2026", "2026-2027", "0001", "9999", "2028", "２０２６"])
def test_a_period_that_means_nothing_is_refused_with_a_mend(text):
    with pytest.raises(UsageError) as caught:
        period(text, NOW)
    assert "2026" in caught.value.mend.vi and "2026-calendar" in caught.value.mend.en


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(2027, 1, 4, 17, tzinfo=UTC), "ngày 05 tháng 01 năm 2027"),
        (datetime(2027, 2, 10, tzinfo=UTC), "ngày 10 tháng 02 năm 2027"),
        (datetime(2027, 3, 9, tzinfo=UTC), "ngày 09 tháng 3 năm 2027"),
        (datetime(2027, 12, 31, 17, tzinfo=UTC), "ngày 01 tháng 01 năm 2028"),
    ],
)
def test_days_below_ten_and_the_first_two_months_are_padded(moment, written):
    assert paper_date(moment) == written
