"""robots.txt as RFC 9309 reads it: the longest rule wins, allowing wins a tie, `*` and `$` have their meaning. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

MOST_BYTES = 512 << 10
_MOST_RULES = 5000
SLOWEST = 30.0
"""Seconds: a Crawl-delay beyond it is taken as this."""


@dataclass
class Robots:
    """What a site asks of this crawler. rules: (length, allowed, pattern); delay: seconds; sitemaps: addresses."""

    rules: list[tuple[int, bool, re.Pattern[str]]] = field(default_factory=list)
    delay: float = 0.0
    sitemaps: list[str] = field(default_factory=list)

    def allow(self, address: str) -> bool:
        """Whether the page may be fetched."""
        parts = urlsplit(address)
        asked = _plain(parts.path + (f"?{parts.query}" if parts.query else ""))
        best = max(((length, allowed) for length, allowed, pattern in self.rules if pattern.match(asked)),
                   default=(0, True))
        return best[1]


def read(body: bytes, agent: str) -> Robots:
    """The rules of the group for `agent` (a product name, lower case), or else of `*`."""
    groups: dict[str, Robots] = {}
    named: list[str] = []
    open_head = False
    sitemaps: list[str] = []
    for line in body[:MOST_BYTES].decode("utf-8-sig", "replace").splitlines()[: _MOST_RULES * 4]:
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "sitemap":
            sitemaps.append(value)
        elif key == "user-agent":
            named = named if open_head else []
            open_head = True
            name = value.lower()
            if name in (agent, "*") and name not in named:  # of other crawlers' rules there may be no end
                named.append(name)
                groups.setdefault(name, Robots())
        else:
            open_head = False
            for name in named:
                _take(groups[name], key, value)
    found = groups.get(agent) or groups.get("*") or Robots()
    found.sitemaps = sitemaps[:100]
    return found


def _take(group: Robots, key: str, value: str) -> None:
    if key in ("allow", "disallow") and value and len(group.rules) < _MOST_RULES and len(value) <= 2000:
        group.rules.append((len(value), key == "allow", _pattern(value)))
    elif key == "crawl-delay" and re.fullmatch(r"\d{1,6}(\.\d{1,3})?", value):
        group.delay = min(float(value), SLOWEST)


def _pattern(value: str) -> re.Pattern[str]:
    end = value.endswith("$")
    parts = re.split(r"\*+", value.removesuffix("$"))
    # each part is taken at its first place: no rule can make the match slow
    made = re.escape(_plain(parts[0])) + "".join(f"(?>.*?{re.escape(_plain(part))})" for part in parts[1:-1])
    if len(parts) > 1:
        made += f".*{re.escape(_plain(parts[-1]))}" if end else f".*?{re.escape(_plain(parts[-1]))}"
    return re.compile(made + ("$" if end else ""), re.S)


def _plain(text: str) -> str:
    return unquote(text, errors="replace")
