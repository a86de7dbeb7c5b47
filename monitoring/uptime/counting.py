"""A day's looks at one target: how many were good, and how long the page took, in a few bytes."""

from __future__ import annotations

from datetime import date, timedelta

from monitoring.uptime.judging import Sample, State

DAY_SECONDS = 86_400
OFFSET_SECONDS = 7 * 3600
"""Vietnam keeps UTC+7 all year round, and has since 1975: a day is plain arithmetic."""
_EPOCH = date(1970, 1, 1)


def day_number(moment: int) -> int:
    """The Vietnamese calendar day of a moment, counted from 1970-01-01."""
    return (moment + OFFSET_SECONDS) // DAY_SECONDS


def day_start(number: int) -> int:
    """The moment at which that day begins."""
    return number * DAY_SECONDS - OFFSET_SECONDS


def number_of(day: date) -> int:
    """The number of a calendar day."""
    return (day - _EPOCH).days


def date_of(number: int) -> date:
    """The calendar day of a number."""
    return _EPOCH + timedelta(days=number)


def bucket(microseconds: int) -> int:
    """Two buckets to each doubling: 2·log2, rounded down, so that a percentile is right within a fifth."""
    high = microseconds.bit_length() - 1
    return 2 * high + int(microseconds * microseconds >= 1 << 2 * high + 1)


def bucket_microseconds(number: int) -> float:
    """The geometric middle of a bucket."""
    return float(2 ** ((number + 0.5) / 2))


class Tally:
    """The counts of one target on one day. blip: failed looks that no outage came of."""

    __slots__ = ("absent", "bad", "blip", "buckets", "ok", "sum_us", "unknown")

    def __init__(self) -> None:
        self.ok = self.bad = self.blip = self.unknown = self.absent = self.sum_us = 0
        self.buckets: dict[int, int] = {}

    def count(self, sample: Sample, state: State) -> None:
        """One look, and the state that its moment turned out to have."""
        if sample.state is State.UP:
            self.ok += 1
            if sample.microseconds > 0:
                self.sum_us += sample.microseconds
                number = bucket(sample.microseconds)
                self.buckets[number] = self.buckets.get(number, 0) + 1
        elif sample.state is State.DOWN:
            if state is State.DOWN:
                self.bad += 1
            else:
                self.blip += 1
        elif sample.state is State.ABSENT:
            self.absent += 1
        else:
            self.unknown += 1

    def row(self) -> tuple[int, int, int, int, int, int, bytes]:
        """As it is stored."""
        return self.ok, self.bad, self.blip, self.unknown, self.absent, self.sum_us, packed(self.buckets)

    @classmethod
    def of(cls, row: tuple[int, int, int, int, int, int, bytes]) -> Tally:
        """As it was stored."""
        made = cls()
        made.ok, made.bad, made.blip, made.unknown, made.absent, made.sum_us = row[:6]
        made.buckets = unpacked(row[6])
        return made


def packed(buckets: dict[int, int]) -> bytes:
    """Bucket and count by turns, in order; each a number of seven bits to the byte, the last with a clear top bit."""
    out = bytearray()
    for pair in sorted(buckets.items()):
        for number in pair:
            while number > 0x7F:
                out.append(number & 0x7F | 0x80)
                number >>= 7
            out.append(number)
    return bytes(out)


def unpacked(data: bytes) -> dict[int, int]:
    """What `packed` packed."""
    numbers: list[int] = []
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value = shift = 0
    return dict(zip(numbers[::2], numbers[1::2], strict=False))


def percentile(buckets: dict[int, int], share: float) -> float:
    """Seconds within which that share of the good looks came; 0 when there were none."""
    left = share * sum(buckets.values())
    for number, count in sorted(buckets.items()):
        left -= count
        if left <= 0:
            return bucket_microseconds(number) / 1e6
    return 0.0
