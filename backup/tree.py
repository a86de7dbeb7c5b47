"""Walks what is to be copied, in tree order, leaving out what restic would leave out by the same patterns."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator

_LETTER = (rb"(?>[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|"
           rb"\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[^/])")
"""What restic's `?` stands for: one letter of UTF-8, or one byte that is none. Never half a letter (hence atomic)."""


def order(path: bytes) -> tuple[bytes, ...]:
    """Sort key of tree order: a folder comes before what is in it, names by their bytes."""
    return tuple(path.split(b"/"))


def matcher(patterns: Iterable[str]) -> Callable[[bytes], bool]:
    """Whether a path is named by one of restic's patterns (absolute; `*`, `?`, `**/`, backslash before a literal)."""
    parts = [_regex(pattern) for pattern in patterns]
    if not parts:
        return lambda path: False
    joined = re.compile(b"|".join(parts), re.S)
    return lambda path: joined.fullmatch(path) is not None


def _regex(pattern: str) -> bytes:
    made, data, at = b"", os.fsencode(pattern), 0
    while at < len(data):
        rest, sign = data[at:], data[at : at + 1]
        if rest.startswith(b"**/"):
            made, at = made + rb"(?:[^/]+/)*", at + 3
            continue
        if sign == b"\\" and at + 1 < len(data):
            at += 1
            made += re.escape(data[at : at + 1])
        else:
            made += {b"*": rb"[^/]*", b"?": _LETTER}.get(sign, re.escape(sign))
        at += 1
    return made


Found = tuple[bytes, os.stat_result | None, str]
"""(path, lstat, trouble); no lstat: it is there, but not even that could be asked."""


def walk(roots: Iterable[bytes], left_out: Callable[[bytes], bool]) -> Iterator[Found]:
    """What lies at and below `roots`, in tree order; nested roots are walked once."""
    last: bytes | None = None
    for root in sorted(set(roots), key=order):
        if last is not None and root.startswith(last.rstrip(b"/") + b"/"):
            continue
        last = root
        try:
            status = os.lstat(root)
        except OSError:
            continue  # told as missing in the header
        yield from _below(root, status, left_out)


def _below(root: bytes, first: os.stat_result, left_out: Callable[[bytes], bool]) -> Iterator[Found]:
    """A tree, without recursion: somebody may nest folders deeper than Python calls."""
    names, trouble = _names(root, first, left_out)
    if names is None:
        return
    yield root, first, trouble
    open_folders = [(root, iter(names))]
    while open_folders:
        folder, left = open_folders[-1]
        name = next(left, None)
        if name is None:
            open_folders.pop()
            continue
        path = folder.rstrip(b"/") + b"/" + name
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone between listing and asking: it was never there for this copy
        except OSError as error:
            if not left_out(path):
                yield path, None, error.strerror or "unreadable"
            continue
        names, trouble = _names(path, status, left_out)
        if names is not None:
            yield path, status, trouble
            open_folders.append((path, iter(names)))


def _names(path: bytes, status: os.stat_result, left_out: Callable[[bytes], bool]) -> tuple[list[bytes] | None, str]:
    """(names in a folder in order, trouble); None for what does not belong into the manifest."""
    if left_out(path) or stat.S_ISSOCK(status.st_mode):
        return None, ""
    if not stat.S_ISDIR(status.st_mode):
        return [], ""
    try:
        with os.scandir(path) as found:
            return sorted(entry.name for entry in found), ""
    except (FileNotFoundError, NotADirectoryError):
        return [], ""
    except OSError as error:
        return [], error.strerror or "unreadable"
