"""The report from a real store: signed lines, real leaf hashes, the store's own order of flips."""

from datetime import timedelta

import pytest

from ops.ledger import verify_book
from ops.model import Flip, State, Text, Verdict
from ops.report import annual_risk, write
from ops.report import json as as_json
from ops.signing import Signer
from ops.store import open_store
from tests.report.world import END, NOW, START, make_duties, make_status

DUTIES = make_duties()


@pytest.fixture
def store(tmp_path):
    signer = Signer.create(tmp_path / "ledger.key", "gaccong/an-binh")
    with open_store(f"sqlite:///{tmp_path}/s.db", signer) as found:
        yield found


def turn(store, duty, subject, when, verdict):
    detail = Text("đo thật", "really measured")
    with store.transaction("an-binh", when) as writer:
        line = writer.append("flip", duty, subject, {"verdict": verdict.value, "was": "", "detail": detail.json()})
        writer.add_flip(duty, subject, Flip(when, verdict))
        writer.put_state(State("an-binh", duty, subject, verdict, when, NOW, detail, {}, "", line.seq, 3600.0))


def make(store, verified=True):
    return annual_risk(make_status(store, DUTIES), store, DUTIES, NOW, start=START, end=END, verified=verified)


def test_an_empty_store_gives_a_whole_report(store, tmp_path):
    document = make(store)
    assert len(document.data["missing"]) == len(document.data["rows"])
    assert all(path.stat().st_size for path in write(document, ["docx", "pdf", "json"], tmp_path / "out", "empty"))


def test_what_the_store_holds_is_cited_with_the_hash_that_verifies(store):
    turn(store, "tls.certificate", "x", START - timedelta(days=1), Verdict.MET)
    turn(store, "tls.certificate", "x", START + timedelta(days=90), Verdict.BROKEN)
    turn(store, "tls.certificate", "x", START + timedelta(days=91), Verdict.MET)
    document = make(store)
    control = document.data["controls"]["tls.certificate"]
    assert (control["coverage"], control["outages"], control["longest_outage_seconds"]) == (1.0, 1, 86400.0)
    assert control["evidence"] == ["an-binh#2", "an-binh#3"]
    assert document.data["evidence"]["an-binh#2"]["leaf"] == store.line("an-binh", 2).leaf
    assert document.data["ledger"]["root"] == store.head("an-binh")[1]
    book = verify_book(list(store.raw_lines("an-binh")), store.checkpoints("an-binh"), store.vkey("an-binh"))
    assert book.ok
    assert as_json.render(make(store)) == as_json.render(document)


def test_the_names_of_leavers_stay_in_the_ledger(store, tmp_path):
    turn(store, "accounts.leavers", "Trần Thị Nghỉ", START, Verdict.BROKEN)
    document = make(store)
    path = write(document, ["json", "pdf"], tmp_path, "r")[0]
    assert "Nghỉ" not in path.read_text(encoding="utf-8")
    row = {item["id"]: item for item in document.data["rows"]}["R2-01"]
    assert row["likelihood"] >= 4
