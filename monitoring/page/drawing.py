"""Where things stand in a drawing: numbers for inline SVG, no words. Pure. Colours and strokes are the style sheet's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from monitoring.page.history import Cell, Line
from monitoring.uptime.reading import Availability

STEP, HEIGHT = 4.0, 32.0
LEAST, SPLIT = 0.4, 2.0
"""A gap parts what was down from what was up, for those to whom red and green are alike."""
STUB = 5.0
"""Height of a day of which nothing is known: a low stub, so that it is not told from the others by colour alone."""
PLOT_WIDTH, PLOT_HEIGHT = 360.0, 100.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One day's bar: where it begins, its top, the height of its good part, that of its part that was down (at the foot)."""

    cell: Cell
    x: float
    top: float
    rest: float
    down: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One family's latency: polylines (broken where a day is missing) as `points` of SVG; `last` in seconds."""

    family: str
    pieces: tuple[str, ...]
    last: float


@dataclass(frozen=True, slots=True)
class Plot:
    """Curves under one scale: the top of the plot is `most` seconds."""

    curves: tuple[Curve, ...]
    most: float
    first: date
    last: date


def bars(line: Line) -> list[Bar]:
    """The bars of a line. What was down shows at two fifths at least, or ten bad minutes could not be seen."""
    made = []
    for number, cell in enumerate(line.cells):
        kind, down = cell.kind, 0.0
        if kind in ("part", "down"):
            down = round(max(HEIGHT * LEAST, HEIGHT * (1 - (cell.ratio or 0.0))), 1)
        known = kind not in ("none", "absent")
        top = 0.0 if known else HEIGHT - STUB
        rest = max(0.0, HEIGHT - top - (down + SPLIT if down else 0.0))
        made.append(Bar(cell, round(number * STEP, 1), top, round(rest, 1), down))
    return made


def plot(lines: Sequence[Line]) -> Plot | None:
    """All families' p95 by days; None when nothing was timed on two days."""
    timed = [line for line in lines if len(line.pace) > 1]
    if not timed:
        return None
    first, last = timed[0].cells[0].day, timed[0].cells[-1].day
    most = _round_up(max(value for line in timed for _, value in line.pace))
    span = max(1, (last - first).days)
    curves = []
    for line in timed:
        pieces: list[list[str]] = []
        before: date | None = None
        for day, value in line.pace:
            if before is None or (day - before).days > 1:
                pieces.append([])
            x = (day - first).days * PLOT_WIDTH / span
            pieces[-1].append(f"{x:.1f},{PLOT_HEIGHT - value / most * PLOT_HEIGHT:.1f}")
            before = day
        drawn = [piece if len(piece) > 1 else [piece[0], _beside(piece[0])] for piece in pieces]
        curves.append(Curve(line.family.label, tuple(" ".join(piece) for piece in drawn), line.pace[-1][1]))
    return Plot(tuple(curves), most, first, last)


def _beside(point: str) -> str:
    """A second point next to a lonely one: a line of one point is not drawn."""
    x, _, y = point.partition(",")
    return f"{float(x) + 1:.1f},{y}"


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    step = 0.01
    while True:
        for factor in (1, 2, 5):
            if value <= step * factor:
                return round(step * factor, 3)
        step *= 10


def percent(figures: Availability | Cell) -> str:
    """`99,95`: three digits behind the comma near 100, never rounded up to it."""
    ratio = figures.ratio
    if ratio is None:
        return "–"
    if ratio == 1.0:
        return "100"
    cut = int(ratio * 100_000) / 1000
    return f"{cut:.3f}".replace(".", ",")
