"""What restic 0.17 and newer runs as its command: hands the dump on, and says at its end whether it may count.

`python -m backup.servers.relay DATA VERDICT`, two descriptors inherited from `backup.stream`. Exit 0 only when the
verdict holds exactly the number of bytes that went through. Whoever dies on the way leaves no verdict, and so no snapshot.
"""

from __future__ import annotations

import os
import sys


def main(words: list[str]) -> int:
    """Copies DATA to standard output, then waits for the verdict."""
    data, verdict = int(words[0]), int(words[1])
    count = 0
    while block := os.read(data, 1 << 20):
        count += len(block)
        left = memoryview(block)
        while left:
            left = left[os.write(1, left):]
    said = b""
    while part := os.read(verdict, 64):
        said += part
    return 0 if count and said == b"%d\n" % count else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
