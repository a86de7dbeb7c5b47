"""The machine around the site: `kind = "system"  paths = ["/etc", "/var/spool/cron"]  packages = true`.

Paths (configuration, crontabs, timers, users and groups) are copied where they lie. What is no file is written into
the stage: packages with versions, and names and dates of certificates. Run as a module it is that staging step.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from backup.source import PART_DONE, BaseSource, Desk, Name, Restored, read_note, write_note
from ops import Place, Step, Text, python, say

_QUERY = ("dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}\t${binary:Package}\t${Version}\n")


class Source(BaseSource):
    """paths: copied as they are. packages: list Debian's packages. certificates: PEM files or folders of them."""

    kind: Literal["system"]
    name: Name = "system"
    paths: Annotated[tuple[Place, ...], Field(min_length=1)]
    packages: bool = True
    certificates: tuple[Place, ...] = ()

    def live(self) -> tuple[Path, ...]:
        """The paths themselves."""
        return self.paths

    def staged(self) -> tuple[str, ...]:
        """One note with all that is no file."""
        return (f"{self.name}.note.json",)

    def stage(self, desk: Desk) -> list[Step]:
        """One step: packages, certificates, note."""
        why = say("ghi danh mục gói phần mềm và chứng thư", "note the packages and certificates")
        chosen = ("--packages",) if self.packages else ()
        named = [part for path in self.certificates for part in ("--certificates", str(path))]
        argv = python("backup.sources.system", "--name", self.name, "--stage", str(desk.folder), *chosen, *named)
        return [Step(why, argv, expect=(0, PART_DONE), keep=True, timeout=300.0)]

    def examine(self, copy: Restored) -> Iterable[Text]:
        """The paths must be there again and the package list must not be empty."""
        for path in self.paths:
            if not (copy.root / path.relative_to("/")).exists():
                yield say("không có {p} trong bản khôi phục", "{p} is not in the restored copy", p=path)
        try:
            noted = read_note(copy.stage / f"{self.name}.note.json")
        except (OSError, ValueError) as error:
            yield say("không đọc được ghi chú hệ thống: {e}", "the system note cannot be read: {e}", e=error)
            return
        if self.packages and not noted.get("packages"):
            yield say("danh mục gói phần mềm rỗng", "the package list is empty")


def packages() -> dict[str, str]:
    """Installed Debian packages, name -> version. Raises OSError without dpkg, subprocess errors when it fails."""
    done = subprocess.run(_QUERY, capture_output=True, text=True, timeout=120, check=True)
    rows = (line.split("\t") for line in done.stdout.splitlines())
    return {name: version for state, name, version in rows if state.startswith("ii")}


def certificates(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """Names and dates of each certificate in PEM files, or in the *.pem, *.crt and *.cer files of folders."""
    from cryptography import x509

    for path in paths:
        files = sorted(found for found in path.rglob("*") if found.suffix in (".pem", ".crt", ".cer")) \
            if path.is_dir() else [path]
        for file in files:
            blocks = re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", file.read_bytes(), re.S)
            for block in blocks:
                found = x509.load_pem_x509_certificate(block)
                yield {"file": str(file), "subject": found.subject.rfc4514_string(),
                       "issuer": found.issuer.rfc4514_string(), "names": _names(found),
                       "from": found.not_valid_before_utc.isoformat(), "until": found.not_valid_after_utc.isoformat()}


def _names(certificate: Any) -> list[str]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in extension.value]


def main(arguments: list[str] | None = None) -> int:
    """The staging step. Exit 0, or 3 when something could not be noted. Prints counts as one JSON line."""
    parser = argparse.ArgumentParser(prog="backup.sources.system")
    parser.add_argument("--name", required=True)
    parser.add_argument("--stage", required=True, type=Path)
    parser.add_argument("--packages", action="store_true")
    parser.add_argument("--certificates", action="append", default=[], type=Path)
    given = parser.parse_args(arguments)
    note: dict[str, Any] = {"kind": "system", "name": given.name, "packages": {}, "certificates": [], "trouble": ""}
    try:
        if given.packages:
            note["packages"] = packages()
        note["certificates"] = list(certificates(given.certificates))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        note["trouble"] = f"{type(error).__name__}: {error}"
    write_note(given.stage / f"{given.name}.note.json", note)
    print(json.dumps({"packages": len(note["packages"]), "certificates": len(note["certificates"]),
                      "trouble": note["trouble"]}, ensure_ascii=False))
    return PART_DONE if note["trouble"] else 0


if __name__ == "__main__":
    sys.exit(main())
