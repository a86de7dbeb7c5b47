"""What every verb starts from: the configuration, the store, the engine; and how to print."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.errors import LedgerError, UsageError
from ops.model import Site, Text, Verdict, say, worst
from ops.words import word

if TYPE_CHECKING:
    from ops.act import Actor
    from ops.catalog import Catalog
    from ops.cli.first import FirstTime
    from ops.config import Config
    from ops.engine import Engine, Row
    from ops.signing import Signer
    from ops.store import Store

MARK = {Verdict.MET: "✓", Verdict.AT_RISK: "!", Verdict.BROKEN: "✗", Verdict.UNSEEN: "?"}
STYLE = {Verdict.MET: "green", Verdict.AT_RISK: "yellow", Verdict.BROKEN: "bold red", Verdict.UNSEEN: "magenta"}


class Session:
    """One command's surroundings; everything is made when it is first asked for."""

    def __init__(self, path: Path | None, as_json: bool, lang: str) -> None:
        self.json = as_json
        self._path = path
        self._lang = lang if lang in ("vi", "en") else ""
        if lang and not self._lang:
            raise UsageError(say("--lang chỉ nhận vi hoặc en", "--lang takes vi or en"))

    @property
    def lang(self) -> str:
        """--lang, else GACCONG_LANG, else the configuration's language (when it is already read), else vi."""
        if self._lang:
            return self._lang
        if os.environ.get("GACCONG_LANG") in ("vi", "en"):
            return os.environ["GACCONG_LANG"]
        read = self.__dict__.get("config")
        return read.language if read else "vi"

    @property
    def path(self) -> Path:
        """Where the configuration is looked for."""
        if self._path:
            return self._path
        if os.environ.get("GACCONG_CONFIG"):
            return Path(os.environ["GACCONG_CONFIG"])
        here = Path("gaccong.toml")
        return here if here.exists() else Path("/etc/gaccong/gaccong.toml")

    @cached_property
    def config(self) -> Config:
        """The configuration, judged; raises ConfigError with every mistake."""
        from ops import catalog
        from ops.config import load

        return load(self.path.absolute(), catalog.settings(), catalog.tops())

    @cached_property
    def catalog(self) -> Catalog:
        """Every duty."""
        from ops.catalog import load

        return load()

    @cached_property
    def reading(self) -> Store:
        """The store, for readers; raises when nothing was ever recorded."""
        from ops.store import open_store

        return open_store(self.config.store_url, None, create=False)

    @cached_property
    def store(self) -> Store:
        """The store, for the engine; made on first use, with its signing key."""
        from ops.locks import private_folder
        from ops.store import open_store

        private_folder(self.config.state)
        return open_store(self.config.store_url, self.signer)

    @property
    def key_path(self) -> Path:
        """The key that signs checkpoints."""
        return self.config.state / "keys" / "ledger.key"

    @cached_property
    def signer(self) -> Signer:
        """The signing key, made (0600) when there is none yet."""
        from ops.locks import private_folder
        from ops.signing import Signer

        path = self.key_path
        if path.exists():
            return Signer.load(path)
        private_folder(path.parent)
        return Signer.create(path, self.config.signing_name)

    def public_key(self, site: str) -> str:
        """The key that verifies a site's checkpoints: our own key file's, never one that the database claims."""
        from ops.signing import Signer

        if not self.key_path.exists():
            raise LedgerError(
                say(
                    "không có khóa ký {k}: không thể kiểm tra sổ",
                    "there is no signing key {k}: nothing to verify with",
                    k=self.key_path,
                ),
                say(
                    "khôi phục khóa từ bản sao lưu; hoặc xuất sổ rồi kiểm tra bằng khóa đã in trên báo cáo: verifier.py --key",
                    "restore the key; or export the book and verify with the key printed on a report: verifier.py --key",
                ),
                site=site,
            )
        return Signer.load(self.key_path).public

    def engine(self, clock_by: str = "") -> Engine:
        """An engine over the store."""
        from ops.engine import Engine

        return Engine(self.config, self.store, self.catalog, clock_accepted_by=clock_by)

    def actor(self, engine: Engine) -> Actor:
        """An actor that tells its steps on stderr and shows progress."""
        from ops.act import Actor
        from ops.cli.progress import Progress

        progress = Progress(self.lang)
        return Actor(engine, tell=self.tell, watch=progress.watch)

    @cached_property
    def first_time(self) -> FirstTime:
        """What was never begun."""
        from ops.cli.first import FirstTime

        return FirstTime(lambda: self.reading, self.catalog.duties)

    # ------------------------------------------------------------------ choosing

    def sites(self, name: str = "") -> list[Site]:
        """The named site, or all of them."""
        if not name:
            return list(self.config.sites.values())
        return [self.site(name)]

    def site(self, name: str = "") -> Site:
        """The named site; without a name the only one there is."""
        sites = self.config.sites
        if name in sites:
            return sites[name]
        if not name and len(sites) == 1:
            return next(iter(sites.values()))
        what = (
            say("không có trang {n}", "there is no site {n}", n=name)
            if name
            else say("có nhiều trang; phải chọn một", "there are several sites; choose one")
        )
        raise UsageError(what, say("--site {all}", "--site {all}", all=" | ".join(sites)))

    # ------------------------------------------------------------------ printing

    def paste(self, text: str) -> str:
        """A text whose commands of ours can be pasted here: the program as it was called, and its configuration."""
        from ops.cli.paste import pasted
        from ops.cli.placeholder import filled

        return pasted(filled(text, self.lang), str(self._path) if self._path else "")

    def tell(self, text: Text) -> None:
        """A message for the person, on stderr."""
        print(printable(self.paste(text.in_(self.lang))), file=sys.stderr, flush=True)

    def document(self, body: Any) -> None:
        """The one JSON document of a --json command."""
        print(_visible(json.dumps(body, ensure_ascii=False, indent=2, default=str)))

    def say(self, text: Text) -> None:
        """A line of the answer itself, on stdout (nothing with --json)."""
        if not self.json:
            self.emit(text.in_(self.lang))

    def emit(self, line: str) -> None:
        """A line of the answer: made safe for the terminal, its commands as they can be pasted."""
        print(printable(self.paste(line)), flush=True)

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        styles: Mapping[int, str] | None = None,
        title: str = "",
    ) -> None:
        """A table with labels from the words; wide enough for a log, fitted to a terminal."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 150
        console = Console(width=wide, highlight=False, soft_wrap=False)
        table = Table(title=title or None, title_justify="left", show_edge=False, pad_edge=False, expand=False)
        for name in columns:
            table.add_column(word(f"column.{name}", self.lang), overflow="fold")
        for number, row in enumerate(rows):
            table.add_row(*(escape(printable(self.paste(cell))) for cell in row), style=(styles or {}).get(number, ""))
        console.print(table)

    def rows(self, rows: Sequence[Row]) -> int:
        """Prints what a look gave, and gives the exit code for it."""
        if self.json:
            self.document({"rows": [row_json(row) for row in rows]})
        else:
            self._rows(rows)
        return exit_code([row.verdict for row in rows])

    def _rows(self, rows: Sequence[Row]) -> None:
        """The worst first; what was never begun after what broke; rows that say the same once."""
        from ops.cli import first, following

        lacking = [row for row in rows if row.verdict is not Verdict.MET]
        never = {id(row) for row in lacking if self.first_time.never(row.site, row.next)}
        ordered = sorted(rows, key=lambda row: (-row.verdict.weight, id(row) in never, row.site, row.duty, row.subject))
        covered = following.first_things(self, ordered)
        shown = following.merged(ordered, self.lang)
        told = [first.called(self.lang) if id(one.row) in never else self._told(one.row) for one in shown]
        styles = {
            number: first.STYLE if id(one.row) in never else STYLE[one.row.verdict]
            for number, one in enumerate(shown)
            if one.row.verdict is not Verdict.MET
        }
        self.table(
            ("site", "duty", "subject", "verdict", "detail", "evidence"),
            [
                (one.row.site, one.duty, one.subject, verdict, one.row.detail.in_(self.lang), one.evidence)
                for one, verdict in zip(shown, told, strict=True)
            ],
            styles,
        )
        lacking = [one.row for one in shown if one.row.verdict is not Verdict.MET]
        commands = [command for row in lacking for command in self.next_of(row.site, row.duty, row.detail, row.next)]
        self.following([one for one in commands if one not in covered], bool(never), bool(covered))

    def next_of(self, site: str, duty: str, detail: Text, command: str) -> list[str]:
        """What a finding offers next, as it can be pasted: see `ops.cli.following.wanted`."""
        from ops.cli import following

        chosen = self.config.sites.get(site)
        return following.wanted(chosen, self.catalog.duties, duty, detail.in_(self.lang), command)

    def _told(self, row: Row) -> str:
        """A verdict; of a change that is due and only waits for a person, that it waits."""
        if row.verdict is Verdict.UNSEEN and row.next.startswith("gaccong apply "):
            return f"{MARK[row.verdict]} {word('first.waits', self.lang)}"
        return self.verdict(row.verdict)

    def following(self, commands: Sequence[str], never: bool = False, above: bool = False) -> None:
        """What to do next. never: something is not begun; above: the commands for that were told before the table."""
        from ops.cli import following

        if never:
            self.say(
                say(
                    "\n○ chưa làm lần nào: chưa đạt, nhưng không phải sự cố; làm lần đầu bằng lệnh {w} rồi duyệt kế hoạch nó in ra.",
                    "\n○ not done yet: not met, but nothing broke; the commands {e} do it for the first time: approve the plan.",
                    w="ở mục «Việc đầu tiên» bên trên" if above else "bên dưới",
                    e="under “First of all” above" if above else "below",
                )
            )
        following.show(self, commands)

    def verdict(self, verdict: Verdict) -> str:
        """Sign and word of a verdict."""
        return f"{MARK[verdict]} {word(f'verdict.{verdict.value}', self.lang)}"


def printable(value: str) -> str:
    """A text without control characters: what a hostile name holds must not steer the terminal."""
    return _line_by_line(value, lambda sign: f"\\x{ord(sign):02x}")


def emit(value: str) -> None:
    """Prints a line of the answer, made safe for the terminal."""
    print(printable(value))


def _visible(document: str) -> str:
    """JSON in which what does not print stands as \\uXXXX, as JSON allows."""
    return _line_by_line(document, lambda sign: json.dumps(sign)[1:-1])


def _line_by_line(text: str, escape: Callable[[str], str]) -> str:
    """`text` with every sign that does not print escaped; whole lines that print are left alone, which is fast."""
    return "\n".join(
        line if line.isprintable() else "".join(sign if sign.isprintable() else escape(sign) for sign in line)
        for line in text.split("\n")
    )


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """1 if anything is broken, else 3 if anything is unseen, else 0 (`at risk` is still kept)."""
    if not verdicts:
        return 3
    if worst(list(verdicts)) is Verdict.BROKEN:
        return 1
    return 3 if Verdict.UNSEEN in verdicts else 0


def row_json(row: Row) -> dict[str, Any]:
    """A row with stable keys."""
    finding = row.finding
    return {
        "site": row.site,
        "duty": row.duty,
        "subject": row.subject,
        "verdict": row.verdict.value,
        "detail": row.detail.json(),
        "evidence": row.evidence,
        "next": row.next,
        "measures": dict(finding.measures) if finding else {},
        "facts": dict(finding.facts) if finding else {},
    }


@contextmanager
def run_lock(state: Path, purpose: str, wait: float, tell: Any) -> Iterator[None]:
    """One `run` or `serve` at a time."""
    from ops.locks import held

    with held(state / "locks" / "run", purpose, wait, tell, endless="serve"):
        yield
