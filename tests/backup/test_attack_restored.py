"""Attacks on backup.restored: a restore that did not happen, or was tampered with, must never read as met. And attacks on
the alarm through the manifest's own counts."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest

from backup.alarm import Figures, Run, Since, alarms
from backup.judge import note_of
from backup.suspects import suspects
from backup.trouble import trouble_of
from ops import Result
from tests.backup.room import Room
from tests.backup.second import note
from tests.backup.test_restored import begun, ended, plan, proof, told
from tests.kit import NOW


def right(room: Room, to: str = "ra") -> None:
    """A restore that went well."""
    made = plan(room, to)
    intent = begun(room, made)
    assert all(result.done for result in room.carry(made.steps))
    ended(room, intent)


def test_a_restore_that_its_own_proof_denied_is_not_met_the_day_after(room: Room) -> None:
    room.night()
    made = plan(room, "ra")
    intent = begun(room, made)
    assert all(result.done for result in room.carry(made.steps))
    shutil.rmtree(room.tmp / "ra")
    found = proof(room)
    assert found.verdict == "broken"
    note(room, "outcome", "backup.restore", {"intent": intent.seq, "outcome": "unproved", "steps": [], "proofs": [
        {"check": "backup.restored", "subject": "user", "verdict": "broken", "detail": found.detail.json()}]})
    assert told(room).verdict == "broken"


def test_a_note_that_was_taken_away_hides_no_restore(room: Room) -> None:
    room.night()
    made = plan(room, "ra")
    intent = begun(room, made)
    room.carry(made.steps[:2])
    ended(room, intent, "undone")
    assert told(room).verdict == "broken"
    note_of(room.ctx().home, "user").unlink()
    assert told(room).verdict == "broken" and "undone" in told(room).detail.vi


def test_the_note_of_an_older_restore_does_not_speak_for_one_that_died_at_once(room: Room) -> None:
    room.night()
    right(room)
    assert told(room).verdict == "met"
    intent = begun(room, plan(room, "ra-hai"))  # killed before its first step
    ended(room, intent, "interrupted")
    assert told(room).verdict == "broken"


@pytest.mark.parametrize("how", ["rewritten", "link", "folder"])
def test_what_is_changed_while_it_is_restored_is_not_taken_for_life(each: Room, how: str) -> None:
    """A file whose time is another one than in the manifest changed while it was copied, unless it was written just now."""
    each.night()
    made = plan(each, "ra")
    begun(each, made)
    each.carry(made.steps[:2])
    page = each.tmp / "ra" / str(each.www).lstrip("/") / "index.html"
    if how == "rewritten":
        page.write_text("<h1>hacked</h1>")
    else:
        page.unlink()
        page.mkdir() if how == "folder" else page.symlink_to("/etc/passwd")
    assert not each.carry((made.steps[2],))[0].done
    assert proof(each).verdict == "broken"


# ---------------------------------------------------------------------------------------------- the alarm

DAY = Figures(0, 13, 1987, 2000, 100_000_000, 2_000_000, 640_000, 14)


def days(*nights: tuple[Figures, Since]) -> list[str]:
    """The kinds of alarm after four usual nights and these."""
    usual = [Run(f"a#{n}", "user", NOW + timedelta(days=n), DAY, files=2000, manifest=f"m{n}") for n in range(4)]
    more = [Run(f"a#{n}", "user", NOW + timedelta(days=n), main, files=main.total, manifest=f"m{n}", since=replace(since, before=f"m{n - 1}"))
            for n, (main, since) in enumerate(nights, 4)]
    return [alarm.kind for alarm in alarms([*usual, *more])]


def test_one_large_empty_file_does_not_explain_what_was_encrypted_after_the_manifest() -> None:
    """10 GB of zeros are 20,000 pieces for the manifest and one for restic. 900 files are encrypted between manifest and
    copy: that night restic sees them change and the manifest does not, the night after it is the other way round."""
    sparse = (Figures(1, 900, 1100, 2001, 10_100_000_000, 45_000_000, 44_500_000, 902), Since("", 2000, 0, 0, 20_482))
    after = (Figures(0, 1, 2000, 2001, 10_100_000_000, 400_000, 210_000, 1), Since("", 2001, 900, 0, 901))
    assert days(sparse, after)


def test_many_tiny_twins_do_not_explain_it_either() -> None:
    twins = (Figures(900, 900, 1100, 2900, 100_000_000, 46_000_000, 45_000_000, 902), Since("", 2000, 0, 0, 902))
    after = (Figures(0, 1, 2899, 2900, 100_000_000, 400_000, 210_000, 1), Since("", 2900, 900, 0, 901))
    assert days(twins, after)


def test_what_an_interrupted_run_brought_already_is_judged_all_the_same() -> None:
    """Killed after the cipher text was stored and before the snapshot: the next run stores nothing but the manifest."""
    again = (Figures(0, 1200, 800, 2000, 100_000_000, 500_000, 260_000, 2), Since("", 2000, 1200, 0, 1201))
    assert days(again) == ["mass_change"]


def test_usual_nights_after_a_restore_in_place_ring_for_nothing() -> None:
    touched = (Figures(0, 2000, 0, 2000, 100_000_000, 1_400_000, 714_000, 1), Since("", 2000, 0, 0, 1))
    usual = (DAY, Since("", 2000, 13, 0, 14))
    template = (Figures(0, 1200, 800, 2000, 100_000_000, 30_000_000, 15_000_000, 1201), Since("", 2000, 1200, 0, 1201))
    healed = (Figures(2000, 0, 0, 2000, 100_000_000, 100_000_000, 60_000_000, 2001), Since("", 2000, 0, 0, 1))
    assert days(touched, usual, template, usual, healed, usual) == []


def test_a_run_that_failed_in_between_hides_nothing_where_restic_has_no_parent(room: Room) -> None:
    """restic 0.14 with a repository elsewhere reads every file anew and compares nothing. The manifest of a run whose copy
    failed is the one that the next manifest is compared with, and no run of the ledger's copies."""
    def line(number: int, since: Since, *, copied: bool = True, new: int = 2000) -> None:
        steps = [{"answer": {"manifest": f"m{number}", "path": "/h/stage/user/manifest.jsonl", "files": 2000, "since": {
            "before": since.before, "files": since.files, "changed": since.changed, "gone": since.gone, "blobs": since.blobs}}}]
        if copied:
            steps.append({"answer": {"snapshot_id": f"{number}" * 64, "files_new": new, "files_changed": 0, "files_unmodified": 0,
                                     "total_files_processed": 2000, "data_added": 60_000_000, "data_blobs": since.blobs}})
        note(room, "outcome", "backup.run", {"args": {"set": "user"}, "outcome": "proved" if copied else "undone", "steps": steps})

    line(1, Since("", 0, 0, 0, 1))
    line(2, Since("m1", 2000, 10, 0, 11))
    line(3, Since("m2", 2000, 1200, 0, 1201), copied=False)
    line(4, Since("m3", 2000, 3, 0, 1204))
    assert [alarm.kind for alarm in suspects(room.site, room.ctx(), ())["user"].open] == ["mass_change"]


# ---------------------------------------------------------------------------------------------- commands to be pasted


@pytest.mark.parametrize("said", ["unable to create lock: repository is already locked by PID 1 on m by root", "hash mismatch"])
def test_a_repository_whose_name_is_a_command_is_quoted_in_the_mend(said: str) -> None:
    at = "/srv/kho $(touch x); rm y"
    told = trouble_of(Result(1, b"", said.encode(), 1.0), at)
    for mend in (told.mend.vi, told.mend.en):
        assert f"restic -r {shlex.quote(at)} " in mend
