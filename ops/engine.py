"""The engine: it alone turns findings into evidence and carries plans out.

    look    a check runs within its time limit; an exception, silence or a broken promise becomes `unseen`, never `met`
    attest  a person's statement, with a file's digest
    act     (in `ops.act`) plan again, compare digests, intent, steps, undo on failure, proofs, outcome

Plain functions run in daemon threads of the engine's own, bounded in number; one poisoned duty costs its own row only.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ops import secrets
from ops.catalog import Catalog
from ops.config import Config
from ops.duty import Check, Context, Duty
from ops.errors import GaccongError
from ops.flips import fold
from ops.locks import private_folder
from ops.looking import checked, collect
from ops.model import Finding, Site, State, Text, Verdict, nfc, say
from ops.moment import local_day, stamp, utcnow
from ops.policy import Policy
from ops.run import Here, Runner
from ops.schedule import check_due
from ops.scratch import Scratch, take
from ops.secrets import Secret
from ops.store import Store, Writer

THREADS = 16
AGAIN = timedelta(minutes=15)
"""A check that could not see is asked again after this, or after its own rhythm if that is shorter."""
log = logging.getLogger("gaccong")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of what a run did: a finding with its place in the ledger (`evidence` like `site#12`, or "")."""

    site: str
    duty: str
    subject: str
    verdict: Verdict
    detail: Text
    evidence: str
    next: str
    finding: Finding | None = None


class Engine:
    """Looks and records. `clock` is asked once for each look; nothing else asks the time."""

    def __init__(
        self,
        config: Config,
        store: Store,
        catalog: Catalog,
        *,
        clock: Callable[[], datetime] = utcnow,
        clock_accepted_by: str = "",
    ) -> None:
        self.config = config
        self.store = store
        self.catalog = catalog
        self.clock = clock
        self._clock_by = clock_accepted_by
        self._slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )
        self.stop = threading.Event()
        # of its own: the default executor of a loop may be busy with somebody's backup
        self._recorders = ThreadPoolExecutor(4, thread_name_prefix="record")
        self._remotes: dict[str, Runner] = {}
        self._remote_lock = threading.Lock()

    def policy(self, site: Site) -> Policy:
        """The policy that the site lives under."""
        return self.config.policies[site.policy]

    # ------------------------------------------------------------------ contexts

    @contextmanager
    def context(self, site: Site, duty: Duty, now: datetime, subjects: Sequence[str] = ()) -> Iterator[Context]:
        """A context for one duty; its scratch folder is removed afterwards."""
        made: list[Scratch] = []

        def scratch() -> Path:
            if not made:
                made.append(take(self.config.state / "scratch", site.id))
            return made[0].path

        home = self.config.state / "sites" / site.id
        private_folder(home)
        numbers = self.policy(site).thresholds_in_force(site.thresholds)
        section = getattr(duty, "settings", "") or duty.domain
        try:
            yield Context(
                now=now,
                ask=self.ask,
                secret=lambda reference: self.secret(site, reference),
                scratch=scratch,
                home=home,
                view=self.store,
                settings=site.settings.get(section),
                threshold=lambda name, default: numbers.get(name, default),
                hosts=self.config.hosts,
                log=log.getChild(duty.name),
                subjects=tuple(subjects),
            )
        finally:
            for place in made:
                place.give_back()

    def ask(self, name: str, keep: tuple[int, ...] = ()) -> Runner:
        """A runner for a host of the configuration; connections are kept while the engine lives."""
        if name == "here":
            return Here(self.stop, keep)
        with self._remote_lock:
            if name not in self._remotes:
                host = self.config.hosts.get(name)
                if host is None:
                    raise GaccongError(
                        say("cấu hình không có máy {n}", "the configuration has no host {n}", n=name),
                        say("thêm [host.{n}]", "add [host.{n}]", n=name),
                    )
                from ops.remote import remote

                base = self.config.path.parent
                self._remotes[name] = remote(host, lambda ref: secrets.resolve(ref, base), self.config.hosts)
            return self._remotes[name]

    def ask_steady(self, name: str, keep: tuple[int, ...] = ()) -> Runner:
        """The same, but not ended by `stop`: for taking back what was begun."""
        return Here(None, keep) if name == "here" else self.ask(name)

    def secret(self, site: Site, reference: str) -> Secret:
        """A secret of a site; relative files are taken from the folder of the site's own file."""
        return secrets.resolve(reference, self.config.bases[site.id])

    def close(self) -> None:
        """Ends kept connections."""
        for runner in self._remotes.values():
            with suppress(Exception):
                runner.close()  # type: ignore[attr-defined]
        self._remotes.clear()
        self._recorders.shutdown(wait=False)

    # ------------------------------------------------------------------ looking

    async def look(self, site: Site, check: Check, subjects: Sequence[str] = ()) -> list[Row]:
        """Looks once and records. Never raises for what a check does; a ledger that cannot be written does raise."""
        slots = self._slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(THREADS))
        async with slots:
            now = self.clock()
            with self.context(site, check, now, subjects) as ctx:
                findings, whole = await self._findings(site, check, ctx)
            if self.stop.is_set():
                return []  # what was cut short says nothing about the site
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._recorders, self.record, site, check, findings, now, whole and not subjects
            )

    def look_now(self, site: Site, checks: Iterable[Check], subjects: Sequence[str] = ()) -> list[Row]:
        """`look` for several checks, side by side, from code that is not asynchronous."""

        async def every() -> list[list[Row]]:
            return await asyncio.gather(*(self.look(site, check, subjects) for check in checks))

        return [row for rows in asyncio.run(every()) for row in rows]

    async def _findings(self, site: Site, check: Check, ctx: Context) -> tuple[list[Finding], bool]:
        """The findings, and whether the check came to its end. Trouble of any kind is `unseen` with its reason."""
        if ctx.settings is None:
            return [_not_configured(site, check)], True
        try:
            async with asyncio.timeout(check.timeout):
                found = [checked(one) for one in await collect(check, site, ctx)]
            if found:
                return found, True
            why = say("kiểm tra không cho kết quả nào", "the check gave no finding")
        except TimeoutError:
            why = say("quá {s} giây chưa trả lời", "no answer within {s} seconds", s=int(check.timeout))
        except GaccongError as error:
            why = Text(error.explain("vi"), error.explain("en"))
        except Exception as error:  # the line must not stop for one poisoned duty
            log.debug("%s of %s failed", check.name, site.id, exc_info=True)
            why = say("kiểm tra bị lỗi: {e}", "the check failed: {e}", e=f"{type(error).__name__}: {error}"[:500])
        command = f"gaccong look {check.name} --site {site.id}"
        known = [state.subject for state in self.store.states(site.id, check.name)] or ["*"]
        asked = list(ctx.subjects) or known
        return [Finding(subject, Verdict.UNSEEN, why, next=command) for subject in asked], False

    def due(self, site: Site) -> list[Check]:
        """The checks whose rhythm has come. One that could not see looks again soon: what it lacked may be there now."""
        ran, now = self.store.ran(site.id), self.clock()
        found = []
        for check in self.catalog.checks:
            last, blind = ran.get((check.name, "look")), ran.get((check.name, "blind"))
            every = min(check.every, AGAIN) if blind is not None and blind == last else check.every
            if check_due(every, last, now):
                found.append(check)
        return found

    # ------------------------------------------------------------------ recording

    def record(self, site: Site, check: Check, findings: Sequence[Finding], now: datetime, whole: bool) -> list[Row]:
        """Folds findings into states, ledger lines and transitions, in one transaction.

        whole: the check saw all there is, so that subjects which it did not name are gone.
        """
        old = {state.subject: state for state in self.store.states(site.id, check.name)}
        daily = self.store.ran(site.id).get((check.name, "daily"))
        with self.transaction(site) as writer:
            rows = [self._fold(writer, site, check, old.get(found.subject), found, now) for found in findings]
            gone = old.keys() - {found.subject for found in findings} if whole else set()
            for subject in sorted(gone):
                _drop(writer, check, old[subject], now)
            if daily is None or local_day(daily) != local_day(now):
                line = writer.append("daily", check.name, "", _daily(findings, now))
                writer.mark_ran(check.name, "daily", now)
                rows = [
                    row if row.evidence else replace(row, evidence=line.id) for row in rows
                ]  # it holds what was seen
            writer.mark_ran(check.name, "look", now)
            if any(found.verdict is Verdict.UNSEEN for found in findings):
                writer.mark_ran(check.name, "blind", now)
        return rows

    def _fold(
        self, writer: Writer, site: Site, check: Check, old: State | None, finding: Finding, now: datetime
    ) -> Row:
        result = fold(old, finding, site=site.id, duty=check.name, every=check.every, patience=check.patience, now=now)
        evidence = old.evidence if old else 0
        for flip in result.flips:
            is_last = flip is result.flips[-1]
            line = writer.append(
                "flip",
                check.name,
                finding.subject,
                {
                    "verdict": flip.verdict.value,
                    "was": result.was.value if result.was else "",
                    "from": stamp(flip.time),
                    "detail": (finding.detail if is_last else _unwatched()).json(),
                    "measures": dict(finding.measures) if is_last else {},
                    "facts": dict(finding.facts) if is_last else {},
                    "next": finding.next if is_last else "",
                },
            )
            writer.add_flip(check.name, finding.subject, flip)
            evidence = line.seq
        writer.put_state(replace(result.state, evidence=evidence))
        return Row(
            site.id,
            check.name,
            finding.subject,
            finding.verdict,
            finding.detail,
            # a verdict that is not believed yet has no line of its own: the last one speaks of another verdict
            f"{site.id}#{evidence}" if evidence and result.state.pending is None else "",
            finding.next,
            finding,
        )

    @contextmanager
    def transaction(self, site: Site) -> Iterator[Writer]:
        """A store transaction; with an accepted clock, the acceptance is the first line that it writes.

        The lines bear the moment at which they are written (asked once the lock is held), not that of the look.
        """
        accept = bool(self._clock_by)
        with self.store.transaction(site.id, self.clock, accept_clock=accept) as writer:
            if accept:
                self._clock_by, by = "", self._clock_by
                detail = say("đồng hồ đã chỉnh lùi; {by} xác nhận", "the clock was set back; {by} confirms it", by=by)
                writer.append(
                    "attestation",
                    "clock",
                    "clock",
                    {
                        "by": nfc(by),
                        "says": "met",
                        "detail": detail.json(),
                        "until": stamp(self.clock()),
                        "file": None,
                    },
                )
            yield writer

    def attest(
        self,
        site: Site,
        clause: str,
        *,
        by: str,
        says: Verdict,
        note: str,
        until: datetime,
        file: dict[str, Any] | None,
    ) -> str:
        """Records a person's statement about a clause; gives the evidence id."""
        text = say("{by}: {note}", "{by}: {note}", by=by, note=note)
        with self.transaction(site) as writer:
            line = writer.append(
                "attestation",
                f"attest:{clause}",
                clause,
                {
                    "by": nfc(by),
                    "says": says.value,
                    "detail": text.json(),
                    "until": stamp(until),
                    "file": file,
                },
            )
        return line.id


def _unwatched() -> Text:
    return say("không ai kiểm tra trong lúc này", "nobody was looking during this time")


def _not_configured(site: Site, check: Check) -> Finding:
    section = check.settings or check.domain
    return Finding(
        "*",
        Verdict.UNSEEN,
        say("chưa cấu hình [site.{s}.{d}]", "[site.{s}.{d}] is not configured", s=site.id, d=section),
        next="gaccong config schema",
    )


def _drop(writer: Writer, check: Check, old: State, now: datetime) -> None:
    """A subject that is no more: one last line, then it leaves the page."""
    from ops.model import Flip

    writer.append(
        "flip",
        check.name,
        old.subject,
        {
            "verdict": "unseen",
            "was": old.verdict.value,
            "from": stamp(now),
            "measures": {},
            "facts": {},
            "next": "",
            "detail": say("không còn đối tượng này", "this subject is no more").json(),
        },
    )
    writer.add_flip(check.name, old.subject, Flip(now, Verdict.UNSEEN))
    writer.drop_state(check.name, old.subject)


def _daily(findings: Sequence[Finding], now: datetime) -> dict[str, Any]:
    return {
        "day": local_day(now).isoformat(),
        "subjects": {
            found.subject: {
                "verdict": found.verdict.value,
                "detail": found.detail.json(),
                "measures": dict(found.measures),
                "facts": dict(found.facts),
            }
            for found in findings
        },
    }
