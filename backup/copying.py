"""Runs `restic backup` with a parent of our own making (`backup.copying --note FILE --at R [--force] -- restic … backup …`).

restic takes an unchanged file's content from a parent snapshot, which it picks by host and paths. Whoever can write to the
repository could plant one with the true times and other content, and each later copy would carry it on. So the parent is
named: the snapshot that our last run made, as restic itself told us; where that one is not known or is gone, every file is
read anew (`--force`).

Output, errors and exit code are restic's. restic before 0.15 tells 8 digits of the snapshot's id, which can be forged;
in a repository on this machine the whole name is looked up and put in their place, elsewhere no parent is named.

This stands between every night and its copy: restic is started by hand, and what is needed of the library is loaded while
it runs.
"""

# ruff: noqa: PTH103, PTH113, PTH123, PTH208 - pathlib takes longer to load than the rest takes to run
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

_WHOLE = 64
_GONE = ("no matching", "invalid id", "not found", "does not exist")
_KEPT = 1 << 20
_DEFAULT_SIGNALS = (13, 25)
"""SIGPIPE and SIGXFSZ, which Python ignores and a program that it starts should not."""


def note_of(home: "Path", set_name: str, at: str) -> "Path":
    """Where it is noted which snapshot of a set was made last in the repository at this address."""
    import hashlib

    return home / "parents" / f"{set_name}-{hashlib.sha256(at.encode()).hexdigest()[:16]}"


def main(arguments: list[str] | None = None) -> int:
    """The step. Exit 2: the words are not understood."""
    given = sys.argv[1:] if arguments is None else arguments
    ours, words = _parted(given)
    if not words or "backup" not in words or not {"--note", "--at"} <= ours.keys():
        print("backup.copying --note FILE --at REPOSITORY [--force] -- RESTIC … backup …", file=sys.stderr)
        return 2
    note, at = ours["--note"], ours["--at"]
    parent = "" if "--force" in ours else _noted(note, at)
    try:
        copying = _Copying(words, parent, at)
        if parent and not copying.summary and any(sign in copying.said.lower() for sign in _GONE):
            copying = _Copying(words, "", at)
    except (FileNotFoundError, PermissionError) as error:
        print(f"{words[0]}: {error.strerror}", file=sys.stderr)
        return 127
    made = str(copying.summary.get("snapshot_id", ""))
    if len(made) == _WHOLE:
        _keep(note, made)
    if copying.summary:
        import json

        print(json.dumps(copying.summary, ensure_ascii=False), flush=True)
    return copying.code


def _parted(given: list[str]) -> tuple[dict[str, str], list[str]]:
    """Our own options, and restic's argv after the first `--`."""
    end = given.index("--") if "--" in given else len(given)
    ours, left = {}, iter(given[:end])
    for word in left:
        ours[word] = "" if word == "--force" else next(left, "")
    return ours, given[end + 1 :]


def _noted(note: str, at: str) -> str:
    try:
        with open(note, encoding="ascii") as stream:
            parent = stream.read().strip()
    except (OSError, ValueError):
        return ""
    there = not at.startswith("/") or os.path.isfile(f"{at}/snapshots/{parent}")
    return parent if there and len(parent) == _WHOLE and set(parent) <= set("0123456789abcdef") else ""


class _Copying:
    """One run of restic. code: its exit code; summary: with a whole id where it can be had; said: on standard error.

    Whatever comes is handed on at once (a time limit must not swallow the reason), but the summary. Raises OSError: restic
    cannot be started.
    """

    def __init__(self, words: list[str], parent: str, at: str) -> None:
        place = words.index("backup") + 1
        chosen = ["--parent", parent] if parent else ["--force"]
        before = _names(at)
        self.summary: dict[str, object] = {}
        self._rest, self._said = b"", bytearray()
        self._start([*words[:place], *chosen, *words[place:]])
        try:
            self._listen()
            self.code = self._wait()
        except KeyboardInterrupt:  # the whole group was told to stop: restic takes its lock away first
            self.code = self._wait() or 130
            self.summary = {}
        told = str(self.summary.get("snapshot_id", ""))
        if told and len(told) < _WHOLE:
            new = [name for name in _names(at) - before if name.startswith(told)]
            self.summary["snapshot_id"] = new[0] if len(new) == 1 else told

    @property
    def said(self) -> str:
        """The first and the last of what it said on standard error."""
        return self._said.decode("utf-8", "backslashreplace")

    def _start(self, argv: list[str]) -> None:
        """What was handed to us (secrets, the lock of the act) restic inherits: the lock lives as long as it does."""
        (self._out, out), (self._err, err) = os.pipe(), os.pipe()
        try:
            self._pid = os.posix_spawnp(argv[0], argv, os.environ, setsigdef=_DEFAULT_SIGNALS, file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, err, 2)])
        finally:
            os.close(out)
            os.close(err)

    def _listen(self) -> None:
        """Reads both outputs to their end."""
        import json  # noqa: F401 - loaded while restic works
        import select

        ears = select.poll()
        takers = {self._out: self._take, self._err: self._hear}
        for descriptor in takers:
            ears.register(descriptor, select.POLLIN)
        while takers:
            for descriptor, _ in ears.poll():
                chunk = os.read(descriptor, 1 << 16)
                takers[descriptor](chunk)
                if not chunk:
                    ears.unregister(descriptor)
                    os.close(descriptor)
                    del takers[descriptor]

    def _take(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n") if chunk else (self._rest, b"")
        for line in lines:
            body = _object(line)
            if body.get("message_type") == "summary":
                self.summary = body
            elif line or chunk:
                _write(1, line + b"\n" if chunk else line)

    def _hear(self, chunk: bytes) -> None:
        _write(2, chunk)
        self._said += chunk
        if len(self._said) > _KEPT:
            del self._said[_KEPT >> 2 : -(_KEPT >> 2)]

    def _wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _names(at: str) -> set[str]:
    try:
        return set(os.listdir(f"{at}/snapshots")) if at.startswith("/") else set()
    except OSError:
        return set()


def _object(line: bytes) -> dict[str, object]:
    if not line.startswith(b"{"):
        return {}
    import json

    try:
        body = json.loads(line)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _keep(note: str, made: str) -> None:
    folder, _, name = note.rpartition("/")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    temporary = f"{folder}/.{name}.new"
    with open(temporary, "w", encoding="ascii") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(made)
    os.replace(temporary, note)


if __name__ == "__main__":
    sys.exit(main())
