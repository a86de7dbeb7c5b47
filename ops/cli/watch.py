"""`gaccong watch`: what the page shows, live in a terminal. q or Ctrl-C ends it. Reads only.

Where standard output is no terminal it prints lines: everything once, then what changes. Narrow terminals are served: one
thing takes a few short lines, never a table that has to be cut.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.cli.session import MARK, STYLE, Session, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as Line

    from monitoring.page.board import Fleet
    from monitoring.page.dossier import Dossier
    from monitoring.page.rows import Card

EVERY, LEAST, MOST = 3.0, 1.0, 3600.0
_BLOCKS = "▁▂▃▄▅▆▇█"


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""
    vi = lang == "vi"

    @app.command(
        help={
            "vi": "Trang trực ban ngay trong cửa sổ lệnh, tự làm mới; q hoặc Ctrl-C để thôi.",
            "en": "The page live in a terminal; q or Ctrl-C ends it.",
        }[lang]
    )
    def watch(
        ctx: typer.Context,
        site: Annotated[str, typer.Option(help="tên trang" if vi else "site name")] = "",
        every: Annotated[
            float, typer.Option(min=LEAST, max=MOST, help="số giây giữa hai lần đọc" if vi else "seconds between looks")
        ] = EVERY,
        once: Annotated[bool, typer.Option("--once", help="in một lần rồi thôi" if vi else "print once, then end")] = False,
    ) -> None:
        session: Session = ctx.obj
        if session.json:
            from ops.cli.status import read, status_json

            session.document({"sites": [status_json(one) for one in read(session, site)]})
            return
        screen = Screen(session, site)
        with _term_is_interrupt(), suppress(KeyboardInterrupt):
            if once or not sys.stdout.isatty():
                _lines(session, screen, every, once)
            else:
                _live(session, screen, every)


class Screen:
    """What is to be seen now, as lines for any width."""

    def __init__(self, session: Session, site: str) -> None:
        from monitoring.page.board import Board
        from ops.cli.desk import desk_of

        self._session = session
        sites = [one.id for one in session.sites(site)]
        self._desk, self._private = desk_of(session), session.catalog.private
        self._one = sites[0] if len(sites) == 1 else ""
        self._board = None if self._one else Board(self._desk, self._private)

    def read(self, width: int) -> "tuple[object, list[Line]]":
        """(what stands how, the lines): the first changes only when something turned, not with every minute that goes by.

        Trouble in reading is a line, and the next round tries again.
        """
        from rich.text import Text as Line

        from ops.errors import GaccongError

        try:
            if self._board is not None:
                fleet = self._board.fleet()
                return [(one.id, one.headline) for one in fleet.lines], fleet_lines(fleet, self._session.lang)
            from monitoring.page.dossier import dossier

            made = dossier(self._desk.read(self._one), self._desk, self._private)
            cards = (*made.sheet.broken, *made.sheet.at_risk)
            stands = [(card.duty, card.verdict, row.subject, row.since) for card in cards for row in card.rows]
            return stands, site_lines(made, self._session.lang, width, self._session.paste)
        except GaccongError as error:
            told = printable(error.explain(self._session.lang))
            return told, [Line(told, style="bold red")]


def site_lines(made: "Dossier", lang: str, width: int, paste: Callable[[str], str]) -> "list[Line]":
    """One site: the sentence, what stands badly, availability over each family, counts."""
    from monitoring.page.render import clock, short

    sheet = made.sheet
    lines = [_line((f" {MARK[sheet.verdict]} {sheet.headline.in_(lang)} ", f"reverse {STYLE[sheet.verdict]}")),
             _line((f"{sheet.status.site.name} · {clock(sheet.status.at)}", "dim")), _line()]
    if made.now_planned is not None:
        words = {"vi": "Đang bảo trì theo kế hoạch đến", "en": "Planned maintenance until"}[lang]
        lines.append(_line((f"{words} {short(made.now_planned.ends)}: {made.now_planned.reason}", "cyan")))
    for card in (*sheet.broken, *sheet.at_risk):
        lines += _card(card, lang, paste)
    for one in made.lines:
        lines.append(_spark(one, width))
    counts = " · ".join(f"{MARK[verdict]} {number}" for verdict, number in sheet.counts if number)
    words = {"vi": "điều khoản", "en": "clauses"}[lang]
    return [*lines, _line((f"{words}: {counts}", "dim"))]


def _card(card: "Card", lang: str, paste: Callable[[str], str]) -> "list[Line]":
    style = STYLE[card.verdict]
    cite = f"  {card.demands[0].id}" if card.demands else ""
    lines = [_line((f"{MARK[card.verdict]} {card.duty}", style), (cite, "dim"))]
    for row in card.rows:
        subject = f"{row.subject}: " if row.subject and not row.detail.in_(lang).lower().startswith(row.subject.lower()) else ""
        lines.append(_line((f"  {subject}{row.detail.in_(lang)}", "")))
        told = " · ".join(one for one in (row.age.in_(lang), row.good.in_(lang), row.evidence) if one)
        if told:
            lines.append(_line((f"  {told}", "dim")))
        if row.next:
            lines.append(_line((f"  → {paste(row.next)}", "bold")))
    return [*lines, _line()]


def _spark(line: Any, width: int) -> "Line":
    """`IPv4 ▇▇█▁█ 99,968 %`: the last days, as many as fit."""
    from monitoring.page.drawing import percent
    from monitoring.page.render import STANDS

    verdict = STANDS[line.now][0]
    room = max(7, min(90, width - 20))
    blocks = [("·", "dim") if cell.ratio is None else
              (_BLOCKS[min(7, int(cell.ratio * 7 + 0.001))], {"up": "green", "part": "yellow"}.get(cell.kind, "red"))
              for cell in line.cells[-room:]]
    return _line((f"{MARK[verdict]} {line.family.label} ", STYLE[verdict]), *blocks, (f" {percent(line.total)} %", ""))


def fleet_lines(fleet: "Fleet", lang: str) -> "list[Line]":
    """Many sites: how many stand how, then the worst first."""
    from ops.model import Verdict

    counts = {one: sum(line.verdict is one for line in fleet.lines) for one in Verdict}
    worst = fleet.lines[0].verdict if fleet.lines else Verdict.UNSEEN
    told = " · ".join(f"{MARK[one]} {number}" for one, number in counts.items() if number)
    lines = [_line((f" {told} ", f"reverse {STYLE[worst]}"))]
    if fleet.waiting:
        lines.append(_line(({"vi": f"đang đọc lại {fleet.waiting} trang", "en": f"reading {fleet.waiting} sites anew"}[lang], "dim")))
    lines.append(_line())
    return lines + [_line((f"{MARK[one.verdict]} {one.name}", STYLE[one.verdict]), (f"  {one.headline.in_(lang)}", "dim"))
                    for one in fleet.lines if one.verdict is not Verdict.MET]


def _line(*parts: tuple[str, str]) -> "Line":
    """A line of pieces and their styles: nothing in them is markup, nothing steers the terminal."""
    from rich.text import Text as Line

    made = Line()
    for text, style in parts:
        made.append(printable(text.replace("\n", " ")), style=style or None)
    return made


def _live(session: Session, screen: Screen, every: float) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    with _keys() as wait, Live(console=console, screen=True, auto_refresh=False, transient=True) as live:
        while True:
            width = console.size.width
            live.update(_fitting(screen.read(width)[1], console, session.lang), refresh=True)
            if wait(every):
                return


def _fitting(lines: "list[Line]", console: "Console", lang: str) -> Any:
    """What fits the window, and how many lines do not. Lines are broken between words, so they are broken to be counted."""
    from rich.console import Group

    width, height = console.size
    used, shown = 0, []
    for number, line in enumerate(lines):
        rows = max(1, len(line.wrap(console, max(1, width))))
        if used + rows > height - 2:
            words = {"vi": f"… còn {len(lines) - number} dòng; mở cửa sổ lớn hơn, hoặc: gaccong status",
                     "en": f"… {len(lines) - number} more lines; a larger window, or: gaccong status"}[lang]
            shown.append(_line((words[:width], "dim")))
            break
        used += rows
        shown.append(line)
    shown.append(_line(({"vi": "q: thôi", "en": "q: end"}[lang], "dim")))
    return Group(*shown)


def _lines(session: Session, screen: Screen, every: float, once: bool) -> None:
    """Everything, and everything again whenever something turned."""
    before: object = None
    while True:
        stands, lines = screen.read(100)
        if before is None or stands != before:
            for line in lines:
                print(line.plain.rstrip(), flush=True)
        before = stands
        if once:
            return
        time.sleep(every)


def _sleep(seconds: float) -> bool:
    """The wait of a terminal that nobody types at."""
    time.sleep(seconds)
    return False


@contextmanager
def _keys() -> "Iterator[Callable[[float], bool]]":
    """Gives a wait that ends early, with True, when q is typed; the terminal is put back as it was."""
    if not sys.stdin.isatty():
        yield _sleep
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)

    def wait(seconds: float) -> bool:
        limit = time.monotonic() + seconds
        while (left := limit - time.monotonic()) > 0:
            if select.select([sys.stdin], [], [], left)[0]:
                # from the descriptor: what Python's own buffer held back, select would not tell of
                typed = os.read(sys.stdin.fileno(), 64)
                if not typed or any(sign in typed for sign in (b"q", b"Q", b"\x03", b"\x04")):
                    return True
        return False

    try:
        tty.setcbreak(sys.stdin)
        yield wait
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def _term_is_interrupt() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does, so that the terminal is put back."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
