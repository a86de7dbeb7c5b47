"""Whoever can write to the repository must not get his bytes into later copies: restic takes an unchanged file's content
from a parent snapshot, and picks that one by itself unless told.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

from backup.checks.drill import drill
from ops.moment import stamp
from tests.backup.fastkey import _counter, _keys, _mac
from tests.backup.room import PASSWORD, Room

EVIL = b"<script>evil</script>\n"


class Forger:
    """Writes packs, indexes and snapshots with the repository's own key, as whoever has the password can."""

    def __init__(self, room: Room) -> None:
        self.room = room
        (key_file,) = (room.repository / "keys").iterdir()
        body = json.loads(key_file.read_bytes())
        key, _, _ = _keys(PASSWORD, body)
        sealed = base64.b64decode(body["data"])
        master = json.loads(_counter(key, sealed[:16], sealed[16:-16]))
        self._encrypt = base64.b64decode(master["encrypt"])
        self._k, self._r = base64.b64decode(master["mac"]["k"]), base64.b64decode(master["mac"]["r"])
        self._blobs: list[tuple[int, str, bytes]] = []

    def _seal(self, data: bytes) -> bytes:
        nonce = os.urandom(16)
        made = _counter(self._encrypt, nonce, data)
        return nonce + made + _mac(self._k, self._r, nonce, made)

    def _save(self, kind: str, data: bytes) -> Path:
        name = hashlib.sha256(data).hexdigest()
        path = self.room.repository / kind / (name[:2] if kind == "data" else "") / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    def _put(self, kind: int, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        self._blobs.append((kind, name, data))
        return name

    def _tree(self, name: str, parts: list[str], content: str) -> str:
        tree = json.loads(self.room.restic("cat", "blob", name))
        for node in tree["nodes"]:
            if parts and node["name"] == parts[0]:
                node["subtree"] = self._tree(node["subtree"], parts[1:], content)
            elif not parts and node["name"] == "index.html":
                node["content"] = [content]
        return self._put(1, json.dumps(tree).encode() + b"\n")

    def plant(self) -> Path:
        """A snapshot like the newest one, with the true times of index.html and other bytes behind it."""
        newest = json.loads(self.room.restic("snapshots", "--json"))[-1]["id"]
        snapshot: dict[str, Any] = json.loads(self.room.restic("cat", "snapshot", newest))
        snapshot["tree"] = self._tree(snapshot["tree"], str(self.room.www).strip("/").split("/"), self._put(0, EVIL))
        snapshot.pop("parent", None)
        out, header, listed = b"", b"", []
        for kind, name, data in self._blobs:
            made = self._seal(data)
            header += struct.pack("<BI", kind, len(made)) + bytes.fromhex(name)
            listed.append({"id": name, "type": ["data", "tree"][kind], "offset": len(out), "length": len(made)})
            out += made
        sealed = self._seal(header)
        pack = self._save("data", out + sealed + struct.pack("<I", len(sealed)))
        self._save("index", self._seal(json.dumps({"packs": [{"id": pack.name, "blobs": listed}]}).encode()))
        return self._save("snapshots", self._seal(json.dumps(snapshot).encode()))


def restored(room: Room, snapshot: str) -> bytes:
    target = room.tmp / "ra"
    room.restic("restore", snapshot, "--target", str(target))
    return (target / str(room.www / "index.html").lstrip("/")).read_bytes()


def test_a_planted_parent_is_not_taken(each: Room) -> None:
    room, true = each, (each.www / "index.html").read_bytes()
    assert room.night()["outcome"] == "proved"
    planted = Forger(room).plant()
    # it is a good snapshot for restic, and without a word from us the next copy takes its bytes
    alone = json.loads(room.restic("backup", "--json", "--host", "demo", "--time", "2031-01-01 00:00:00", "--parent",
                                   planted.name, "--", str(room.www), str(room.tmp / "home" / "stage" / "user")
                                   ).splitlines()[-1])["snapshot_id"]
    assert restored(room, alone) == EVIL
    room.restic("forget", alone)
    results = room.carry(room.plan().steps[:-1])
    planted.unlink()
    made = next(result.answer["snapshot_id"] for result in results if result.answer and "snapshot_id" in result.answer)
    assert len(made) == 64 and restored(room, made) == true


def test_a_lost_parent_only_costs_time(each: Room) -> None:
    assert each.night()["outcome"] == "proved"
    for snapshot in (each.repository / "snapshots").iterdir():
        snapshot.unlink()
    results = each.carry(each.plan().steps)
    assert results[-1].done, results[-1].trouble
    copy = next(result.answer for result in results if result.answer and "snapshot_id" in result.answer)
    assert copy["files_new"] >= 3 and not copy.get("files_unmodified")


def test_the_parent_saves_reading_everything_anew(each: Room) -> None:
    assert each.night()["outcome"] == "proved"
    results = each.carry(each.plan().steps)
    copy = next(result.answer for result in results if result.answer and "snapshot_id" in result.answer)
    assert copy["files_unmodified"] >= 3


def test_other_bytes_behind_a_true_time_are_wrong_and_not_life(room: Room) -> None:
    """Should a copy hold other bytes for a file that nobody touched, a drill says so: it did not change meanwhile."""
    assert room.night()["outcome"] == "proved"
    planted = Forger(room).plant()
    steps = room.plan().steps
    place = next(number for number, step in enumerate(steps) if "backup.copying" in step.argv)
    done = room.carry(steps[:place])
    words = steps[place].argv[steps[place].argv.index("restic") :]
    at = words.index("backup") + 1
    poisoned = replace(steps[place], argv=(*words[:at], "--parent", planted.name, *words[at:]))
    done += room.carry((poisoned, *steps[place + 1 :]))
    assert all(result.done for result in done)
    room.ledger.note(room.now, {"args": {"set": "user"}, "outcome": "proved", "steps": [one.json() for one in done],
                                "started": stamp(room.now)})
    finding = room.look(drill, "user")["user"]
    assert finding.verdict == "broken" and "index.html" in finding.detail.vi
