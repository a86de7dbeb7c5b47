"""The machine around the site: `kind = "system"`, enough to set it up again: `/etc` and what is no file.

Paths (configuration, crontabs, timers, users and groups) are copied where they lie, or with `host` brought from another
machine. Into the note in the stage goes what is no file: packages with versions and where they come from, what is
switched on, users, listening services, disks, names and dates of certificates. Without `paths` the source takes `/etc`,
and into NAME.more.tar what other folders hold of the machine's own set-up, where they are there (crontabs, /usr/local,
keyrings). Run as a module it is that staging step.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import stat
import sys
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from backup import machine
from backup.restic import escaped
from backup.source import PART_DONE, BaseSource, Desk, Name, Restored, read_note, write_note
from backup.sources.files import fetching, refuse_unfit
from backup.ssh import chain, described, secrets_of
from ops import Place, Step, Text, python, say

ETC = Path("/etc")
MORE = tuple(map(Path, (
    "/var/spool/cron/crontabs", "/usr/local/bin", "/usr/local/sbin", "/usr/local/etc", "/usr/local/lib/systemd",
    "/usr/share/keyrings", "/var/lib/systemd/linger", "/root/.ssh/authorized_keys")))
"""Taken where they are there, when the settings name no paths. Any of them may be missing or empty by right."""
CERTIFICATES = tuple(map(Path, ("/etc/letsencrypt/live", "/etc/nginx", "/etc/apache2", "/etc/ssl/private")))
_MOST_FILE, _MOST_TAR, _MOST_CERTIFICATES, _MOST_PEM = 64 << 20, 512 << 20, 500, 1 << 20


class Source(BaseSource):
    """paths: copied as they are; none: /etc, and what MORE names. packages: list Debian's packages. certificates: PEM
    files or folders of them; none and no paths: where they usually lie. host: the machine, if it is another one."""

    reaches: ClassVar[bool] = True
    kind: Literal["system"]
    name: Name = "system"
    paths: Annotated[tuple[Place, ...], Field(min_length=1)] = (ETC,)
    packages: bool = True
    certificates: tuple[Place, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        refuse_unfit(self.paths, far=self.far)
        return self

    @property
    def _whole(self) -> bool:
        """True when the settings leave to us what belongs to a machine."""
        return "paths" not in self.model_fields_set

    @property
    def _label(self) -> str:
        return f"{self.name}-files"

    def live(self) -> tuple[Path, ...]:
        """The paths themselves; none of another machine's."""
        return () if self.far else self.paths

    def staged(self) -> tuple[str, ...]:
        """The note; the archive of what lies elsewhere; another machine's files with their own note."""
        more = (f"{self.name}.more.tar",) if self._whole and not self.far else ()
        mirror = (self._label, f"{self._label}.note.json") if self.far else ()
        return (f"{self.name}.note.json", *more, *mirror)

    def stage(self, desk: Desk) -> list[Step]:
        """Another machine's files first; then packages, certificates, note."""
        why = say("ghi danh mục gói phần mềm, dịch vụ, tài khoản, ổ đĩa và chứng thư",
                  "note packages, services, accounts, disks and certificates")
        words = ["--name", self.name, "--stage", str(desk.folder), *(["--packages"] if self.packages else [])]
        words += [part for path in self.certificates for part in ("--certificates", str(path))]
        words += ["--whole"] if self._whole else []
        if not self.far:
            return [Step(why, python("backup.sources.system", *words), expect=(0, PART_DONE), keep=True, timeout=900.0)]
        way = chain(self.host, desk.hosts)
        argv = python("backup.sources.system", *words, "--host", described(way), "--mirror", self._label)
        return [fetching(desk, self.host, self._label, self.paths, ()),
                Step(why, argv, secrets=secrets_of(way), expect=(0, PART_DONE), keep=True, timeout=900.0)]

    def needed(self) -> tuple[str, ...]:
        """The accounts, for they are compared with the note."""
        return () if self.far else tuple(
            escaped(f"{path}/{name}") for path in self.paths if path == ETC for name in ("passwd", "group"))

    def examine(self, copy: Restored) -> Iterable[Text]:
        """The paths must be there again, the note must tell of a machine, and both of the same accounts."""
        root = copy.stage / self._label if self.far else copy.root
        for path in self.paths:
            if not (root / path.relative_to("/")).exists():
                yield say("không có {p} trong bản khôi phục", "{p} is not in the restored copy", p=path)
        try:
            noted = read_note(copy.stage / f"{self.name}.note.json")
        except (OSError, ValueError) as error:
            yield say("không đọc được ghi chú hệ thống: {e}", "the system note cannot be read: {e}", e=error)
            return
        if self.packages and not noted.get("packages"):
            yield say("danh mục gói phần mềm rỗng", "the package list is empty")
        yield from self._accounts(root, noted)
        if "more" in noted and f"{self.name}.more.tar" in self.staged():
            yield from _same_tar(copy.stage / f"{self.name}.more.tar", noted["more"])
        copy.measures["packages"] = copy.measures.get("packages", 0) + len(noted.get("packages", ()))

    def _accounts(self, root: Path, noted: dict[str, Any]) -> Iterator[Text]:
        if ETC not in self.paths or not noted.get("users"):
            return
        try:
            there = machine.names_in((root / "etc/passwd").read_text("utf-8", "backslashreplace"))
        except OSError as error:
            yield say("không đọc được /etc/passwd trong bản khôi phục: {e}", "/etc/passwd cannot be read in the restored copy: {e}",
                      e=error)
            return
        absent = sorted({str(user[0]) for user in noted["users"]} - there)
        if absent:
            yield say("tài khoản có trong ghi chú nhưng không có trong /etc/passwd: {n}",
                      "accounts in the note that /etc/passwd lacks: {n}", n=", ".join(absent[:10]))


def _same_tar(path: Path, noted: dict[str, Any]) -> Iterator[Text]:
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with tarfile.open(path) as archive:
            files = sum(member.isreg() for member in archive)
    except (OSError, tarfile.TarError) as error:
        yield say("{f} không đọc được: {e}", "{f} cannot be read: {e}", f=path.name, e=error)
        return
    if (digest, files) != (noted.get("sha256"), noted.get("files")):
        yield say("{f} không phải tệp đã ghi trong ghi chú", "{f} is not the file that was noted", f=path.name)


def packages() -> dict[str, str]:
    """Installed Debian packages, name -> version. Raises OSError without dpkg."""
    said, unknown = machine.here()
    found: dict[str, str] = machine.facts(said)[0].get("packages", {})
    if not found:
        raise OSError(f"dpkg-query: {unknown.get('packages', 'no package')}")
    return found


def certificates(paths: Iterable[Path], root: Path = Path("/")) -> Iterator[dict[str, Any]]:
    """Names and dates of each certificate in PEM files, or in the *.pem, *.crt and *.cer files of folders.

    root: where another machine's files lie here; a link that leads out of it is passed over. Raises OSError, ValueError.
    """
    from cryptography import x509

    for path in paths:
        place = root / path.relative_to("/")
        files = sorted(found for found in place.rglob("*") if found.suffix in (".pem", ".crt", ".cer")) \
            if place.is_dir() else [place]
        for file in files:
            if not file.resolve().is_relative_to(root) or (file.exists() and not file.is_file()):
                continue
            with file.open("rb") as stream:
                body = stream.read(_MOST_PEM)
            for block in re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", body, re.S):
                found = x509.load_pem_x509_certificate(block)
                yield {"file": f"/{file.relative_to(root)}", "subject": found.subject.rfc4514_string(),
                       "issuer": found.issuer.rfc4514_string(), "names": _names(found),
                       "from": found.not_valid_before_utc.isoformat(), "until": found.not_valid_after_utc.isoformat()}


def _names(certificate: Any) -> list[str]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in extension.value]


def pack(target: Path, paths: Iterable[Path]) -> dict[str, Any]:
    """Puts what is there of `paths` into a tar, in order, links as links; gives files, bytes, hash and what was left out."""
    temporary = target.with_name(f".{target.name}.new")
    target.unlink(missing_ok=True)
    told: dict[str, Any] = {"files": 0, "bytes": 0, "left_out": []}
    with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in paths:
            with suppress(FileNotFoundError):
                path.lstat()
                for found in (path, *sorted(path.rglob("*"))) if path.is_dir() and not path.is_symlink() else (path,):
                    _pack_one(archive, found, told)
    temporary.chmod(0o600)
    with temporary.open("rb") as stream:
        told["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
    temporary.replace(target)
    return told


def _pack_one(archive: tarfile.TarFile, path: Path, told: dict[str, Any]) -> None:
    try:
        member = archive.gettarinfo(path)
        if member is None or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            return
        if not member.isreg():
            archive.addfile(member)
            return
        held = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(held, "rb") as stream:
            status = os.fstat(held)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_FILE or told["bytes"] + status.st_size > _MOST_TAR:
                raise OSError("too large")
            body = stream.read(status.st_size)
            member.size = len(body)
            from io import BytesIO

            archive.addfile(member, BytesIO(body))
    except OSError as error:
        told["left_out"] = [*told["left_out"], f"{path}: {error.strerror or error}"][:50]
        return
    told["files"] += 1
    told["bytes"] += member.size


def note_of(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """All that is no file, as the note has it; `trouble` where something that was asked for could not be had."""
    note: dict[str, Any] = {"kind": "system", "name": name, "packages": {}, "certificates": [], "trouble": ""}
    try:
        said, unknown = machine.far(given.host) if given.host else machine.here()
        made, more = machine.facts(said)
        note |= made | {"unknown": unknown | more}
        if given.packages and not note["packages"]:
            raise OSError(f"dpkg-query: {note['unknown'].get('packages', 'no package')}")
        if not given.packages:
            note |= {"packages": {}, "held": [], "manual": []}
        root = (given.stage / given.mirror).resolve() if given.mirror else Path("/")
        note["certificates"] = list(certificates(given.certificates, root))[:_MOST_CERTIFICATES]
        if given.whole and not given.certificates:
            note["certificates"] = list(_usual(root))[:_MOST_CERTIFICATES]
    except (OSError, ValueError) as error:
        note["trouble"] = f"{type(error).__name__}: {error}"[:2000]
    return note


def _usual(root: Path) -> Iterator[dict[str, Any]]:
    """Certificates where they usually lie; one that cannot be read is nobody's fault."""
    for path in CERTIFICATES:
        with suppress(OSError, ValueError):
            yield from certificates([path], root)


def main(arguments: list[str] | None = None) -> int:
    """The staging step. Exit 0, or 3 when something could not be noted. Prints counts as one JSON line."""
    parser = argparse.ArgumentParser(prog="backup.sources.system")
    parser.add_argument("--name", required=True)
    parser.add_argument("--stage", required=True, type=Path)
    parser.add_argument("--packages", action="store_true")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--certificates", action="append", default=[], type=Path)
    for name in ("--host", "--mirror"):
        parser.add_argument(name, default="")
    given = parser.parse_args(arguments)
    note = note_of(given.name, given)
    if given.whole and not given.host:
        try:
            note["more"] = pack(given.stage / f"{given.name}.more.tar", MORE)
        except OSError as error:
            note["trouble"] = f"{note['trouble']} {type(error).__name__}: {error}".strip()
    write_note(given.stage / f"{given.name}.note.json", note)
    counts = {key: len(note.get(key, ())) for key in ("packages", "certificates", "users", "enabled", "timers", "crontabs")}
    print(json.dumps({**counts, "more_files": note.get("more", {}).get("files", 0), "trouble": note["trouble"]},
                     ensure_ascii=False))
    return PART_DONE if note["trouble"] else 0


if __name__ == "__main__":
    sys.exit(main())
