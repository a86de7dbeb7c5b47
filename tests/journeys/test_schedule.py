"""systemd runs gaccong: the units as text, under a real systemd, and what happens when a round outlasts its slot."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ops import units
from ops.duty import Occasion, change
from ops.errors import UsageError
from ops.model import Outcome, Plan
from ops.model import say as say_
from tests.journeys.machine import Machine, missing, wait
from tests.journeys.place import GACCONG, Place
from tests.ops.world import World, shell

WISH = units.Schedule(Path("/usr/bin/true"), Path("/etc/gaccong/gaccong.toml"), Path("/var/lib/gaccong"),
                      (Path("/srv/sao-luu"),))


# ---------------------------------------------------------------------- as text


def verified(folder: Path, texts: dict[str, str]) -> str:
    """What systemd-analyze has to say about the units."""
    paths = []
    for name, text in texts.items():
        path = folder / name.replace("@.", "@x.")
        path.write_text(text, encoding="utf-8")
        paths.append(str(path))
    done = subprocess.run(["systemd-analyze", "verify", "--recursive-errors=yes", "--man=no", *paths], capture_output=True,
                          text=True, timeout=60, check=False)
    return f"{done.returncode}{done.stdout}{done.stderr}"


@pytest.mark.parametrize("serve", [False, True])
@pytest.mark.parametrize("wish", [
    WISH, replace(WISH, user="www-data"), replace(WISH, every=units.calendar("6h"), rooms=False),
    replace(WISH, repositories=(Path('/srv/sao lưu "xã"/50% $HOME \\x'), Path("/srv/b")), state=Path("/srv/sổ sách"))],
    ids=["root", "user", "rare", "odd names"])
def test_systemd_has_nothing_to_say_about_them(tmp_path: Path, wish: units.Schedule, serve: bool) -> None:
    assert verified(tmp_path, units.units(replace(wish, serve=serve))) == "0"


def test_that_silence_can_be_broken(tmp_path: Path) -> None:
    texts = units.units(WISH)
    texts[units.RUN] = texts[units.RUN].replace("Type=oneshot", "Type=oneshot\nProtektSystem=yes")
    assert "ProtektSystem" in verified(tmp_path, texts)


@pytest.mark.parametrize(("wish", "most"), [
    (WISH, 4.3), (replace(WISH, rooms=False), 3.5), (replace(WISH, user="www-data"), 3.3),
    (replace(WISH, user="www-data", rooms=False), 2.7)], ids=["root, rooms", "root", "user, rooms", "user"])
def test_how_exposed_they_are(tmp_path: Path, wish: units.Schedule, most: float) -> None:
    path = tmp_path / units.RUN
    path.write_text(units.units(wish)[units.RUN])
    said = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", str(path)], capture_output=True,
                          text=True, timeout=60, check=True).stdout
    found = re.search(r"Overall exposure level for gaccong.service: ([0-9.]+)", said)
    assert found and float(found[1]) <= most, said[-300:]


def test_what_lies_in_tmp_is_not_hidden_from_itself() -> None:
    hidden = replace(WISH, state=Path("/var/tmp/x/state"))
    assert "PrivateTmp=yes" in units.units(WISH)[units.RUN] and "PrivateTmp=no" in units.units(hidden)[units.RUN]


@pytest.mark.parametrize(("every", "spec"), [("5m", "*-*-* *:00/5:00"), ("1h", "*-*-* 00/1:00:00")])
def test_rhythms_are_what_systemd_reads(every: str, spec: str) -> None:
    assert units.calendar(every) == spec
    subprocess.run(["systemd-analyze", "calendar", spec], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("every", ["7m", "0m", "60m", "24h", "5", "-5m", "5s", "1d", "٥m", ""])
def test_odd_rhythms_are_refused(every: str) -> None:
    with pytest.raises(UsageError):
        units.calendar(every)


def test_a_path_that_no_unit_can_hold_is_refused() -> None:
    with pytest.raises(UsageError):
        units.units(replace(WISH, state=Path("/srv/a\nExecStartPre=/bin/sh")))


# ---------------------------------------------------------------------- the command, where no systemd runs


def test_rights_for_closed_rooms_are_given_where_a_source_needs_them(place: Place) -> None:
    assert "CAP_SYS_ADMIN" not in place.gaccong("schedule", "install", "--print").stdout
    text = place.site_file.read_text()
    place.site_file.write_text(text + '[[site.a.backup.set.user.source]]\nkind = "mariadb"\nname = "cong"\ndatabase = "tin"\n')
    told = place.gaccong("schedule", "install", "--print")
    assert told.returncode == 0 and "CAP_SYS_ADMIN" in told.stdout, told.stderr


def test_print_shows_the_units_and_changes_nothing(place: Place) -> None:
    before = sorted(path.name for path in place.root.iterdir())
    told = place.gaccong("schedule", "install", "--print", "--every", "10m").stdout
    assert "OnCalendar=*-*-* *:00/10:00" in told and f"--config {place.config} run --wait 0" in told
    assert f"ReadWritePaths={place.root}/state -{place.root}/kho" in told
    assert "Type=exec" in place.gaccong("schedule", "install", "--print", "--serve").stdout
    assert "mat-khau" not in told and sorted(path.name for path in place.root.iterdir()) == before
    body = place.json("schedule", "install", "--print", code=0)
    assert set(body["units"]) == {units.RUN, units.TIMER, units.FAILURE}


@pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs here")
def test_install_is_refused_without_systemd(place: Place) -> None:
    done = place.gaccong("schedule", "install")
    assert done.returncode == 2 and "không chạy systemd" in done.stderr and "cron" in done.stderr
    assert place.gaccong("schedule", "remove").returncode == 2
    assert place.gaccong("schedule", "install", "--print", "--user", "khong-co-ai").returncode == 2
    shown = place.json("schedule", "show", code=0)
    assert {one["what"] for one in shown["due"] if one["duty"] == "backup.run"} == {"set=user", "set=system"}


def test_a_run_beside_a_run_refuses_at_once(place: Place) -> None:
    from ops.locks import held

    with held(place.root / "state" / "locks" / "run", "run", 0):
        begun = time.monotonic()
        done = place.gaccong("run", "--wait", "0")
    assert done.returncode == 3 and "đang chạy (run" in done.stderr and time.monotonic() - begun < 10
    assert not (place.root / "state" / "gaccong.db").exists()


# ---------------------------------------------------------------------- catching up, and rounds that outlast their slot


def test_rounds_that_outlast_their_slot_do_not_pile_up(tmp_path: Path) -> None:
    """An hourly copy that takes two hours and a half: of the slots it slept through one is caught up, not three."""

    @change("t.copy", clauses=["TN-10.1.c"], occasions=lambda site: [Occasion({}, "0 * * * *")])
    def copy(site: Any, ctx: Any) -> Plan:
        """Copies slowly."""
        return Plan(say_("chép", "copy"), (shell("copy", "true"),))

    world = World(tmp_path, [copy])
    world.actor.approve(world.actor.plan(world.site, "t.copy", {}), "Trần Thị Mẫu", standing=True)
    begun = world.clock.now
    slow = world.actor._steps

    def outlast(*args: Any) -> Any:
        world.clock.now += timedelta(hours=2, minutes=30)
        return slow(*args)

    world.actor._steps = outlast  # type: ignore[method-assign]
    assert len(world.actor.due(world.site)) == 1
    [(duty, occasion)] = world.actor.due(world.site)
    world.actor.run_due(world.site, duty, occasion)
    world.actor._steps = slow  # type: ignore[method-assign]
    assert world.clock.now - begun > timedelta(hours=2)
    for expected in (1, 0):
        due = world.actor.due(world.site)
        assert len(due) == expected
        for duty, occasion in due:
            world.actor.run_due(world.site, duty, occasion)
    assert [line.body["outcome"] for line in world.lines("outcome")] == [Outcome.UNPROVED.value] * 2


# ---------------------------------------------------------------------- under a real systemd

NEEDS = pytest.mark.skipif(bool(missing()), reason=f"a machine with systemd cannot be made here: {missing()}")
XA = Path("/srv/xa")
QUICK = "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nRandomizedDelaySec=0\nAccuracySec=100ms\n"


class Commune:
    """A commune's machine with systemd, its site in /srv/xa."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.machine = Machine(folder, lambda root: self._prepare(root, template))

    def _prepare(self, root: Path, template: Path) -> None:
        self.outside = Place(root / XA.relative_to("/"), template)
        stamp = root / "var/lib/systemd/timers/stamp-gaccong.timer"
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
        past = time.time() - 3 * 86400
        os.utime(stamp, (past, past))  # the machine was off for three days

    def gaccong(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.machine.ask(str(GACCONG), "--config", str(XA / "gaccong.toml"), *words, check=check)

    def allow(self, name: str) -> None:
        digest = json.loads(self.gaccong("plan", "backup.run", f"set={name}", "--json").stdout)["digest"]
        self.gaccong("apply", digest, "--standing", "--by", "Trần Thị Mẫu")

    def drop(self, unit: str, text: str) -> None:
        """A drop-in, as a person would write it."""
        folder = self.machine.root / f"etc/systemd/system/{unit}.d"
        folder.mkdir(exist_ok=True)
        (folder / "thu.conf").write_text(text)
        self.machine.ask("systemctl", "daemon-reload")

    def undrop(self, unit: str) -> None:
        shutil.rmtree(self.machine.root / f"etc/systemd/system/{unit}.d")
        self.machine.ask("systemctl", "daemon-reload")

    def rounds(self) -> list[str]:
        """One word for each round that systemd began."""
        said = self.machine.ask("journalctl", "-q", "-o", "cat", "-u", units.RUN, "--grep", "^Starting ", check=False).stdout
        return said.splitlines()

    def forget(self) -> None:
        """As if each set's last copy were three days old."""
        with closing(sqlite3.connect(self.machine.root / "srv/xa/state/gaccong.db", timeout=30)) as database:
            database.execute("UPDATE runs SET at = at - ? WHERE duty = 'backup.run'", (3 * 86400 * 1_000_000,))
            database.commit()

    def idle(self) -> bool:
        return self.machine.show(units.RUN, "ActiveState")["ActiveState"] in ("inactive", "failed")

    def outcomes(self) -> list[str]:
        from ops.store import open_store

        path = self.machine.root / "srv/xa/state/gaccong.db"
        if not path.exists():
            return []
        with open_store(f"sqlite:///{path}", None, create=False) as store:
            return [line.body["outcome"] for line in store.evidence("a", kind="outcome", duty="backup.run")]

    def journal(self) -> str:
        return self.machine.ask("journalctl", "-q", "-n", "60", "--no-pager").stdout[-4000:]


@pytest.fixture(scope="module")
def commune(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Commune]:
    """Installed by the real command; the first round is the one that was missed."""
    found = Commune(tmp_path_factory.mktemp("machine"), template)
    try:
        for name in ("user", "system"):
            found.allow(name)
        found.forget()
        found.gaccong("schedule", "install", "--every", "12h")
        yield found
    finally:
        found.machine.end()


@NEEDS
def test_a_missed_call_is_made_up_for_and_copies(commune: Commune) -> None:
    """The timer's stamp is three days old, so it calls at once, though its next slot is hours away."""
    wait(lambda: commune.outcomes() == ["proved"] * 4 and commune.idle(), 30, commune.journal)
    assert len(commune.rounds()) == 1
    state = commune.machine.show(units.RUN, "Result", "ExecMainStatus")
    assert state == {"Result": "success", "ExecMainStatus": "3"}, commune.journal()  # 3: other duties are not configured
    assert commune.machine.ask(str(GACCONG), "--config", str(XA / "gaccong.toml"), "ledger", "verify").returncode == 0


@NEEDS
def test_a_second_install_changes_nothing_and_a_foreign_unit_is_left_alone(commune: Commune) -> None:
    again = json.loads(commune.gaccong("schedule", "install", "--every", "12h", "--json").stdout)
    assert again["written"] == [] and again["removed"] == []
    shown = json.loads(commune.gaccong("schedule", "show", "--json").stdout)
    assert set(shown["installed"]) == {units.RUN, units.TIMER, units.FAILURE} and len(shown["calls"]) == 3
    foreign = commune.machine.root / "etc/systemd/system" / units.SERVE
    foreign.write_text("[Service]\nExecStart=/bin/true\n")
    refused = commune.gaccong("schedule", "install", check=False)
    assert refused.returncode == 2 and "không do gaccong viết" in refused.stderr
    foreign.unlink()


@NEEDS
def test_the_timer_fires_and_a_round_that_outlasts_its_slot_runs_alone(commune: Commune) -> None:
    before = len(commune.rounds())
    commune.drop(units.TIMER, QUICK)
    commune.drop(units.RUN, "[Service]\nExecStartPre=/bin/sleep 4\n")
    commune.machine.ask("systemctl", "restart", units.TIMER)
    wait(lambda: len(commune.rounds()) >= before + 3, 30, commune.journal)
    commune.machine.ask("systemctl", "stop", units.TIMER)
    wait(commune.idle, 20, commune.journal)
    said = commune.machine.ask("journalctl", "-q", "-o", "cat", "-u", units.RUN, "--grep", "^(Starting|Finished) ").stdout
    words = [line.partition(" ")[0] for line in said.splitlines()]
    assert words == ["Starting", "Finished"] * (len(words) // 2)  # each waited for the end of the one before
    time.sleep(2.5)
    assert commune.idle() and len(commune.rounds()) <= before + 4  # nothing was queued up meanwhile
    for unit in (units.TIMER, units.RUN):
        commune.undrop(unit)


PROBE = """[Service]
ExecStart=
ExecStart=-/bin/sh -c 'for p in /etc/x /usr/x /srv/x /srv/xa/www/x /root/x /boot/x /srv/xa/gaccong.toml; do \
  if (: >>$p) 2>/dev/null; then echo wrote $p; fi; done; \
  for p in /srv/xa/state/x /srv/xa/kho/x /tmp/x; do if ! (: >>$p) 2>/dev/null; then echo shut $p; fi; done; \
  head -c1 /etc/shadow >/dev/null || echo blind; \
  chown 65534 /srv/xa/state/x || echo nochown; \
  mount -t tmpfs x /mnt 2>/dev/null && echo mounted; unshare -n true 2>/dev/null && echo unshared; \
  mknod /srv/xa/state/dev b 7 0 2>/dev/null && echo device; test -e /dev/mem && echo memory; \
  date -s 2020-01-01 >/dev/null 2>&1 && echo clock; rm -f /srv/xa/state/x /srv/xa/kho/x; echo done'
"""


@NEEDS
def test_the_service_writes_where_it_may_and_nowhere_else(commune: Commune) -> None:
    commune.drop(units.RUN, PROBE)
    commune.machine.ask("systemctl", "start", units.RUN)
    invocation = commune.machine.show(units.RUN, "InvocationID")["InvocationID"]
    said = commune.machine.ask("journalctl", "-q", "-o", "cat", f"_SYSTEMD_INVOCATION_ID={invocation}").stdout.split("\n")
    assert [line for line in said if line] == ["done"], said
    commune.undrop(units.RUN)


ROOM = f"""from pathlib import Path
from backup.servers.room import Room
place = Path("{XA}/state/thu")
place.mkdir()
with Room(place, "x") as room:
    print(room.inside, room.run(("id", "-u")).stdout.decode().strip(), flush=True)
place.rmdir()
"""
INNER = """set -e
setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs true
ip link set lo up
mount -t tmpfs x /mnt
cd /mnt
mkdir .old
pivot_root . .old
echo inner
"""


@NEEDS
@pytest.mark.parametrize(("rooms", "expected"), [(True, ["/tmp 65534", "inner"]), (False, [])], ids=["with", "without"])
def test_the_closed_rooms_of_drills_can_be_made_in_the_service(commune: Commune, rooms: bool, expected: list[str]) -> None:
    """What drills of databases and of PHP build; where no source needs it, the service may not."""
    root = commune.machine.root
    (root / "srv/xa/phong.py").write_text(ROOM)
    (root / "srv/xa/trong.sh").write_text(INNER)
    wish = replace(WISH, state=XA / "state", repositories=(XA / "kho",), config=XA / "gaccong.toml", rooms=rooms)
    begin = f"ExecStart=-{GACCONG.parent}/python -I {XA}/phong.py\nExecStart=-/usr/bin/unshare --net --mount --pid --ipc " \
            f"--uts --fork --kill-child -- sh {XA}/trong.sh\n"
    text = re.sub(r"ExecStart=.*\n", lambda _: begin, units.units(wish)[units.RUN])
    name = f"thu-{rooms}.service".lower()
    (root / "etc/systemd/system" / name).write_text(text)
    commune.machine.ask("systemctl", "daemon-reload")
    began = commune.machine.ask("systemctl", "start", name, check=False).stderr
    said = commune.machine.ask("journalctl", "-q", "-o", "cat", "-u", name).stdout
    assert [line for line in said.splitlines() if line in ("/tmp 65534", "inner")] == expected, (began, said)
    assert rooms or "/var/tmp/gaccong-x-" in said  # the room falls back to a folder of nobody's


@NEEDS
def test_a_broken_configuration_is_told_by_the_failure_unit(commune: Commune) -> None:
    path = commune.machine.root / "srv/xa/gaccong.toml"
    whole = path.read_text()
    path.write_text(whole + "khoa_la = 1\n")
    assert commune.machine.ask("systemctl", "start", units.RUN, check=False).returncode != 0

    def told() -> str:
        return commune.machine.ask("journalctl", "-q", "-o", "cat", "-t", "gaccong-failure", "-p", "crit", check=False).stdout

    wait(lambda: "gaccong.service" in told(), 10, commune.journal)
    assert "result=exit-code exit=2" in told() and "HỎNG" in told()
    path.write_text(whole)
    assert commune.machine.ask("systemctl", "start", units.RUN).returncode == 0
    assert commune.machine.show(units.RUN, "Result")["Result"] == "success"


@NEEDS
def test_the_other_way_and_away(commune: Commune) -> None:
    """`--serve` takes the timer's place; `remove` leaves no unit and keeps ledger and drop-ins."""
    body = json.loads(commune.gaccong("schedule", "install", "--serve", "--json").stdout)
    assert body["started"] == units.SERVE and set(body["removed"]) == {units.RUN, units.TIMER}
    wait(lambda: "page: http" in commune.journal() or "trang trực ban: http" in commune.journal(), 20, commune.journal)
    assert commune.machine.show(units.SERVE, "ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "0"}
    beside = commune.gaccong("run", "--wait", "0", check=False)
    assert beside.returncode == 3 and "đang chạy (serve" in beside.stderr
    commune.drop(units.SERVE, "[Service]\nNice=5\n")
    begun = time.monotonic()
    told = commune.gaccong("schedule", "remove").stdout
    assert units.SERVE in told and "còn giữ" in told and time.monotonic() - begun < 15
    assert not [name for name in units.NAMES if (commune.machine.root / "etc/systemd/system" / name).exists()]
    assert commune.gaccong("schedule", "remove").stdout.startswith("không có đơn vị")
    assert commune.gaccong("ledger", "verify").returncode == 0
