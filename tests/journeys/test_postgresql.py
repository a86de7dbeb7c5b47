"""The command over a real PostgreSQL in place of SQLite."""

from __future__ import annotations

from tests import postgres
from tests.journeys.place import Place


def test_the_command_over_postgresql(place: Place) -> None:
    with postgres.running() as server:
        place.config.write_text(place.config.read_text() + f'store = "{server.url()}"\n')
        assert place.allow("user")["outcome"] == "proved"
        place.gaccong("run", "--all")
        status = place.json("status")["sites"][0]
        assert any(clause["evidence"] for clause in status["clauses"])
        assert place.gaccong("ledger", "verify").returncode == 0
        assert not (place.root / "state" / "gaccong.db").exists()
