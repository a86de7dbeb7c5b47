"""The login form, its sessions, and what `/status` tells to everybody, over a socket."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest

from monitoring.page import make_app
from monitoring.page.entry import within
from monitoring.page.guard import GUESSES
from monitoring.page.passwords import hashed, stored
from monitoring.page.sessions import LASTS_SECONDS, Sessions, cookie_of, set_cookie
from ops import Secret, UsageError
from tests.monitoring.desk import HOSTILE, night
from tests.monitoring.seeded import seeded
from tests.monitoring.test_page import Served, served, text_of

PASSWORD = "ngựa đúng pin ghim"


@pytest.fixture(scope="module")
def hash_line() -> str:
    return hashed(PASSWORD)


@pytest.fixture
def site(hash_line: str) -> Iterator[Served]:
    with served([night()], password=Secret(hash_line.encode()), token=Secret(b"m" * 32)) as found:
        yield found


def post(site: Served, path: str, fields: dict[str, str] | bytes, **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(site.host, site.port, timeout=20)
    body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    named = {"Content-Type": "application/x-www-form-urlencoded", **{key.replace("_", "-"): value for key, value in headers.items()}}
    connection.request("POST", path, body, named)
    answer = connection.getresponse()
    found = answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read().decode()
    connection.close()
    return found


def cookie(headers: dict[str, str]) -> str:
    return headers["set-cookie"].partition(";")[0]


def test_a_browser_is_led_to_the_form_and_a_program_is_told(site: Served) -> None:
    status, headers, body = site.get("/site/xamau")
    assert (status, headers["location"], body) == (303, "/login?next=/site/xamau", "")
    assert site.get("/metrics")[0] == 401
    assert site.get("/metrics", Authorization="Bearer " + "m" * 32)[0] == 200
    assert site.get("/metrics", Authorization="Bearer " + PASSWORD.encode().decode("latin-1"))[0] == 401
    assert site.get("/", Authorization="Bearer falsch")[0] == 401
    assert site.get("/healthz")[0] == 200
    form = site.get("/login?next=/site/xamau")
    assert form[0] == 200
    assert 'value="/site/xamau"' in form[2]
    assert "xasuoitrong" not in form[2] + body


def test_in_and_out_again(site: Served) -> None:
    status, headers, _ = post(site, "/login", {"password": PASSWORD, "next": "/site/xamau"})
    assert (status, headers["location"]) == (303, "/site/xamau")
    assert re.fullmatch(r"gaccong=[\w.]+; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict", headers["set-cookie"])
    inside = cookie(headers)
    status, _, page = site.get("/", Cookie=f"a=b; {inside}; c=d")
    assert status == 200
    assert "Đăng xuất" in page
    assert site.get("/metrics", Cookie=inside)[0] == 200
    assert post(site, "/", {}, Cookie=inside)[0] == 405
    assert post(site, "/logout", {}, Cookie=inside, Origin="http://evil.example")[0] == 403
    assert site.get("/", Cookie=inside)[0] == 200
    status, headers, _ = post(site, "/logout", {}, Cookie=inside)
    assert (status, cookie(headers), "Max-Age=0" in headers["set-cookie"]) == (303, "gaccong=", True)
    assert site.get("/", Cookie=inside)[0] == 303, "a copy of the cookie is worth nothing"


def test_behind_https_the_cookie_is_bound_to_it(site: Served) -> None:
    _, headers, _ = post(site, "/login", {"password": PASSWORD}, X_Forwarded_Proto="https")
    inside = cookie(headers)
    assert inside.startswith("__Host-gaccong=")
    assert headers["set-cookie"].endswith("; Secure")
    assert site.get("/", Cookie=inside, X_Forwarded_Proto="https")[0] == 200
    # a neighbour host, or a listener on plain http, can plant `gaccong`, but not `__Host-gaccong`
    assert site.get("/", Cookie=inside.removeprefix("__Host-"), X_Forwarded_Proto="https")[0] == 303
    assert site.get("/", Cookie=inside)[0] == 303


def test_wrong_words_do_not_enter(site: Served) -> None:
    for wrong in ("", PASSWORD + " ", PASSWORD.upper(), "m" * 31, "x" * 1024, HOSTILE):
        status, headers, page = post(site, "/login", {"password": wrong})
        assert (status, "set-cookie" in headers) == (401, False), wrong
        assert "Mật khẩu không đúng" in page
        assert "<script" not in page
    assert post(site, "/login", {"password": "m" * 32})[0] == 303, "the token enters by the form too"


def test_a_password_in_pieces_is_the_same_password(site: Served) -> None:
    import unicodedata

    assert post(site, "/login", {"password": unicodedata.normalize("NFD", PASSWORD)})[0] == 303


def test_guesses_are_bounded_and_cost_little(site: Served) -> None:
    codes: list[int] = []

    def guess() -> None:
        codes.append(post(site, "/login", {"password": "sai sai sai sai"})[0])

    threads = [threading.Thread(target=guess) for _ in range(30)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert codes.count(401) + codes.count(503) <= GUESSES, "all at once are no more than one after the other"
    assert codes.count(429) >= 30 - GUESSES
    status, headers, _ = post(site, "/login", {"password": PASSWORD})
    assert (status, int(headers["retry-after"]) > 0) == (429, True)
    assert site.get("/", Authorization="Bearer " + "m" * 32)[0] == 200, "the token always enters"


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
    {"Content_Type": "text/plain"}, {"Content_Type": "multipart/form-data; boundary=x"},
])
def test_another_page_cannot_send_the_form(site: Served, headers: dict[str, str]) -> None:
    status, answered, _ = post(site, "/login", {"password": PASSWORD}, **headers)
    assert (status, "set-cookie" in answered) == (403, False)


def test_its_own_page_can(site: Served) -> None:
    own = f"{site.host}:{site.port}"
    for headers in ({"Origin": f"http://{own}"}, {"Sec_Fetch_Site": "same-origin", "Origin": "null"}):
        assert post(site, "/login", {"password": PASSWORD}, **headers)[0] == 303


def test_bodies_are_bounded(site: Served) -> None:
    for body in (b"password=" + b"x" * 200_000, b"\xff" * 20, b"&".join(b"a%d=1" % n for n in range(50)), b""):
        assert post(site, "/login", body)[0] == 403


@pytest.mark.parametrize("path", ["//evil.example/x", "https://evil.example", "/\\evil.example", "\\\\evil", "", "/" * 400,
                                  "javascript:alert(1)", "/\r\nX: y", "/\t/evil.example"])
def test_the_way_after_the_login_stays_here(path: str) -> None:
    assert re.fullmatch(r"/(?![/\\])[\w%./-]*", within(path)), within(path)


def test_sessions_end_by_themselves() -> None:
    now = [1000.0]
    sessions = Sessions(lambda: now[0])
    value = sessions.begin()
    assert sessions.holds(value)
    for forged in ("", ".", "..", value[:-1] + ("0" if value[-1] != "0" else "1"), f"{10**12}{value[value.index('.'):]}",
                   "é" + value, value + ".x", Sessions(lambda: now[0]).begin()):
        assert not sessions.holds(forged), forged
    now[0] += LASTS_SECONDS + 1
    assert not sessions.holds(value)
    for _ in range(5000):
        sessions.end(sessions.begin())
    assert len(sessions._ended) <= 4096


def test_two_cookies_of_one_name_are_none() -> None:
    assert cookie_of([(b"cookie", b"gaccong=a; gaccong=b")]) == ""
    assert cookie_of([(b"cookie", b"gaccong=a"), (b"cookie", b"x=y")]) == "a"
    assert "Secure" not in set_cookie("a", secure=False)


def test_the_stored_password() -> None:
    line = hashed(PASSWORD)
    assert re.fullmatch(r"\$scrypt\$ln=15,r=8,p=1\$[\w+/]{22}\$[\w+/]{43}", line)
    assert line != hashed(PASSWORD), "salted"
    assert stored(line.encode() + b"\n").fits(PASSWORD)
    assert not stored(line.encode()).fits(PASSWORD[:-1])
    assert not stored(line.encode()).fits("x" * 100_000)
    with pytest.raises(UsageError, match="at least 10"):
        hashed("ngắn quá")
    for bad in (PASSWORD.encode(), b"", line.replace("ln=15", "ln=30").encode(), line.replace("ln=15", "ln=5").encode(),
                line.replace("r=8", "r=99").encode(), line[:-9].encode() + b"*" * 9, b"\xff\xfe"):
        with pytest.raises(UsageError) as caught:
            make_app(lambda: [], frozenset(), "1", password=Secret(bad))
        assert PASSWORD not in caught.value.explain("vi")


def test_a_flood_of_logins_does_not_hold_up_the_page(site: Served) -> None:
    inside = cookie(post(site, "/login", {"password": PASSWORD})[1])
    threads = [threading.Thread(target=lambda: post(site, "/login", {"password": "sai sai sai sai"})) for _ in range(20)]
    for one in threads:
        one.start()
    began = time.monotonic()
    assert site.get("/", Cookie=inside)[0] == 200
    assert time.monotonic() - began < 5
    for one in threads:
        one.join()


# ---------------------------------------------------------------------- /status


def test_the_public_page_tells_what_may_be_shown(tmp_path: Path, hash_line: str) -> None:
    desk, store = seeded(tmp_path, datetime.now(UTC))
    hidden = night(site="kin", name="Xã Kín Đáo")
    sites = {**desk.sites(), "kin": hidden.site}
    both = type(desk)(lambda: sites, desk.read, desk.view, desk.heads, desk.state)
    with store, served(lambda: [desk.read("xamau"), hidden], desk=both, password=Secret(hash_line.encode()),
                       public=("xamau",)) as site:
        status, headers, page = site.get("/status")
        assert status == 200
        assert site.get("/status/xamau")[2].count("<rect") == page.count("<rect") > 180
        for closed in ("/status/kin", "/status/khong", "/status/..%2fsite%2fxamau", "/status/"):
            assert site.get(closed)[0] in (404, 307), closed
        assert site.get("/site/xamau")[0] == 303
        assert site.get("/status?lang=en")[2].count('lang="en"')
        assert post(site, "/status", {})[0] == 405
    words = text_of(page)
    assert "Chỉ vào được qua IPv4" in words
    assert re.search(r"IPv4 đang chạy 99,9\d\d %", words)
    assert "Nâng cấp máy chủ cơ sở dữ liệu" in words
    for kept in ("Kín Đáo", "TN-", "xamau#", "curl", "gaccong look", "refused", "từ chối", "Nguyễn", "chứng thư", "tài khoản",
                 "Đăng xuất", "ghi muộn"):
        assert kept not in page, kept
    assert headers["content-security-policy"].startswith("default-src 'none'")


def test_without_being_asked_for_nothing_is_public(hash_line: str) -> None:
    with served([night()], password=Secret(hash_line.encode())) as site:
        assert site.get("/status")[0] == 303
    with served([night()]) as site:
        assert site.get("/status")[0] == 404


def test_many_askers_cost_one_reading(tmp_path: Path) -> None:
    desk, store = seeded(tmp_path)
    reads: list[int] = []

    class View:
        def __getattr__(self, name: str):
            reads.append(1)
            return getattr(desk.view, name)

    counted = type(desk)(desk.sites, desk.read, View(), None, None)
    with store, served(lambda: [], desk=counted, public=["*"]) as site:
        for _ in range(20):
            assert site.get("/status")[0] == 200
    assert len(reads) <= 2, "one for each family"


# ---------------------------------------------------------------------- the command

SITE = '[site.xamau]\nname = "Xã Suối Trong"\npolicy = "thong-nhat"\nurl = "https://xasuoitrong.test/"\n'


def test_the_command_makes_a_hash_and_serves_with_it(tmp_path: Path) -> None:
    """From `gaccong serve --hash-password` to a page that a password opens and `/status` that anybody may see."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    seeded(state, datetime.now(UTC))[1].close()
    config = tmp_path / "gaccong.toml"
    top = f'state = "state"\nstore = "sqlite:///{state}/store.db"\n'
    config.write_text(top + SITE, encoding="utf-8")
    gaccong = [str(Path(sys.executable).parent / "gaccong"), "--config", str(config), "--lang", "en", "serve"]
    short = subprocess.run([*gaccong, "--hash-password"], input="ngan\n", capture_output=True, text=True, timeout=60, check=False)
    assert (short.returncode, short.stdout) == (2, "")
    made = subprocess.run([*gaccong, "--hash-password"], input=PASSWORD + "\n", capture_output=True, text=True, timeout=60,
                          check=True)
    (tmp_path / "word").touch(mode=0o600)
    (tmp_path / "word").write_text(made.stdout, encoding="ascii")
    serve = '[serve]\npassword = "file:word"\npublic = ["xamau"]\n'
    config.write_text(top + serve + SITE, encoding="utf-8")
    with subprocess.Popen([*gaccong, "--listen", "127.0.0.1:0", "--page-only"], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = next((one for line in process.stderr if (one := re.search(r"page: http://127.0.0.1:(\d+)/", line))), None)
            assert found is not None
            site = Served(int(found.group(1)))
            assert site.get("/")[0] == 303
            assert "Chỉ vào được qua IPv4" in site.get("/status?lang=vi")[2]
            inside = cookie(post(site, "/login", {"password": PASSWORD})[1])
            page = site.get("/?lang=vi", Cookie=inside)[2]
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert "3 việc đang hỏng" in page
    assert "Lần cuối đạt" in page
    config.write_text(top + serve.replace('"xamau"', '"khac"') + SITE, encoding="utf-8")
    done = subprocess.run([*gaccong, "--page-only"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "serve.public names no site: khac" in done.stderr) == (2, True)
    config.write_text(top + SITE, encoding="utf-8")
    done = subprocess.run([*gaccong, "--page-only", "--listen", "0.0.0.0:0"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "serve.password is demanded" in done.stderr) == (2, True)
