"""Every damage that a repository can suffer is found: 14 of backup.md's trials and more, on real repositories.

    .venv/bin/python -m tests.backup.test_corruption [FILE]

writes the table of damage, what finds it, and seconds (Markdown), as backup/README.md shows it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from backup import reading
from backup.checks import integrity as module
from backup.checks.contents import contents
from backup.checks.integrity import integrity
from tests.backup.room import NEWER, Room, make_template
from tests.backup.saved import Saved


def objects(room: Room, kind: str) -> list[Path]:
    """The objects of a kind, smallest first."""
    found = [path for path in (room.repository / kind).rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: (path.stat().st_size, path.name))


def data(room: Room) -> Path:
    return objects(room, "data")[-1]


def tree(room: Room) -> Path:
    """The pack with the trees of the newest copy."""
    root = json.loads(room.restic("snapshots", "--json", "--no-lock"))[-1]["tree"]
    for index in objects(room, "index"):
        for pack in json.loads(room.restic("cat", "index", index.name, "--no-lock"))["packs"]:
            if any(blob["id"] == root for blob in pack["blobs"]):
                return room.repository / "data" / pack["id"][:2] / pack["id"]
    raise AssertionError("no pack holds the newest tree")


def newest(room: Room) -> Path:
    return room.repository / "snapshots" / json.loads(room.restic("snapshots", "--json", "--no-lock"))[-1]["id"]


def flip(path: Path, at: int) -> None:
    body = bytearray(path.read_bytes())
    body[at] ^= 1
    write(path, bytes(body))


def write(path: Path, body: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(body)


def cut(path: Path, to: int) -> None:
    write(path, path.read_bytes()[:to])


def remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink()


def put_back(room: Room) -> None:
    """The repository as it was some copies ago."""
    shutil.rmtree(room.repository)
    shutil.copytree(room.tmp / "cu", room.repository)


def exchange(room: Room) -> None:
    """Another repository's config."""
    write(room.repository / "config", (room.repository / "config").read_bytes()[::-1])


HARMS: dict[str, Callable[[Room], object]] = {
    "bit flip, data pack body": lambda room: flip(data(room), 1000),
    "bit flip, data pack header": lambda room: flip(data(room), -3),
    "data pack replaced by random bytes": lambda room: write(data(room), os.urandom(data(room).stat().st_size)),
    "data pack cut at the end": lambda room: cut(data(room), -50),
    "data pack emptied": lambda room: cut(data(room), 0),
    "data pack deleted": lambda room: remove([data(room)]),
    "bit flip, tree pack": lambda room: flip(tree(room), 20),
    "tree pack deleted": lambda room: remove([tree(room)]),
    "all index files deleted": lambda room: remove(objects(room, "index")),
    "one index file deleted": lambda room: remove(objects(room, "index")[-1:]),
    "index cut": lambda room: cut(objects(room, "index")[-1], 60),
    "bit flip, index": lambda room: flip(objects(room, "index")[-1], 60),
    "newest snapshot deleted": lambda room: remove([newest(room)]),
    "bit flip, snapshot": lambda room: flip(newest(room), 40),
    "bit flip, config": lambda room: flip(room.repository / "config", 40),
    "config exchanged": exchange,
    "config deleted": lambda room: remove([room.repository / "config"]),
    "key deleted": lambda room: remove(objects(room, "keys")),
    "bit flip, key": lambda room: flip(objects(room, "keys")[0], objects(room, "keys")[0].read_bytes().index(b"hostname") + 12),
    "put back to an old state": put_back,
}
UNNOTICED = {"newest snapshot deleted", "put back to an old state"}
UNNOTICED_BY = {"restic": UNNOTICED | {"bit flip, key"}, NEWER: UNNOTICED}
"""What `check --read-data` passes over; 0.14 does not hash a key file (the flip is in its remarks)."""
SLOW = {"restic": {"data pack emptied", "data pack deleted", "tree pack deleted"}, NEWER: set[str]()}
"""0.14 finds these too, after asking again for 44 to 93 seconds: the table has them, the test does without."""


def prepare(place: Path, template: Path) -> Saved:
    """A repository of eight packs and more, four proved copies, and its state after the first two."""
    room = Room(place / "room", template)
    for number in range(4):
        (room.www / f"{number}.bin").write_bytes(os.urandom(30_000))
        assert room.night(prove=("backup.contents", "backup.integrity"))["outcome"] == "proved"
        if number == 1:
            shutil.copytree(room.repository, room.tmp / "cu")
    assert len(objects(room, "data")) >= 6
    return Saved(room, place / "saved")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Saved:
    return prepare(tmp_path_factory.mktemp("corruption"), template)


@pytest.fixture
def whole(saved: Saved) -> Room:
    """A fresh copy of it."""
    return saved.again()


def test_the_undamaged_one_is_met(whole: Room) -> None:
    assert whole.look(integrity)["user"].verdict == "met"


@pytest.mark.parametrize("harm", HARMS)
def test_every_damage_is_found_without_the_key(whole: Room, harm: str) -> None:
    """One look with the whole repository in its budget; no command of restic is needed for it."""
    HARMS[harm](whole)
    whole.site.settings["backup"] = whole.settings(restic="/khong/co/restic")  # type: ignore[index]
    finding = whole.look(integrity)["user"]
    assert finding.verdict == "broken", finding.detail.vi
    assert finding.next == "gaccong plan backup.heal --site demo"
    assert finding.measures["bad_objects"] + finding.measures["missing_objects"] >= 1
    assert finding.measures["bad_objects"] + finding.measures["missing_objects"] < 12


@pytest.mark.parametrize("program", ["restic", NEWER], ids=["old", "newer"])
def test_restic_alone_finds_all_but_what_only_an_inventory_can(saved: Saved, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the objects cannot be reached (sftp, S3) `check --read-data` has to do. What it cannot see is known."""
    monkeypatch.setattr(module, "objects_of", lambda *_: None)
    room = saved.again()
    assert room.look(integrity)["user"].verdict == "met"
    place = reading.path_of(room.ctx().home, str(room.repository))
    kept, unnoticed = place.read_bytes(), set()
    for harm, deed in HARMS.items():
        if harm in SLOW[program]:
            continue
        room = saved.again()
        place.write_bytes(kept)
        deed(room)
        room.site.settings["backup"] = room.settings(restic=program)  # type: ignore[index]
        verdict = room.look(integrity)["user"].verdict
        # a repository that no longer opens may be a wrong password: the look is blind, and says so
        if verdict == "met":
            unnoticed.add(harm)
    assert unnoticed == UNNOTICED_BY[program]


def test_any_single_flipped_byte_is_found(whole: Room) -> None:
    """Sixty random places over all live objects; each look reads all. Back to whole after each, it is met again."""
    dice = random.Random(20261120)
    paths = [path for kind in ("data", "index", "snapshots", "keys") for path in objects(whole, kind)]
    paths.append(whole.repository / "config")
    for _ in range(60):
        path = dice.choices(paths, [one.stat().st_size for one in paths])[0] if dice.random() < 0.5 else dice.choice(paths)
        kept = path.read_bytes()
        body = bytearray(kept)
        at = dice.randrange(len(body))
        body[at] ^= dice.randint(1, 255)
        write(path, bytes(body))
        seen = module.look(whole.site, whole.ctx(), module.repository_of(whole.ctx()), module.objects_of(
            whole.ctx(), module.repository_of(whole.ctx())))  # type: ignore[arg-type]
        assert seen.damage.bad == (f"{path.parent.name if path.parent.name in ('index', 'snapshots', 'keys') else 'data'}/"
                                   f"{path.name}",) or (path.name == "config" and seen.damage.bad == ("config",)), (path, at)
        write(path, kept)
    assert whole.look(integrity)["user"].verdict == "met"


def test_a_rotation_in_quarters_finds_every_flipped_pack(whole: Room) -> None:
    """Whatever pack it is: within one rotation it is read, and found."""
    whole.look(integrity)
    size = reading.local_bytes(whole.repository)
    whole.more = {"read_gib_per_look": size / 4 / (1 << 30)}
    whole.site.settings["backup"] = whole.settings()  # type: ignore[index]
    for pack in objects(whole, "data"):
        kept = pack.read_bytes()
        flip(pack, 10)
        for _ in range(16):
            whole.now += timedelta(hours=1)
            if whole.look(integrity, "user")["user"].verdict != "met" or whole.look(integrity)["user"].verdict == "broken":
                break
        else:
            raise AssertionError(pack.name)
        write(pack, kept)
        whole.look(integrity)


def test_stamps_of_a_wrong_clock_say_nothing(whole: Room) -> None:
    """A look in the year 2037, then the clock is set right: what was read 'in the future' is read again."""
    right = whole.now
    whole.now += timedelta(days=4000)
    whole.look(integrity)
    whole.now = right
    assert reading.load(reading.path_of(whole.ctx().home, str(whole.repository)), right).never == 256
    whole.more = {"read_gib_per_look": 1e-9}
    whole.site.settings["backup"] = whole.settings()  # type: ignore[index]
    finding = whole.look(integrity)["user"]
    assert finding.measures["unread_classes"] >= 3 and finding.measures["oldest_unread_seconds"] >= 0


def test_lost_old_copies_are_found_although_the_newest_is_whole(whole: Room) -> None:
    """A snapshot deleted in the middle: contents is met, fresh counts a day less, integrity says which."""
    listed = json.loads(whole.restic("snapshots", "--json"))
    (whole.repository / "snapshots" / listed[1]["id"]).unlink()
    assert whole.look(contents)["user"].verdict == "met"
    finding = whole.look(integrity)["user"]
    assert finding.facts["missing"] == [f"snapshots/{listed[1]['id']}"]


def rows(saved: Saved) -> Iterator[str]:
    """The table, one line each."""
    yield "| Damage | keyless look | seconds | `check` 0.14 | `--read-data` 0.14 | `check` 0.19 | `--read-data` 0.19 |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for harm, deed in HARMS.items():
        room = saved.again()
        deed(room)
        began = time.perf_counter()
        finding = room.look(integrity)["user"]
        took = time.perf_counter() - began
        told = finding.detail.en.split(": ", 1)[-1].split(". Delete")[0]
        codes = []
        for program in ("restic", NEWER):
            for words in (("check",), ("check", "--read-data")):
                codes.append(_code(room, program, words))
        yield f"| {harm} | **{finding.verdict.value}**: {told} | {took:.2f} | " + " | ".join(codes) + " |"


def _code(room: Room, program: str, words: tuple[str, ...]) -> str:
    import subprocess

    began = time.perf_counter()
    argv = [program, "-r", str(room.repository), "--password-file", str(room.tmp / "mat-khau"), "--no-cache", "--no-lock"]
    try:
        done = subprocess.run([*argv, *words], capture_output=True, timeout=120, stdin=subprocess.DEVNULL, check=False,
                              env={"PATH": os.environ["PATH"], "HOME": str(room.tmp)})
    except subprocess.TimeoutExpired:
        return "> 120 s"
    took = time.perf_counter() - began
    return ("**0**" if done.returncode == 0 else str(done.returncode)) + (f" ({took:.0f} s)" if took >= 5 else "")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        text = "\n".join(rows(prepare(Path(name), make_template(Path(tempfile.mkdtemp(dir=name))))))
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")
    print(text)
