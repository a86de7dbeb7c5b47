"""A room that was made once and is put back to that state for each test, at the same place: copies hold full paths."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

from tests.backup.room import Room


class Saved:
    """Keeps a copy of a room's folder, ledger and clock. Sockets and FIFOs are not kept."""

    def __init__(self, room: Room, place: Path) -> None:
        self._room, self._place = room, place
        self._lines, self._now, self._more = list(room.ledger.lines), room.now, copy.deepcopy(room.more)
        shutil.copytree(room.tmp, place, symlinks=True)

    def again(self) -> Room:
        """The room as it was."""
        room = self._room
        shutil.rmtree(room.tmp)
        shutil.copytree(self._place, room.tmp, symlinks=True)
        room.ledger.lines = copy.deepcopy(self._lines)
        room.now, room.more = self._now, copy.deepcopy(self._more)
        room.site.settings["backup"] = room.settings()  # type: ignore[index]
        return room
