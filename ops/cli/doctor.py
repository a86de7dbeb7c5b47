"""`gaccong doctor`: what is missing here for each duty, and the mend. Changes nothing."""

import os
import shutil
import socket
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ops.cli.secret_files import copied, missing_file
from ops.cli.session import STYLE, Session, exit_code
from ops.model import Text, Verdict, say

if TYPE_CHECKING:
    from ops.model import Site


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that duties need, how it stands, and the mend."""

    what: str
    verdict: Verdict
    state: Text
    mend: Text = Text("", "")


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""

    @app.command(
        help={
            "vi": "Máy này còn thiếu gì cho từng nhiệm vụ, sửa thế nào.",
            "en": "What is missing here for each duty, and the mend.",
        }[lang]
    )
    def doctor(ctx: typer.Context) -> None:
        session: Session = ctx.obj
        found = [*_programs(session), *_network(), *_configuration(session)]
        if session.json:
            session.document(
                {
                    "diagnoses": [
                        {
                            "what": one.what,
                            "verdict": one.verdict.value,
                            "state": one.state.json(),
                            "mend": one.mend.json(),
                        }
                        for one in found
                    ]
                }
            )
        else:
            session.table(
                ("tool", "verdict", "state", "mend"),
                [
                    (one.what, session.verdict(one.verdict), one.state.in_(session.lang), one.mend.in_(session.lang))
                    for one in found
                ],
                {n: STYLE[one.verdict] for n, one in enumerate(found) if one.verdict is not Verdict.MET},
            )
        raise typer.Exit(exit_code([one.verdict for one in found]))


def _programs(session: Session) -> list[Diagnosis]:
    """Outside programs: what needs them, and the package."""
    from ops.run import _path

    needed = (
        ("restic", "backup.*, restore_site", "restic", Verdict.BROKEN),
        ("usermod", "accounts.revoke (linux)", "passwd", Verdict.BROKEN),
        ("dpkg-query", "backup.run (system)", "dpkg", Verdict.AT_RISK),
        ("ssh-keygen", "accounts (linux)", "openssh-client", Verdict.AT_RISK),
    )
    found = []
    for tool, duty, package, without in needed:
        path = shutil.which(tool, path=_path())
        if path is None:
            found.append(
                Diagnosis(
                    tool,
                    without,
                    say("thiếu; cần cho {d}", "missing; needed for {d}", d=duty),
                    say("apt-get install {p}", "apt-get install {p}", p=package),
                )
            )
        elif tool == "restic":
            found.append(_restic(path, session))
        else:
            found.append(Diagnosis(tool, Verdict.MET, say("{p}", "{p}", p=path)))
    return found


def _newer(session: Session) -> Text:
    """How to come to a newer restic: the command, the very line and where it goes, and what it does to approvals."""
    from ops.errors import GaccongError

    program = Path(sys.prefix) / "bin" / "restic-newer"
    try:
        sites = [site for site in session.sites() if site.settings.get("backup") is not None]
    except GaccongError:
        sites = []
    name = sites[0].id if len(sites) == 1 else "TRANG" if session.lang == "vi" else "SITE"
    sets = sorted(sites[0].settings["backup"].set) if len(sites) == 1 else ["user"]
    plans = "\n".join(f"gaccong plan backup.run set={one} --site {name}" for one in sets)
    return say(
        'nên có 0.17.1 trở lên{v}; dưới [site.{s}.backup] thêm dòng:\nrestic = "{p}"\nĐổi chương trình là đổi digest của kế hoạch: '
        "duyệt thường xuyên cũ hết hiệu lực, duyệt lại:\n{plans}\nrồi: gaccong apply DIGEST --standing --by HỌ-TÊN",
        '0.17.1 or newer is better{e}; below [site.{s}.backup] add the line:\nrestic = "{p}"\nAnother program changes the '
        "plan's digest, and ends standing approvals; give them again:\n{plans}\nthen: gaccong apply DIGEST --standing --by NAME",
        v=": đã có sẵn" if program.exists() else ": ./setup restic",
        e=": it is here" if program.exists() else ": ./setup restic",
        s=name,
        p=program,
        plans=plans,
    )


def _restic(path: str, session: Session) -> Diagnosis:
    from ops.run import Command, Here

    said = Here().run(Command((path, "version"), timeout=10)).text.split()
    version = tuple(int(part) for part in said[1].split(".")[:2]) if len(said) > 1 and said[1][0].isdigit() else (0, 0)
    state = say("{v}", "{v}", v=" ".join(said[:2]))
    if version < (0, 14):
        return Diagnosis(path, Verdict.BROKEN, state, say("cần 0.14 trở lên", "0.14 or newer is needed"))
    if version < (0, 17):
        return Diagnosis(
            path,
            Verdict.AT_RISK,
            say(
                "{v}: dùng được; chưa có: chữa kho (repair), mã lỗi rõ ràng, báo nguồn vắng mặt, thanh tiến độ khôi phục; "
                "với bản sao hỏng nó có thể im lặng (gaccong tự đọc lại và so từng tệp)",
                "{v}: works; it lacks repair, clear exit codes, a word on missing sources, restore progress; of a damaged "
                "copy it may say nothing (gaccong reads back and compares every file)",
                v=" ".join(said[:2]),
            ),
            _newer(session),
        )
    return Diagnosis(path, Verdict.MET, state)


def _sources(session: Session) -> list[Diagnosis]:
    """The restic that each site names, and the programs that its kinds of sources need."""
    from ops.run import _path

    found: dict[str, Diagnosis] = {}
    for site in session.sites():
        backup = site.settings.get("backup")
        if backup is None:
            continue
        if backup.restic != "restic":
            path = shutil.which(backup.restic, path=_path())
            found[backup.restic] = (
                _restic(path, session)
                if path
                else _absent(Path(backup.restic), say("./setup restic", "./setup restic"))
            )
        for source in (source for one in backup.set.values() for source in one.source):
            for program, package in source.programs:
                if shutil.which(program, path=_path()) is None:
                    found[program] = Diagnosis(
                        program,
                        Verdict.AT_RISK,
                        say(
                            "thiếu; nguồn {k} của {s} cần",
                            "missing; source {k} of {s} needs it",
                            k=source.kind,
                            s=site.id,
                        ),
                        say("apt-get install {p}", "apt-get install {p}", p=package),
                    )
    return list(found.values())


def _network() -> list[Diagnosis]:
    """Whether this machine itself can speak IPv6 beyond loopback: without it, IPv6 findings of others are unseen."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("2001:db8::1", 9))
        return [Diagnosis("IPv6", Verdict.MET, say("máy này có đường IPv6", "this machine has an IPv6 route"))]
    except OSError:
        return [
            Diagnosis(
                "IPv6",
                Verdict.AT_RISK,
                say(
                    "máy này không có đường IPv6 ra ngoài: kiểm tra IPv6 của trang ở xa sẽ là 'chưa kiểm tra được'",
                    "this machine has no IPv6 route: IPv6 of distant sites will read 'unseen'",
                ),
                say("xin nhà cung cấp cấp IPv6", "ask the provider for IPv6"),
            )
        ]


def _configuration(session: Session) -> list[Diagnosis]:
    from ops.errors import GaccongError

    try:
        config = session.config
    except GaccongError as error:
        return [
            Diagnosis("cấu hình" if session.lang == "vi" else "configuration", Verdict.BROKEN, error.what, error.mend)
        ]
    found = [Diagnosis(str(config.path), Verdict.MET, say("{n} trang", "{n} sites", n=len(config.sites)))]
    state = config.state
    home = state if state.exists() else state.parent
    if not os.access(home, os.W_OK):
        found.append(
            Diagnosis(
                str(state),
                Verdict.BROKEN,
                say("không ghi được", "cannot be written"),
                say("chown cho tài khoản chạy gaccong", "chown it to the account that runs gaccong"),
            )
        )
    elif state.exists() and stat.S_IMODE(state.stat().st_mode) & 0o077:
        found.append(
            Diagnosis(
                str(state),
                Verdict.AT_RISK,
                say("người khác vào được", "others can enter"),
                say("chmod 700 {s}", "chmod 700 {s}", s=state),
            )
        )
    free = shutil.disk_usage(home).free
    if free < 1 << 30:
        found.append(
            Diagnosis(
                str(home),
                Verdict.AT_RISK,
                say("chỉ còn {m} MB", "only {m} MB left", m=free >> 20),
                say("dọn ổ đĩa", "free some space"),
            )
        )
    return [*found, *_clock(session), *_sections(session), *_inside(session), *_sources(session)]


def _clock(session: Session) -> list[Diagnosis]:
    from ops.errors import GaccongError
    from ops.moment import human, utcnow

    try:
        store: Any = session.reading
    except GaccongError:
        return [
            Diagnosis(
                "ledger",
                Verdict.AT_RISK,
                say("chưa có bằng chứng nào", "no evidence yet"),
                say("gaccong run", "gaccong run"),
            )
        ]
    last = [line.time for site in session.sites() for line in store.evidence(site.id, newest=1)]
    if last and max(last) > utcnow():
        return [
            Diagnosis(
                "clock",
                Verdict.BROKEN,
                say(
                    "đồng hồ chạy trước bằng chứng cuối ({t})",
                    "the clock stands before the last evidence ({t})",
                    t=human(max(last)),
                ),
                say(
                    "chỉnh giờ (timedatectl); nếu giờ bây giờ mới đúng: gaccong run --accept-clock HỌ-TÊN",
                    "set the clock (timedatectl); if it is right now: gaccong run --accept-clock NAME",
                ),
            )
        ]
    return [Diagnosis("clock", Verdict.MET, say("sau bằng chứng cuối", "after the last evidence"))]


def _sections(session: Session) -> list[Diagnosis]:
    """Domain sections that a site does not have: their duties will read unseen."""
    from ops import catalog

    found = []
    for site in session.sites():
        for name in catalog.settings():
            if name not in site.settings:
                found.append(
                    Diagnosis(
                        f"site.{site.id}.{name}",
                        Verdict.UNSEEN,
                        say(
                            "chưa cấu hình: nhiệm vụ {n}.* của trang này không kiểm tra được",
                            "not configured: the {n}.* duties of this site read unseen",
                            n=name,
                        ),
                        say("thêm [site.{s}.{n}]", "add [site.{s}.{n}]", s=site.id, n=name),
                    )
                )
    return found


def _inside(session: Session) -> list[Diagnosis]:
    """What the sites' own sections point at: secrets, sources of copies, the roster."""
    found = []
    for site in session.sites():
        backup, accounts = site.settings.get("backup"), site.settings.get("accounts")
        if backup is not None:
            found += _places(session, site)
            for path in {path for one in backup.set.values() for path in one.live()}:
                if not path.exists():
                    found.append(_absent(path, say("sửa nguồn sao lưu", "mend the backup's source")))
        if accounts is not None:
            found += _roster(accounts)
    return found


def _places(session: Session, site: "Site") -> list[Diagnosis]:
    """Each place of copies: its secrets, and the first repository itself where the ledger knows copies."""
    found = []
    known = copied(session, site)
    for where in site.settings["backup"].places().values():
        if missing := missing_file(where.password):
            mend = say("tạo mật khẩu, chmod 600", "make a password, chmod 600")
            found.append(_absent(missing, _BRING_BACK if known else mend))
        if where.login and (missing := missing_file(where.login)):
            found.append(
                _absent(
                    missing,
                    say("viết tên:mật-khẩu vào một dòng, chmod 600", "write name:password on a line, chmod 600"),
                )
            )
    first = Path(site.settings["backup"].repository)
    if known and first.is_absolute() and not (first / "config").exists():
        from backup.trouble import lost

        trouble = lost(str(first))
        found.append(Diagnosis(str(first), Verdict.BROKEN, trouble.what, trouble.mend))
    return found


_BRING_BACK = say(
    "chép lại mật khẩu từ nơi cất (phong bì), chmod 600; ĐỪNG tạo mới: mật khẩu mới không mở được kho",
    "bring the password back from where it is kept safe, chmod 600; do NOT make a new one: it would not open the repository",
)


def _absent(path: Path, mend: Text) -> Diagnosis:
    return Diagnosis(str(path), Verdict.BROKEN, say("không có", "does not exist"), mend)


def _roster(accounts: Any) -> list[Diagnosis]:
    from accounts.people import RosterError, read_roster
    from ops.errors import GaccongError

    try:
        read_roster(accounts.roster, tuple(accounts.system))
    except RosterError as error:
        if [one.what.en for one in error.mistakes] == ["the roster names nobody"]:  # as `init` writes it: not begun
            mend = say(
                "thêm mỗi người một dòng: nano {r}, cột: {c}",
                "add a line for each person: nano {r}, columns: {c}",
                r=accounts.roster,
                c="person,unit,role,from,until,logins",
            )
            state = say(
                "chưa khai báo ai: nhiệm vụ accounts.* chưa kiểm tra được",
                "names nobody yet: accounts.* duties read unseen",
            )
            return [Diagnosis(str(accounts.roster), Verdict.AT_RISK, state, mend)]
        return [Diagnosis(str(accounts.roster), Verdict.BROKEN, error.what, error.mend)]
    except GaccongError as error:
        return [Diagnosis(str(accounts.roster), Verdict.BROKEN, error.what, error.mend)]
    return []
