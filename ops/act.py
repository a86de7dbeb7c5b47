"""Carrying plans out: intent before the act, undo in reverse on failure, proofs, outcome. Approval binds a digest.

1. plan again and compare digests; 2. write the intent; 3. run the steps; 4. on failure undo in reverse;
5. run the proof checks; 6. write the outcome. kill -9 in between leaves an intent without an outcome, which the next
start finds (nobody else can hold the site's lock) and closes as `interrupted`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ops.afterwards import look_again, occasion_key, served
from ops.duty import Change, Occasion
from ops.engine import Engine, Row
from ops.errors import Busy, GaccongError, PlanRefused, StaleApproval, UsageError
from ops.locks import held
from ops.model import Outcome, Plan, Site, Text, Verdict, nfc, say
from ops.moment import stamp, unstamp
from ops.planning import Prepared, plan_json, prepare
from ops.proving import judge, proof_json
from ops.run import Runner
from ops.schedule import occasion_due
from ops.steps import Carrier, StepResult, Watch, undo_order

RETRY = timedelta(hours=1)
"""A scheduled change that failed is tried again after this, not only at its next slot."""
WAIT = 900.0


@dataclass(frozen=True, slots=True)
class Acted:
    """What came of a plan: the outcome, its evidence id, what each step and proof said."""

    prepared: Prepared
    outcome: Outcome
    evidence: str
    detail: Text
    steps: tuple[dict[str, Any], ...]
    proofs: tuple[dict[str, Any], ...]


class Actor:
    """Plans and acts for one engine. `tell` hears plain messages, `watch` each output line of a running step."""

    def __init__(
        self, engine: Engine, *, tell: Callable[[Text], None] | None = None, watch: Watch | None = None
    ) -> None:
        self.engine = engine
        self.tell = tell
        self.watch = watch

    def plan(self, site: Site, name: str, args: Mapping[str, str]) -> Prepared:
        """Plans a change; touches nothing. Raises UsageError for wrong names, PlanRefused when it cannot be done."""
        change = self.engine.catalog.duties.get(name)
        if not isinstance(change, Change):
            known = ", ".join(n for n, duty in self.engine.catalog.duties.items() if isinstance(duty, Change))
            raise UsageError(
                say("không có thay đổi {n}", "there is no change {n}", n=name),
                say("có: {k}", "there are: {k}", k=known),
            )
        self._refuse_odd_args(change, args)
        engine = self.engine
        with engine.context(site, change, engine.clock()) as ctx:
            if ctx.settings is None and (change.settings or change.domain) in _sections():
                section = change.settings or change.domain
                raise PlanRefused(
                    say("chưa cấu hình [site.{s}.{d}]", "[site.{s}.{d}] is not configured", s=site.id, d=section),
                    site=site.id,
                )
            made = change.function(site, ctx, **args)
        if not isinstance(made, Plan):
            raise TypeError(f"{name} returned {type(made).__name__}, not a Plan")
        return prepare(site, name, args, made, self.engine.config.hosts)

    @staticmethod
    def _refuse_odd_args(change: Change, args: Mapping[str, str]) -> None:
        import inspect

        parameters = list(inspect.signature(change.function).parameters.values())[2:]
        needed = {found.name for found in parameters if found.default is inspect.Parameter.empty}
        missing, odd = needed - args.keys(), args.keys() - set(change.parameters)
        if missing or odd:
            raise UsageError(
                say(
                    "{n} cần {want}; đã cho {got}",
                    "{n} takes {want}; given {got}",
                    n=change.name,
                    want=", ".join(f"{p.name}=…" for p in parameters) or "–",
                    got=", ".join(sorted(args)) or "–",
                ),
                say(
                    "gaccong plan {n} {want}",
                    "gaccong plan {n} {want}",
                    n=change.name,
                    want=" ".join(f"{name}=…" for name in sorted(needed)),
                ),
            )

    # ------------------------------------------------------------------ approval

    def approve(self, prepared: Prepared, by: str, *, standing: bool, until: datetime | None = None) -> str:
        """Records that a person allowed this digest (or, standing until a date, its rule). Gives the evidence id."""
        engine = self.engine
        with engine.transaction(prepared.site) as writer:
            line = writer.append(
                "approval",
                prepared.change,
                "",
                {
                    "digest": prepared.standing if standing else prepared.digest,
                    "by": nfc(by),
                    "standing": standing,
                    "args": dict(prepared.args),
                    "until": stamp(until) if until else "",
                },
            )
        return line.id

    def standing(self, prepared: Prepared) -> str:
        """Who gave the standing approval that is in force for this digest, or ""."""
        line = self.engine.store.approvals(prepared.site.id).get(prepared.standing)
        if line is None or not line.body.get("standing"):
            return ""
        until = line.body.get("until")
        if until and unstamp(until) < self.engine.clock():
            return ""
        return str(line.body["by"])

    # ------------------------------------------------------------------ acting

    @contextmanager
    def alone(self, site: Site) -> Iterator[int]:
        """Holds the site's lock; whatever was left open by a dead process is closed as interrupted first.

        Yields the lock's descriptor, which the steps inherit: the lock lives as long as the last of them.
        """
        with held(self._lock(site), f"act {site.id}", WAIT, self.tell) as descriptor:
            self._settle(site)
            yield descriptor

    def settle(self, site: Site) -> None:
        """Closes what a dead process left open. Where somebody is at work on the site, nothing is left open."""
        if not self.engine.store.open_intents(site.id):
            return
        with suppress(Busy), held(self._lock(site), f"settle {site.id}", 0):
            self._settle(site)

    def _lock(self, site: Site) -> Path:
        return self.engine.config.state / "locks" / f"act-{site.id}"

    def _settle(self, site: Site) -> None:
        engine = self.engine
        for intent in engine.store.open_intents(site.id):
            text = say("bị ngắt giữa chừng; chưa rõ đã làm đến đâu", "interrupted; how far it came is not known")
            with engine.transaction(site) as writer:
                writer.append(
                    "outcome",
                    intent.duty,
                    "",
                    {
                        "intent": intent.seq,
                        "digest": intent.body["digest"],
                        "args": intent.body["args"],
                        "outcome": Outcome.INTERRUPTED.value,
                        "steps": [],
                        "proofs": [],
                        "started": stamp(intent.time),
                        "finished": stamp(engine.clock()),
                        "detail": text.json(),
                    },
                )

    def act(self, approved: Prepared, by: str, *, standing: bool = False) -> Acted:
        """Carries out an approved plan. Raises StaleApproval when the plan made now is another one.

        standing: `by` is who gave a standing approval, which must still hold once the lock is had.
        """
        with self.alone(approved.site) as lock:
            prepared = self.plan(approved.site, approved.change, approved.args)
            if prepared.digest != approved.digest:
                raise StaleApproval(
                    say(
                        "kế hoạch bây giờ khác bản đã duyệt ({old} → {new})",
                        "the plan made now is not the approved one ({old} → {new})",
                        old=approved.digest[:12],
                        new=prepared.digest[:12],
                    ),
                    say(
                        "xem lại: gaccong plan {c} --site {s}",
                        "look again: gaccong plan {c} --site {s}",
                        c=approved.change,
                        s=approved.site.id,
                    ),
                    site=approved.site.id,
                )
            if standing and self.standing(prepared) != by:
                raise StaleApproval(
                    say("sự duyệt thường xuyên đã hết hạn", "the standing approval has run out"), site=approved.site.id
                )
            return self._carry(prepared, by, (lock,))

    def _carry(self, prepared: Prepared, by: str, keep: tuple[int, ...]) -> Acted:
        engine, site = self.engine, prepared.site
        started = engine.clock()
        with engine.transaction(site) as writer:
            intent = writer.append(
                "intent",
                prepared.change,
                "",
                {
                    "digest": prepared.digest,
                    "args": dict(prepared.args),
                    "plan": plan_json(prepared.plan),
                    "by": nfc(by),
                },
            )
        results: list[StepResult] = []
        proofs: list[dict[str, Any]] = []
        interrupt: BaseException | None = None
        try:
            outcome, detail = self._steps(prepared, results, keep)
            if outcome is None:
                proofs = self._prove(prepared)
                outcome, detail = judge(proofs)
        except (KeyboardInterrupt, SystemExit) as error:
            interrupt = error
            outcome, detail = self._stopped(prepared, results, keep)
        steps = [result.json() for result in results]
        with engine.transaction(site) as writer:
            line = writer.append(
                "outcome",
                prepared.change,
                "",
                {
                    "intent": intent.seq,
                    "digest": prepared.digest,
                    "args": dict(prepared.args),
                    "outcome": outcome.value,
                    "steps": steps,
                    "proofs": proofs,
                    "started": stamp(started),
                    "finished": stamp(engine.clock()),
                    "detail": detail.json(),
                },
            )
            served(writer, self.engine, prepared, started, outcome)
        if interrupt is not None:
            raise interrupt
        look_again(self.engine, prepared)
        return Acted(prepared, outcome, line.id, detail, tuple(steps), tuple(proofs))

    def _stopped(self, prepared: Prepared, results: list[StepResult], keep: tuple[int, ...]) -> tuple[Outcome, Text]:
        """Ctrl-C: half-done work is taken back; whole work stays (an account that was shut is not opened again)."""
        if len(results) == len(prepared.plan.steps) and all(result.done for result in results):
            return Outcome.UNPROVED, say("xong; bị dừng khi đang chứng minh", "done; stopped while it was being proved")
        return self._undo(prepared, results, say("bị người dừng", "stopped by a person"), keep)

    def _carrier(self, prepared: Prepared, ask: Callable[[str], Runner]) -> Carrier:
        explain = getattr(self.engine.catalog.duties[prepared.change], "explain", None)
        return Carrier(ask, lambda reference: self.engine.secret(prepared.site, reference), self.watch, explain)

    def _steps(
        self, prepared: Prepared, results: list[StepResult], keep: tuple[int, ...]
    ) -> tuple[Outcome | None, Text]:
        """Runs the steps, filling `results`. None: all done; else what the undoing came to."""
        carrier = self._carrier(prepared, lambda host: self.engine.ask(host, keep))
        for number, step in enumerate(prepared.plan.steps, 1):
            if self.tell:
                total = len(prepared.plan.steps)
                self.tell(say("[{n}/{t}] {vi}", "[{n}/{t}] {en}", n=number, t=total, vi=step.why.vi, en=step.why.en))
            result = carrier.carry_out(step)
            results.append(result)
            if not result.done:
                why = say(
                    "bước {n} hỏng: {vi}", "step {n} failed: {en}", n=number, vi=result.trouble.vi, en=result.trouble.en
                )
                return self._undo(prepared, results, why, keep)
        return None, Text("", "")

    def _undo(
        self, prepared: Prepared, results: list[StepResult], why: Text, keep: tuple[int, ...]
    ) -> tuple[Outcome, Text]:
        """Takes back what was begun, last first, and stops at the first that cannot be: the rest may rest on it."""
        carrier = self._carrier(prepared, lambda host: self.engine.ask_steady(host, keep))
        for step in undo_order(results):
            result = carrier.carry_out(step)
            if not result.done:
                return Outcome.STUCK, say(
                    "{vi}. Không hoàn tác được: {tv}",
                    "{en}. Could not be undone: {te}",
                    vi=why.vi,
                    en=why.en,
                    tv=result.trouble.vi,
                    te=result.trouble.en,
                )
        return Outcome.UNDONE, why

    def _prove(self, prepared: Prepared) -> list[dict[str, Any]]:
        """Looks with each proof check; a subject that was asked for and not seen is `unseen`."""
        proofs: list[dict[str, Any]] = []
        for proof in prepared.plan.proofs:
            check = self.engine.catalog.check(proof.check)
            if check is None:
                detail = say("không có kiểm tra {c}", "there is no check {c}", c=proof.check)
                proofs.append(proof_json(proof.check, "*", Verdict.UNSEEN, detail))
                continue
            rows = self.engine.look_now(prepared.site, [check], proof.subjects)
            seen = {row.subject: row for row in rows}
            for subject in proof.subjects or tuple(seen):
                row = seen.get(subject)
                if row is None:
                    detail = say("không thấy đối tượng", "the subject was not seen")
                    proofs.append(proof_json(proof.check, subject, Verdict.UNSEEN, detail))
                else:
                    proofs.append(proof_json(proof.check, subject, row.verdict, row.detail, row))
        return proofs

    # ------------------------------------------------------------------ what comes due by itself

    def due(self, site: Site) -> list[tuple[Change, Occasion]]:
        """The scheduled changes whose slot has come, and that were not tried within the last hour in vain."""
        ran, now = self.engine.store.ran(site.id), self.engine.clock()
        found: list[tuple[Change, Occasion]] = []
        changes = [duty for duty in self.engine.catalog.duties.values() if isinstance(duty, Change)]
        for duty in changes:
            for occasion in duty.occasions(site) if duty.occasions else ():
                key = occasion_key(occasion.args)
                tried = ran.get((duty.name, f"tried {key}"))
                if occasion_due(occasion.cron, ran.get((duty.name, key)), now) and not (
                    tried and timedelta(0) <= now - tried < RETRY
                ):
                    found.append((duty, occasion))
        return found

    def run_due(self, site: Site, change: Change, occasion: Occasion) -> Row:
        """Plans a due change and, under a standing approval, carries it out. What fails is recorded, not raised."""
        engine = self.engine
        key = occasion_key(occasion.args)
        started = engine.clock()
        try:
            prepared = self.plan(site, change.name, occasion.args)
            by = self.standing(prepared)
            if not by:
                return self._waiting(site, change, prepared)
            acted = self.act(prepared, by, standing=True)
        except GaccongError as error:
            if error.exit_code in (3, 4):
                raise
            return self._refused(site, change, occasion, error, started)
        verdict = Verdict.MET if acted.outcome is Outcome.PROVED else Verdict.BROKEN
        return Row(site.id, change.name, key, verdict, acted.detail, acted.evidence, "")

    def _waiting(self, site: Site, change: Change, prepared: Prepared) -> Row:
        self.engine.store.keep_plan(
            prepared.digest,
            site.id,
            change.name,
            dict(prepared.args),
            json.dumps(prepared.json(), ensure_ascii=False),
            self.engine.clock(),
        )
        text = say("đến hạn nhưng chưa được duyệt", "due, but not approved")
        command = f"gaccong apply {prepared.digest[:16]} --standing --by HỌ-TÊN"
        return Row(site.id, change.name, occasion_key(prepared.args), Verdict.UNSEEN, text, "", command)

    def _refused(self, site: Site, change: Change, occasion: Occasion, error: GaccongError, started: datetime) -> Row:
        engine = self.engine
        key = occasion_key(occasion.args)
        told = Text(error.explain("vi"), error.explain("en"))
        with engine.transaction(site) as writer:
            line = writer.append(
                "outcome",
                change.name,
                "",
                {
                    "intent": 0,
                    "digest": "",
                    "args": dict(occasion.args),
                    "outcome": Outcome.UNDONE.value,
                    "steps": [],
                    "proofs": [],
                    "started": stamp(started),
                    "finished": stamp(engine.clock()),
                    "detail": told.json(),
                },
            )
            writer.mark_ran(change.name, f"tried {key}", started)
        return Row(site.id, change.name, key, Verdict.BROKEN, told, line.id, "")


def _sections() -> Mapping[str, Any]:
    from ops.catalog import settings

    return settings()
