"""What the tests of dumps share: a room whose set `user` has one dump, its step run alone, and a drill of its own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backup.copies import copies
from backup.pour import pour_of
from backup.restic import repository_of
from backup.source import Restored
from ops.duty import Context
from ops.model import Host, Text
from ops.steps import StepResult
from tests.backup.room import Room
from tests.kit import make_site


def give(room: Room, *sources: dict[str, Any]) -> None:
    """The set `user` copies www/ and these sources from now on."""
    body = room.settings().model_dump(mode="json", exclude_defaults=True)["set"]
    body["user"]["source"] = [{"kind": "files", "paths": [str(room.www)]}, *sources]
    for source in body["system"]["source"]:
        source.setdefault("kind", "system")
    room.more = {**room.more, "set": {
        "user": {"level": "user", "schedule": "30 1 * * *", "source": body["user"]["source"]},
        "system": {"level": "system", "schedule": "0 2 * * *", "source": [{"kind": "system", "paths": [str(room.etc)]}]}}}
    room.site = make_site(backup=room.settings())


def command(*argv: str, **more: Any) -> dict[str, Any]:
    """A source of kind command."""
    return {"kind": "command", "name": "tin", "argv": list(argv), **more}


def ours(room: Room, host: Host | None = None) -> None:
    """Lets the room know a machine."""
    if host is not None:
        make = room.ctx

        def ctx(*subjects: str) -> Context:
            from dataclasses import replace
            return replace(make(*subjects), hosts={"here": Host("here"), host.name: host})

        room.ctx = ctx  # type: ignore[method-assign]


def stream(room: Room) -> StepResult:
    """Makes the stage ready and runs the streaming step alone."""
    steps = room.plan().steps
    chosen = tuple(step for step in steps if {"backup.stage", "backup.stream"} & set(step.argv))
    return room.carry(chosen)[-1]


def streamed(room: Room) -> list[dict[str, Any]]:
    """The snapshots that hold a dump alone."""
    listed = json.loads(room.restic("snapshots", "--json", "--no-lock")) or []
    return [one for one in listed if any(tag.startswith("stream=") for tag in one["tags"])]


def note(room: Room, name: str = "tin") -> dict[str, Any]:
    """The dump's note."""
    found = json.loads((room.tmp / f"home/stage/user/{name}.note.json").read_text())
    assert isinstance(found, dict)
    return found


def drill(room: Room, number: int = 1) -> tuple[list[Text], dict[str, float]]:
    """Examines a source of the newest copy as the drill does: (faults, measures). Nothing may be left in the scratch."""
    ctx = room.ctx()
    copy = copies(room.site, ctx)[-1]
    root, scratch = room.tmp / "khoi-phuc", room.tmp / "tam"
    scratch.mkdir(mode=0o700, exist_ok=True)
    room.restic("restore", copy.snapshot, "--target", str(root))
    stage = root / str(room.tmp / "home/stage/user").lstrip("/")
    measures: dict[str, float] = {}
    pour = pour_of(ctx, repository_of(ctx), copy, stage)
    source = room.site.settings["backup"].set["user"].source[number]
    try:
        return list(source.examine(Restored(root, stage, scratch, pour, measures))), measures
    finally:
        assert list(scratch.iterdir()) == []


def processes(*words: str) -> list[int]:
    """Processes whose command line holds all of these words."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
                if (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    continue
            except OSError:
                continue
            if all(word in line for word in words):
                found.append(int(entry.name))
    return found


def until(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


@contextmanager
def in_background(do: Callable[[], Any]) -> Iterator[list[Any]]:
    """Runs something in a thread; its result is in the list afterwards."""
    import threading

    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(do()))
    thread.start()
    try:
        yield got
    finally:
        thread.join(60)
        assert not thread.is_alive()
