"""On which line of a TOML text each key stands; tomllib reads values but forgets places.

Works on texts that tomllib has accepted, so it only has to follow headers, keys and the ends of long values.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]
_HEADER = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'))*)\s*="""
)


def lines_of(text: str) -> dict[Path, int]:
    """Key path -> line number (from 1). Entries of an array of tables carry their index in the path."""
    found: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    waiting = ""
    start: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if waiting:
            waiting += "\n" + line
        elif header := _HEADER.match(line):
            table = _table(header, counts)
            found.setdefault(table, number)
            continue
        elif key := _KEY.match(line):
            start = (*table, *_keys(key.group(1)))
            found.setdefault(start, number)
            waiting = line
        else:
            continue
        if _whole(waiting):
            _inline(waiting, len(start) - len(table), start, found)
            waiting = ""
    return found


def _table(header: re.Match[str], counts: dict[Path, int]) -> Path:
    """The path that a header opens, with the index of each array of tables on the way."""
    path: Path = ()
    for key in _keys(header.group(2)):
        path = (*path, key)
        if path in counts:
            path = (*path, counts[path])
    if header.group(1) == "[[":
        plain = path[:-1] if path and isinstance(path[-1], int) else path
        counts[plain] = counts.get(plain, -1) + 1
        path = (*plain, counts[plain])
    return path


def _keys(dotted: str) -> tuple[str, ...]:
    """The parts of a dotted key, unquoted as TOML unquotes them."""
    try:
        data = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return (dotted,)
    keys = []
    while isinstance(data, dict) and data:
        key, data = next(iter(data.items()))
        keys.append(key)
    return tuple(keys)


def _whole(value: str) -> bool:
    try:
        tomllib.loads(value)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _inline(value: str, depth: int, start: Path, found: dict[Path, int]) -> None:
    """Keys of an inline table stand on the line of the key that holds it (`depth`: parts of that key)."""
    data: object = tomllib.loads(value)
    for _ in range(depth):
        data = next(iter(data.values())) if isinstance(data, dict) else None
    if isinstance(data, dict):
        for key in data:
            found.setdefault((*start, key), found[start])
