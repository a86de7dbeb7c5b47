"""The crawler itself, as a process of its own (`python -m backup.crawl.inner`): what reads a stranger's HTML, XML and
gzip is not root, has little memory, and can write only into the two files that were opened for it.

Takes its orders as JSON on standard input, with descriptors of the files; gives the tally as one JSON line.
"""

from __future__ import annotations

import ipaddress
import json
import os
import resource
import sys
from dataclasses import asdict
from typing import Any

from backup.crawl import walk
from backup.crawl.addresses import Scope, normal
from backup.crawl.archive import Archive, Before
from backup.crawl.wire import Wire, authorities
from backup.hold import NOBODY, can_drop, drop
from backup.ssh import end_with_parent
from ops import __version__

_MEMORY = 3 << 30
_CODECS = ("idna", "utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252", "cp1258", "ascii", "punycode")


def main() -> int:
    """Exit 0 whatever the site was like: the tally tells."""
    orders = json.load(sys.stdin)
    roots = authorities(orders["ca"])
    _shut_in(int(orders["bytes"]))
    with os.fdopen(orders["archive_fd"], "wb") as out, os.fdopen(orders["index_fd"], "w", encoding="ascii") as listed:
        old = os.fdopen(orders["old_archive_fd"], "rb") if orders["old_archive_fd"] >= 0 else None
        old_index = os.fdopen(orders["old_index_fd"], "rb") if orders["old_index_fd"] >= 0 else None
        agent = f"gaccong/{__version__} (mirror; +{orders['seeds'][0]})"
        archive = Archive(out, orders["filename"], {
            "software": f"gaccong/{__version__}", "format": "WARC File Format 1.1",
            "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
            "http-header-user-agent": agent, "robots": "obey" if orders["robots"] else "ignore",
            "isPartOf": " ".join(orders["seeds"])})
        one = walk.Walk(
            orders["seeds"], Scope.of(orders["seeds"], orders["hosts"], orders["exclude"]),
            Wire(agent, orders["most"], _inside(orders), roots),
            walk.Bounds(orders["pages"], orders["bytes"], orders["seconds"], orders["alike"], orders["rate"]),
            archive, Before(old, old_index), heed_robots=orders["robots"], room=out.fileno())
        one.go(orders["sitemaps"])
        for entry in sorted(one.pages.values(), key=lambda found: found.line()):
            listed.write(entry.line())
        for stream in (out, listed):
            stream.flush()
            os.fsync(stream.fileno())
        good = [entry for entry in one.pages.values() if entry.status == 200]
        seen = sum(entry.url not in one.kept for entry in good)
        last = int(orders["last"])
        print(json.dumps({**asdict(one.tally), "pages": len(good), "seen": seen, "urls": len(one.pages),
                          "archive_bytes": archive.size, "trouble": walk.verdict(one.tally, seen, last)},
                         ensure_ascii=True))
    return 0


def _inside(orders: dict[str, Any]) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Private networks that may be asked: those of the settings, and the very address that a seed is written with."""
    from urllib.parse import urlsplit

    named = list(orders["networks"])
    for seed in orders["seeds"]:
        host = urlsplit(normal(seed)).hostname or ""
        try:
            named.append(str(ipaddress.ip_address(host)))
        except ValueError:
            continue
    return tuple(ipaddress.ip_network(network, strict=False) for network in named)


def _shut_in(most: int) -> None:
    """Loads what may be in folders that only root can read, then gives root up."""
    import codecs
    import encodings.idna  # noqa: F401
    import socket

    import pycurl
    import warcio.archiveiterator
    import warcio.exceptions  # noqa: F401
    from selectolax.lexbor import LexborHTMLParser

    for name in _CODECS:
        codecs.lookup(name)
    LexborHTMLParser("<p>").css("p")
    pycurl.Curl().close()
    socket.getaddrinfo("127.0.0.1", 80)
    for kind, amount in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, most * 3 + (1 << 30))):
        resource.setrlimit(kind, (amount, amount))
    if can_drop():
        drop(NOBODY, NOBODY)
        end_with_parent()  # the kernel forgot it with root


if __name__ == "__main__":
    sys.exit(main())
