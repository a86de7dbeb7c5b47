"""The mirror of a public site: a real nginx, its traps and its death; WARC read back with warcio, byte for byte."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from backup.checks.drill import drill
from backup.crawl import archive, links, robots, sitemaps, wire
from backup.crawl.addresses import Scope, normal, public, shape, sort_key
from backup.source import read_note
from backup.sources.mirror import Source
from backup.stage import stage_of
from tests.backup.room import Room

NGINX = """
daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log; {user}
events {{ worker_connections 64; }}
http {{
  client_body_temp_path {root}/t1; proxy_temp_path {root}/t2; fastcgi_temp_path {root}/t3; uwsgi_temp_path {root}/t4;
  scgi_temp_path {root}/t5; access_log {root}/access.log; absolute_redirect off; charset utf-8;
  types {{ text/html html; text/css css; image/png png; application/xml xml; application/gzip gz; application/pdf pdf; }}
  server {{
    listen 127.0.0.1:{port}; root {root}/www;
    location = /cu {{ return 301 /trang/1.html; }}
    location = /di {{ return 302 http://169.254.169.254/latest/; }}
    location = /mat {{ return 500 "x"; }}
    location = /kin {{ return 403 "x"; }}
    location ~ ^/lich/(?<so>\\d+)$ {{ default_type text/html; return 200 "<a href=/lich/${{so}}1>tới</a><a href=/lich/${{so}}2>x</a>"; }}
    location = /tim {{ default_type text/html; return 200 "<a href='/tim?q=${{arg_q}}0'>0</a><a href='/tim?q=${{arg_q}}1'>1</a>"; }}
  }}
}}
"""
PAGES = 120


@dataclass
class Web:
    """An nginx on loopback over a folder."""

    root: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(["nginx", "-p", str(self.root), "-e", str(self.root / "error.log"), "-c",
                                         str(self.root / "nginx.conf")], stdin=subprocess.DEVNULL, start_new_session=True)
        for _ in range(500):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError((self.root / "error.log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            self.process = None

    def asked(self) -> list[str]:
        """The requests so far, `GET /path`."""
        return [line.split('"')[1].rpartition(" ")[0] for line in (self.root / "access.log").read_text().splitlines()]

    def forget(self) -> None:
        (self.root / "access.log").write_text("")


def fill(www: Path, url: str) -> None:
    """A commune's page: articles, an image, a style sheet, Vietnamese names, sitemaps, and a trap."""
    for folder in ("trang", "tệp", "kin-dao"):
        (www / folder).mkdir(parents=True)
    names = "".join(f'<li><a href="trang/{n}.html">Bài {n}</a>' for n in range(1, 40))
    (www / "index.html").write_text(
        f"<html><head><link rel=stylesheet href=/kieu.css></head><body>Xã mẫu<ul>{names}</ul><a href='/tệp/Nghị quyết.pdf'>NQ</a>"
        f"<a href='/cu'>cũ</a><a href='/di'>đi</a><a href='/lich/1'>lịch</a><a href='/tim?q=1'>tìm</a><a href=/khong-co>x</a>"
        f"<a href='https://xa-khac.test/'>ngoài</a><a href='/kin-dao/a.html'>kín</a><a href='mailto:a@b'>m</a><a href=/kin>k</a>"
        f"<a href='{url}/%ff%fe'>lạ</a><a href='http://[::1/'>hỏng</a><img srcset='anh.png 1x, anh2.png 2x'></body></html>")
    for number in range(1, PAGES + 1):
        (www / f"trang/{number}.html").write_text(
            f"<h1>Bài {number}</h1><a href='{number + 1}.html#x'>tiếp</a>" * 3 if number < 60 else f"<h1>Bài {number}</h1>")
    (www / "tệp/Nghị quyết.pdf").write_bytes(b"%PDF-1.4\n" + bytes(range(256)) * 9)
    (www / "kieu.css").write_text("body { background: url(nen.png) }")
    for name in ("nen.png", "anh.png", "anh2.png"):
        (www / name).write_bytes(b"\x89PNG" + os.urandom(500))
    (www / "kin-dao/a.html").write_text("không lấy")
    decomposed = unicodedata.normalize("NFD", "tin-ấp-Mỹ.html")
    (www / decomposed).write_text("tên rời")
    (www / "trang/2.html").write_text(f"<a href='/{decomposed}'>rời</a>")
    (www / "robots.txt").write_text(f"User-agent: *\nDisallow: /kin-dao/\nSitemap: {url}/so-do.xml\n")
    (www / "so-do.xml").write_text(
        f'<?xml version="1.0"?><sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><sitemap><loc>{url}/a.xml.gz'
        f"</loc></sitemap><sitemap><loc>{url}/bom.xml.gz</loc></sitemap></sitemapindex>")
    entries = "".join(f"<url><loc>{url}/trang/{n}.html</loc></url>" for n in range(50, PAGES + 1))
    (www / "a.xml.gz").write_bytes(gzip.compress(f"<urlset>{entries}</urlset>".encode()))
    (www / "bom.xml.gz").write_bytes(gzip.compress(b"<urlset>" + b" " * (60 << 20)))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("www")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with socket.socket() as stream:
        stream.bind(("127.0.0.1", 0))
        port = int(stream.getsockname()[1])
    site = Web(tmp_path / "web", port)
    (site.root / "www").mkdir(parents=True)
    user = "user root;" if os.geteuid() == 0 else ""  # pytest's folders are closed to others
    (site.root / "nginx.conf").write_text(NGINX.format(root=site.root, port=port, user=user))
    fill(site.root / "www", site.url)
    site.start()
    yield site
    site.stop()


def mirror_room(tmp: Path, template: Path, seed: str, **more: Any) -> Room:
    return change(Room(tmp, template), seed, **more)


def change(room: Room, seed: str, **more: Any) -> Room:
    source = {"kind": "mirror", "name": "trang", "seeds": [seed], "rate": 1000, "alike": 60, "pages": 1000, **more}
    user = {"level": "user", "schedule": "30 1 * * *", "source": [source]}
    room.site.settings["backup"] = room.settings(set={"user": user, "system": {**user, "level": "system"}})
    return room


def stage(room: Room) -> Path:
    return stage_of(room.tmp / "home", "user")


def note(room: Room) -> dict[str, Any]:
    return read_note(stage(room) / "trang.note.json")


def crawl(room: Room) -> Any:
    """The staging step alone."""
    plan = room.plan()
    step = next(one for one in plan.steps if "backup.crawl" in one.argv)
    return room.carry((plan.steps[0], step))[-1]


def pages(room: Room) -> dict[str, archive.Entry]:
    with (stage(room) / "trang.cdxj").open("rb") as stream:
        return {entry.url: entry for entry in archive.read_index(stream)}


def bodies(room: Room) -> dict[str, bytes]:
    """Every response of the archive as warcio reads it."""
    from warcio.archiveiterator import ArchiveIterator

    found = {}
    with (stage(room) / "trang.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, check_digests="raise"):
            body = record.content_stream().read()
            if record.rec_type == "response":
                found[record.rec_headers.get_header("WARC-Target-URI")] = body
    return found


def test_a_night_of_a_site_without_a_shell(web: Web, tmp_path: Path, template: Path) -> None:
    room = mirror_room(tmp_path, template, f"{web.url}/")
    first = room.plan()
    body = room.night()
    assert body["outcome"] == "proved", body
    assert room.plan() == first
    www, got = web.root / "www", bodies(room)
    for number in range(1, PAGES + 1):
        assert got[f"{web.url}/trang/{number}.html"] == (www / f"trang/{number}.html").read_bytes()
    for name in ("index.html", "kieu.css", "nen.png", "anh.png", "anh2.png", "tệp/Nghị quyết.pdf",
                 unicodedata.normalize("NFD", "tin-ấp-Mỹ.html"), "robots.txt", "so-do.xml", "a.xml.gz"):
        address = f"{web.url}/" + ("" if name == "index.html" else quote(name))
        assert got[address] == (www / name).read_bytes(), name
    assert f"{web.url}/kin-dao/a.html" not in got and not any("xa-khac" in address for address in got)
    found = pages(room)
    assert set(found) == set(got) and found[f"{web.url}/cu"].redirect == "/trang/1.html"
    traps = [address for address in got if "/lich/" in address or "/tim?" in address]
    assert 60 < len(traps) <= 122
    noted = note(room)
    assert noted["left_out"]["robots"] == 1 and noted["left_out"]["alike"] > 1 and noted["gone"] >= 1
    assert noted["sitemaps"] == [f"{web.url}/so-do.xml", f"{web.url}/a.xml.gz"]
    assert any("unpacks to more" in error for error in noted["errors"])
    assert noted["front"] == 1 and noted["good_pages"] == noted["pages"] > PAGES
    seen = room.look(drill, "user")["user"]
    assert seen.verdict == "met" and seen.measures["mirror_pages"] == noted["pages"], seen.detail


def test_the_archive_is_warc_1_1_with_requests(web: Web, tmp_path: Path, template: Path) -> None:
    from warcio.archiveiterator import ArchiveIterator

    room = mirror_room(tmp_path, template, f"{web.url}/", pages=40)
    crawl(room)
    kinds: dict[str, list[Any]] = {}
    raw = (stage(room) / "trang.warc.gz").read_bytes()
    with (stage(room) / "trang.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, no_record_parse=True):
            block = record.raw_stream.read()
            kinds.setdefault(record.rec_type, []).append((record.rec_headers, block))
            assert record.rec_headers.protocol == "WARC/1.1"
    assert len(kinds["response"]) == len(kinds["request"]) and len(kinds["warcinfo"]) == 1
    assert b"robots: obey" in kinds["warcinfo"][0][1]
    front = next(block for head, block in kinds["request"] if head.get_header("WARC-Target-URI") == f"{web.url}/")
    assert front.startswith(b"GET / HTTP/1.1\r\n") and b"User-Agent: gaccong/" in front and front.endswith(b"\r\n\r\n")
    answer = next(block for head, block in kinds["response"] if head.get_header("WARC-Target-URI") == f"{web.url}/")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nServer: nginx") and b"\r\n\r\n<html>" in answer
    entry = pages(room)[f"{web.url}/"]
    assert gzip.decompress(raw[entry.offset : entry.offset + entry.length]).endswith(answer + b"\r\n\r\n")
    assert gzip.decompress(raw[entry.offset : entry.offset + entry.pair]).count(b"WARC/1.1\r\n") == 2


def test_the_next_night_asks_only_for_what_changed(web: Web, tmp_path: Path, template: Path) -> None:
    room = mirror_room(tmp_path, template, f"{web.url}/", exclude=["/lich/*", "/tim?*"])
    assert crawl(room).code == 0
    first, size = pages(room), note(room)["archive_bytes"]
    (web.root / "www/trang/7.html").write_text("<h1>Bài 7 đã sửa</h1>")
    (web.root / "www/trang/90.html").unlink()
    log = (web.root / "access.log").read_text()
    web.forget()
    assert crawl(room).code == 0, note(room)
    second, lines = pages(room), (web.root / "access.log").read_text().splitlines()
    assert len([line for line in lines if '" 304 ' in line]) >= PAGES and '" 304 ' not in log
    assert note(room)["fresh"] <= 3 and note(room)["reused"] > PAGES
    assert bodies(room)[f"{web.url}/trang/7.html"].decode() == "<h1>Bài 7 đã sửa</h1>"
    assert f"{web.url}/trang/90.html" not in second
    one = f"{web.url}/trang/100.html"
    assert second[one].time == first[one].time and second[one].seen >= first[one].seen
    assert abs(note(room)["archive_bytes"] - size) < 3000
    assert list(archive.faults(stage(room) / "trang.warc.gz", stage(room) / "trang.cdxj")) == []
    # a record that rotted since is fetched anew, not handed on
    path = stage(room) / "trang.warc.gz"
    data = bytearray(path.read_bytes())
    data[second[one].offset + 300] ^= 0xFF
    path.write_bytes(data)
    assert crawl(room).code == 0 and bodies(room)[one] == (web.root / "www/trang/100.html").read_bytes()


def test_a_server_that_dies_midway(web: Web, tmp_path: Path, template: Path) -> None:
    room = mirror_room(tmp_path, template, f"{web.url}/", exclude=["/lich/*", "/tim?*"])
    assert crawl(room).code == 0
    whole, digest = note(room), (stage(room) / "trang.warc.gz").read_bytes()
    slow = change(room, f"{web.url}/", exclude=["/lich/*", "/tim?*"], rate=100)
    web.forget()

    def kill(after: int) -> None:
        while len(web.asked()) < after:
            time.sleep(0.01)
        web.stop()

    for after, kept in ((25, True), (110, False)):
        killer = threading.Thread(target=kill, args=(after,))
        killer.start()
        result = crawl(slow)
        killer.join(30)
        assert result.done and result.code == 3
        told = note(slow)
        assert "ngừng trả lời" in told["trouble"] and told["kept_before"] is kept, told
        assert ((stage(slow) / "trang.warc.gz").read_bytes() == digest) is kept
        assert told["good_pages"] == whole["good_pages"]
        assert ("chỉ còn" in told["trouble"]) is kept
        assert set(pages(slow)) == set(pages(room)) and list(archive.faults(
            stage(slow) / "trang.warc.gz", stage(slow) / "trang.cdxj")) == []
        web.start()
        web.forget()
    assert note(slow)["kept"] > 5
    web.stop()
    body = slow.night()  # nobody there at all
    assert body["outcome"] == "unproved" and "trang đầu" in body["proofs"][0][1]
    web.start()
    assert slow.night()["outcome"] == "proved"


def test_a_site_that_lost_nearly_all_is_no_good_copy(web: Web, tmp_path: Path, template: Path) -> None:
    room = mirror_room(tmp_path, template, f"{web.url}/", exclude=["/lich/*", "/tim?*"])
    assert crawl(room).code == 0
    before = pages(room)
    (web.root / "www/index.html").write_text("<h1>It works!</h1>")
    (web.root / "www/so-do.xml").unlink()
    for _ in range(2):  # nor does a second night forget
        assert crawl(room).code == 3
        assert "chỉ còn" in note(room)["trouble"] and note(room)["kept_before"] and pages(room) == before
    (stage(room) / "trang.note.json").unlink()  # a person says: that is right
    assert crawl(room).code == 0 and len(pages(room)) < 5


def test_a_bound_that_was_reached_is_told(web: Web, tmp_path: Path, template: Path) -> None:
    room = mirror_room(tmp_path, template, f"{web.url}/", pages=30, rate=200)
    assert crawl(room).code == 3 and "`pages`" in note(room)["trouble"] and len(pages(room)) <= 35
    change(room, f"{web.url}/", gib=2e-5)
    assert crawl(room).code == 3 and "`bytes`" in note(room)["trouble"]
    change(room, f"{web.url}/", seconds=1.0, rate=10)
    started = time.monotonic()
    assert crawl(room).code == 3 and "`seconds`" in note(room)["trouble"] and time.monotonic() - started < 15
    assert len(web.asked()) > 30


def test_the_rate_is_kept_and_robots_may_be_ignored_by_the_owner(web: Web, tmp_path: Path, template: Path) -> None:
    room = mirror_room(tmp_path, template, f"{web.url}/", robots=False, exclude=["/lich/*", "/tim?*"], rate=20, pages=20)
    started = time.monotonic()
    crawl(room)
    assert time.monotonic() - started > 24 / 20 * 0.9
    change(room, f"{web.url}/", robots=False, exclude=["/lich/*", "/tim?*"])
    crawl(room)
    assert bodies(room)[f"{web.url}/kin-dao/a.html"].decode() == "không lấy"


def test_a_crawler_that_is_killed_leaves_the_last_good_archive(web: Web, tmp_path: Path, template: Path) -> None:
    room = mirror_room(tmp_path, template, f"{web.url}/", exclude=["/lich/*", "/tim?*"])
    assert crawl(room).code == 0
    before = pages(room)
    step = next(one for one in change(room, f"{web.url}/", exclude=["/lich/*", "/tim?*"], rate=5).plan().steps if "backup.crawl" in one.argv)
    web.forget()
    process = subprocess.Popen(step.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    while len(web.asked()) < 4:
        time.sleep(0.02)
    process.kill()
    process.wait(10)
    assert "không chạy hết" in note(room)["trouble"] and note(room)["good_pages"]
    time.sleep(0.5)
    count = len(web.asked())
    time.sleep(0.5)
    assert len(web.asked()) == count  # the inner process ended with it
    assert pages(room) == before
    assert crawl(change(room, f"{web.url}/", exclude=["/lich/*", "/tim?*"])).code == 0


# --- a server that lies: raw sockets ---------------------------------------------------------------------------------


class Liar:
    """Answers each path with the bytes (or the deed) that it is given."""

    def __init__(self, answers: dict[str, bytes | Callable[[socket.socket], None]]) -> None:
        self.answers, self.seen = answers, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                stream, _ = self.listener.accept()
                threading.Thread(target=self._answer, args=(stream,), daemon=True).start()

    def _answer(self, stream: socket.socket) -> None:
        with suppress(OSError, IndexError), stream:
            path = stream.recv(65536).split(b" ")[1].decode()
            self.seen.append(path)
            given = self.answers.get(path, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            if callable(given):
                given(stream)
            else:
                stream.sendall(given)


def html(body: str, *headers: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n{lines}\r\n{body}".encode()


@pytest.fixture
def liar() -> Iterator[Liar]:
    server = Liar({})
    yield server
    server.listener.close()


def test_a_hostile_server(liar: Liar, tmp_path: Path, template: Path) -> None:
    def endless(stream: socket.socket) -> None:
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
        while True:
            stream.sendall(b"x" * 65536)

    def headers_without_end(stream: socket.socket) -> None:
        stream.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            stream.sendall(b"X-A: " + b"x" * 1000 + b"\r\n")

    names = ("dai", "dau", "ngan", "lon", "bom", "rac", "vong", "noi-bo", "chunk", "cuoi", "long", "meta")
    bomb = gzip.compress(b"<a href=/x>x</a>" * (4 << 20), 9)
    liar.answers = {
        "/": html("".join(f"<a href=/{name}>x</a>" for name in names) + "\x00<a href='/\udc80'>".encode(
            "utf-8", "replace").decode()),
        "/dai": endless, "/dau": headers_without_end, "/ngan": html("ngắn", "Content-Length: 5000"),
        "/lon": html("x", "Content-Length: 99999999999"),
        "/bom": html("", "Content-Encoding: gzip").rstrip(b"\r\n") + b"\r\n\r\n" + bomb,
        "/rac": b"\x00\xffRAC\r\n\r\n", "/vong": b"HTTP/1.1 302 x\r\nLocation: /vong\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "/noi-bo": b"HTTP/1.1 302 x\r\nLocation: http://127.0.0.2:22/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "/chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
                  b"5\r\n<a hr\r\n9\r\nef=/sau>x\r\n0\r\n\r\n",
        "/sau": html("sau chunk"), "/cuoi": html("cuối"), "/long": html("<div>" * 200_000),
        "/meta": html("<meta http-equiv=refresh content='0;url=/sau2'>"), "/sau2": html("x"),
    }
    room = mirror_room(tmp_path, template, f"{liar.url}/", file_mib=4)
    started = time.monotonic()
    result = crawl(room)
    assert result.done and time.monotonic() - started < 60, result
    got, told = bodies(room), note(room)
    for name in ("chunk", "sau", "cuoi", "long", "meta", "sau2"):
        assert f"{liar.url}/{name}" in got, (name, told)
    assert got[f"{liar.url}/chunk"] == b"<a href=/sau>x"
    for name in ("dai", "dau", "ngan", "lon", "rac"):
        assert f"{liar.url}/{name}" not in got, name
    assert told["left_out"]["refused"] == 3 and told["left_out"]["unreadable"] >= 1 and told["failed"] == 2, told
    assert any("fewer bytes" in error for error in told["errors"])
    assert list(archive.faults(stage(room) / "trang.warc.gz", stage(room) / "trang.cdxj")) == []


def test_a_slow_drip_is_given_up(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(stream: socket.socket) -> None:
        stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            stream.sendall(b"x")
            time.sleep(0.2)

    monkeypatch.setattr(wire, "SLOW_SECONDS", 2)
    liar.answers = {"/": drip}
    started = time.monotonic()
    import ipaddress

    one = wire.Wire("x", 1000, (ipaddress.ip_network("127.0.0.1"),))
    reply = one.get(liar.url + "/")
    one.close()
    assert reply.status == 0 and 1 < time.monotonic() - started < 8, reply


def test_a_name_that_leads_inside_is_refused(liar: Liar, tmp_path: Path, template: Path) -> None:
    """DNS of a public name that answers with a private address: nothing is asked there."""
    liar.answers = {"/": html("bí mật nội bộ")}
    name = liar.url.replace("127.0.0.1", "localhost")
    room = mirror_room(tmp_path, template, f"{name}/")
    assert crawl(room).code == 3 and "private address" in json.dumps(note(room)) and not liar.seen
    change(room, f"{name}/", networks=["127.0.0.0/8", "::1/128"])
    assert crawl(room).code == 0 and liar.seen


def test_a_busy_server_is_left_in_peace(liar: Liar, tmp_path: Path, template: Path) -> None:
    times: list[float] = []

    def busy(stream: socket.socket) -> None:
        times.append(time.monotonic())
        stream.sendall(html("xong") if len(times) > 1 else
                       b"HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    liar.answers = {"/": busy}
    assert crawl(mirror_room(tmp_path, template, f"{liar.url}/")).code == 0
    assert times[1] - times[0] >= 0.95


# --- the parts -------------------------------------------------------------------------------------------------------


def test_addresses() -> None:
    base = "https://xamau.vn/tin/bài.html?a=1"
    for written, made in {
            "../Ảnh 1.JPG#x": "https://xamau.vn/%E1%BA%A2nh%201.JPG", "?b=đ&c=%zz": "https://xamau.vn/tin/b%C3%A0i.html?b=%C4%91&c=%zz",
            "//XAMAU.vn:443/%7ea/./b/../c": "https://xamau.vn/~a/c", "http://xamau.vn:80": "http://xamau.vn/",
            "  /a\n\tb ": "https://xamau.vn/ab", "mailto:x": "", "http://u:p@xamau.vn/": "", "http://[::1": "",
            "http://xamau.vn:99999/": "", "javascript:1": "", "http://xã.vn/": "http://xn--x-yfa.vn/",
            "/" + "a" * 3000: "", "/%e1%ba%a3": "https://xamau.vn/%E1%BA%A3"}.items():
        assert normal(written, base) == made, written
    composed, apart = (unicodedata.normalize(form, "/ấp") for form in ("NFC", "NFD"))
    assert normal(composed, base) != normal(apart, base)  # two names on a server are two names
    assert all(normal(normal(one, base)) == normal(one, base) for one in (composed, "/%25%41 b", "?q=a+b%2B"))
    scope = Scope.of(["https://xamau.vn/"], ["www.xamau.vn"], ["/lich/*"])
    assert scope.holds("http://www.xamau.vn/") and not scope.holds("https://xamau.vn/lich/1") and not scope.holds("http://x.vn/")
    assert not scope.holds("https://xamau.vn/a/b/a/b/a/b/a/b/") and not scope.holds("https://xamau.vn:8443/")
    assert shape("https://x.vn/tin/12?a=1&b=2") == shape("https://x.vn/tin/7?b=9&a=3") != shape("https://x.vn/tin/7")
    assert sort_key("https://www.xamau.vn/A?b=1") == "vn,xamau,www)/a?b=1"
    for inside in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "100.64.0.1", "fd00::1",
                   "64:ff9b::7f00:1", "2002:7f00:1::", "0.0.0.0", "224.0.0.1"):
        assert not public(inside), inside
    assert public("1.1.1.1") and public("2606:4700::1111")


def test_robots() -> None:
    rules = robots.read(b"User-agent: a\nUser-agent: gaccong\nDisallow: /tin\nAllow: /tin/moi\nDisallow: /*.zip$\nCrawl-delay: 99\n"
                        b"\nUser-agent: *\nDisallow: /\nSitemap: https://x/s.xml\n", "gaccong")
    assert not rules.allow("http://x/tin/cu") and rules.allow("http://x/tin/moi/1") and rules.allow("http://x/")
    assert not rules.allow("http://x/a/b.zip") and rules.allow("http://x/a.zip?x") and rules.delay == robots.SLOWEST
    assert rules.sitemaps == ["https://x/s.xml"]
    assert not robots.read(b"User-agent: *\nDisallow: /", "gaccong").allow("http://x/")
    assert robots.read(b"\xff\xfe<html>", "gaccong").allow("http://x/")
    slow = robots.read(b"User-agent: *\nDisallow: /" + b"*a" * 900 + b"$\n", "gaccong")
    started = time.monotonic()
    slow.allow("http://x/" + "a" * 1900 + "b")
    assert time.monotonic() - started < 1


def test_sitemaps() -> None:
    assert sitemaps.read(b"http://x/a\n\nrac\nhttps://x/b") == (["http://x/a", "https://x/b"], [])
    assert sitemaps.read(b"<s:urlset xmlns:s='u'><s:url><s:loc> http://x/&amp;</s:loc></s:url></s:urlset>")[0] == ["http://x/&"]
    assert sitemaps.read(b"<urlset><url><loc>http://x/1</loc></url><url><lo")[0] == ["http://x/1"]
    laughs = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>'
    for bad in (laughs, b"<html", gzip.compress(b" " * (51 << 20)), b"\x1f\x8bxx", b"<a>" * 100):
        with pytest.raises(sitemaps.NoSitemap):
            sitemaps.read(bad)


def test_links() -> None:
    assert links.of_page(b"<base href=/g/><a href=a>", "text/html; charset=utf-8") == ("/g/", ["a"])
    assert links.of_page(b"x{y:url(f)}", "text/css") == ("", ["f"]) and links.of_page(b"x", "image/png") == ("", [])
    base, found = links.in_html(
        "<base href='/goc/'><a href=a>x<img src=b data-src=c><div style='background:url(\"d.png\")'><style>@import 'e.css';"
        "x{y:url(f)}</style><object data=g></object><video poster=h></video><meta property=og:image content=i><source srcset='j 1x'>"
        "<a href='javascript:x'><a href='data:x'><a href='#y'><p data=khong>")
    assert base == "/goc/" and sorted(found) == list("abc") + ["d.png", "e.css", *"fghij"]
    assert links.text_of("xã".encode("cp1258", "replace"), "text/html; charset=khong-co")
    assert links.plain(gzip.compress(b"x" * 100), "gzip", 10) == b"x" * 10 and links.plain(b"rac", "gzip") == b""


def cpu(do: Callable[[], Any]) -> float:
    """CPU seconds of this process alone: other load of the machine does not count."""
    begun = time.process_time()
    do()
    return time.process_time() - begun


def test_half_a_megabyte_of_robots_costs_little() -> None:
    many = b"".join(b"User-agent: a%d\n" % number for number in range(20_000)) + b"Disallow: /x\n" * 900
    assert cpu(lambda: robots.read(many, "gaccong")) < 2
    told = robots.read(b"User-agent: a\nUser-agent: GacCong\nDisallow: /kin\nUser-agent: *\nDisallow: /\n" + many, "gaccong")
    assert told.allow("http://x/mo") and not told.allow("http://x/kin")
    assert not robots.read(b"User-agent: a\nUser-agent: *\nDisallow: /kin\n", "gaccong").allow("http://x/kin")


def test_a_page_that_is_made_to_be_slow_is_read_apart_or_not_at_all() -> None:
    """Nested elements cost their square; so does a charset that is meant for host names."""
    assert cpu(lambda: links.of_page(b"<div>" * 13_000, "text/html")) < 0.25
    assert cpu(lambda: links.text_of(b"\xc3" * 10 + b"-" + b"a" * 65_000, "text/html; charset=punycode")) < 0.25
    assert links.text_of("Xã".encode("cp1258", "replace"), "text/html; charset=windows-1258").startswith("X")
    assert links.text_of("Xã".encode(), "text/html; charset=idna") == links.text_of("Xã".encode(), "text/html; charset=puny_code") == "Xã"


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    good = {"kind": "mirror", "name": "t", "seeds": ["https://xã-mẫu.vn"]}
    assert Source.model_validate(good).seeds == ("https://xn--x-mu-goa0686b.vn/",)
    for bad in ({"seeds": ["ftp://x/"]}, {"seeds": ["https://u:p@x.vn/"]}, {"seeds": []}, {"exclude": ["lich"]},
                {"networks": ["mang"]}, {"rate": 0}, {"exclude": ["/*"]}):
        with pytest.raises(ValidationError):
            Source.model_validate({**good, **bad})
