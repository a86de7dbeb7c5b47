"""Names that break tools: copied, compared, excluded and told right. 10,000 files here; 100,000 in the benchmark."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup.checks.contents import contents
from backup.checks.drill import drill
from backup.compare import Comparison
from backup.manifest import entries, read_name, shown, write, written
from backup.tree import matcher, walk
from tests.backup.room import NEWER, PASSWORD, Room
from tests.journeys.place import Place

FILES = 10_000
STEER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f]")
"""Control characters that steer a terminal; a newline and a tab do not."""

ODD: tuple[bytes, ...] = (
    "Thông báo số 1".encode(), unicodedata.normalize("NFD", "Thông báo số 1").encode(),  # two files on Linux
    unicodedata.normalize("NFD", "Quyết định ưu đãi").encode(), b"xu\nong\ndong", b"\n", b"tab\tday", b"\r\nhet",
    b"hong\xff\xfe", b"hong\xc3", b"\xe1\xbb", b"\xed\xa0\x80surrogate", b"\x80", b"latin \xe9t\xe9",
    b"\x1b[2J\x1b]0;chiem man hinh\x07", b"\x9b31m do", b"\x08\x08xoa", b"\x7f", "\u202egnp.exe".encode(), "\u200b".encode(),
    b"--help", b"-rf", b"-", b"--", b"@tep", b"~", b"$HOME", b"`id`", b"$(id)", b"; true", b"a'b\"c", b"%s%n", b"{0}", b"{r}",
    b"*", b"?", b"[a-z]", b"**", b"!khong", b"#", b"\\", b"a\\b", b"a\\n", b" ", b" dau cuoi ", b"...", b"..x", b"x" * 255,
    ("ộ" * 85).encode(), "📷".encode(), b"con", b"NUL", b"tmp", b"manifest.jsonl", b"-\xff*\n?",
)


def fill(root: bytes, files: int) -> list[bytes]:
    """The odd names as files and as folders, and plain ones up to the count; gives every path that holds a file."""
    made: list[bytes] = []
    for name in ODD:
        made.append(root + b"/tep/" + name)
        made.append(root + b"/thu-muc/" + name + b"/" + name)
    deep = root
    while len(deep) < 3500:
        deep += b"/" + b"s" * 100
    made.append(deep + b"/day")
    made += [b"%s/nhieu/%d/%s-%d" % (root, number % 40, ODD[number % len(ODD)][:200], number) for number in range(files - len(made))]
    for path in made:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(path[-30:])
    return made


@pytest.mark.parametrize("program", ["restic", NEWER], ids=["old", "newer"])
def test_ten_thousand_odd_names_are_proved_and_restored_to_the_byte(tmp_path: Path, template: Path, program: str) -> None:
    room = Room(tmp_path, template, program=program)
    made = fill(os.fsencode(room.www), FILES if program == NEWER else 1000)
    body = room.night(prove=("backup.contents", "backup.integrity"))
    assert body["outcome"] == "proved", body["proofs"]
    count = len(made) + 3 + 2  # the room's own files, the database's copy and note
    found, drilled = room.look(contents)["user"], room.look(drill)["user"]
    assert found.verdict == "met" and drilled.verdict == "met", (found.detail.en, drilled.detail.en)
    assert found.measures["files"] == drilled.measures["files"] == count
    assert drilled.measures["unlike_files"] == drilled.measures["wrong_files"] == 0
    listed = {read_name(entry) for entry in entries(room.tmp / "home/stage/user/manifest.jsonl") if entry.get("kind") == "file"}
    assert set(made) <= listed
    changed = made[7]
    with open(changed, "ab") as stream:
        stream.write(b"!")
    again = room.night()
    assert again["outcome"] == "proved", again["proofs"]


def test_what_is_odd_and_unread_is_told_without_steering_anybody(room: Room) -> None:
    """Each odd name fails to be read; findings, JSON and the ledger's body hold only what a terminal may be shown."""
    fill(os.fsencode(room.www), 0)
    steps = list(room.plan().steps)
    spoil = "trace=openat"
    at = next(number for number, step in enumerate(steps) if "backup.manifest" in step.argv)
    room.carry(tuple(steps[:at]))
    paths = [part for name in (b"\x1b[2J\x1b]0;chiem man hinh\x07", b"hong\xff\xfe", b"\x9b31m do", b"xu\nong\ndong")
             for part in ("-P", os.fsdecode(os.fsencode(room.www) + b"/tep/" + name))]
    subprocess_argv = ["strace", "-f", "-qq", "-o", "/dev/null", *paths, "-e", spoil, "-e", "inject=openat:error=EIO", *steps[at].argv]
    done = subprocess.run(subprocess_argv, capture_output=True, timeout=120, check=True, stdin=subprocess.DEVNULL)
    told = json.loads(done.stdout)
    assert len(told["unreadable"]) == 4, told
    assert not STEER.search("".join(told["unreadable"])) and "\n" not in "".join(told["unreadable"])
    room.carry(tuple(steps[at + 1:]))
    finding = room.look(contents, "user")["user"]
    assert finding.verdict == "broken"
    assert not STEER.search(finding.detail.vi + finding.detail.en + json.dumps(finding.facts, ensure_ascii=False, default=str))


@pytest.mark.parametrize("name", ODD)
def test_a_name_survives_the_manifest_and_is_shown_safely(name: bytes) -> None:
    line = json.dumps(written("path", name)).encode("ascii")
    assert read_name(json.loads(line)) == name
    assert not STEER.search(shown(name)) and "\n" not in shown(name) and "\u202e" not in shown(name)
    assert json.dumps({"t": shown(name)}).encode("utf-8")


EXCLUDED = ("*.tmp", "cache", "a?c", "-n", "--", "-*-rf", "Thông báo*", "??é", "*?x")
PLANTED = (
    b"x.tmp", b".tmp", b"tmp", b"x.tmp.html", b"xtmp", b"cache", b"cache2", b"abc", b"a\xffc", b"abbc", b"-n", b"--", b"--tam",
    b"-x-rf", b"-rf", b"a\nc", "Thông báo 2".encode(), unicodedata.normalize("NFD", "Thông báo 2").encode(), b"\x1b.tmp", b"\n.tmp",
    b"hong\xff.tmp", "aộc".encode(), "aộé".encode(), "éé".encode(), "📷ộé".encode(), b"\xc3\xa9\xc3\xc3\xa9", b"\xc3\xc3\xa9",
    "ộx".encode(), b"\xedx", b"\xed\xa0\x80x", b"x",
)


@pytest.mark.parametrize("program", ["restic", NEWER], ids=["old", "newer"])
def test_our_exclusions_leave_out_exactly_what_restics_do(tmp_path: Path, template: Path, program: str) -> None:
    """What the manifest has and restic leaves out would be `lost`; the other way round nothing would vouch for it."""
    room = Room(tmp_path, template, program=program)
    for where in (b"", b"/sau/hon", b"/co [dau]*"):
        for name in PLANTED:
            path = os.fsencode(room.www) + where + b"/" + name
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as stream:
                stream.write(b"1")
    body = json.loads(room.site.settings["backup"].model_dump_json())
    body["set"]["user"]["source"][0]["exclude"] = list(EXCLUDED)
    room.site.settings["backup"] = type(room.site.settings["backup"]).model_validate(body)
    night = room.night()
    assert night["outcome"] == "proved", night["proofs"]
    out = tmp_path / "ra"
    room.restic("restore", "latest", "--target", str(out))
    base = os.fsencode(out)
    restored = {path.removeprefix(base) for path in every_file(base)}
    noted = {read_name(entry) for entry in entries(room.tmp / "home/stage/user/manifest.jsonl") if entry.get("kind") == "file"}
    stage = os.fsencode(room.tmp / "home/stage/user") + b"/manifest.jsonl"
    assert restored - {stage} == noted
    names = {os.path.basename(path) for path in noted}
    assert b"x.tmp.html" in names and b"x.tmp" not in names and b"cache2" in names and b"cache" not in names


def every_file(root: bytes) -> Iterator[bytes]:
    for folder, _, files in os.walk(root):
        for name in files:
            yield folder + b"/" + name


def test_a_path_of_control_letters_as_source(room: Room) -> None:
    """The source itself has an odd name: argv, settings, JSON and exclusions go with it."""
    odd = room.www.with_name("trang\x1b[31m [xã] * mới")
    room.www.rename(odd)
    room.www = odd
    (odd / "bo.tmp").write_text("không chép")
    room.site.settings["backup"] = room.settings()
    body = room.night()
    assert body["outcome"] == "proved", body["proofs"]
    assert "bo.tmp" not in room.restic("ls", "latest")
    assert room.look(drill)["user"].verdict == "met"


def test_the_command_and_its_ledger_stay_valid_and_steer_no_terminal(tmp_path: Path, template: Path) -> None:
    """The real command over odd names, one of which is lost: JSON that parses, text without control characters."""
    place = Place(tmp_path / "m", template)
    fill(os.fsencode(place.root / "www"), 300)
    place.allow("user")
    os.rename(place.root / "www", place.root / "di-mat")
    os.mkdir(place.root / "www")
    digest = place.digest("backup.run", "set=user")
    told = place.gaccong("apply", digest, "--by", "Trần Thị Mẫu", "--json")
    assert json.loads(told.stdout)["outcome"] == "unproved"
    (place.root / "www").rmdir()
    os.rename(place.root / "di-mat", place.root / "www")
    assert json.loads(place.gaccong("apply", digest, "--by", "Trần Thị Mẫu", "--json").stdout)["outcome"] == "proved"
    for words in (("look", "backup.contents"), ("look", "backup.drill"), ("backup", "list"), ("status",)):
        said = place.gaccong(*words)
        assert not STEER.search(said.stdout + said.stderr), words
    assert place.gaccong("ledger", "verify").returncode == 0
    password = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "RESTIC_PASSWORD": PASSWORD.decode()}
    listed = subprocess.run(["restic", "-r", str(place.root / "kho"), "--no-cache", "--no-lock", "ls", "latest", "--json"],
                            capture_output=True, timeout=60, check=True, env=password)
    assert listed.stdout.count(b"\n") > 300


# ------------------------------------------------------------------------------------------------ memory

MEASURE = """
import json, sys
from pathlib import Path
from backup import manifest
{body}
print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))
"""
READ = "from backup.compare import Comparison\nseen = Comparison('')\nfor line in open(sys.argv[1], encoding='ascii', newline='\\n'):\n" \
       "    seen.line(line.rstrip('\\n'), lambda path, entry: '')\nassert seen.whole, seen.files"
WRITE = """
import os, stat, time
status = os.lstat('/etc/hostname')
def walk(roots, left_out):
    for number in range(int(sys.argv[1])):
        yield b'/srv/www/%03d/trang-%07d.html' % (number // 10000, number), status, ''
manifest.walk = walk
manifest._is_empty = lambda path, left_out: False
stage = Path(sys.argv[2]); stage.mkdir(exist_ok=True)
for _ in range(2):
    told = manifest.write(stage, [Path('/srv/www')], [], [])
assert told['files'] == int(sys.argv[1])
"""


def peak(body: str, *words: str) -> int:
    """KiB of a fresh process that does this."""
    done = subprocess.run([sys.executable, "-c", MEASURE.format(body=body), *words], capture_output=True, text=True, timeout=200,
                          check=True)
    return int(done.stdout.split()[-1])


def test_the_manifests_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    """Written twice (the second time beside the first) and compared: 20,000 and 80,000 lines take the same."""
    small, large = (peak(WRITE, str(count), str(tmp_path / str(count))) for count in (20_000, 80_000))
    assert large - small < 4_000 and large < 60_000, (small, large)
    small, large = (peak(READ, str(tmp_path / str(count) / "manifest.jsonl")) for count in (20_000, 80_000))
    assert large - small < 4_000 and large < 120_000, (small, large)


def test_a_comparison_keeps_only_the_first_names() -> None:
    seen = Comparison("")
    for number in range(5000):
        seen.note("lost", b"%d" % number)
    assert seen.count("lost") == 5000 and len(seen.names["lost"]) == 20


def test_the_walk_is_in_tree_order_whatever_the_names(tmp_path: Path) -> None:
    """Order by bytes, folder before what is in it: the reuse of hashes reads two manifests side by side by it."""
    root = os.fsencode(tmp_path)
    fill(root, 0)
    found = [path for path, _, _ in walk([root], matcher([]))]
    assert found == sorted(found, key=lambda path: tuple(path.split(b"/"))) and len(set(found)) == len(found)


def test_a_manifest_beside_the_one_before_is_as_if_made_alone(tmp_path: Path) -> None:
    """Files come, go, change, change only their mode, and the old manifest is cut or spoilt: every line is as if made anew."""
    root, stage, alone = tmp_path / "r", tmp_path / "a/stage", tmp_path / "b/stage"
    for folder in (root, stage, alone):
        folder.mkdir(parents=True)
    made = fill(os.fsencode(root), 400)
    (root / "lien-ket").symlink_to("x")

    def both() -> None:
        for left in alone.iterdir():
            left.unlink()
        write(stage, [root], [], [])
        write(alone, [root], [], [])
        ours, theirs = ([line for line in (at / "manifest.jsonl").read_bytes().split(b"\n")[1:] if b'/stage"' not in line]
                        for at in (stage, alone))
        assert ours == theirs and len(ours) > 400

    both()
    time.sleep(2.1)  # what was touched within two seconds of a manifest's making is hashed again in any case
    both()
    for number, path in enumerate(made):
        if number % 5 == 0:
            os.unlink(path)
        elif number % 5 == 1:
            with open(path, "ab") as stream:
                stream.write(b"+")
        elif number % 5 == 2:
            os.chmod(path, 0o600)
        elif number % 5 == 3:
            times = os.stat(path)
            with open(path, "r+b") as stream:
                stream.write(b"Z")  # same size, and then the same time again
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    for number in range(0, len(made), 7):
        with open(made[number] + b"!", "wb") as stream:
            stream.write(b"new")
    both()
    body = (stage / "manifest.jsonl").read_bytes()
    for spoilt in (body[: len(body) // 2], body[: len(body) // 3] + b"\n{}\n" + body[len(body) // 3:], b"", b"[]\n" + body,
                   body.replace(b'"sha256":"', b'"sha256":"g', 200), os.urandom(5000)):
        (stage / "manifest.jsonl").write_bytes(spoilt)
        both()
