"""`python -m ops.cli.demo.tour`: makes the demo site, starts it, and runs the real command through a whole week's work.

Each command line is printed as a person would type it, then what it says. An exit code that was not announced stops the
tour. At the end the site is stopped; `make demo-serve` starts it again with the page.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from ops.cli.demo import processes
from ops.cli.demo.config import SITE
from ops.cli.demo.layout import Demo
from ops.cli.demo.people import LEAVER, PEOPLE
from ops.cli.demo.site import make_demo
from ops.errors import GaccongError
from ops.moment import local_day

BY = PEOPLE[0].name
SECONDS = 300
NOTICE_DAYS = 10
"""Working days between the notice of the maintenance and its start; seven are demanded."""
_TAKEN = {
    "digest": re.compile(r"\bdigest[\"':\s]+([0-9a-f]{16,64})"),
    "verifier": re.compile(r"python3? (\S*verifier\.py .+)"),
}


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of the tour: what is shown, the words of the command, the exit codes that are right, what comes before.

    words: `{digest}` is the digest of the last plan, `{root}` the demo's folder, `{start}` and `{end}` those of the planned
           maintenance; ("verifier",) runs the line that the last export told; ("letter",) shows the newest letter.
    before: a deed of our own, which returns a sentence that tells it. holds: what the command must say.
    """

    shown: str
    words: tuple[str, ...]
    codes: tuple[int, ...] = (0,)
    before: Callable[[Demo], str] | None = None
    holds: tuple[str, ...] = ()


def break_site(demo: Demo) -> str:
    """Deletes the news and the front page and defaces another, as an intruder would."""
    gone = sum(1 for path in (demo.www / "tin-tuc").rglob("*") if path.is_file()) + 1
    shutil.rmtree(demo.www / "tin-tuc")
    (demo.www / "index.html").unlink()
    (demo.www / "lien-he" / "index.html").write_text("<h1>Trang này đã bị chiếm</h1>\n", encoding="utf-8")
    return f"kẻ xấu xóa {gone} trang (cả trang chủ) và sửa trang Liên hệ"


def lose_pack(demo: Demo) -> str:
    """Deletes the largest data file of the repository, as a dying disk or an intruder would."""
    packs = [path for path in (demo.root / "repo" / "data").rglob("*") if path.is_file()]
    lost = max(packs, key=lambda path: path.stat().st_size)
    size = lost.stat().st_size
    lost.unlink()
    return f"kho mất tệp data/{lost.name[:8]}… ({size >> 10} KiB)"


_SITE = ("--site", SITE)
_STANDING = ("apply", "{digest}", "--by", BY, "--standing")
_ONCE = ("apply", "{digest}", "--by", BY)


def stops() -> tuple[Stop, ...]:
    """The tour: copies; a repository that is damaged; planned work; a site that is broken into and restored; papers."""
    return (*_first(), *_copies(), *_damaged(), *_planned(), *_broken(), *_restored(), *_papers())


def _first() -> tuple[Stop, ...]:
    return (
        Stop("Máy này có đủ chương trình chưa?", ("doctor",), (0, 3)),
        Stop("Quy chế: không điều khoản nào mồ côi", ("policy", "check")),
        Stop("Việc chính, lần đầu: chưa có bản sao lưu nào nên chưa đạt", ("run",), (1,)),
    )


def _copies() -> tuple[Stop, ...]:
    return (
        Stop(
            "Kế hoạch sao lưu mức người dùng: chỉ là dữ liệu, chưa làm gì", ("plan", "backup.run", *_SITE, "set=user")
        ),
        Stop("Duyệt một lần cho mọi đêm, rồi làm và chứng minh", _STANDING),
        Stop("Mức hệ thống cũng vậy", ("plan", "backup.run", *_SITE, "set=system")),
        Stop("Duyệt và làm", _STANDING),
        Stop("Các bản sao lưu, bản nào đã được chứng minh", ("backup", "list", *_SITE)),
        Stop("Bản thứ hai ở một nơi khác: kế hoạch", ("plan", "backup.copy", *_SITE, "place=kho-hai")),
        Stop("Duyệt một lần cho mọi đêm, rồi chép", _STANDING),
        Stop(
            "Đủ 3-2-1 chưa? Trang mẫu để cả hai kho trên một máy nên còn cảnh báo", ("look", "backup.offsite", *_SITE)
        ),
    )


def _damaged() -> tuple[Stop, ...]:
    verify = ("backup", "verify", *_SITE)
    return (
        Stop("Một tệp của kho biến mất: gaccong thấy, không cần mật khẩu kho", verify, (1,), lose_pack),
        Stop("Báo người trực (run và serve tự báo; ở đây gọi tay)", ("notify", "send")),
        Stop("Điện thoại của người trực nhận được gì?", ("letter",), holds=("HỎNG", "backup.integrity")),
        Stop(
            "Người trực nhận việc: từ đây không báo lên cấp trên nữa",
            ("notify", "ack", SITE, "backup.integrity", "--by", BY),
        ),
        Stop("Làm theo lệnh trong tin: kế hoạch chữa kho từ trang và từ bản thứ hai", ("plan", "backup.heal", *_SITE)),
        Stop("Duyệt, chữa, rồi đọc lại toàn bộ để chứng minh", _ONCE),
        Stop("Báo người trực là đã hết", ("notify", "send")),
        Stop("Tin mới nhất trên điện thoại", ("letter",), holds=("ĐÃ HẾT", "backup.integrity")),
    )


def _planned() -> tuple[Stop, ...]:
    window = ("--start", "{start}", "--end", "{end}", "--reason", "Nâng cấp phần mềm")
    return (
        Stop(
            "Sắp nâng cấp, trang sẽ tạm ngừng: ghi lịch bảo trì đã thông báo trên trang",
            ("maintenance", "add", SITE, *window, "--by", BY, "--notice", "{url}van-ban/42-tb-ubnd/"),
        ),
        Stop("Báo trước có đủ 7 ngày làm việc không?", ("look", "maintenance.notice", *_SITE)),
    )


def _broken() -> tuple[Stop, ...]:
    return (
        Stop(
            "Trang bị phá: gaccong thấy ngay (thấy hai lần cách nhau một phút thì báo người)",
            ("look", "web.http", *_SITE),
            (1,),
            break_site,
        ),
        Stop("Kẻ phá vào bằng đường nào? Ai có tài khoản ở đâu", ("accounts", "census", *_SITE), (0, 1)),
        Stop("Ai đã nghỉ mà còn vào được?", ("accounts", "leavers", *_SITE), (1,)),
        Stop(f"Thu hồi mọi thứ của {LEAVER.name}: kế hoạch", ("accounts", "revoke", LEAVER.name, *_SITE)),
        Stop("Duyệt và làm", _ONCE),
        Stop("Còn ai vào được không?", ("look", "accounts.leavers", *_SITE)),
        Stop(
            "Thử đăng nhập thật: người đã nghỉ bị từ chối, tài khoản đối chứng vào được",
            ("look", "accounts.refused", *_SITE),
        ),
        Stop(
            "Bản sao dùng được không? Khôi phục thử ra chỗ tạm, so từng tệp, đếm bản ghi", ("backup", "drill", *_SITE)
        ),
    )


def _restored() -> tuple[Stop, ...]:
    return (
        Stop("Kế hoạch khôi phục từ bản sao đã chứng minh", ("plan", "restore_site", *_SITE)),
        Stop("Duyệt và khôi phục", _ONCE),
        Stop("Trang đã trở lại?", ("look", "web.http", *_SITE)),
        Stop("Bản sao ấy cũ hơn lần thu hồi: tài khoản có sống lại không?", ("look", "accounts.leavers", *_SITE), (1,)),
        Stop("Có; thu hồi lại ngay", ("accounts", "revoke", LEAVER.name, *_SITE, "--by", BY)),
        Stop("Không còn ai", ("look", "accounts.leavers", *_SITE)),
    )


def _papers() -> tuple[Stop, ...]:
    return (
        Stop("Sao lưu có đều không?", ("look", "backup.fresh", *_SITE)),
        Stop("Từng điều khoản, với bằng chứng", ("status", *_SITE), (0, 1, 3)),
        Stop(
            "Báo cáo mức độ rủi ro năm để trình ký",
            ("report", "annual-risk", "--format", "docx,pdf,json", "--out", "{root}/reports", *_SITE),
        ),
        Stop("Sổ bằng chứng có bị sửa không?", ("ledger", "verify", *_SITE)),
        Stop("Xuất sổ cho người ngoài", ("ledger", "export", "--out", "{root}/book", *_SITE)),
        Stop("Người ngoài tự kiểm tra, không cần gaccong", ("verifier",)),
    )


class Halted(Exception):
    """A command did not end as announced; the text says which."""


@dataclass
class Tour:
    """A running tour: the site, and what the commands have said so far. Prints every command with what it says."""

    demo: Demo
    seen: dict[str, str] = field(default_factory=dict)

    def visit(self, number: int, total: int, stop: Stop) -> None:
        """Runs one stop. Raises Halted when its exit code is none of those announced."""
        print(f"\n── {number}/{total}  {stop.shown} " + "─" * max(0, 90 - len(stop.shown)), flush=True)
        if stop.before:
            print(f"   [{stop.before(self.demo)}]")
        argv, typed = self._command(stop.words)
        print(f"$ {typed}", flush=True)
        code, said = self.told(argv)
        print(said, flush=True)
        for name, pattern in _TAKEN.items():
            if found := pattern.findall(said):
                self.seen[name] = found[-1]
        if missing := [words for words in stop.holds if words not in said]:
            raise Halted(f"lệnh trên không nói tới {', '.join(missing)}: {typed}")
        if code not in stop.codes:
            wanted = " hoặc ".join(map(str, stop.codes))
            raise Halted(f"lệnh trên thoát với mã {code}, mong đợi {wanted}: {typed}")
        if code:
            print(f"(mã thoát {code}, như mong đợi)")

    def told(self, argv: tuple[str, ...], apart: bool = False) -> tuple[int, str]:
        """Exit code and output of a command; with `apart` its standard output only. Past the limit: code 124."""
        home = self.demo.root / "home"
        home.mkdir(exist_ok=True)
        error = subprocess.PIPE if apart else subprocess.STDOUT
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=error,
                timeout=SECONDS,
                check=False,
                env={**os.environ, "HOME": str(home), "PYTHONIOENCODING": "utf-8"},
            )
        except subprocess.TimeoutExpired as late:
            return 124, (late.stdout or b"").decode("utf-8", "backslashreplace")
        return done.returncode, done.stdout.decode("utf-8", "backslashreplace").rstrip()

    def json(self, *words: str) -> Mapping[str, Any]:
        """The document that a command prints with --json."""
        _, said = self.told((*self._gaccong(), "--json", *words), apart=True)
        document = json.loads(said)
        return document if isinstance(document, dict) else {}

    def _gaccong(self) -> tuple[str, ...]:
        return (str(Path(sys.executable).with_name("gaccong")), "--config", os.path.relpath(self.demo.config))

    def _command(self, words: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
        """argv, and how a person would type it."""
        if words == ("verifier",):
            if "verifier" not in self.seen:
                raise Halted("lệnh xuất sổ không nói cách kiểm tra")
            rest = self.seen["verifier"]
            return (sys.executable, *shlex.split(rest)), f"python3 {rest}"
        if words == ("letter",):
            letters = sorted(self.demo.letters.glob("*.txt"))
            if not letters:
                raise Halted("điện thoại chưa nhận được tin nào")
            newest = os.path.relpath(letters[-1])
            return ("cat", newest), f"cat {newest}"
        known = {"digest": self.seen.get("digest", ""), "root": os.path.relpath(self.demo.root), "url": self.demo.url}
        known |= _window(local_day(datetime.now(UTC)))
        filled = tuple(word.format(**known) for word in words)
        if "" in filled:
            raise Halted("lệnh lập kế hoạch không in ra digest")
        program, *start = self._gaccong()
        return (program, *start, *filled), shlex.join(["gaccong", *start]) + " " + " ".join(map(_shown, filled))


def _window(today: date) -> dict[str, str]:
    """Start and end of the planned maintenance: two hours of a night, announced early enough."""
    from monitoring.workdays import calendar

    day = calendar().due(today, NOTICE_DAYS).isoformat()
    return {"start": f"{day} 22:00", "end": f"{day} 23:59"}


def _shown(word: str) -> str:
    """A word quoted only where a shell needs it; Vietnamese letters stay readable."""
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else f'"{word}"'


def tree(folder: Path) -> dict[str, str]:
    """Path below `folder` -> SHA-256, of every file."""
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def summary(tour: Tour, before: Mapping[str, str]) -> list[str]:
    """What was proved; every number is read from the commands' own answers or from the files. Raises Halted."""
    after = tree(tour.demo.www)
    same = sum(after.get(path) == digest for path, digest in before.items())
    if same != len(before) or len(after) != len(before):
        raise Halted(f"khôi phục chưa đủ: {same} trên {len(before)} tệp giống hệt trước khi bị phá")
    asked = (("backup", "list", *_SITE), ("status", *_SITE), ("ledger", "verify", *_SITE))
    with ThreadPoolExecutor(2) as pool:
        listed, told, verified = pool.map(lambda words: tour.json(*words), asked)
    snapshots, status, ledger = listed["snapshots"], told["sites"][0], verified["ledgers"][0]
    counts = {
        verdict: sum(c["verdict"] == verdict for c in status["clauses"])
        for verdict in ("met", "at_risk", "broken", "unseen")
    }
    reports = sorted(path.name for path in (tour.demo.root / "reports").glob("*") if path.is_file())
    proved = sum(1 for one in snapshots if one["proved"])
    letters = sum(1 for _ in tour.demo.letters.glob("*.txt"))
    return [
        f"bản sao lưu đã chứng minh: {proved} trên {len(snapshots)}",
        f"sau khi bị phá: {same} trên {len(before)} tệp trở lại giống hệt từng byte",
        f"tài khoản của {LEAVER.name}: đã thu hồi, đăng nhập thật bị từ chối",
        f"điện thoại người trực: {letters} tin, tin cuối báo đã hết",
        f"điều khoản: {counts['met']} đạt, {counts['at_risk']} cảnh báo, {counts['broken']} không đạt, {counts['unseen']} chưa kiểm tra được",
        f"sổ bằng chứng: {ledger['lines']} dòng, {'không dòng nào bị sửa' if ledger['ok'] else 'CÓ DÒNG BỊ SỬA'}",
        f"báo cáo: {', '.join(reports)}",
    ]


def travel(demo: Demo) -> int:
    """The whole tour over a made site; gives the exit code."""
    started = time.monotonic()
    tour = Tour(demo)
    before = tree(demo.www)
    try:
        processes.start(demo)
        planned = stops()
        for number, stop in enumerate(planned, 1):
            tour.visit(number, len(planned), stop)
        proved = summary(tour, before)
    except Halted as trouble:
        print(f"\nDỪNG: {trouble}", file=sys.stderr)
        return 5
    finally:
        processes.stop(demo)
    seconds = time.monotonic() - started
    config = os.path.relpath(demo.config)
    print(f"\n══ Đã chứng minh trong {seconds:.0f} giây " + "═" * 60)
    print("\n".join(f"  ✓ {line}" for line in proved))
    print(
        f"\nTrang mẫu đã tắt. Bật lại cùng trang trực ban và số đo: make demo-serve, rồi mở http://127.0.0.1:{demo.ports.page}/ (/metrics)"
    )
    print("Thử tiếp:")
    for line in ("status --all", "policy show thong-nhat", "backup restore --to /tmp/khoi-phuc --by 'HỌ TÊN'"):
        print(f"  .venv/bin/gaccong --config {config} {line}")
    return 0


def main() -> int:
    """Makes the site below the current folder (or in the named one) and shows everything."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(".demo")
    try:
        demo = make_demo(root)
        pages = sum(1 for _ in demo.www.rglob("*.html"))
        print(f"Trang mẫu: {pages} trang, {demo.url} trong {os.path.relpath(demo.root)}")
        return travel(demo)
    except GaccongError as error:
        print(error.explain("vi"), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
