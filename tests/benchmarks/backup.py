"""Backup beside raw restic, runrestic and npbackup, in one run: wall seconds, CPU seconds, ratios.

    .venv/bin/python -m tests.benchmarks.backup [--scale 0.2 | --full] [--old] [--rounds 7] [--work DIR] [--peers DIR]
                                                [--names] [--million] [--only PART,PART]

--full: the whole data set (1.05 GB, 20,033 files), else a fifth. --old: Debian's restic instead of the newer one.
--work: where everything lies (default: memory, /dev/shm, when it has room). --peers: an environment with runrestic and
npbackup; without it they are fetched by pip, or said to be not measured. --names: also 100,000 files with odd names.
--million: also a manifest of a million entries. --only: these parts (backup, manifest, night, proof, …). Each candidate has its own repository with an ordinary key (scrypt at
restic's own cost) and its own cache; rounds are interleaved; medians. Nothing fails on a clock.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.model import Step
from tests.backup.room import NEWER, PASSWORD, Room
from tests.benchmarks import _backup_data as data
from tests.benchmarks import _backup_peers as peers
from tests.journeys.place import SITE, Place

Taken = tuple[float, float]
FAST = 3


def taken(work: Callable[[], object]) -> Taken:
    """(wall, CPU of this process and its children) seconds of one call."""
    def cpu() -> float:
        return sum(one.ru_utime + one.ru_stime for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))

    before, began = cpu(), time.perf_counter()
    work()
    return time.perf_counter() - began, cpu() - before


def middle(rounds: list[Taken]) -> Taken:
    """Medians of wall and CPU."""
    return statistics.median(one[0] for one in rounds), statistics.median(one[1] for one in rounds)


def quiet(argv: tuple[str, ...], env: dict[str, str], codes: tuple[int, ...] = (0,)) -> None:
    """Runs a command to its end; any other exit code stops the benchmark."""
    done = subprocess.run(argv, env=env, capture_output=True, timeout=1800, stdin=subprocess.DEVNULL, check=False)
    if done.returncode not in codes:
        raise SystemExit(f"{argv[0]} {argv[1:4]}: exit {done.returncode}\n{done.stderr.decode()[-1500:]}")


@dataclass
class Bench:
    """The place of one benchmark: data, an empty repository, and candidates with a repository each."""

    work: Path
    program: str
    scale: float
    told: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data = self.work / "data"
        files, size = data.fill(self.data, self.scale)
        self.secret = self.work / "pw"
        self.secret.write_bytes(PASSWORD)
        self.empty = self.work / "empty"
        quiet((self.program, "-r", str(self.empty), "init"), self.env("init"))
        self.told = {"files": files, "MB": round(size / 1e6), "restic": self._version()}

    def _version(self) -> str:
        done = subprocess.run([self.program, "version"], capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.split()[1]

    def env(self, name: str) -> dict[str, str]:
        """What a candidate runs with: as the Carrier's, with a cache of its own."""
        home = self.work / "home" / name
        home.mkdir(parents=True, exist_ok=True)
        return {"PATH": f"{self.work / 'bin'}:{os.environ['PATH']}", "HOME": str(home), "RESTIC_PASSWORD_FILE": str(self.secret),
                "RESTIC_CACHE_DIR": str(home / "cache"), "LC_ALL": "C.UTF-8", "TZ": "UTC", "RESTIC_PROGRESS_FPS": "0.2"}

    def fresh(self, name: str, at: Path) -> None:
        """An empty repository and cache for a candidate."""
        shutil.rmtree(at, ignore_errors=True)
        shutil.copytree(self.empty, at)
        shutil.rmtree(self.work / "home" / name / "cache", ignore_errors=True)


class Ours:
    """`backup.run` of the data: its single step through the real Carrier, and the whole night by the real command."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        sets = {"user": {"level": "user", "schedule": "30 1 * * *", "source": [{"kind": "files", "paths": [str(bench.data)]}]},
                "system": {"level": "system", "schedule": "0 2 * * *", "source": [{"kind": "files", "paths": [str(bench.work / "home")]}]}}
        (bench.work / "room").mkdir()
        self.room = Room(bench.work / "room", bench.empty, program=bench.program, more={"set": sets})
        self.place = Place(bench.work / "place", bench.empty)
        shutil.rmtree(self.place.root / "www")
        text = SITE.replace("../www", str(bench.data)).replace("[site.a.backup]\n", f'[site.a.backup]\nrestic = "{bench.program}"\n'
                            "read_gib_per_look = 1000.0\n")  # the proof of each night reads every byte
        self.place.site_file.write_text(text, encoding="utf-8")

    def ready(self) -> None:
        """Everything of a night up to the copy, so that the copy alone can be measured."""
        steps = self.room.plan().steps
        at = next(number for number, step in enumerate(steps) if "--json" in step.argv)
        results = self.room.carry(steps[:at])
        assert results[-1].done, results[-1].trouble.en
        self.copy: Step = steps[at]
        self.stage = self.room.tmp / "home/stage/user"

    def step(self) -> None:
        """The copy."""
        [result] = self.room.carry((self.copy,))
        assert result.done, result.trouble.en

    def fresh(self) -> None:
        """An empty repository for the step."""
        shutil.rmtree(self.room.repository)
        shutil.copytree(self.bench.empty, self.room.repository)
        shutil.rmtree(self.room.tmp / "home/cache", ignore_errors=True)


def step_and_peers(bench: Bench, ours: Ours, place: Path | None, rounds: int) -> dict[str, Any]:
    """First and unchanged backup of every candidate, interleaved."""
    ours.ready()
    sources = [str(bench.data), str(ours.stage)]
    at = {name: bench.work / f"repo-{name}" for name in ("restic", "runrestic", "npbackup")}
    argv: dict[str, tuple[str, ...]] = {"restic": (bench.program, "-r", str(at["restic"]), "backup", *sources)}
    if place is not None:
        for name in ("runrestic", "npbackup"):
            bench.env(name)
        home = bench.work / "home"
        argv["runrestic"] = peers.runrestic(place, home / "runrestic", at["runrestic"], PASSWORD.decode(), sources)
        argv["npbackup"] = peers.npbackup(place, home / "npbackup", at["npbackup"], PASSWORD.decode(), sources, bench.program)
    first: dict[str, list[Taken]] = {name: [] for name in (*argv, "ours")}
    again: dict[str, list[Taken]] = {name: [] for name in (*argv, "ours")}
    for _ in range(FAST):
        for name, words in argv.items():
            bench.fresh(name, at[name])
            first[name].append(taken(lambda name=name, words=words: run_of(bench, name, words)))  # type: ignore[misc]
        ours.fresh()
        first["ours"].append(taken(ours.step))
    for number in range(rounds + 1):
        for name, words in argv.items():
            one = taken(lambda name=name, words=words: run_of(bench, name, words))  # type: ignore[misc]
            if number:
                again[name].append(one)
        one = taken(ours.step)
        if number:
            again["ours"].append(one)
    return {"first": table(first), "unchanged": table(again)}


def run_of(bench: Bench, name: str, words: tuple[str, ...]) -> None:
    """One run of a candidate, with the password where it looks for it."""
    env = bench.env(name)
    if name != "restic":
        env.pop("RESTIC_PASSWORD_FILE")
    quiet(words, env)


def table(found: dict[str, list[Taken]]) -> dict[str, Any]:
    """Medians, minima, and ratios to raw restic."""
    raw = middle(found["restic"])
    made: dict[str, Any] = {}
    for name, rounds in found.items():
        wall, cpu = middle(rounds)
        made[name] = {"wall": round(wall, 3), "cpu": round(cpu, 3), "min": round(min(one[0] for one in rounds), 3),
                      "wall_ratio": round(wall / raw[0], 3), "cpu_ratio": round(cpu / raw[1], 3), "more_ms": round((wall - raw[0]) * 1000)}
    return made


def night(bench: Bench, ours: Ours, rounds: int) -> dict[str, Any]:
    """The whole night by the real command, and how often it opens a repository."""
    place = ours.place
    first = taken(lambda: place.allow("user"))
    digest = place.digest("backup.run", "set=user")
    place.json("apply", digest, "--by", "bench", code=0)
    unchanged = [taken(lambda: place.json("apply", digest, "--by", "bench", code=0)) for _ in range(rounds)]
    body = place.json("apply", digest, "--by", "bench", code=0)
    return {"first": [round(one, 2) for one in first], "unchanged": [round(one, 2) for one in middle(unchanged)],
            "steps": {step["why"]["en"][:40]: step["seconds"] for step in body["steps"]}, "openings": openings(bench, ours, digest)}


def openings(bench: Bench, ours: Ours, digest: str) -> list[str]:
    """restic's own commands that one night calls (`version` opens nothing), through a program that writes them down."""
    place, log = ours.place, bench.work / "calls"
    told = bench.work / "counted"
    told.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {log}\nexec {bench.program} "$@"\n')
    told.chmod(0o755)
    was = place.site_file.read_text(encoding="utf-8")
    place.site_file.write_text(was.replace(f'"{bench.program}"', f'"{told}"'), encoding="utf-8")
    counted = place.digest("backup.run", "set=user")
    log.write_text("")
    place.json("apply", counted, "--by", "bench", code=0)
    place.site_file.write_text(was, encoding="utf-8")
    known = ("backup", "ls", "check", "snapshots", "cat", "dump", "stats", "list", "init", "forget", "prune", "unlock")
    calls = [next((word for word in line.split() if word in known), "") for line in log.read_text().splitlines()]
    return [call for call in calls if call]


def manifest(ours: Ours) -> dict[str, Any]:
    """The manifest in full and unchanged, as the step runs it."""
    step = next(step for step in ours.room.plan().steps if "backup.manifest" in step.argv)
    target = ours.room.tmp / "home/stage/user/manifest.jsonl"
    ours.ready()
    full, again = [], []

    def work() -> None:
        [result] = ours.room.carry((step,))
        assert result.done, result.trouble.en

    for _ in range(3):
        target.unlink(missing_ok=True)
        full.append(taken(work))
        time.sleep(2.1)  # what was touched within two seconds of its making is hashed again
        again.append(taken(work))
    return {"full": [round(one, 3) for one in middle(full)], "unchanged": [round(one, 3) for one in middle(again)]}


def proof(bench: Bench, ours: Ours) -> dict[str, Any]:
    """`backup; check --read-data; restore; sha256sum` beside our backup, full verification and full drill.

    Ours are three commands, and count everything that they do besides: start, plan, staging, manifest, proofs, ledger. The
    proof of the backup reads only what is new; every byte is read by the verification and, once more, by the drill.
    """
    naive = bench.work / "repo-naive"
    bench.fresh("naive", naive)
    env, out = bench.env("naive"), bench.work / "restored"
    place, r = ours.place, (bench.program, "-r", str(naive))
    digest = place.digest("backup.run", "set=user")
    quiet((*r, "backup", str(bench.data)), env)
    theirs: dict[str, list[Taken]] = {"backup": [], "check --read-data": [], "restore": [], "sha256sum": []}
    mine: dict[str, list[Taken]] = {"backup, proved": [], "full verification": [], "drill --all": []}
    for _ in range(FAST):
        shutil.rmtree(out, ignore_errors=True)
        theirs["backup"].append(taken(lambda: quiet((*r, "backup", str(bench.data)), env)))
        theirs["check --read-data"].append(taken(lambda: quiet((*r, "check", "--read-data"), env)))
        theirs["restore"].append(taken(lambda: quiet((*r, "restore", "latest", "--target", str(out)), env)))
        theirs["sha256sum"].append(taken(lambda: quiet(("find", str(out), "-type", "f", "-exec", "sha256sum", "{}", "+"), env)))
        shutil.rmtree(out)
        mine["backup, proved"].append(taken(lambda: place.json("apply", digest, "--by", "bench", code=0)))
        mine["full verification"].append(taken(lambda: ours_said(place, "look", "backup.integrity")))
        mine["drill --all"].append(taken(lambda: ours_said(place, "backup", "drill", "--set", "user", "--all")))
    made = {who: {name: [round(one, 2) for one in middle(rounds)] for name, rounds in each.items()}
            for who, each in (("naive", theirs), ("ours", mine))}
    sums = {who: sum(figures[0] for figures in each.values()) for who, each in made.items()}
    work = {who: sum(figures[1] for figures in each.values()) for who, each in made.items()}
    return {**made, "wall": sums, "wall_ratio": round(sums["ours"] / sums["naive"], 2),
            "cpu_ratio": round(work["ours"] / work["naive"], 2),
            "verify_to_check_read_data": round(made["ours"]["full verification"][0] / made["naive"]["check --read-data"][0], 2)}


def ours_said(place: Place, *words: str) -> None:
    """Runs a look; the set `user` must be well."""
    rows = json.loads(place.gaccong(*words, "--json", wait=1800).stdout)["rows"]
    assert all(row["verdict"] == "met" for row in rows if row["subject"] == "user"), rows


def million() -> dict[str, Any]:
    """Writing, and comparing, a manifest of a million entries: seconds and the most memory that our process took."""
    from tests.backup.test_names import READ, WRITE, peak

    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        writing = peak(WRITE, "1000000", f"{name}/stage")
        wrote = time.perf_counter() - began
        began = time.perf_counter()
        reading = peak(READ, f"{name}/stage/manifest.jsonl")
        return {"write_twice": {"seconds": round(wrote, 1), "MiB": writing >> 10},
                "compare": {"seconds": round(time.perf_counter() - began, 1), "MiB": reading >> 10}}


def odd_names(bench: Bench) -> dict[str, Any]:
    """A night and a drill of 100,000 files with names that break tools."""
    from backup.checks.drill import drill
    from tests.backup.test_names import fill

    (bench.work / "names").mkdir()
    room = Room(bench.work / "names", bench.empty, program=bench.program)
    made = fill(os.fsencode(room.www), 100_000)
    found: dict[str, Any] = {}
    found["night"] = round(taken(lambda: found.update(body=room.night(prove=("backup.contents", "backup.integrity"))))[0], 1)
    found["outcome"] = found.pop("body")["outcome"]
    found["drill"] = round(taken(lambda: found.update(seen=room.look(drill)["user"]))[0], 1)
    seen = found.pop("seen")
    return {**found, "files": len(made), "verdict": seen.verdict.value, "wrong": seen.measures["wrong_files"],
            "unlike": seen.measures["unlike_files"]}


def work_folder(wanted: str, scale: float) -> tempfile.TemporaryDirectory[str]:
    """Memory when it has room for four times the data, else the disk."""
    memory = Path("/dev/shm")
    room = memory.is_dir() and shutil.disk_usage(memory).free > 8e9 * scale + 1e9
    return tempfile.TemporaryDirectory(dir=wanted or (str(memory) if room else None), prefix="gaccong-bench-")


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.backup")
    parser.add_argument("--scale", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=7)
    for name in ("--work", "--peers", "--only"):
        parser.add_argument(name, default="")
    for name in ("--full", "--old", "--names", "--million"):
        parser.add_argument(name, action="store_true")
    given = parser.parse_args()
    scale = 1.0 if given.full else given.scale
    with work_folder(given.work, scale) as name:
        bench = Bench(Path(name), "restic" if given.old else NEWER, scale)
        place = Path(given.peers) if given.peers else bench.work / "peers"
        missing = peers.install(place)
        (bench.work / "bin").mkdir()
        (bench.work / "bin/restic").symlink_to(shutil.which(bench.program) or bench.program)
        ours = Ours(bench)
        bench.told["peers"] = missing and f"not measured: {missing}" or peers.versions(place)
        parts: tuple[tuple[str, Callable[[], dict[str, Any]]], ...] = (
            ("backup", lambda: step_and_peers(bench, ours, None if missing else place, given.rounds)),
            ("manifest", lambda: manifest(ours)), ("night", lambda: night(bench, ours, FAST)), ("proof", lambda: proof(bench, ours)),
            *((("names", lambda: odd_names(bench)),) if given.names else ()), *((("million", million),) if given.million else ()),
        )
        for part, work in parts:
            if part not in (given.only.split(",") if given.only else dict(parts)):
                continue
            print(f"… {part}", file=sys.stderr, flush=True)
            bench.told[part] = work()
        print(json.dumps(bench.told, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
