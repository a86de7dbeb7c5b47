"""`gaccong schedule install|show|remove`: gaccong under systemd, by a timer (recommended) or as a service."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import units
from ops.cli.session import Session
from ops.errors import GaccongError, UsageError
from ops.model import Text, say

FOLDER = Path("/etc/systemd/system")
PLAIN = {"files", "sqlite", "system"}
"""Kinds of sources whose drill starts no server; of any other it is taken that it may."""
_SECONDS = 60


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verbs."""
    vi = lang == "vi"
    group = typer.Typer(no_args_is_help=True, help="Chạy tự động bằng systemd." if vi else "Runs by itself, by systemd.")
    app.add_typer(group, name="schedule")

    @group.command(
        help="Cài đơn vị systemd rồi bật (timer + run; --serve: chạy mãi, có trang trực ban)."
        if vi
        else "Installs and starts the units (timer + run; --serve: for ever, with the page)."
    )
    def install(
        ctx: typer.Context,
        print_: Annotated[
            bool, typer.Option("--print", help="chỉ in, không đổi gì" if vi else "only print, change nothing")
        ] = False,
        user: Annotated[
            str,
            typer.Option(
                help="tài khoản chạy; root mới sao lưu được mọi thứ"
                if vi
                else "the account that runs it; only root can copy everything"
            ),
        ] = "root",
        every: Annotated[
            str, typer.Option(help="nhịp gọi: 1m 5m 15m 1h …" if vi else "how often it is called: 1m 5m 15m 1h …")
        ] = "5m",
        serve: Annotated[
            bool, typer.Option("--serve", help="dịch vụ chạy mãi thay cho timer" if vi else "a service, not a timer")
        ] = False,
    ) -> None:
        session: Session = ctx.obj
        wanted = wish(session, user, every, serve)
        if print_:
            printed(session, units.units(wanted))
        else:
            installed(session, wanted)

    @group.command(help="Đang cài gì, lần chạy tới." if vi else "What is installed, and the next runs.")
    def show(ctx: typer.Context) -> None:
        shown(ctx.obj)

    @group.command(help="Tắt và gỡ các đơn vị đã cài." if vi else "Stops and removes the units.")
    def remove(ctx: typer.Context) -> None:
        removed(ctx.obj)


def wish(session: Session, user: str, every: str, serve: bool) -> units.Schedule:
    """What the units are to be made of, out of the configuration. Raises UsageError for an account that is not there."""
    config = session.config
    try:
        pwd.getpwnam(user)
        usable = user != "nobody"  # what belongs to nobody belongs to many
    except KeyError:
        usable = False
    if not usable:
        raise UsageError(
            say("không có tài khoản {u} dùng được", "there is no account {u} that could be used", u=user),
            say("adduser --system --group gaccong", "adduser --system --group gaccong"),
        )
    places = [
        Path(where.repository)
        for site in config.sites.values()
        if (backup := site.settings.get("backup")) is not None
        for where in backup.places().values()
        if where.kind == "local"
    ]
    kinds = {
        source.kind
        for site in config.sites.values()
        if (backup := site.settings.get("backup")) is not None
        for chosen in backup.set.values()
        for source in chosen.source
    }
    rhythm, made = units.calendar(every), tuple(dict.fromkeys(places))
    program, rooms = _program(), bool(kinds - PLAIN)
    return units.Schedule(program, config.path.absolute(), config.state, made, user, rhythm, serve, rooms)


def _program() -> Path:
    """The installed command that belongs to the Python that runs now."""
    found = Path(sys.executable).parent / "gaccong"
    if not found.is_file():
        raise GaccongError(
            say("không thấy lệnh gaccong ở {p}", "there is no gaccong command at {p}", p=found),
            say("cài gaccong vào một venv rồi chạy từ đó", "install gaccong into a venv, and run it from there"),
        )
    return found


def printed(session: Session, texts: dict[str, str]) -> None:
    """The units on stdout, and nothing else happens."""
    if session.json:
        session.document({"folder": str(FOLDER), "units": texts})
        return
    for name, text in texts.items():
        session.say(Text(f"# {FOLDER / name}", f"# {FOLDER / name}"))
        session.say(Text(text, text))


# ---------------------------------------------------------------------- installing


def installed(session: Session, wanted: units.Schedule) -> None:
    """Writes what is new, removes the other way's units, starts. Doing it twice changes nothing the second time."""
    _refuse_here()
    texts = units.units(wanted)
    strange = [name for name in units.NAMES if (FOLDER / name).exists() and not _ours(FOLDER / name)]
    if strange:
        raise GaccongError(
            say("{f}/{n} không do gaccong viết", "{f}/{n} was not written by gaccong", f=FOLDER, n=strange[0]),
            say("đổi tên hoặc xóa tệp ấy rồi cài lại", "rename or remove that file, then install again"),
        )
    for text in _loose(wanted):
        session.tell(text)
    _ready(session, wanted)
    old = [name for name in units.NAMES if name not in texts and (FOLDER / name).exists()]
    _withdraw(old)
    changed = [name for name, text in texts.items() if _write(FOLDER / name, text)]
    if changed or old:
        _systemctl("daemon-reload")
    first = units.SERVE if wanted.serve else units.TIMER
    _systemctl("enable", first)
    _systemctl("restart" if first in changed else "start", first)  # what runs keeps its old text until restarted
    if session.json:
        session.document({"written": changed, "removed": old, "started": first})
    for name in texts:
        state = say("đã viết", "written") if name in changed else say("không đổi", "unchanged")
        session.say(say("{v} {p}", "{e} {p}", v=state.vi, e=state.en, p=FOLDER / name))
    for name in old:
        session.say(say("đã gỡ {p}", "removed {p}", p=FOLDER / name))
    session.say(
        say(
            "{n} đang bật. Xem: gaccong schedule show; nhật ký: journalctl -u 'gaccong*'",
            "{n} is on. See: gaccong schedule show; the log: journalctl -u 'gaccong*'",
            n=first,
        )
    )


def _refuse_here() -> None:
    if not Path("/run/systemd/system").is_dir() or shutil.which("systemctl") is None:
        raise GaccongError(
            say("máy này không chạy systemd", "this machine does not run systemd"),
            say(
                "gaccong schedule install --print để xem; hoặc gọi `gaccong run` từ cron năm phút một lần",
                "gaccong schedule install --print shows the units; or let cron call `gaccong run` every five minutes",
            ),
        )
    if os.geteuid() != 0:
        raise GaccongError(
            say("phải là root mới cài được đơn vị systemd", "only root installs systemd units"),
            say("chạy lại với sudo; --print chỉ in ra", "run it with sudo; --print only prints"),
        )


def _ours(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(units.MARK)) == units.MARK.encode()
    except OSError:
        return False


def _loose(wanted: units.Schedule) -> Iterator[Text]:
    """A service of root's must not run what somebody else can rewrite: says which part of the path is loose."""
    if wanted.user != "root":
        return
    for path in (wanted.program.resolve(), wanted.config.resolve()):
        for part in (path, *path.parents):
            status = part.stat()
            open_to_all = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX
            if status.st_uid != 0 or open_to_all:
                yield say(
                    "! {p} người khác ghi được, mà {f} sẽ chạy bằng root → để gaccong và cấu hình ở nơi chỉ root ghi được, "
                    "vd /opt/gaccong, /etc/gaccong",
                    "! others can write to {p}, and root will run {f} → keep gaccong and its configuration where only root "
                    "writes, e.g. /opt/gaccong, /etc/gaccong",
                    p=part,
                    f=path.name,
                )
                break


def _ready(session: Session, wanted: units.Schedule) -> None:
    """The folders that the units may write to: a folder that is not there cannot be opened to a service."""
    from ops.locks import private_folder

    for folder in (wanted.state, *wanted.repositories):
        if not folder.exists():
            private_folder(folder)
            session.tell(say("đã tạo thư mục {f} (0700)", "made folder {f} (0700)", f=folder))
            if wanted.user != "root":
                shutil.chown(folder, wanted.user)


def _write(path: Path, text: str) -> bool:
    """Puts the file in place whole, unless it says so already. True when it was written."""
    if path.exists() and path.read_bytes() == text.encode():
        return False
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(0o644)
    beside.replace(path)
    return True


def _systemctl(*words: str) -> str:
    """What systemctl said. Raises GaccongError when it failed."""
    done = subprocess.run(
        ("systemctl", "--no-pager", *words), capture_output=True, text=True, timeout=_SECONDS, check=False,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise GaccongError(
            say("systemctl {w} không được: {e}", "systemctl {w} failed: {e}", w=" ".join(words), e=done.stderr.strip()),
            say("systemctl status 'gaccong*'", "systemctl status 'gaccong*'"),
        )
    return done.stdout


# ---------------------------------------------------------------------- removing and showing


def _withdraw(names: list[str]) -> None:
    """Stops and removes units. A round that is at work is let to its end: only the timer is stopped."""
    for name in names:
        if name in (units.TIMER, units.SERVE):
            _systemctl("disable", "--now", name)
    for name in names:
        (FOLDER / name).unlink()


def removed(session: Session) -> None:
    """Takes away what `install` wrote; the ledger, the copies and drop-ins of a person's own stay."""
    _refuse_here()
    mine = [name for name in units.NAMES if _ours(FOLDER / name)]
    _withdraw(mine)
    if mine:
        _systemctl("daemon-reload")
    if session.json:
        session.document({"removed": mine})
    for name in mine:
        session.say(say("đã gỡ {p}", "removed {p}", p=FOLDER / name))
    if not mine:
        session.say(say("không có đơn vị nào để gỡ", "nothing was installed"))
    for folder in sorted(FOLDER.glob("gaccong*.d")):
        session.say(say("còn giữ {p} (do người viết)", "kept {p} (a person's own)", p=folder))


def shown(session: Session) -> None:
    """What is installed, when systemd calls next, and when each change of each site comes due by its own schedule."""
    mine = [name for name in units.NAMES if _ours(FOLDER / name)]
    calls = _calls() if units.TIMER in mine else []
    due = [_due_json(entry) for entry in _due(session)]
    if session.json:
        session.document({"installed": mine, "calls": calls, "due": due})
        return
    if not mine:
        session.say(say("chưa cài; → gaccong schedule install", "not installed; → gaccong schedule install"))
    for name in mine:
        session.say(say("đã cài {p}", "installed {p}", p=FOLDER / name))
    for call in calls:
        session.say(say("systemd gọi lúc {c}", "systemd calls at {c}", c=call))
    session.table(("site", "duty", "what", "time"), [(one["site"], one["duty"], one["what"], one["next"]) for one in due])


def _calls() -> list[str]:
    """The next three calls by the timer's own text, as systemd-analyze tells them; none when it is not there."""
    text = (FOLDER / units.TIMER).read_text(encoding="utf-8")
    rhythm = next(line.partition("=")[2] for line in text.splitlines() if line.startswith("OnCalendar="))
    if shutil.which("systemd-analyze") is None:
        return [rhythm]
    done = subprocess.run(
        ("systemd-analyze", "calendar", "--iterations=3", rhythm), capture_output=True, text=True, timeout=_SECONDS,
        check=False, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    lines = [line.strip() for line in done.stdout.splitlines()]
    return [line.partition(": ")[2] for line in lines if line.startswith(("Next elapse:", "Iter. #"))] or [rhythm]


def _due(session: Session) -> Iterator[tuple[str, str, str, Any]]:
    from ops.afterwards import occasion_key
    from ops.duty import Change
    from ops.moment import utcnow
    from ops.schedule import next_slot

    now = utcnow()
    for site in session.sites():
        for duty in session.catalog.duties.values():
            for occasion in duty.occasions(site) if isinstance(duty, Change) and duty.occasions else ():
                yield site.id, duty.name, occasion_key(occasion.args), next_slot(occasion.cron, now)


def _due_json(entry: tuple[str, str, str, Any]) -> dict[str, str]:
    from ops.moment import human

    site, duty, what, when = entry
    return {"site": site, "duty": duty, "what": what, "next": human(when)}
