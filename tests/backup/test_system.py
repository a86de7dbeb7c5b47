"""The machine around the site: this very one noted and drilled, another one over ssh, and what the note must not hold."""

from __future__ import annotations

import grp
import json
import os
import pwd
import socket
import subprocess
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from backup import machine
from backup.checks.drill import drill
from backup.source import Restored, read_note, write_note
from backup.sources import system
from backup.stage import stage_of
from tests.accounts.servers import Sshd
from tests.backup.far import FarRoom, take_key
from tests.backup.room import Room

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="reads all of /etc")


def certificate(path: Path, name: str) -> None:
    """A certificate with its private key before it, as many servers keep them."""
    key = ec.generate_private_key(ec.SECP256R1())
    title = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder().subject_name(title).issuer_name(title).public_key(key.public_key()).serial_number(7) \
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(90)) \
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False).sign(key, hashes.SHA256())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()) + made.public_bytes(serialization.Encoding.PEM))


def system_room(room: Room, **source: Any) -> Room:
    one = {"level": "system", "schedule": "0 2 * * *", "source": [{"kind": "system", **source}]}
    room.site.settings["backup"] = room.settings(set={"system": one, "user": {**one, "level": "user"}})
    return room


def note(room: Room) -> dict[str, Any]:
    return read_note(stage_of(room.tmp / "home", "system") / "system.note.json")


@AS_ROOT
def test_this_machine_is_copied_and_drilled(room: Room) -> None:
    system_room(room)
    first = room.plan("system")
    body = room.night("system")
    assert body["outcome"] == "proved", body["proofs"]
    assert room.plan("system") == first
    told = note(room)
    assert [user[:3] for user in told["users"]] == [[one.pw_name, one.pw_uid, one.pw_gid] for one in pwd.getpwall()]
    assert {group[0] for group in told["groups"]} == {one.gr_name for one in grp.getgrall()}
    listed = subprocess.run(["dpkg", "-l"], capture_output=True, text=True, timeout=60, check=True).stdout
    held = [line.split() for line in listed.splitlines() if line[1:2] == "i" and line[2:3] == " "]
    assert told["packages"] == {words[1]: words[2] for words in held} and "dpkg" in told["packages"]
    shown = subprocess.run(["apt-mark", "showmanual"], capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert {name.partition(":")[0] for name in told["manual"]} == {name.partition(":")[0] for name in shown}
    assert told["os"]["ID"] and told["kernel"].startswith("Linux") and told["architectures"][0]
    assert told["more"]["sha256"] and told["mounts"]
    for secret in Path("/etc/shadow").read_text().splitlines():
        hashed = secret.split(":")[1]
        assert len(hashed) < 4 or hashed not in json.dumps(told)
    found = room.look(drill, "system")["system"]
    assert found.verdict == "met" and found.measures["packages"] == len(told["packages"]), found.detail


def test_what_listens_is_noted_without_process_numbers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        said, _ = machine.here()
        told = machine.facts(said)[0]["listening"]
    row = next(row for row in told if row[1].endswith(f":{server.getsockname()[1]}" if server.fileno() >= 0 else row[1]))
    assert row[0] == "tcp" and "pid" not in json.dumps(told)


def test_facts_of_recorded_answers() -> None:
    said = {
        "packages": "ii \tnginx\t1.22\nhi \tphp8.2\t8.2.1\nrc \tcu\t1\nii \tlibc6:amd64\t2.36\n",
        "automatic": "Package: libc6\nArchitecture: amd64\nAuto-Installed: 1\n\nPackage: php8.2\nAuto-Installed: 0\n",
        "sources": "deb https://ten:mat-khau@kho.test/goi stable main\nURIs: https://kho-khac.test/\n",
        "users": "root:x:0:0:root:/root:/bin/bash\nxa:$6$muoi$bam:1000:1000::/home/xa:/bin/sh\nhỏng\n",
        "groups": "sudo:x:27:xa,ban\n", "architectures": "amd64\n", "foreign": "i386\n",
        "enabled": "multi-user.target.wants/nginx.service\t/lib/x\ntimers.target.wants/sao.timer\t/etc/x\ntat.service\t/dev/null\n"
                   "dbus-x.service\t/lib/y\n",
        "disks": "{hỏng", "listening": 'tcp LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=7,fd=6),("nginx",pid=8,fd=6))\n',
    }
    told, unknown = machine.facts(said)
    assert told["packages"] == {"nginx": "1.22", "php8.2": "8.2.1", "libc6:amd64": "2.36"}
    assert told["held"] == ["php8.2"] and told["manual"] == ["nginx", "php8.2"]
    assert told["sources"][0] == "deb https://***@kho.test/goi stable main" and "mat-khau" not in json.dumps(told)
    assert told["users"][1] == ["xa", 1000, 1000, "/home/xa", "/bin/sh"] and "$6$" not in json.dumps(told)
    assert told["groups"] == [["sudo", 27, ["xa", "ban"]]] and told["architectures"] == ["amd64", "i386"]
    assert (told["enabled"], told["timers"], told["masked"]) == (["nginx.service"], ["sao.timer"], ["tat.service"])
    assert told["listening"] == [["tcp", "0.0.0.0:80", "nginx"]] and "disks" in unknown
    assert "crontabs" in machine.facts({"crontabs": "x\n" * machine.MOST})[1]  # bounded


def test_more_is_packed_as_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "usr/local/bin"
    place.mkdir(parents=True)
    (place / "sao-lưu.sh").write_text("#!/bin/sh\n")
    (place / "sao-lưu.sh").chmod(0o750)
    os.link(place / "sao-lưu.sh", place / "tên-khác")
    (place / "liên-kết").symlink_to("/etc/shadow")
    os.mkfifo(place / "ống")
    (place / "lớn").write_bytes(b"x" * 5000)
    monkeypatch.setattr(system, "_MOST_FILE", 4000)
    told = system.pack(tmp_path / "x.tar", [place, tmp_path / "khong-co"])
    assert told["files"] == 1 and "lớn: too large" in told["left_out"][0]
    with tarfile.open(tmp_path / "x.tar") as archive:
        members = {Path(member.name).name: member for member in archive}
    assert set(members) == {"bin", "sao-lưu.sh", "tên-khác", "liên-kết"}
    assert members["sao-lưu.sh"].mode == 0o750 and members["liên-kết"].linkname == "/etc/shadow"
    assert system.pack(tmp_path / "y.tar", [place])["sha256"] == told["sha256"]  # the same every night
    assert list(system._same_tar(tmp_path / "x.tar", told)) == []
    (tmp_path / "x.tar").write_bytes((tmp_path / "x.tar").read_bytes()[:-3000])
    assert len(list(system._same_tar(tmp_path / "x.tar", told))) == 1


def test_a_copy_that_lacks_an_account_or_the_list_is_found(tmp_path: Path) -> None:
    source = system.Source.model_validate({"kind": "system"})
    stage, etc = tmp_path / "stage", tmp_path / "root/etc"
    etc.mkdir(parents=True)
    stage.mkdir()
    (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    told = system.pack(stage / "system.more.tar", [etc])
    write_note(stage / "system.note.json", {"packages": {"dpkg": "1"}, "users": [["root", 0, 0, "/", ""]], "more": told})

    def faults() -> list[str]:
        return [text.en for text in source.examine(Restored(tmp_path / "root", stage, tmp_path, lambda *_: None, {}))]  # type: ignore[arg-type,return-value]

    assert faults() == []
    write_note(stage / "system.note.json", {"packages": {}, "users": [["root"], ["xa"]], "more": {**told, "sha256": "0"}})
    assert faults() == ["the package list is empty", "accounts in the note that /etc/passwd lacks: xa",
                        "system.more.tar is not the file that was noted"]
    (etc / "passwd").unlink()
    (stage / "system.note.json").write_text("[")
    assert "cannot be read" in faults()[0]


def test_a_certificate_that_cannot_be_read_is_trouble_only_where_it_was_named(room: Room) -> None:
    certificate(room.etc / "ssl/xa.pem", "xamau.demo.test")
    system_room(room, paths=[str(room.etc)], certificates=[str(room.etc / "ssl")])
    assert room.night("system")["outcome"] == "proved"
    [one] = note(room)["certificates"]
    assert one["names"] == ["xamau.demo.test"] and one["until"].startswith("2026-04-01") and "PRIVATE" not in json.dumps(note(room))
    (room.etc / "ssl/hong.crt").write_text("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")
    body = room.night("system")
    assert body["outcome"] == "unproved" and "ValueError" in body["proofs"][0][1]


@AS_ROOT
def test_another_machine(tmp_path: Path, template: Path) -> None:
    sshd = Sshd(tmp_path / "sshd")
    etc = tmp_path / "xa/etc"
    certificate(etc / "ssl/xa.pem", "xamau.demo.test")
    certificate(tmp_path / "cua-ta.pem", "khong.test")
    (etc / "ssl/ra-ngoai.pem").symlink_to(tmp_path / "cua-ta.pem")  # leads to a file of ours once it is here
    (etc / "nginx.conf").write_text("server {}\n")
    room = FarRoom(tmp_path, template, far={"web": sshd.host("web", key=take_key(sshd, tmp_path / "bi-mat"))})
    system_room(room, host="web", paths=[str(etc)], certificates=[str(etc / "ssl")])
    try:
        body = room.night("system")
        found = room.look(drill, "system")["system"]
    finally:
        sshd.stop()
    assert body["outcome"] == "proved", body["proofs"]
    assert found.verdict == "met", found.detail
    told = note(room)
    assert [one["names"] for one in told["certificates"]] == [["xamau.demo.test"]]
    assert told["certificates"][0]["file"] == f"{etc}/ssl/xa.pem"
    assert "dpkg" in told["packages"] and told["users"][0][0] == "root"
    body = room.night("system")  # that machine is off
    assert body["outcome"] == "unproved" and "không kết nối được" in body["proofs"][0][1]
