"""The data of the backup benchmark: a commune's site of many small files, some media and a database dump.

Whole (scale 1.0): 20,000 files of 1 to 50 KB (60 % text that compresses, 40 % that does not), 32 media files of 6.25 MB,
one SQL dump of 300 MB; 1.05 GB, 20,033 files. The same bytes each time for the same scale.
"""

from __future__ import annotations

import random
from pathlib import Path

FILES, MEDIA, MEDIA_BYTES, DUMP_BYTES = 20_000, 32, 6_250_000, 300_000_000
_WORDS = ("xã", "thông báo", "quyết định", "ủy ban", "nhân dân", "lịch tiếp", "công dân", "hồ sơ", "thủ tục", "hành chính",
          "đất đai", "hộ tịch", "văn bản", "họp", "thôn", "nông thôn mới", "chuyển đổi số", "khen thưởng", "tuyển quân")


def text(dice: random.Random, size: int) -> bytes:
    """Vietnamese-looking text that compresses to about a third."""
    made, length = [], 0
    while length < size:
        word = f"{dice.choice(_WORDS)} {dice.randrange(10 ** 6)}"
        made.append(word)
        length += len(word.encode()) + 1
    return " ".join(made).encode()[:size]


def fill(folder: Path, scale: float) -> tuple[int, int]:
    """Makes the data set below `folder`; gives (files, bytes)."""
    dice = random.Random(20_033)
    files = size = 0
    for number in range(max(10, int(FILES * scale))):
        place = folder / f"{number % 97:02d}"
        place.mkdir(parents=True, exist_ok=True)
        length = dice.randint(1000, 50_000)
        body = text(dice, length) if dice.random() < 0.6 else dice.randbytes(length)
        (place / f"{number}.bin").write_bytes(body)
        files, size = files + 1, size + length
    media = folder / "media"
    media.mkdir()
    for number in range(MEDIA):
        length = int(MEDIA_BYTES * scale)
        (media / f"{number}.mp4").write_bytes(dice.randbytes(length))
        files, size = files + 1, size + length
    block = text(dice, 1_000_000)
    with (folder / "site.sql").open("wb") as dump:
        left, row = int(DUMP_BYTES * scale), 0
        while left > 0:
            at = dice.randrange(len(block) - 4000)
            line = b"INSERT INTO bai VALUES (%d,'%s');\n" % (row, block[at : at + 3000])
            dump.write(line[:left])
            left, row = left - len(line), row + 1
    return files + 1, size + int(DUMP_BYTES * scale)
