"""What went wrong with restic, in words that a person can act on. The one place that reads exit codes and messages.

restic 0.14 exits 1 for nearly everything and speaks plain English; 0.17 and later give 10 (no repository), 11 (locked)
and 12 (wrong password); 0.18 and later put messages in JSON. The texts below are those of 0.14 to 0.19. A code that is
not known is failure. Source: restic's manual, chapter "Scripting", and runs of 0.14.0, 0.18.0 and 0.19.1.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from shlex import quote

from backup.ssh import explained
from ops import STOPPED, TIMED_OUT, CannotSee, Result, Step, Text, say

_LOCK = re.compile(r"locked (?:exclusively )?by PID (\d+) on (\S+)")
_AGE = re.compile(r"lock was created at [^(]*\(([^)]+)\)")


class ResticTrouble(CannotSee):
    """restic could not do what was asked. `kind` is one of the words in `_SIGNS`, or "timeout" or "unknown"."""

    def __init__(self, kind: str, what: Text, mend: Text, lock: Lock | None = None) -> None:
        self.kind = kind
        self.lock = lock
        super().__init__(what, mend)


@dataclass(frozen=True, slots=True)
class Lock:
    """Who holds the repository: process, machine, and how long ago the lock was made (restic's words)."""

    pid: int
    host: str
    age: str

    @property
    def dead(self) -> bool:
        """True only when the holder ran on this very machine and is no more."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


_LOGIN = ("signature we calculated does not match", "access key id you provided does not exist", "invalidaccesskeyid",
          "signaturedoesnotmatch", "401 unauthorized", "http response (401)")
_RETRIED = ("login", "disk_full", "permission", "server", "unreachable")
"""What a newer restic tries again for a quarter of an hour, so that only its time limit ends it."""
_FULL = re.compile(r"(/[^:]+): (?:no space left on device|disk quota exceeded)", re.I)
# in this order: "permission denied" and an unreachable host also come with "is there a repository", a full disk with "unable to create lock"
_SIGNS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("password", 12, ("wrong password or no key found",)),
    ("login", 0, _LOGIN),
    ("disk_full", 0, ("no space left on device", "disk quota exceeded")),
    ("permission", 0, ("permission denied", "read-only file system", "operation not permitted", "http response (403)")),
    ("locked", 11, ("already locked",)),
    ("server", 0, ("http response (5", "http response (429)")),
    ("unreachable", 0, ("connection refused", "no such host", "i/o timeout", "network is unreachable",
                        "connection reset", "context deadline exceeded", '": eof', "no route to host", "broken pipe")),
    ("no_repository", 10, ("is there a repository at the following location", "repository does not exist",
                           "unable to open config file")),
    ("damaged", 0, ("repository contains errors", "ciphertext verification failed", "does not match id",
                    "invalid data returned", "hash mismatch", "wrong data returned", "data corruption")),
)


def kind_of(code: int, said: str) -> str:
    """One word for an exit code and message; codes win, for they do not change with the wording."""
    if code == TIMED_OUT:
        return "timeout"
    for kind, number, _ in _SIGNS:
        if number and code == number:
            return kind
    lower = said.lower()
    return next((kind for kind, _, signs in _SIGNS if any(sign in lower for sign in signs)), "unknown")


def _line(kind: str, said: str) -> str:
    """Of what restic said, while it tried again and again, the last line that tells the kind; all of it without one."""
    signs = next((signs for name, _, signs in _SIGNS if name == kind), ()) if kind in _RETRIED else ()
    lines = [line.strip() for line in said.splitlines() if any(sign in line.lower() for sign in signs)]
    return lines[-1] if lines else said


def lock_of(said: str) -> Lock | None:
    """The holder named in restic's message, if it names one."""
    holder = _LOCK.search(said)
    if holder is None:
        return None
    age = _AGE.search(said)
    return Lock(int(holder.group(1)), holder.group(2).strip('"\\,'), age.group(1) if age else "?")


def trouble_of(result: Result, repository: str) -> ResticTrouble:
    """The error behind a failed run of restic on `repository` (a path or URL, shown to the reader)."""
    said = result.trouble
    told = explained(said, repository.split(":")[1]) if repository.startswith("sftp:") else None
    if told is not None and result.code != TIMED_OUT:
        return ResticTrouble("unreachable", *told)
    kind = kind_of(result.code, said)
    if kind == "timeout" and kind_of(1, said) in _RETRIED:
        kind = kind_of(1, said)
    said = _line(kind, said)
    full = _FULL.search(said) if kind == "disk_full" else None
    if full and not full.group(1).startswith(f"{repository}/"):
        repository, kind = full.group(1), "scratch_full"
    if kind == "locked":
        return _locked(lock_of(said), repository, said)
    what, mend = _SAYINGS.get(kind, _SAYINGS["unknown"])
    values = {"r": repository, "q": quote(repository), "code": result.code, "said": said, "s": round(result.seconds)}
    return ResticTrouble(kind, say(what[0], what[1], **values), say(mend[0], mend[1], **values))


def lost(at: str) -> ResticTrouble:
    """What is said of a repository that is not there although it was: it is unplugged, or gone for good."""
    values = {"r": at, "q": quote(at)}
    return ResticTrouble("no_repository", say(
        "không thấy kho sao lưu tại {r}, dù trước đây đã có", "there is no repository at {r}, though there was one", **values),
        say(*_LOST, **values))


def explain(step: Step, result: Result) -> Text | None:
    """What a failed step of a change means when it was restic that failed; None when it was something else."""
    words = step.argv
    named = next((name for name in ("-r", "--at") if name in words), "")
    if not named or result.code == STOPPED:
        return None
    trouble = trouble_of(result, words[words.index(named) + 1])
    if trouble.kind == "unknown":
        return None
    return say("{vi}. → {mend_vi}", "{en}. → {mend_en}", vi=trouble.what.vi, en=trouble.what.en,
               mend_vi=trouble.mend.vi, mend_en=trouble.mend.en)


def _locked(lock: Lock | None, repository: str, said: str) -> ResticTrouble:
    if lock is None:
        what = say("kho sao lưu {r} đang bị khóa: {said}", "repository {r} is locked: {said}", r=repository, said=said)
        return ResticTrouble("locked", what, say("xem: restic -r {q} list locks", "see: restic -r {q} list locks",
                                                 q=quote(repository)))
    values = {"r": repository, "q": quote(repository), "pid": lock.pid, "host": lock.host, "age": lock.age}
    if lock.dead:
        return ResticTrouble(
            "locked",
            say("kho {r} còn khóa của tiến trình {pid} trên {host} ({age} trước) — tiến trình này đã chết",
                "repository {r} keeps a lock of process {pid} on {host} ({age} ago), and that process is dead", **values),
            say("gỡ khóa cũ: restic -r {q} unlock", "take the stale lock away: restic -r {q} unlock", **values),
            lock,
        )
    return ResticTrouble(
        "locked",
        say("kho {r} đang bị tiến trình {pid} trên {host} khóa ({age} trước)",
            "repository {r} is locked by process {pid} on {host} ({age} ago)", **values),
        say("chờ tiến trình đó xong; chỉ gỡ khóa khi chắc chắn nó đã chết: restic -r {q} unlock",
            "wait for it to end; take the lock away only when it is surely dead: restic -r {q} unlock", **values),
        lock,
    )


_Pair = tuple[str, str]
_LOST: _Pair = (
    "gắn lại ổ đĩa hoặc bật máy chứa kho rồi chạy lại. Kho đã mất hẳn thì: (1) cần dữ liệu ngay: lấy từ kho thứ hai bằng restic "
    "(backup/README.md, mục «Khôi phục chỉ bằng restic»); (2) kho thứ hai là bản chép nguyên (rsync): chép nó trở lại {q}; "
    "(3) không phải: đặt `repository` của [site.….backup] sang một thư mục mới, rồi lập và duyệt lại kế hoạch backup.run; đừng xóa "
    "kho thứ hai",
    "mount its disk or start its machine, then run again. If it is lost for good: (1) data needed now: fetch it out of the second "
    "place with restic (backup/README.md, section “Khôi phục chỉ bằng restic”); (2) where the second place is a mirror (rsync): "
    "copy it back to {q}; (3) where it is not: set `repository` of [site.….backup] to a new folder, then plan and approve "
    "backup.run again; do not remove the second place")
_SAYINGS: dict[str, tuple[_Pair, _Pair]] = {
    "password": (
        ("mật khẩu không mở được kho sao lưu {r} (hoặc khóa của kho đã mất)",
         "the password does not open repository {r} (or its keys are lost)"),
        ("kiểm tra tham chiếu `password` trong [site.….backup]; mật khẩu giấy cất ở nơi an toàn có khớp không",
         "check the reference `password` in [site.….backup] against the copy that is kept safe elsewhere"),
    ),
    "login": (
        ("máy chứa kho sao lưu {r} không nhận tên và mật khẩu (hoặc khóa S3) của khóa `login`",
         "the server of repository {r} does not take the name and password (or the S3 key) of key `login`"),
        ("kiểm tra tệp của `login`: một dòng tên:mật-khẩu (S3: khóa:bí-mật)",
         "check the file of `login`: one line name:password (S3: key:secret)"),
    ),
    "disk_full": (
        ("hết dung lượng ở nơi chứa kho sao lưu {r}", "no space left where repository {r} lives"),
        ("giải phóng hoặc mở rộng ổ đĩa rồi chạy lại; các bản sao cũ vẫn còn nguyên",
         "free or add space, then run again; earlier copies are not harmed"),
    ),
    "scratch_full": (
        ("hết dung lượng ở {r}", "no space left at {r}"),
        ("giải phóng hoặc mở rộng ổ đĩa ở đó rồi chạy lại; kho sao lưu không bị ảnh hưởng",
         "free or add space there, then run again; the repository is not harmed"),
    ),
    "server": (
        ("máy chứa kho sao lưu {r} trả lời lỗi: {said}", "the server of repository {r} answers with an error: {said}"),
        ("xem nhật ký của máy chứa kho; chạy lại khi máy đã trả lời bình thường",
         "see the storage server's log; run again when it answers as it should"),
    ),
    "permission": (
        ("không có quyền với kho sao lưu {r}: {said}", "no permission on repository {r}: {said}"),
        ("chạy bằng đúng tài khoản, hoặc sửa chủ sở hữu và quyền của kho",
         "run as the right account, or mend the repository's owner and mode"),
    ),
    "no_repository": (
        ("không thấy kho sao lưu tại {r}", "there is no repository at {r}"),
        ("chưa sao lưu lần nào thì đây là bình thường: lần chạy đầu sẽ tạo kho",
         "before the first backup this is as it should be: the first run makes it"),
    ),
    "unreachable": (
        ("không kết nối được tới kho sao lưu {r}: {said}", "repository {r} cannot be reached: {said}"),
        ("kiểm tra mạng và máy chứa kho rồi chạy lại", "check the network and the storage machine, then run again"),
    ),
    "damaged": (
        ("kho sao lưu {r} bị hỏng dữ liệu: {said}", "repository {r} holds damaged data: {said}"),
        ("restic -r {q} check --read-data; rồi xem backup/README.md, mục «Chữa kho»",
         "restic -r {q} check --read-data; then see backup/README.md, section “Chữa kho”"),
    ),
    "timeout": (
        ("restic không trả lời trong {s} giây (kho {r})", "restic did not answer within {s} seconds (repository {r})"),
        ("kiểm tra mạng, ổ đĩa chứa kho; restic tự thử lại rất lâu khi sai khóa truy cập S3",
         "check the network and the disk; restic retries for long when an S3 key is wrong"),
    ),
    "unknown": (
        ("restic thất bại với kho {r} (mã thoát {code}): {said}", "restic failed on {r} (exit code {code}): {said}"),
        ("chạy lại lệnh trên bằng tay để xem; mã lạ luôn được coi là thất bại",
         "run it by hand to see; an unknown code always counts as failure"),
    ),
}
