"""Files: all or none, nothing half, refusals with a mend."""

import os
import subprocess
import sys

import pytest

from ops.errors import GaccongError, UsageError
from ops.report import write
from tests.report.world import World, make_report, mixed_year


@pytest.fixture(scope="module")
def document():
    return make_report(mixed_year())


def test_every_format_is_written_where_it_was_asked_for(document, tmp_path):
    made = write(document, ["docx", "pdf", "json"], tmp_path / "new" / "folder", "bao-cao-2026")
    assert [path.name for path in made] == ["bao-cao-2026.docx", "bao-cao-2026.pdf", "bao-cao-2026.json"]
    assert [path.read_bytes()[:4] for path in made] == [b"PK\x03\x04", b"%PDF", b"{\n  "]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(path.name for path in made)
    assert all(path.stat().st_mode & 0o077 == 0 for path in made), "the paper tells weaknesses: for its owner only"


@pytest.mark.parametrize(
    ("formats", "stem"), [(["odt"], "a"), ([], "a"), (["json"], "../a"), (["json"], ""), (["json"], ".a")]
)
def test_wrong_asking_is_refused(document, tmp_path, formats, stem):
    with pytest.raises(UsageError) as caught:
        write(document, formats, tmp_path, stem)
    assert caught.value.mend.vi and list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(document, tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(GaccongError) as caught:
        write(document, ["json"], tmp_path / "out", "a")
    assert "--out" in caught.value.mend.vi


@pytest.mark.needs_root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system wants root")
def test_a_full_disk_leaves_no_half_file_and_keeps_the_old_one(document, tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        old = write(make_report(World(), duties={}), ["json"], place, "report")[0]
        before = old.read_bytes()
        with pytest.raises(GaccongError) as caught:
            write(document, ["json", "pdf"], place, "report")
        assert "--out" in caught.value.mend.vi
        assert [path.name for path in place.iterdir()] == ["report.json"]
        assert old.read_bytes() == before
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_reading_the_package_loads_no_heavy_library():
    heavy = "docx typst matplotlib numpy lxml"
    script = f"import ops.report, sys; print([name for name in '{heavy}'.split() if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=60).stdout == b"[]\n"
