"""Puts a document into files: every format is made first, then all are put in place, so that nothing half is left."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from ops.errors import GaccongError, UsageError
from ops.model import say
from ops.report.tree import Document

FORMATS = ("docx", "pdf", "json")
_STEM = re.compile(r"[\w.-]+")


def write(document: Document, formats: Sequence[str], out: Path, stem: str) -> list[Path]:
    """Writes `out/stem.<format>` for each format and returns the paths, in that order.

    Raises UsageError for an unknown format or stem, GaccongError when the files cannot be written (then none is).
    """
    strange = [name for name in formats if name not in FORMATS]
    if strange or not formats:
        raise UsageError(
            say("không có định dạng {f}", "no such format: {f}", f=", ".join(strange) or "?"),
            say("chọn trong: {f}", "choose from: {f}", f=", ".join(FORMATS)),
        )
    if not _STEM.fullmatch(stem) or stem.startswith("."):
        raise UsageError(
            say("tên tệp không dùng được: {s}", "file name cannot be used: {s}", s=stem),
            say("chỉ dùng chữ, số, dấu gạch và dấu chấm", "letters, digits, dashes and dots only"),
        )
    made = [(out / f"{stem}.{name}", _maker(name)(document)) for name in dict.fromkeys(formats)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        _place(made)
    except OSError as error:
        raise GaccongError(
            say(
                "không ghi được báo cáo vào {o}: {e}",
                "the report cannot be written to {o}: {e}",
                o=out,
                e=error.strerror or error,
            ),
            say("giải phóng dung lượng hoặc chọn thư mục khác bằng --out", "free some space, or choose another --out"),
        ) from error
    return [path for path, _ in made]


def _maker(name: str) -> Callable[[Document], bytes]:
    maker: Callable[[Document], bytes] = import_module(f"ops.report.{name}").render
    return maker


def _place(made: Sequence[tuple[Path, bytes]]) -> None:
    """Writes all beside their places, then renames; the files may hold what must not be read by strangers: 0600."""
    waiting: list[tuple[str, Path]] = []
    try:
        for path, content in made:
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            waiting.append((name, path))
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        while waiting:
            name, path = waiting[0]
            Path(name).replace(path)
            waiting.pop(0)
    finally:
        for name, _ in waiting:
            with suppress(OSError):
                Path(name).unlink()
