r"""Takes pg_dump's own `\restrict` lines out of a dump and hands the rest to a program (`-m backup.servers.plain -- ARGV`).

A trial load puts psql into restricted mode before the first byte, under a key that no dump knows; there psql obeys no
backslash command, not even the dump's honest `\restrict`. Those stand in the first and the last lines only.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys

from backup.found import handed_on

_EDGE = 8192
_OWN = re.compile(rb"^\\(?:un)?restrict [A-Za-z0-9]+\r?\n", re.M)


def main(words: list[str]) -> int:
    """Runs ARGV with the filtered standard input; leaves with its exit code."""
    argv = words[1:] if words[:1] == ["--"] else words
    source = io.BufferedReader(io.FileIO(0, closefd=False))
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=handed_on())
    assert child.stdin
    held = _OWN.sub(b"", source.read(_EDGE), count=1)
    try:
        while block := source.read1(1 << 20):
            held += block
            child.stdin.write(held[:-_EDGE])
            held = held[-_EDGE:]
        child.stdin.write(_OWN.sub(b"", held, count=1))
        child.stdin.close()
    except BrokenPipeError:
        pass  # the program has ended; its exit code tells
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
