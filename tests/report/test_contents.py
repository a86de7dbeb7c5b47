"""What the annual report says: all six kinds always, missing data in plain sight, no names of persons, a stable JSON."""

import json
import unicodedata
from dataclasses import replace
from datetime import timedelta

import pytest

from ops import risk_data
from ops.report import json as as_json
from ops.report.tree import Figure, Heading, Note, Paragraph, Table
from tests.report.world import END, NOW, START, World, good_year, make_duties, make_report, make_site, mixed_year


def words(document):
    """Every text that the paper shows."""
    found = [document.letterhead.number, *document.letterhead.subject, *document.closing.recipients]
    blocks = [*document.warnings, *document.body, *(block for item in document.appendices for block in item.blocks)]
    for block in blocks:
        match block:
            case Heading() | Note():
                found.append(block.text)
            case Paragraph():
                found.append("".join(run.text for run in block.runs))
            case Table():
                found += [column.head for column in block.columns] + [cell for row in block.rows for cell in row]
            case Figure():
                found += [block.alt, block.caption]
    return "\n".join(found)


def headings(document):
    return [block.text for block in document.body if isinstance(block, Heading)]


def test_every_section_is_present_even_with_no_evidence_at_all():
    document = make_report(World(), duties={})
    levels = [block.text.split(".")[0] for block in document.body if isinstance(block, Heading) and block.level == 1]
    assert levels == ["I", "II", "III", "IV", "V", "VI", "VII", "VIII"]
    titles = headings(document)
    for kind in risk_data.load().kinds:
        assert any(kind.name.vi in title for title in titles), kind.id
    assert [item.roman for item in document.appendices] == ["I", "II", "III", "IV"]
    text = words(document)
    assert "17 trên 17 rủi ro được ghi “thiếu dữ liệu”" in text
    assert "không kết luận được là có hay không có sự cố" in text
    assert "Sổ bằng chứng chưa có dòng nào" in text
    assert text.rstrip().count("./.") == 1


def test_each_risk_has_likelihood_impact_score_level_evidence_and_owner():
    document = make_report(mixed_year())
    for row in document.data["rows"]:
        assert row["score"] == row["likelihood"] * row["impact"] and row["level"] in document.data["levels"]
        assert row["evidence"] or row["missing"], row["id"]
        assert row["reasons"] and row["owner"] is None
    register = document.appendices[0].blocks[0]
    assert [row[0] for row in register.rows] == [row["id"] for row in document.data["rows"]]
    assert all("Chưa phân công" in row[8] for row in register.rows)


def test_a_kind_without_rows_still_appears():
    register = risk_data.load()
    bare = replace(register, rows=tuple(row for row in register.rows if row.kind != "R5"))
    document = make_report(World(), duties={}, register=bare)
    assert "5. Phá hủy thông tin, hệ thống thông tin" in headings(document)
    assert "Không ghi nhận rủi ro nào thuộc nhóm này; độ phủ số liệu 0% (thiếu dữ liệu)." in words(document)


def test_another_matrix_changes_levels_and_is_printed():
    register = risk_data.load()
    cells = tuple(("rat_cao",) * 5 for _ in range(5))
    document = make_report(mixed_year(), register=replace(register, cells=cells))
    assert {row["level"] for row in document.data["rows"]} == {"rat_cao"}
    assert document.data["matrix"] == [["rat_cao"] * 5] * 5
    matrix = [block for block in document.appendices[3].blocks if isinstance(block, Table)][3]
    assert all(cell.startswith("Rất cao") for row in matrix.rows for cell in row[1:])
    assert "bảng mức tại Phụ lục IV" in words(document)


def test_taking_a_source_away_shows_in_the_paper():
    full = make_report(good_year()).data
    less = make_report(good_year("backup.integrity"), duties=make_duties("backup.integrity")).data
    row = {item["id"]: item for item in less["rows"]}["R3-01"]
    before = {item["id"]: item for item in full["rows"]}["R3-01"]
    assert (before["likelihood"], before["missing"]) == (1, False)
    assert row["likelihood"] == 3 and row["missing"] and "R3-01" in less["missing"]


def test_persons_are_counted_not_named():
    document = make_report(mixed_year())
    text = words(document) + as_json.render(document).decode()
    assert "Trần Thị Nghỉ" not in text and "Nghỉ" not in text
    assert "2 đối tượng" in text and "(không in tên)" in text


def test_a_ledger_that_does_not_verify_is_told_on_page_one():
    document = make_report(mixed_year(), verified=False)
    assert "không xác minh được" in document.warnings[0].text
    assert document.data["ledger"]["verified"] is False
    assert isinstance(document.appendices[1].blocks[0], Note)
    assert make_report(mixed_year()).warnings == ()


def test_evidence_is_cited_with_its_leaf_hash_and_the_head_is_printed():
    world = mixed_year()
    document = make_report(world)
    lines, root = world.head("an-binh")
    text = words(document)
    assert text.count(root) == 2 and str(lines) in text
    cited = {number for row in document.data["rows"] for number in row["evidence"]}
    table = document.appendices[1].blocks[-1]
    printed = {row[0]: row[3].replace("\n", "") for row in table.rows}
    assert cited <= set(printed)
    assert all(printed[f"an-binh#{line.seq}"] == line.leaf for line in world.lines if f"an-binh#{line.seq}" in printed)


def test_at_most_five_decisions_with_cost_and_date_left_open():
    document = make_report(World(), duties={})
    assert 0 < len(document.data["decisions"]) <= 5
    table = next(block for block in document.body if isinstance(block, Table))
    assert all(row[3] == row[4] == "……" for row in table.rows)


def test_a_period_that_is_not_over_says_so_and_is_measured_to_now():
    document = make_report(good_year(), now=NOW - timedelta(days=30))
    assert document.data["period"]["open"] is True
    assert "tính đến thời điểm lập báo cáo" in words(document)
    assert document.data["controls"]["web.http"]["coverage"] == 1.0


def test_only_the_period_counts():
    world = good_year()
    from ops.model import Verdict

    world.happen("web.http", "ipv4", END + timedelta(hours=1), Verdict.BROKEN)
    row = {item["id"]: item for item in make_report(world).data["rows"]}["R6.1-01"]
    assert row["likelihood"] == 1


def test_json_is_byte_identical_sorted_and_nfc():
    first, second = (as_json.render(make_report(mixed_year())) for _ in range(2))
    assert first == second
    text = first.decode()
    assert unicodedata.is_normalized("NFC", text)
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_all_text_is_nfc_even_when_the_settings_are_not():
    site = make_site(name=unicodedata.normalize("NFD", "Trang thông tin điện tử xã Đồng Hỷ"))
    document = make_report(World(), duties={}, site=site)
    assert unicodedata.is_normalized("NFC", document.title + "".join(document.letterhead.subject))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("ỦY BAN NHÂN DÂN XÃ THỐNG NHẤT", "Ủy ban nhân dân xã Thống Nhất"),
        ("ỦY BAN NHÂN DÂN PHƯỜNG 1", "Ủy ban nhân dân phường 1"),
        ("Ủy ban nhân dân xã An Bình", "Ủy ban nhân dân xã An Bình"),
    ],
)
def test_the_addressee_is_written_as_in_running_text(name, written):
    from ops.report.paper import addressed

    assert addressed(name) == written


def test_the_start_of_the_period_is_what_the_data_say():
    assert make_report(good_year()).data["period"]["start"] == "2025-12-14T17:00:00.000000Z"
    assert START.isoformat().startswith("2025-12-14T17")
