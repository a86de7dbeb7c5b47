"""The systemd units that run gaccong: texts made of settings, pure. `ops.cli.schedule` writes and starts them.

Two ways: `timer` (recommended: a short-lived process every few minutes; what is due the engine knows) and `serve` (one
process for ever, with the page). Paths are absolute. Nothing here reads the disk.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.errors import UsageError
from ops.model import say

MARK = "# gaccong schedule install"
"""First words of every file that we write; a file without them is somebody else's and is left alone."""
RUN, TIMER, SERVE, FAILURE = "gaccong.service", "gaccong.timer", "gaccong-serve.service", "gaccong-failure@.service"
NAMES = (RUN, TIMER, SERVE, FAILURE)
_SHARED_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - names, nothing is put there
_EVERY = re.compile(r"([1-9][0-9]{0,3})(m|h)")


@dataclass(frozen=True, slots=True)
class Schedule:
    """What the units are made of.

    program: the `gaccong` command. config: the configuration. state: where the ledger lies. repositories: local
    folders that copies are written into. user: the account ("root", or one that may read everything by capability).
    every: the rhythm as systemd reads it (`calendar`). serve: the long-running service in place of the timer.
    rooms: drills start servers or sites in namespaces of their own, which the unit must then allow.
    """

    program: Path
    config: Path
    state: Path
    repositories: tuple[Path, ...]
    user: str = "root"
    every: str = "*-*-* *:00/5:00"
    serve: bool = False
    rooms: bool = True


def calendar(every: str) -> str:
    """systemd's OnCalendar for a rhythm `Nm` or `Nh` that divides an hour or a day. Raises UsageError for any other."""
    match = _EVERY.fullmatch(every)
    count = int(match[1]) if match else 0
    if match and match[2] == "m" and count < 60 and 60 % count == 0:
        return f"*-*-* *:00/{count}:00"
    if match and match[2] == "h" and count < 24 and 24 % count == 0:
        return f"*-*-* 00/{count}:00:00"
    raise UsageError(
        say("nhịp {e} không dùng được", "rhythm {e} cannot be used", e=every),
        say(
            "phút chia hết 60 hoặc giờ chia hết 24: 1m 2m 5m 10m 15m 30m 1h 2h 6h 12h",
            "minutes that divide 60 or hours that divide 24: 1m 2m 5m 10m 15m 30m 1h 2h 6h 12h",
        ),
    )


def units(schedule: Schedule) -> dict[str, str]:
    """File name -> text, of the chosen way. The same schedule gives the same bytes."""
    if schedule.serve:
        return {SERVE: _serve(schedule), FAILURE: _FAILURE}
    return {RUN: _run(schedule), TIMER: _timer(schedule), FAILURE: _FAILURE}


def word(value: str | Path) -> str:
    """A word of a unit file: quoted, `%` and `$` doubled. Raises UsageError for what a unit file cannot hold."""
    text = str(value)
    if not text.isprintable() or "\ufffd" in text or any(0xD800 <= ord(sign) < 0xE000 for sign in text):
        raise UsageError(
            say("đường dẫn có ký tự không dùng được trong unit: {t}", "a unit cannot hold this path: {t}", t=ascii(text)),
            say("đổi tên thư mục", "rename the folder"),
        )
    plain = text.replace("%", "%%")
    if re.fullmatch(r"[\w./:@%+=,-]+", plain):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _argument(value: str | Path) -> str:
    return word(str(value).replace("$", "$$"))


def _paths(paths: Sequence[Path], dash: str = "") -> str:
    return " ".join(word(f"{dash}{path}") for path in paths)


def _below(path: Path, roots: Sequence[Path]) -> bool:
    return any(root == path or root in path.parents for root in roots)


def _run(schedule: Schedule) -> str:
    return f"""{MARK}: một lượt việc đến hạn (one round of what is due)
# Sửa bằng: systemctl edit {RUN}    (mend with a drop-in; this file is rewritten by `gaccong schedule install`)
[Unit]
Description=gaccong: kiểm tra, sao lưu, ghi bằng chứng (looks, backs up, records)
{_order(schedule)}

[Service]
Type=oneshot
ExecStart={_argument(schedule.program)} --config {_argument(schedule.config)} run --wait 0
# 3: có điều chưa kiểm tra được, hoặc gaccong khác đang chạy; lần sau làm tiếp. 1: có điều không đạt -> unit báo hỏng.
# (3: something unseen, or another gaccong at work: the next round goes on. 1: something broken -> the unit fails.)
SuccessExitStatus=3
# Lượt này chưa xong thì timer không khởi động lượt thứ hai; treo quá một ngày thì bị dừng và báo hỏng.
# (While a round lasts the timer starts no second one; one that hangs for a day is stopped and told.)
TimeoutStartSec=1d
{_service(schedule)}"""


def _serve(schedule: Schedule) -> str:
    return f"""{MARK}: chạy mãi, có trang trực ban và /metrics (for ever, with the page)
# Sửa bằng: systemctl edit {SERVE}    (mend with a drop-in; this file is rewritten by `gaccong schedule install`)
[Unit]
Description=gaccong: trang trực ban, kiểm tra, sao lưu (page, looks, backs up)
{_order(schedule)} {RUN}
StartLimitIntervalSec=10min
StartLimitBurst=5

[Service]
Type=exec
ExecStart={_argument(schedule.program)} --config {_argument(schedule.config)} serve
Restart=on-failure
RestartSec=30
# Cấu hình sai (2) hay sổ bằng chứng sai (4): khởi động lại cũng vậy, báo ngay.
# (A wrong configuration or ledger is not mended by starting again: told at once.)
RestartPreventExitStatus=2 4
{_service(schedule)}
[Install]
WantedBy=multi-user.target
"""


def _timer(schedule: Schedule) -> str:
    return f"""{MARK}: nhịp chạy (the rhythm)
# Timer chỉ gọi; việc nào đến hạn, lần nào bị lỡ phải làm bù thì sổ của gaccong biết.
# (The timer only calls; what is due, and what was missed and must be caught up, gaccong's own book knows.)
[Unit]
Description=gaccong: gọi định kỳ (calls gaccong)

[Timer]
OnCalendar={schedule.every}
# Máy tắt lúc đến giờ: chạy bù ngay khi bật lại. (Missed while off: run at the next start.)
Persistent=true
# Lệch cố định vài giây để nhiều xã không cùng gọi một máy chủ. (A fixed offset: communes do not all call at once.)
RandomizedDelaySec=20
FixedRandomDelay=true
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


_FAILURE = f"""{MARK}: gaccong hỏng thì ghi vào nhật ký (tells the journal that gaccong failed)
# Muốn gửi thư: systemctl edit gaccong-failure@.service, thêm một ExecStart=. (To send mail, add an ExecStart= there.)
[Unit]
Description=gaccong: báo hỏng (tells of a failure) %i

[Service]
Type=oneshot
ExecStart=/usr/bin/logger --priority daemon.crit --tag gaccong-failure -- "gaccong HỎNG (failed): %i \
result=${{MONITOR_SERVICE_RESULT}} exit=${{MONITOR_EXIT_STATUS}}; xem (see): journalctl -u %i -n 50; gaccong doctor; gaccong status"
DynamicUser=yes
ProtectSystem=strict
ProtectHome=yes
PrivateNetwork=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
"""


def _order(schedule: Schedule) -> str:
    places = _paths((schedule.state, *schedule.repositories))
    return f"""OnFailure=gaccong-failure@%n.service
# Ổ đĩa chứa sổ và kho phải được gắn trước. (The disks of ledger and repositories are mounted first.)
RequiresMountsFor={places}
Wants=network-online.target
After=network-online.target time-sync.target mariadb.service mysql.service postgresql.service"""


def _service(schedule: Schedule) -> str:
    """What both services share: who, how much of the machine, and what they may touch."""
    root = schedule.user == "root"
    shared = _below(schedule.state, _SHARED_TEMPORARY) or any(
        _below(path, _SHARED_TEMPORARY) for path in (schedule.program, schedule.config, *schedule.repositories)
    )
    temporary = (
        "# PrivateTmp= tắt: chương trình, cấu hình hoặc kho nằm dưới /tmp hay /var/tmp. (Off: something of ours lies there.)\n"
        "PrivateTmp=no"
        if shared
        else "PrivateTmp=yes"
    )
    return f"""WorkingDirectory={word(schedule.config.parent)}
Environment=LC_ALL=C.UTF-8
UMask=0077
# Dừng: gaccong tự hoàn tác việc dở dang, có {_STOP} để làm. (On a stop gaccong itself takes back what it began.)
KillMode=mixed
TimeoutStopSec={_STOP}
# Nhường máy cho trang web. (The web site comes first.)
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
OOMScoreAdjust=300

{_as_root(schedule) if root else _who(schedule)}
# Mật khẩu kho có thể để systemd trao: viết `password = "systemd-credential:restic"` và bỏ dấu # ở dòng sau.
# (The repository's password may be handed over by systemd.)
#LoadCredential=restic:/etc/gaccong/secrets/restic

# Chỉ ghi được vào sổ và các kho; mọi nơi khác chỉ đọc. Thiếu kho (dấu -) thì gaccong tự báo, việc khác vẫn chạy.
# (May write to the ledger and the repositories only. Of a missing repository gaccong itself tells; the rest goes on.)
ProtectSystem=strict
ReadWritePaths={" ".join((word(schedule.state), *(_paths((path,), "-") for path in schedule.repositories), *(map(str, _SHARED_TEMPORARY) if shared else ())))}
ProtectHome=read-only
{temporary}
{_HARD}{_rooms(schedule)}{_LEFT_OUT}"""


_STOP = "5min"
_CAPABILITIES = (
    "CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_CHOWN CAP_FOWNER CAP_FSETID CAP_SETUID CAP_SETGID CAP_SYS_CHROOT CAP_KILL"
)
_ROOMS = "CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SETPCAP"


def _as_root(schedule: Schedule) -> str:
    more = f" {_ROOMS}" if schedule.rooms else ""
    return f"""# Chạy bằng root vì mức hệ thống sao lưu cả tệp mà chỉ root đọc được; quyền root được cắt còn chừng này:
# đọc mọi tệp; dựng lại chủ và quyền khi khôi phục thử; hạ quyền rồi mới mở cơ sở dữ liệu của trang; dừng tiến trình con.
# (root, because the system level copies what only root reads; cut down to: reading all, giving owners back in a drill,
# becoming a weaker user before a site's database is opened, ending what that user left.)
CapabilityBoundingSet={_CAPABILITIES}{more}"""


def _who(schedule: Schedule) -> str:
    return f"""# Không phải root: chỉ có thêm quyền đọc mọi tệp. Không hạ quyền được nữa, nên nguồn là cơ sở dữ liệu phải cho
# tài khoản này đăng nhập. (Not root: may read every file, nothing more; databases must let this account in.)
User={word(schedule.user)}
AmbientCapabilities=CAP_DAC_READ_SEARCH
CapabilityBoundingSet=CAP_DAC_READ_SEARCH"""


_HARD = """NoNewPrivileges=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
"""


def _rooms(schedule: Schedule) -> str:
    """Namespaces and mounts: for the closed rooms in which drills run servers and PHP, or for nobody."""
    if not schedule.rooms:
        return "SystemCallFilter=@system-service chroot\nRestrictNamespaces=yes\n"
    kinds = "mnt net pid ipc uts" if schedule.user == "root" else "user mnt net pid ipc uts"
    return f"""# Diễn tập chạy máy chủ cơ sở dữ liệu và PHP của trang trong phòng kín (không mạng, không quyền, không thấy máy này):
# dựng phòng ấy cần mount và vùng riêng. Cấu hình không có cơ sở dữ liệu như thế thì các quyền này không được cấp.
# (Drills run the site's database and PHP in a closed room, which takes mounts and namespaces to make; where the
# configuration has no such source, these rights are not given.)
SystemCallFilter=@system-service @mount
RestrictNamespaces={kinds}
"""


_LEFT_OUT = """# Cố ý không đặt (left out on purpose):
#   RestrictSUIDSGID=        khôi phục thử phải dựng lại được bit setuid (a drill gives setuid bits back)
#   MemoryDenyWriteExecute=  diễn tập WordPress chạy PHP, cần PCRE JIT (a drill runs PHP)
#   ProtectProc=             phải thấy tiến trình nào còn giữ khóa kho (must see whether a lock's holder lives)
#   IPAddressDeny=           phải hỏi được trang và kho ở xa (must reach the site and remote repositories)
"""
