"""Whether the rsync of this machine may pull from a machine that is not trusted.

What endangers whoever pulls (2022 and 2025; later holes that were looked at do not reach the options that `backup.fetch`
uses, or only end the program):

* CVE-2022-29154: the far side sends files that were not asked for. Mended in 3.2.5; older is refused.
* CVE-2024-12086: the far side reads any file of this machine, here as root. No option helps; mended in 3.4.0.
* CVE-2024-12087: with incremental recursion, which the far side may switch on unasked, it writes outside the destination.
  Mended in 3.4.0; `--no-inc-recursive` makes an rsync without the mend refuse such a far side as well.
* CVE-2024-12084 and -12085 are against whoever sends, -12088 against --safe-links, which is not used.

Distributions mend without a new version number. With the mends of 2025 came protocol 32, so that they can be told apart; a
package without it is judged by its own version. A build that nobody vouches for is told as a doubt and used.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

OLDEST, MENDED, MENDED_PROTOCOL = (3, 2, 5), (3, 4, 0), 32
PACKAGES = (
    ("3.2.7-0ubuntu0.22.04", "3.2.7-0ubuntu0.22.04.3"), ("3.2.7-1ubuntu", "3.2.7-1ubuntu1.1"),
    ("3.3.0-1ubuntu", "3.3.0-1ubuntu0.1"), ("3.2.7-1", "3.2.7-1+deb12u1"))
"""How versions of a package begin -> the first that is mended (USN-7206-1, DSA-5843-1). The first that fits decides."""
_SECONDS = 30.0


class Unfit(Exception):
    """This rsync must not be used; vi, en: why, with the mend."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(f"{vi} ({en})")
        self.vi, self.en = vi, en


def look() -> str:
    """A doubt about this machine's rsync in both languages, or "". Raises Unfit."""
    program = shutil.which("rsync")
    said = _said("rsync", "--version") if program else None
    if program is None or said is None:
        raise Unfit("thiếu rsync trên máy này → apt-get install rsync", "rsync is missing → apt-get install rsync")
    return judge(said, package_of(Path(program)))


def judge(said: str, package: str) -> str:
    """The same for what `rsync --version` says and the version of the Debian package that it is from ("": of none)."""
    found = re.search(r"version v?(\d+)\.(\d+)\.(\d+)", said)
    version = (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)
    if version < OLDEST:
        raise Unfit("rsync trên máy này quá cũ, cần từ 3.2.5 → nâng cấp rsync",
                    "rsync here is too old; 3.2.5 is the oldest that is safe → upgrade rsync")
    protocol = re.search(r"protocol version (\d+)", said)
    if version >= MENDED or (protocol and int(protocol[1]) >= MENDED_PROTOCOL):
        return ""
    shown = package or ".".join(map(str, version))
    first = next((first for begin, first in PACKAGES if package.startswith(begin)), "")
    if first and _at_least(package, first):
        return ""
    if first:
        raise Unfit(f"rsync {shown} trên máy này có lỗ hổng để máy kia đọc trộm tệp ở đây (CVE-2024-12086) → apt-get update && "
                    "apt-get install --only-upgrade rsync",
                    f"rsync {shown} here lets the other machine read files of this one (CVE-2024-12086) → apt-get update && "
                    "apt-get install --only-upgrade rsync")
    return (f"không rõ rsync {shown} trên máy này đã vá CVE-2024-12086 chưa; nên nâng lên 3.4.0 trở lên "
            f"(nobody can tell whether rsync {shown} here is mended against CVE-2024-12086; better 3.4.0 or newer)")


def package_of(program: Path) -> str:
    """The version of the Debian package that this program is from; "" for one of nobody's, or where there is no dpkg."""
    owner = _said("dpkg-query", "--search", str(program.resolve())) or ""
    name = owner.partition(": ")[0].partition(":")[0]
    if not name or "\n" in name or "," in name:
        return ""
    return (_said("dpkg-query", "--show", "--showformat=${Version}", name) or "").strip()


def _at_least(version: str, other: str) -> bool:
    return _said("dpkg", "--compare-versions", version, "ge", other) is not None


def _said(*argv: str) -> str | None:
    """What a program writes; None when it fails."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
