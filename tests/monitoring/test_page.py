"""The page, served for real by uvicorn and fetched over a socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest

from monitoring.page import make_app
from monitoring.page.connections import MOST_CONNECTIONS, MOST_OF_ONE
from monitoring.page.guard import GUESSES, REFILL_SECONDS, Guesses
from monitoring.page.rows import age, sheet, span
from monitoring.page.serving import running
from ops import Secret, SiteStatus, UsageError
from tests.kit import NOW
from tests.monitoring.desk import BROKEN, HOSTILE, MET, RISK, UNSEEN, clause, duty, night, policy, read, state

PRIVATE = frozenset({"accounts.leavers"})


class Served:
    """A running page: `get` fetches."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port, self.host = port, host

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        found = (answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read().decode())
        connection.close()
        return found


@contextlib.contextmanager
def served(statuses: Callable[[], Sequence[SiteStatus]] | Sequence[SiteStatus], host: str = "127.0.0.1",
           **more) -> Iterator[Served]:
    """Runs the page in an event loop of its own."""
    read_them = statuses if callable(statuses) else (lambda: statuses)
    app = make_app(read_them, PRIVATE, "1.2.3", **more)
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def main() -> None:
        async with running(app, host, 0) as port:
            ports.append(port)
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(main())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(15)
    try:
        yield Served(ports[0], host)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(15)
        assert not thread.is_alive()


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_page_of_a_bad_night(host: str) -> None:
    with served([night()], host) as site:
        status, headers, page = site.get("/")
    assert status == 200
    words = text_of(page)
    assert "3 việc đang hỏng, 2 việc sắp hỏng" in words
    assert "từ 06:53, đã 3 giờ" in words
    assert "xamau#1198" in words
    assert "curl -6 -sSLv -o /dev/null https://xasuoitrong.test/" in page
    assert words.index("Đang hỏng") < words.index("Cảnh báo: sắp hỏng") < words.index("Chưa có trong phiên bản này")
    assert "Nguyễn Văn Mẫu" not in page
    assert "1 trường hợp; tên người không hiện ở đây" in words
    assert "Lưu ý" in words
    assert headers["content-type"] == "text/html; charset=utf-8"


def test_headers_of_every_answer() -> None:
    with served([night()]) as site:
        for path in ("/", "/site/xamau", "/site/khongco", "/nope", "/metrics", "/healthz", "/page.css", "/icon.svg"):
            _, headers, _ = site.get(path)
            assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'"), path
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cache-control"] == "no-store"
            assert "server" not in headers
        assert site.get("/", Host="rebind.test")[1]["x-content-type-options"] == "nosniff"


def test_nothing_inline_and_nothing_from_outside() -> None:
    with served([night()]) as site:
        page, style = site.get("/")[2], site.get("/page.css")[2]
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|javascript:", page, re.I)
    links = re.findall(r"(?:href|src|action)=\"([^\"]*)\"", page)
    assert links
    assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in links), links
    assert "url(" not in style
    assert "@import" not in style


def test_read_only() -> None:
    with served([night()]) as site:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            assert site.get("/", method)[0] == 405
        status, headers, body = site.get("/", "HEAD")
        assert (status, body) == (200, "")
        assert int(headers["content-length"]) > 1000


def test_hostile_text_is_escaped_everywhere() -> None:
    rows = [state("web.http", HOSTILE, BROKEN, HOSTILE, HOSTILE, command=HOSTILE),
            state("stray.duty", HOSTILE, RISK, HOSTILE, HOSTILE)]
    rules = policy(clause("TN-1", HOSTILE, "web.http"), clause("TN-2", HOSTILE, "chua.co"))
    status = read(rows, rules, [duty("web.http"), duty("stray.duty")], name=HOSTILE)
    other = read(rows, rules, [duty("web.http")], name=HOSTILE, site=HOSTILE)
    with served([status, other]) as site:
        pages = [site.get(path)[2] for path in (
            "/", "/site/xamau", "/?lang=en", "/site/%3Cscript%3E", f"/?lang={'%22%3E%3Cscript%3E'}")]
        metrics = site.get("/metrics")[2]
    for page in pages:
        assert "<script" not in page
        assert "alert('x')</" not in page
        assert "{{7*7}}" in page or "Không có trang" in page
    assert "&lt;script&gt;alert(&#39;x&#39;)" in pages[1]
    assert "gaccong_verdict" in metrics


def test_fleet_worst_first() -> None:
    def one(site: str, name: str, verdict) -> SiteStatus:
        return read([state("web.http", "ipv4", verdict, "a", "a", site=site)], policy(clause("TN-1", "x", "web.http")),
                    [duty("web.http")], site=site, name=name)

    fleet = [one("a", "Xã A", MET), one("b", "Xã B", BROKEN), one("c", "Xã C", RISK), one("d", "Xã D", UNSEEN)]
    with served(fleet) as site:
        words = text_of(site.get("/")[2])
        page = site.get("/site/b?lang=en")[2]
        missing = site.get("/site/z")
    assert "1 trang không đạt, 1 trang cảnh báo" in words
    assert words.index("Xã B") < words.index("Xã C") < words.index("Xã D") < words.index("Xã A")
    assert "1 broken" in page
    assert '<html lang="en">' in page
    assert missing[0] == 404


def test_languages() -> None:
    with served([night()], lang="en") as site:
        assert '<html lang="en">' in site.get("/")[2]
        assert '<html lang="vi">' in site.get("/?lang=vi")[2]
        assert '<html lang="vi">' in site.get("/?lang=xx")[2]


def test_host_header_on_loopback() -> None:
    with served([night()], names=("truc.xamau.test",)) as site:
        for good in ("localhost", "localhost:99", "127.0.0.1:9850", "[::1]:1", "TRUC.xamau.test", "truc.xamau.test.:80"):
            assert site.get("/", Host=good)[0] == 200, good
        for bad in ("rebind.test", "127.0.0.1.rebind.test", "", "[::2]", "localhost.rebind.test:9850"):
            assert site.get("/", Host=bad)[0] == 421, bad
            assert site.get("/metrics", Host=bad)[0] == 421


def _basic(word: str, user: str = "ai") -> str:
    return "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()


def test_login() -> None:
    token = Secret("mã-truy-cập:123".encode())
    with served([night()], token=token) as site:
        status, headers, body = site.get("/")
        assert (status, headers["www-authenticate"].startswith("Basic")) == (401, True)
        assert "xamau" not in body
        assert site.get("/metrics")[0] == 401
        assert site.get("/page.css")[0] == 200
        assert site.get("/healthz")[0] == 200
        assert site.get("/", Authorization=_basic("mã-truy-cập:123"), Host="ngoai.test")[0] == 200
        assert site.get("/metrics", Authorization="Bearer mã-truy-cập:123".encode().decode("latin-1"))[0] == 200
        for wrong in (_basic("mã"), _basic(""), "Bearer ", "Bearer x", "Basic ***", "Digest x"):
            assert site.get("/", Authorization=wrong)[0] == 401


def test_guesses_are_bounded() -> None:
    with served([night()], token=Secret(b"dung")) as site:
        codes = [site.get("/", Authorization=_basic("sai"))[0] for _ in range(int(GUESSES) + 2)]
        assert codes[:10] == [401] * 10
        status, headers, _ = site.get("/", Authorization=_basic("sai"))
        assert (codes[-1], status, int(headers["retry-after"]) <= REFILL_SECONDS + 1) == (429, 429, True)


def test_wrong_guesses_lock_nobody_else_out() -> None:
    """Behind a proxy everybody has the same address."""
    with served([night()], token=Secret(b"dung")) as site:
        for _ in range(3):
            assert {site.get("/", Authorization=_basic("sai"))[0] for _ in range(int(GUESSES))} <= {401, 429}
            assert site.get("/", Authorization=_basic("dung"))[0] == 200
        assert site.get("/", Authorization=_basic("sai"))[0] == 429


def test_a_short_token_is_told(caplog: pytest.LogCaptureFixture) -> None:
    make_app(lambda: [], PRIVATE, "1", token=Secret(b"x" * 43))
    assert caplog.text == ""
    make_app(lambda: [], PRIVATE, "1", token=Secret(b"dung"))
    assert "serve.token is short" in caplog.text


def test_no_path_leads_elsewhere() -> None:
    with served([night()]) as site:
        for path in ("//evil.example/x", "///evil.example", "/%5Cevil.example", "/%09/evil.example", "/%0a//evil.example"):
            status, _, page = site.get(path)
            links = re.findall(r"href=\"([^\"]*)\"", page)
            assert status == 404 and any("evil.example" in link for link in links), path
            assert all(re.match(r"(/(?![/\\\s])|#)", link) for link in links), links


# ---------------------------------------------------------------------- many connections


def half_open(site: Served, number: int, source: str = "127.0.0.1") -> list[socket.socket]:
    found = []
    for _ in range(number):
        one = socket.create_connection((site.host, site.port), timeout=10, source_address=(source, 0))
        one.sendall(b"GET / HTTP/1.1\r\nX: ")
        found.append(one)
    return found


def is_cut(one: socket.socket, seconds: float) -> bool:
    one.settimeout(seconds)
    try:
        return one.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
def test_silent_connections_close_the_page_to_nobody(source: str) -> None:
    with served([night()]) as site, contextlib.ExitStack() as stack:
        for one in half_open(site, 2 * MOST_CONNECTIONS, source):
            stack.enter_context(one)
        for _ in range(5):
            assert site.get("/healthz")[0] == 200


def test_silent_connections_from_many_addresses_close_the_page_to_nobody() -> None:
    with served([night()]) as site, contextlib.ExitStack() as stack:
        for number in range(2, 12):
            for one in half_open(site, MOST_OF_ONE - 4, f"127.0.0.{number}"):
                stack.enter_context(one)
        assert site.get("/healthz")[0] == 200


def test_a_request_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.page.connections.REQUEST_SECONDS", 0.5)
    with served([night()]) as site:
        [dripping] = half_open(site, 1)
        with socket.create_connection((site.host, site.port)) as mute, dripping:
            started = time.monotonic()
            while not is_cut(dripping, 0.1):
                assert time.monotonic() - started < 5, "a byte now and then keeps it open"
                with contextlib.suppress(OSError):
                    dripping.sendall(b"x")
            assert is_cut(mute, 5)
        with socket.create_connection((site.host, site.port)) as slow_body:
            slow_body.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
            slow_body.settimeout(5)
            while slow_body.recv(65536):
                pass  # the refusal, then the end
        with socket.create_connection((site.host, site.port)) as kept:
            for _ in range(3):
                time.sleep(0.3)
                kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)
                answered = b""
                while answered.count(b"ok\n") < 2:
                    chunk = kept.recv(65536)
                    assert chunk, "cut between whole requests"
                    answered += chunk
                assert answered.count(b"HTTP/1.1 200") == 2


def test_an_answer_that_is_being_made_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.page.connections.REQUEST_SECONDS", 0.2)

    def slowly() -> Sequence[SiteStatus]:
        time.sleep(1)
        return [night()]

    with served(slowly) as site:
        assert site.get("/")[0] == 200
        monkeypatch.setattr("monitoring.page.connections.ANSWER_SECONDS", 0.3)
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            site.get("/")


def test_the_bucket_refills_and_stays_small() -> None:
    now = [0.0]
    guesses = Guesses(lambda: now[0])
    for _ in range(10):
        guesses.spend("a")
    assert guesses.wait("a") > 0
    assert guesses.wait("b") == 0
    now[0] += REFILL_SECONDS + 0.1
    assert guesses.wait("a") == 0
    for number in range(10_000):
        guesses.spend(str(number))
    assert len(guesses._buckets) <= 4096


def test_a_reader_that_fails_tells_no_secret() -> None:
    def fail() -> Sequence[SiteStatus]:
        raise RuntimeError("mat-khau-trong-loi")

    with served(fail) as site:
        for path in ("/", "/metrics", "/site/x"):
            status, headers, body = site.get(path)
            assert status == 503
            assert "mat-khau" not in body
            assert "content-security-policy" in headers


def test_beyond_loopback_only_with_a_token() -> None:
    app = make_app(lambda: [], PRIVATE, "1")

    async def try_it(host: str) -> None:
        async with running(app, host, 0):
            raise AssertionError("served")

    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(UsageError):
            asyncio.run(try_it(host))
    with pytest.raises(UsageError, match="not an IP"):
        asyncio.run(try_it("ten.test"))


def test_a_taken_port_is_told() -> None:
    app = make_app(lambda: [], PRIVATE, "1")

    async def twice() -> None:
        async with running(app, "127.0.0.1", 0) as port:
            with pytest.raises(UsageError, match="cannot listen"):
                async with running(app, "127.0.0.1", port):
                    raise AssertionError("served")

    asyncio.run(twice())


def test_one_thing_is_told_once() -> None:
    rules = policy(clause("TN-1", "một", "web.http", "dns.address"), clause("TN-2", "hai", "web.http"),
                   clause("TN-3", "ba", "host.disk", "web.http"), clause("TN-4", "bốn", "chua.co"),
                   clause("TN-5", "năm", attested=True), clause("TN-6", "sáu", "backup.fresh"),
                   clause("TN-7", "bảy", "host.load"))
    states = [state("web.http", "ipv6", BROKEN, "a", "a"), state("web.http", "ipv4", MET, "b", "b"),
              state("host.disk", "/", RISK, "c", "c"), state("host.load", "cpu", MET, "e", "e"),
              state("la.lung", "x", BROKEN, "d", "d", ago=timedelta(minutes=5))]
    built = [duty(one) for one in ("web.http", "host.disk", "backup.fresh", "la.lung", "host.load")]
    found = sheet(read(states, rules, built), frozenset())
    assert [(card.duty, [one.id for one in card.demands]) for card in found.broken] == [
        ("la.lung", []), ("web.http", ["TN-2", "TN-1", "TN-3"])], "the newest first, the most particular clause first"
    assert [row.subject for row in found.broken[1].rows] == ["ipv6"]
    assert [card.duty for card in found.at_risk] == ["host.disk"]
    assert [card.duty for card in found.to_look] == ["backup.fresh"]
    assert [card.duty for card in found.to_attest] == ["attest:TN-5"]
    assert [one.clause.id for one in found.not_built] == ["TN-1", "TN-4"]
    assert [one.clause.id for one in found.met] == ["TN-7"]
    assert found.headline.vi == "2 việc đang hỏng, 1 việc sắp hỏng"


def test_every_bad_state_is_somewhere_on_the_page() -> None:
    status = night()
    found = sheet(status, frozenset())
    shown = {(card.duty, row.subject) for heap in (found.broken, found.at_risk, found.to_look)
             for card in heap for row in card.rows}
    assert {(one.duty, one.subject) for one in status.states if one.verdict is not MET} <= shown


def test_a_green_site_says_so_and_only_then() -> None:
    rules = policy(clause("TN-1", "một", "web.http"))
    good = sheet(read([state("web.http", "ipv4", MET, "a", "a")], rules, [duty("web.http")]), frozenset())
    assert (good.verdict, good.headline.vi) == (MET, "Mọi điều khoản đều đạt")
    stale = sheet(read([state("web.http", "ipv4", MET, "a", "a", now=NOW - timedelta(days=1))], rules,
                       [duty("web.http")]), frozenset())
    assert stale.verdict is UNSEEN
    assert "chưa kiểm tra được" in stale.headline.vi


def test_ages() -> None:
    assert age(NOW - timedelta(hours=3), NOW).vi == "từ 07:00, đã 3 giờ"
    assert age(NOW - timedelta(hours=11), NOW).vi == "từ 23:00 ngày 19/11, đã 11 giờ"
    assert age(NOW - timedelta(days=400), NOW).en == "since 10:00 on 16/10/2025, for 400 days"
    assert span(timedelta(seconds=-5)).vi == "chưa tới 1 phút"
    assert age(None, NOW).vi == ""
