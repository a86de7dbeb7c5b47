"""The site's owner (nobody) sets traps beside his site and in it; a restore by root falls into none."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from backup import hold
from playbooks.parts import bring, notes, place, tidy
from playbooks.parts import swap as part
from tests.backup.conftest import room, template  # noqa: F401 - fixtures
from tests.backup.room import Room
from tests.playbooks.test_restore_site import kill, plan, trees

pytestmark = [pytest.mark.needs_root,
              pytest.mark.skipif(not hold.can_drop(), reason="becoming the site's owner needs root over other users")]


def as_owner(tmp: Path, *argv: str) -> None:
    """Runs a command as nobody, who may pass through the test's folders."""
    for folder in (tmp, *tmp.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/") and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    subprocess.run(argv, user=65534, group=65534, extra_groups=[], check=True, timeout=30)


def victim(tmp: Path) -> Path:
    """A file of root's that must stay as it is."""
    path = tmp / "cua-root"
    path.write_text("root:BÍ-MẬT")
    path.chmod(0o600)
    return path


def untouched(path: Path) -> None:
    status = path.lstat()
    assert path.read_text() == "root:BÍ-MẬT" and status.st_uid == 0 and status.st_mode & 0o777 == 0o600


@pytest.mark.parametrize("trap", ["name_of_the_temporary", "folder_is_a_link", "journal_is_a_link"])
def test_a_link_in_the_restored_tree_leads_nowhere(tmp_path: Path, trap: str) -> None:
    deal, target = trees(tmp_path), victim(tmp_path)
    data = deal.root / deal.live.relative_to("/") / "data"
    stage = tmp_path / "stage"
    stage.mkdir(mode=0o700)
    (stage / "c").write_text("của trang")
    (stage / "n").write_text(json.dumps({"mode": 0o600, "uid": 65534, "gid": 65534}))
    if trap == "folder_is_a_link":
        elsewhere = tmp_path / "etc"
        elsewhere.mkdir()
        data.symlink_to(elsewhere)
    else:
        data.mkdir()
        (data / (".tin.db.moi" if trap == "name_of_the_temporary" else "tin.db-wal")).symlink_to(target)
    code = place.main(["--home", str(deal.home), "--root", str(deal.root), "--to", str(deal.live / "data/tin.db"),
                       "--copy", str(stage / "c"), "--note", str(stage / "n")])
    untouched(target)
    if trap == "folder_is_a_link":
        assert code == 1 and list(elsewhere.iterdir()) == []
    else:
        assert code == 0 and (data / "tin.db").read_text() == "của trang" and (data / "tin.db").lstat().st_uid == 65534


def test_nothing_that_the_owner_plants_beside_the_site_is_believed_or_written_through(tmp_path: Path) -> None:
    """A note that says "already swapped", links under the names of notes, a folder of his in the place of ours."""
    deal, target = trees(tmp_path), victim(tmp_path)
    os.chown(tmp_path, 65534, 65534)
    status = deal.live.lstat()
    forged = json.dumps({"live": str(deal.live), "was": "absent", "new": [status.st_dev, status.st_ino]})
    as_owner(tmp_path, "sh", "-c", 'printf %s "$1" > "$2.json"; ln -s "$3" "$2.json.new"; ln -s "$3" "$4/.$5.json.new"',
             "sh", forged, str(deal.kept), str(target), str(tmp_path), deal.kept.name)
    assert part.swap(deal) == "swapped"
    assert (deal.live / "a").read_text() == "new" and (deal.kept / "a").read_text() == "old"
    untouched(target)


def test_a_folder_of_the_owners_in_the_place_of_ours_is_refused(tmp_path: Path) -> None:
    """He may rename what lies in his folder; what he puts there instead is not restored into, not made live, not removed."""
    deal = trees(tmp_path)
    os.chown(tmp_path, 65534, 65534)
    new = str(deal.root / deal.live.relative_to("/"))
    as_owner(tmp_path, "sh", "-c", 'mv "$1" "$1-cu"; mkdir -p "$2"; echo gia > "$2/a"; chmod 700 "$1"', "sh",
             str(deal.root), new)
    with pytest.raises(hold.Refused):
        part.swap(deal)
    assert bring.main(["--home", str(deal.home), "--root", str(deal.root), "--", "touch", str(tmp_path / "ran")]) == 1
    assert tidy.main(["--home", str(deal.home), str(deal.root)]) == 1
    assert (deal.live / "a").read_text() == "old" and Path(new, "a").exists() and not (tmp_path / "ran").exists()


def test_restic_writes_into_the_folder_that_was_made_even_when_another_takes_its_name(tmp_path: Path) -> None:
    """The owner exchanges the folder for a link while restic runs; the target is the descriptor."""
    home, elsewhere, root = tmp_path / "home", tmp_path / "etc", tmp_path / ".khoi-phuc-0000beef"
    home.mkdir(mode=0o700)
    elsewhere.mkdir()
    script = 'mv "$1" "$1-cu"; ln -s "$2" "$1"; echo tin > "$4/tep"'  # $3 is --target
    code = bring.main(["--home", str(home), "--root", str(root), "--", "sh", "-c", script, "sh", str(root),
                       str(elsewhere)])
    assert code == 0 and list(elsewhere.iterdir()) == []
    assert (tmp_path / ".khoi-phuc-0000beef-cu" / "tep").read_text() == "tin\n"


def test_a_site_in_its_owners_folder_comes_back_whole(room: Room) -> None:  # noqa: F811
    for path in (room.tmp / "srv", *(room.tmp / "srv").rglob("*")):
        os.chown(path, 65534, 65534)
    as_owner(room.tmp, "test", "-r", str(room.db))
    assert room.night()["outcome"] == "proved"
    (room.www / "index.html").write_text("hacked")
    results = room.carry(plan(room).steps)
    assert all(result.done for result in results), results[-1].trouble
    assert (room.www / "index.html").read_text() == "<h1>Xã mẫu</h1>\n" and room.db.stat().st_uid == 65534
    assert notes.every(room.tmp / "home") and not list((room.tmp / "srv").rglob("*.json"))


def test_what_differs_from_the_noted_manifest_never_goes_live(room: Room) -> None:  # noqa: F811
    room.night()
    (room.www / "index.html").write_text("bây giờ")
    steps = plan(room).steps
    results = list(room.carry(steps[:2]))
    restored, = room.www.parent.glob(".khoi-phuc-*/**/index.html")
    stamps = restored.stat()
    restored.write_text("<h1>Xã giả</h1>\n"[: stamps.st_size])
    restored.write_bytes(restored.read_bytes()[: stamps.st_size].ljust(stamps.st_size))
    os.utime(restored, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    results += room.carry(steps[2:])
    assert not results[-1].done and "differ" in results[-1].trouble.en
    assert all(one.done for one in room.undo(results))
    assert (room.www / "index.html").read_text() == "bây giờ"


def test_killed_after_the_exchange_the_old_tree_survives_a_second_restore(room: Room) -> None:  # noqa: F811
    room.night()
    (room.www / "index.html").write_text("viết hôm nay, chưa sao lưu")
    steps = plan(room).steps
    number, one = next((at, step) for at, step in enumerate(steps)
                       if "playbooks.parts.swap" in step.argv and str(room.www) in step.argv)
    room.carry(steps[:number])
    words = dict(zip(one.argv[4::2], one.argv[5::2], strict=False))
    deal = part.Swap(*(Path(words[name]) for name in ("--home", "--root", "--live", "--kept")))
    kill(deal, "after_exchange")
    assert tidy.main(["--home", str(deal.home), str(deal.root)]) == 1  # it holds the only old tree
    again = plan(room)
    assert again.steps == plan(room).steps
    assert str(deal.root) not in " ".join(word for step in again.steps if step.undo for word in step.argv)
    results = room.carry(again.steps)
    assert all(result.done for result in results), results[-1].trouble
    kept = [path for path in room.www.parent.glob(".www.truoc-khoi-phuc-*") if path.is_dir()]
    assert "viết hôm nay, chưa sao lưu" in [(path / "index.html").read_text() for path in kept] and len(kept) == 2
    assert list(room.tmp.rglob(".khoi-phuc-*")) == []


def test_tidy_keeps_the_old_tree_when_taking_back_failed(tmp_path: Path) -> None:
    deal = trees(tmp_path)
    kill(deal, "after_exchange")
    assert tidy.main(["--home", str(deal.home), str(deal.root)]) == 1
    assert part.finish(deal) == "finished"
    assert tidy.main(["--home", str(deal.home), str(deal.root)]) == 0
    assert (deal.kept / "a").read_text() == "old" and not deal.root.exists()
    assert part.back(deal) == "taken back" and (deal.live / "a").read_text() == "old"
