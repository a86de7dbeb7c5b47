"""The signing key: made once, read by its owner only, its notes in the form that other tools check."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from ops.errors import LedgerError, SecretError
from ops.signing import Signer, key_hash, parse_vkey, verify_note

TEXT = "gaccong/test/demo\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


def test_a_key_is_made_once_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key"
    made = Signer.create(path, "gaccong/xã-mẫu")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    before = path.read_bytes()
    with pytest.raises(SecretError) as refused:
        Signer.create(path, "gaccong/other")
    assert refused.value.mend.vi and path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    again = Signer.load(path)
    assert (again.name, again.public) == ("gaccong/xã-mẫu", made.public)
    assert verify_note(again.sign_note(TEXT), made.public) == TEXT


def test_the_public_key_has_the_form_of_signed_note(tmp_path: Path) -> None:
    signer = Signer.create(tmp_path / "key", "gaccong/test")
    name, shown, encoded = signer.public.split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    assert (name, raw[0], len(raw)) == ("gaccong/test", 1, 33)
    assert shown == key_hash(name, raw[1:]).hex() and parse_vkey(signer.public).public == raw[1:]


def test_a_known_note_of_another_program_verifies() -> None:
    """The example of the Go package golang.org/x/mod/sumdb/note."""
    vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    note = (
        text
        + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    assert verify_note(note, vkey) == text
    with pytest.raises(LedgerError):
        verify_note(note.replace("answer", "Answer"), vkey)


def test_every_flipped_bit_of_a_note_or_key_is_seen(tmp_path: Path) -> None:
    signer = Signer.create(tmp_path / "key", "gaccong/test")
    note = signer.sign_note(TEXT).encode()
    for at in range(len(note) - 1):
        for bit in range(8):
            spoiled = note[:at] + bytes([note[at] ^ 1 << bit]) + note[at + 1 :]
            with pytest.raises((LedgerError, UnicodeDecodeError)):
                verify_note(spoiled.decode(), signer.public)
    vkey = signer.public.encode()
    for at in range(len(vkey)):
        for bit in range(7):
            spoiled = vkey[:at] + bytes([vkey[at] ^ 1 << bit]) + vkey[at + 1 :]
            with pytest.raises(LedgerError):
                verify_note(note.decode(), spoiled.decode())


def test_a_note_by_a_key_of_the_same_name_is_refused(tmp_path: Path) -> None:
    ours, other = (Signer.create(tmp_path / name, "gaccong/test") for name in ("a", "b"))
    with pytest.raises(LedgerError):
        verify_note(other.sign_note(TEXT), ours.public)
    both = ours.sign_note(TEXT) + other.sign_note(TEXT).split("\n\n")[1]
    assert verify_note(both, ours.public) == verify_note(both, other.public) == TEXT


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700 | 0o040])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    Signer.create(path, "gaccong/test")
    path.chmod(mode)
    with pytest.raises(SecretError) as refused:
        Signer.load(path)
    assert refused.value.mend.vi.startswith("chmod 600")


def test_an_absent_or_damaged_key_is_told_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(SecretError):
        Signer.load(path)
    whole = Signer.create(path, "gaccong/test")
    line = path.read_text()
    for text in ("x", line[:-9], line.replace("gaccong", "gaccung"), line.replace("PRIVATE+KEY+", ""), "\x00\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(SecretError) as refused:
            Signer.load(path)
        assert line.split("+", 4)[-1].strip() not in refused.value.explain("vi")
    assert "PRIVATE" not in repr(whole) and line.split("+", 4)[-1].strip() not in repr(whole)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "to\u0302\u0301t"])
def test_a_name_that_notes_cannot_carry_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LedgerError):
        Signer.create(tmp_path / "key", name)
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_is_no_note_is_not_signed(tmp_path: Path) -> None:
    signer = Signer.create(tmp_path / "key", "gaccong/test")
    for text in ("no newline", "a\tb\n", "a\r\n"):
        with pytest.raises(ValueError):
            signer.sign_note(text)


def test_a_folder_that_takes_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((SecretError, OSError)) as refused:
        Signer.create(tmp_path / "file" / "key", "gaccong/test")
    assert isinstance(refused.value, SecretError) and os.listdir(tmp_path) == ["file"]
