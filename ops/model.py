"""The nouns of gaccong as frozen values: the same word in code, message, metric, report and documentation.

Nothing here reads, writes or knows the time. Texts that people read carry both languages (`Text`), Vietnamese first.
All times are aware datetimes in UTC; `ops.moment` turns them into Asia/Ho_Chi_Minh where people read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class _Nothing(Mapping[str, Any]):
    """The empty mapping; hashable, so that a frozen dataclass may have it as a default."""

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


NOTHING: Mapping[str, Any] = _Nothing()


def nfc(value: str) -> str:
    """`value` composed (NFC), as TCVN 6909 text is stored; hash the bytes of what this returns."""
    return unicodedata.normalize("NFC", value)


@dataclass(frozen=True, slots=True)
class Text:
    """One saying in both languages. Vietnamese is the one that counts."""

    vi: str
    en: str

    def in_(self, lang: str) -> str:
        """The saying in `lang` ("vi" or "en"; anything else reads Vietnamese)."""
        return self.en if lang == "en" else self.vi

    def json(self) -> dict[str, Json]:
        """`{"vi": ..., "en": ...}`, as evidence stores it."""
        return {"vi": self.vi, "en": self.en}


def say(vi: str, en: str, /, **values: object) -> Text:
    """A `Text` with `{name}` places filled in: `say("Còn {n} ngày", "{n} days left", n=3)`."""
    filled = {key: nfc(str(value)) for key, value in values.items()}
    return Text(nfc(vi.format(**filled) if filled else vi), nfc(en.format(**filled) if filled else en))


def text_of(value: Text | str | Mapping[str, Any]) -> Text:
    """A `Text` from a Text, from one string for both languages, or from `{"vi":, "en":}`."""
    if isinstance(value, Text):
        return value
    if isinstance(value, str):
        return Text(nfc(value), nfc(value))
    return Text(str(value.get("vi", "")), str(value.get("en", "")))


class Verdict(StrEnum):
    """What a check found of one subject. `at_risk`: the duty is still kept, but will soon not be."""

    MET = "met"
    AT_RISK = "at_risk"
    BROKEN = "broken"
    UNSEEN = "unseen"

    @property
    def weight(self) -> int:
        """Order for "the worst of": broken 3, at_risk 2, unseen 1, met 0. Never lets unseen pass for met."""
        return {"broken": 3, "at_risk": 2, "unseen": 1, "met": 0}[self.value]


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst of some verdicts; of none at all it is `unseen`, for emptiness must not pass."""
    return max(verdicts, key=lambda verdict: verdict.weight, default=Verdict.UNSEEN)


class Outcome(StrEnum):
    """How an applied plan ended. Only `proved` is success; `unproved`: done, but no proof held."""

    PROVED = "proved"
    UNPROVED = "unproved"
    UNDONE = "undone"
    STUCK = "stuck"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw of one subject.

    subject:  what was looked at, stable over time, no secrets, no free text ("ipv4", "user", "/srv/www").
    detail:   one sentence for a person, both languages.
    measures: numbers with their unit in the name (`days_left`, `duration_seconds`); they become metrics.
    facts:    anything else worth keeping as evidence (JSON; no secrets, no names of persons in `subject`).
    next:     the command that a person would run next, or "".
    """

    subject: str
    verdict: Verdict
    detail: Text
    measures: Mapping[str, float] = NOTHING
    facts: Mapping[str, Any] = NOTHING
    next: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """A machine and how to reach it. The host named "here" is this machine and needs nothing else."""

    name: str
    address: str = ""
    port: int = 22
    user: str = ""
    key: str = ""
    known_hosts: Path | None = None
    gateway: str = ""

    @property
    def here(self) -> bool:
        """True for this very machine."""
        return self.name == "here"


@dataclass(frozen=True, slots=True)
class Office:
    """Who answers for the site on paper (first page and signature block, NĐ 30/2020)."""

    parent: str = ""
    issuer: str = ""
    place: str = ""
    symbol: str = "BBT"
    authority: str = ""
    title: str = ""
    signer: str = ""
    unit: str = ""
    recipients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """One portal: its names, its policy, the paper details, and one settings object for each domain folder."""

    id: str
    name: str
    policy: str
    url: str
    names: tuple[str, ...]
    office: Office = Office()
    thresholds: Mapping[str, float] = NOTHING
    settings: Mapping[str, Any] = NOTHING


@dataclass(frozen=True, slots=True)
class FileWrite:
    """A file that a step puts in place, whole, by rename. `content` is text; secrets never stand in it."""

    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Step:
    """One deed of a plan, as data: a command (`argv`) or a file, where, why, and how to take it back.

    feed:    an argv whose standard output becomes the command's standard input; both must succeed.
    secrets: environment name -> secret *reference*. At run time the variable holds the path of a descriptor
             from which the secret can be read once (`RESTIC_PASSWORD_FILE=/dev/fd/7`); the value is never in a plan.
    expect:  the exit codes that count as done. Every other code, known or not, is failure.
    keep:    True if the last JSON line of the command's output is to be kept as the step's answer.
    undo:    the step that takes this one back, or None when there is nothing to take back.
    """

    why: Text
    argv: tuple[str, ...] = ()
    feed: tuple[str, ...] = ()
    file: FileWrite | None = None
    host: str = "here"
    env: Mapping[str, str] = NOTHING
    secrets: Mapping[str, str] = NOTHING
    expect: tuple[int, ...] = (0,)
    keep: bool = False
    timeout: float = 3600.0
    undo: Step | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """A check that must hold after a plan was carried out, for these subjects (empty: for every subject it has)."""

    check: str
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a change would do. No step: already so, nothing to do. No proof: can never be better than `unproved`.

    rule: what a standing approval binds instead of the steps, for a change whose steps differ each time though the
    rule behind them does not (which old copies go under a keep rule). None: it binds the steps themselves.
    """

    title: Text
    steps: tuple[Step, ...]
    proofs: tuple[Proof, ...] = ()
    rule: Text | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One line of a site's ledger. `body` is the parsed line, `leaf` its RFC 6962 leaf hash in hex."""

    site: str
    seq: int
    time: datetime
    kind: str
    duty: str
    subject: str
    body: Mapping[str, Any] = field(repr=False, default=NOTHING)
    leaf: str = ""

    @property
    def id(self) -> str:
        """What reports and page cite: `site#seq`."""
        return f"{self.site}#{self.seq}"


@dataclass(frozen=True, slots=True)
class State:
    """How one subject of one duty stands now, since when, and the evidence line that says so."""

    site: str
    duty: str
    subject: str
    verdict: Verdict
    since: datetime
    seen_at: datetime
    detail: Text
    measures: Mapping[str, float]
    next: str
    evidence: int
    every_seconds: float
    pending: Verdict | None = None
    pending_count: int = 0
    pending_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Flip:
    """From `time` on, a subject of a duty stood at `verdict`."""

    time: datetime
    verdict: Verdict
