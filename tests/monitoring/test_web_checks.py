"""The checks of pages and links, against a real nginx that serves a good commune site and sites with one fault each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from pydantic import ValidationError

from monitoring.checks.api_sharing import api_sharing
from monitoring.checks.broken_links import broken_links
from monitoring.checks.canonical_host import canonical_host
from monitoring.checks.emc_connected import emc_connected
from monitoring.checks.feedback_contact import feedback_contact
from monitoring.checks.footer_identity import footer_identity
from monitoring.checks.headers import headers
from monitoring.checks.https_redirect import https_redirect
from monitoring.checks.interaction_functions import interaction_functions
from monitoring.checks.layout_tt22 import layout_tt22
from monitoring.checks.print_save import print_save
from monitoring.checks.qa_function import qa_function
from monitoring.checks.required_links import required_links
from monitoring.checks.response_time import response_time
from monitoring.checks.search import search
from monitoring.checks.source_notice import source_notice
from monitoring.pages import bare, fold
from monitoring.sections.web import Identity, Web
from monitoring.settings import Settings
from ops import CannotSee, Check, Finding, Site, Verdict
from tests.kit import make_context
from tests.monitoring.lab import Authority, NameServer, Zone, free_port, nginx

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN
HOST = "xamau.tinhmau.gov.vn"
TITLES = ("Phiên chợ vùng cao đông vui ngày đầu tháng", "Đường liên thôn đã rải xong lớp đá cuối cùng")
CODE = ("<script>var _govaq=[];_govaq.push(['setTrackerUrl','https://f-emc.ngsp.gov.vn/tracking']);"
        "_govaq.push(['setSiteId', '4321']);</script>")
FOOTER = """<footer><p>Trang thông tin điện tử xã Mẫu. Cơ quan chủ quản: Ủy ban nhân dân tỉnh Mẫu</p>
<p>Chịu trách nhiệm: Trưởng Ban Biên tập</p><p>Địa chỉ: thôn Một, xã Mẫu. Điện thoại: (0200) 3 000 001. Thư: vanthu@mau.test</p>
<p>Ghi rõ nguồn khi sử dụng lại thông tin từ trang này.</p></footer>"""
MENU = """<header><nav><a href="/">Trang chủ</a><a href="/tin/">Tin tức</a><a href="/hoi-dap/">Hỏi – Đáp</a>
<a href="/gop-y/">Góp ý</a></nav></header>"""


def page(title: str, body: str, *, head: str = "", footer: str = FOOTER) -> str:
    return (f'<!doctype html><html lang="vi"><head><meta charset="utf-8"><title>{title}</title>'
            f'<meta name="viewport" content="width=device-width">{head}</head><body>{MENU}<main>{body}</main>{footer}{CODE}'
            "</body></html>")


def article(number: int) -> str:
    return f'<a href="/tin/{number}.html">{TITLES[number]}</a>'


SEARCH = '<form action="/tim" role="search"><input type="hidden" name="l" value="vi"><input type="search" name="q"></form>'
FILES = {
    "index.html": page("Xã Mẫu", SEARCH + article(0) + '<a href="https://tinhmau.gov.vn/">Cổng tỉnh</a>'
                       '<a href="https://dichvucong.gov.vn/">Dịch vụ công</a>',
                       head='<link rel="alternate" type="application/rss+xml" href="/rss.xml">'),
    "tin/index.html": page("Tin tức", article(0) + article(1)),
    "tin/0.html": page(TITLES[0], f"<h1>{TITLES[0]}</h1><a href='?in=1' onclick='window.print()'>In bài</a>"
                       "<a href='/tin/0.pdf'>Tải về</a>"),
    "tin/1.html": page(TITLES[1], f"<h1>{TITLES[1]}</h1><a href='/tin/1.pdf'>PDF</a>",
                       head='<link rel="stylesheet" href="/trang.css">'),
    "trang.css": "body{margin:0} @media screen, print { nav{display:none} }",
    "tin/0.pdf": "%PDF-1.4 x", "tin/1.pdf": "%PDF-1.4 x",
    "hoi-dap/index.html": page("Hỏi đáp", "<form method=post><textarea name=a></textarea></form>"),
    "gop-y/index.html": page("Góp ý", "Thư điện tử: gopy@mau.test"),
    "rss.xml": '<?xml version="1.0"?><rss version="2.0"><channel><title>x</title>'
    + "".join(f"<item><title>{title}</title><link>/tin/{at}.html</link></item>" for at, title in enumerate(TITLES))
    + "</channel></rss>",
    "none.html": page("Tìm kiếm", SEARCH + article(0)),
    "all.html": page("Tìm kiếm", SEARCH + article(0) + f"<ol><li>{article(0)}</li><li>{article(1)}</li></ol>"),
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


SAFE = """add_header Strict-Transport-Security "max-age=31536000"; add_header X-Content-Type-Options nosniff;
add_header Content-Security-Policy "default-src 'self'; frame-ancestors 'none'"; add_header Referrer-Policy same-origin;"""


class Town:
    """One nginx: the good site over TLS, its http door, a door that redirects for a while only, an open second name."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.tls, self.door, self.soft, self.plain, self.second = (free_port() for _ in range(5))
        self.root = write(folder / "www", FILES)
        certificate, key = authority.issue("town", [HOST, "cu.test", "hai.test"])
        exact = [quote_plus(fold(title)) for title in TITLES]
        plain = [quote_plus(bare(title)) for title in TITLES]
        finds = "".join(f'"{one}" all; ' for one in exact)
        both = finds + "".join(f'"{one}" all; ' for one in plain)
        files = f"root {self.root}; location = /tim {{ try_files /$found.html =404; }} location = /tim1 {{ try_files /$half.html =404; }}"
        lines = [
            f"map_hash_bucket_size 512; types {{ text/html html; text/css css; text/xml xml; }}\n"
            f"map $arg_q $found {{ default none; {both} }} map $arg_q $half {{ default none; {finds} }}",
            f"server {{ listen 127.0.0.1:{self.tls} ssl; listen [::1]:{self.tls} ssl ipv6only=on; server_name {HOST}; {files}\n"
            f"ssl_certificate {certificate}; ssl_certificate_key {key}; {SAFE} }}",
            f"server {{ listen 127.0.0.1:{self.tls} ssl; listen [::1]:{self.tls} ssl; server_name cu.test;\n"
            f"ssl_certificate {certificate}; ssl_certificate_key {key}; return 301 https://{HOST}:{self.tls}$request_uri; }}",
            f"server {{ listen 127.0.0.1:{self.tls} ssl; listen [::1]:{self.tls} ssl; server_name hai.test;\n"
            f"ssl_certificate {certificate}; ssl_certificate_key {key}; {files} }}",
            f"server {{ listen 127.0.0.1:{self.door}; listen [::1]:{self.door} ipv6only=on;\n"
            f"return 301 https://{HOST}:{self.tls}$request_uri; }}",
            f"server {{ listen 127.0.0.1:{self.soft}; return 302 https://{HOST}:{self.tls}$request_uri; }}",
            f"server {{ listen 127.0.0.1:{self.plain}; {files} }}",
        ]
        self.config = "\n".join(lines)
        self.url = f"https://{HOST}:{self.tls}/"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("town"), authority)
    with nginx(made.folder / "n", made.config):
        yield made


class Desk:
    """Runs a check against a URL, by the names of a zone."""

    def __init__(self, tmp: Path, nameserver: str, authority: Authority) -> None:
        self.tmp, self.nameserver, self.authority = tmp, nameserver, authority

    def run(self, check: Check, url: str, *, names: tuple[str, ...] = (), expect: str = "", timeout: float = 3,
            **chosen: object) -> dict[str, Finding]:
        settings = Settings(nameservers=(self.nameserver,), authority=self.authority.path, timeout_seconds=timeout,
                            expect=expect, web=Web(**{"per_second": 1000.0, **chosen}))
        site = Site("xamau", "Xã mẫu", "thong-nhat", url, names)
        context = make_context(self.tmp, settings, now=datetime.now(UTC))
        return {found.subject: found for found in check.function(site, context)}


@pytest.fixture
def desk(tmp_path: Path, zone: Zone, authority: Authority) -> Iterator[Desk]:
    for name in (HOST, "cu.test", "hai.test"):
        zone.host(name)
    server = NameServer(zone)
    yield Desk(tmp_path, server.text, authority)
    server.close()


@pytest.fixture
def spare(tmp_path: Path) -> Iterator[object]:
    """Serves a folder of files plainly; returns its URL."""
    import contextlib

    with contextlib.ExitStack() as stack:
        def serve(files: dict[str, str], extra: str = "") -> str:
            port = free_port()
            folder = write(tmp_path / f"w{port}", files)
            stack.enter_context(nginx(tmp_path / f"n{port}", "types { text/html html; text/css css; text/xml xml; }\n"
                                f"server {{ listen 127.0.0.1:{port}; root {folder}; {extra} }}"))
            return f"http://{HOST}:{port}/"

        yield serve


def verdicts(found: dict[str, Finding]) -> dict[str, Verdict]:
    return {subject: one.verdict for subject, one in found.items()}


def test_a_good_site_meets_what_a_good_site_meets(desk: Desk, town: Town) -> None:
    run = lambda check, **more: verdicts(desk.run(check, town.url, **more))  # noqa: E731
    assert run(response_time) == {"ipv4": MET, "ipv6": MET}
    assert run(headers) == {"front": MET}
    assert run(search) == {"exact": MET, "plain": MET}
    assert run(required_links) == {"province": MET, "public_services": MET}
    assert run(print_save) == {"print": MET, "save": MET}
    assert run(api_sharing) == {"sharing": MET}
    assert run(emc_connected) == {"front": MET, "articles": MET}
    assert set(run(footer_identity).values()) == {MET}
    assert run(source_notice) == {"front": MET}
    assert run(feedback_contact) == {"contact": MET}
    assert run(qa_function) == {"address": MET, "section": MET}
    assert run(interaction_functions) == {"questions": MET, "opinions": MET}
    assert run(layout_tt22) == {"frame": MET, "language": MET, "mobile": MET, "title": MET}
    assert run(https_redirect, http=f"http://{HOST}:{town.door}/") == {"ipv4": MET, "ipv6": MET}


def test_other_names_lead_to_the_official_one(desk: Desk, town: Town, zone: Zone) -> None:
    found = desk.run(canonical_host, town.url, names=("cu.test", "hai.test", "khongco.test"))
    assert verdicts(found) == {HOST: MET, "cu.test": MET, "hai.test": BROKEN, "khongco.test": MET}
    assert HOST in found["hai.test"].detail.vi and found["hai.test"].next.startswith("curl -sSI ")
    moved = desk.run(canonical_host, f"https://cu.test:{town.tls}/")
    assert moved["cu.test"].verdict is BROKEN and moved["cu.test"].facts["ends_at"] == HOST


def test_a_second_name_that_names_the_first_is_at_risk_only(desk: Desk, spare, zone: Zone) -> None:
    url = spare({"index.html": page("x", "<p>y</p>", head=f'<link rel="canonical" href="https://{HOST}/">')})
    zone.host(f"www.{HOST}")
    found = desk.run(canonical_host, url, names=("hai.test",))
    assert verdicts(found) == {HOST: MET, "hai.test": RISK, f"www.{HOST}": RISK}


def test_http_that_does_not_lead_to_https(desk: Desk, town: Town) -> None:
    def ask(port: int) -> dict[str, Verdict]:
        return verdicts(desk.run(https_redirect, town.url, http=f"http://{HOST}:{port}/"))

    assert ask(town.plain) == {"ipv4": BROKEN, "ipv6": BROKEN}  # shows the page; does not listen at all
    assert ask(town.soft)["ipv4"] is RISK
    assert set(verdicts(desk.run(https_redirect, town.url)).values()) == {UNSEEN}  # a port of its own: nobody told


def test_a_slow_page_is_at_risk_and_a_dead_one_is_not_ours_to_tell(desk: Desk, town: Town) -> None:
    slow = desk.run(response_time, town.url, response_seconds=1e-4)
    assert verdicts(slow) == {"ipv4": RISK, "ipv6": RISK}
    assert slow["ipv4"].measures["page_seconds"] * 4096 % 1 == 0 and slow["ipv4"].facts["slowest"]
    assert set(verdicts(desk.run(response_time, f"http://{HOST}:{free_port()}/")).values()) == {UNSEEN}


def test_missing_and_weak_headers(desk: Desk, spare, town: Town) -> None:
    weak = ("add_header X-Frame-Options ALLOWALL; add_header Referrer-Policy unsafe-url; add_header X-Powered-By PHP/5.3;"
            "add_header Content-Security-Policy \"img-src *\";")
    found = desk.run(headers, spare({"index.html": "x"}, weak))["front"]
    assert found.verdict is RISK and found.facts["shows_version"]
    assert found.facts["missing"] == ["x-content-type-options"]
    assert found.facts["weak"] == {"content-security-policy": "no_script_source", "frame-ancestors": "unknown_value",
                                   "referrer-policy": "tells_whole_address"}
    assert found.measures == {"missing_headers": 1, "weak_headers": 3, "hsts_max_age_seconds": 0}
    assert desk.run(headers, town.url)["front"].measures["hsts_max_age_seconds"] == 31536000


def test_search_that_wants_diacritics(desk: Desk, town: Town) -> None:
    found = desk.run(search, town.url, search="/tim1?q={q}")
    assert verdicts(found) == {"exact": MET, "plain": RISK}
    assert "phien+cho" in found["plain"].next or "duong+lien" in found["plain"].next


def test_search_that_finds_nothing_but_shows_the_newest_in_the_margin(desk: Desk, town: Town) -> None:
    found = desk.run(search, town.url, search="/none.html?q={q}", search_titles=TITLES)
    assert verdicts(found) == {"exact": BROKEN, "plain": RISK}
    everything = desk.run(search, town.url, search="/all.html?q={q}", search_titles=TITLES)
    assert verdicts(everything)["exact"] is BROKEN  # shows the same for every word
    dead = desk.run(search, town.url, search="/khong-co?q={q}", search_titles=TITLES)["exact"]
    assert (dead.verdict, dead.facts["errors"]) == (BROKEN, ["http_status"])


def test_search_without_a_form_is_unseen(desk: Desk, spare) -> None:
    with pytest.raises(CannotSee) as caught:
        desk.run(search, spare({"index.html": page("x", "<form method=post><input type=search name=q></form>")}))
    assert "monitoring.web.search" in caught.value.explain("vi")


def test_required_links(desk: Desk, spare) -> None:
    url = spare({"index.html": page("x", '<a href="https://tinhmau.gov.vn.gia.test/">Cổng tỉnh</a>'
                                         '<a href="https://van.ban.gov.vn/a?b=1">Văn bản</a>')})
    assert verdicts(desk.run(required_links, url)) == {"province": RISK, "public_services": RISK}
    found = desk.run(required_links, url, required_links=("ban.gov.vn", "https://van.ban.gov.vn/khac", "thieu.gov.vn"),
                     public_services=("dichvucong.tinhmau.gov.vn",))
    assert verdicts(found) == {"ban.gov.vn": MET, "van.ban.gov.vn/khac": BROKEN, "thieu.gov.vn": BROKEN,
                               "public_services": BROKEN}


def test_broken_links(desk: Desk, spare, zone: Zone) -> None:
    for name in ("con.test", "chan.test"):
        zone.host(name, six="")
    other = free_port()
    alive = spare({"index.html": "x", "chan.html": "x"}, "location = /chan.html { return 403; }").split(":")[-1].strip("/")
    body = (f'<a href="/tin/">t</a><a href="/chet.html?token=bi-mat">c</a><a href="/cam/x">cấm</a><a href="http://con.test:{alive}/">a</a>'
            f'<a href="http://con.test:{alive}/chan.html">b</a><a href="http://mat.test/">m</a><a href="mailto:a@b.test">e</a>')
    url = spare({"index.html": page("x", body), "tin/index.html": page("t", '<a href="/hai.html">h</a>'), "hoi-dap/index.html": "x",
                 "gop-y/index.html": "x", "robots.txt": "User-agent: *\nDisallow: /cam/\n"})
    found = desk.run(broken_links, url)
    assert verdicts(found) == {"internal": BROKEN, "external": RISK}
    dead = found["internal"].facts["dead"]
    assert [(one["link"], one["on"], one["reason"]) for one in dead] == [
        (f"{HOST}/chet.html", "/", "404"), (f"{HOST}/hai.html", f"{HOST}/tin/", "404")]
    assert "bi-mat" not in str(found["internal"].facts) and found["internal"].measures["links"] == 6
    assert found["external"].facts == {"dead": [{"link": "mat.test/", "on": "/", "reason": "nxdomain"}], "doubtful": ["403"]}
    assert verdicts(desk.run(broken_links, url, broken_percent=50.0))["internal"] is RISK
    gone = page("x", f'<a href="http://con.test:{other}/">a</a><a href="http://mat.test/">b</a>')
    assert desk.run(broken_links, spare({"index.html": gone}))["external"].verdict is UNSEEN  # all of them: ask ourselves


def test_print_and_save(desk: Desk, spare) -> None:
    files = {"index.html": page("x", "".join(article(at) for at in (0, 1))), "tin/0.html": FILES["tin/0.html"],
             "tin/1.html": page(TITLES[1], "<p>Bản in ấn phẩm, inbox, sprint và điều khoản in đậm.</p>" * 9)}
    found = desk.run(print_save, spare(files))
    assert verdicts(found) == {"print": RISK, "save": RISK}
    assert found["print"].facts == {"without": [f"{HOST}/tin/1.html"], "by": ["control"], "scripts": False}
    files["tin/0.html"] = files["tin/1.html"]
    assert verdicts(desk.run(print_save, spare(files))) == {"print": BROKEN, "save": RISK}
    files["tin/0.html"] += "<script src=/nut.js></script>"
    assert verdicts(desk.run(print_save, spare(files))) == {"print": RISK, "save": RISK}  # a script may draw the button
    with pytest.raises(CannotSee, match=r"article|bài"):
        desk.run(print_save, spare({"index.html": page("x", "<p>không có bài</p>")}))


def test_sharing(desk: Desk, spare) -> None:
    nothing = spare({"index.html": page("x", "y")})
    assert verdicts(desk.run(api_sharing, nothing)) == {"sharing": RISK}
    html = spare({"index.html": FILES["index.html"], "rss.xml": page("x", "y")})
    found = desk.run(api_sharing, html)["sharing"]
    assert (found.verdict, found.facts["fault"]) == (BROKEN, "not_xml")
    places = desk.run(api_sharing, spare(FILES | {"api.json": '{"items":[{"title":"a","url":"/a"}]}'}),
                      sharing=("/rss.xml", "/api.json", "/khong"))
    assert verdicts(places) == {f"{HOST}/rss.xml": MET, f"{HOST}/api.json": MET, f"{HOST}/khong": BROKEN}


def test_emc_code(desk: Desk, spare) -> None:
    bare_page = FILES["index.html"].replace(CODE, "")
    assert verdicts(desk.run(emc_connected, spare(FILES | {"index.html": bare_page}))) == {"front": RISK, "articles": MET}
    url = spare(FILES | {"index.html": FILES["index.html"].replace("4321", "")})
    assert desk.run(emc_connected, url)["front"].verdict is RISK
    assert verdicts(desk.run(emc_connected, url, emc="do-luong.tinhmau.gov.vn")) == {"front": BROKEN, "articles": BROKEN}


def test_footer_identity(desk: Desk, spare) -> None:
    bare_footer = spare({"index.html": page("x", "<p>" + "tin trong xã " * 30 + "21/11/2026</p>", footer="<footer>2026</footer>")})
    assert set(verdicts(desk.run(footer_identity, bare_footer)).values()) == {RISK}
    url = spare({"index.html": page("x", "y")})
    wanted = Identity(phone="0200.3000.001", address="thôn  Một, XÃ mẫu", responsible="Phó Trưởng Ban")
    found = desk.run(footer_identity, url, identity=wanted)
    assert verdicts(found) == {"body": MET, "parent": MET, "address": MET, "phone": MET, "mail": MET, "responsible": BROKEN}


def test_source_notice_and_functions(desk: Desk, spare) -> None:
    url = spare({"index.html": page("x", "<p>Nguồn: Ban Biên tập.</p>" * 20, footer=""), "gop-y/index.html": page("g", "trống" * 90,
                 footer="")})
    assert verdicts(desk.run(source_notice, url)) == {"front": RISK}
    assert verdicts(desk.run(source_notice, url, source_notice="Nguồn: ban biên tập")) == {"front": MET}
    assert verdicts(desk.run(source_notice, url, source_notice="Ghi nguồn xã Mẫu")) == {"front": BROKEN}
    assert verdicts(desk.run(feedback_contact, url)) == {"contact": RISK}  # opens, but nowhere to write
    assert verdicts(desk.run(qa_function, url)) == {"address": RISK, "section": BROKEN}  # its page is 404
    assert verdicts(desk.run(layout_tt22, url))["frame"] is RISK


def test_a_front_page_that_is_down_or_guarded_accuses_nobody(desk: Desk, spare) -> None:
    down = f"http://{HOST}:{free_port()}/"
    for check in (required_links, footer_identity, search, broken_links, api_sharing, emc_connected, headers, source_notice):
        with pytest.raises(CannotSee):
            desk.run(check, down)
    with pytest.raises(CannotSee, match="JavaScript"):
        desk.run(required_links, spare({"index.html": "<script src=/app.js></script><div id=app></div>"}))
    with pytest.raises(CannotSee):
        desk.run(footer_identity, spare({"index.html": page("x", "Bạn có phải người máy?")}), expect="Xã Mẫu kính chào")


@pytest.mark.parametrize("wrong", [
    {"search": "/tim?q="}, {"search": "/tim?q={q}&x={y}"}, {"search": "tim?q={q}"}, {"http": "ftp://x.test/"},
    {"feedback": "//x.test/a"}, {"sharing": ("https://a:b@x.test/",)}, {"required_links": ("cong tinh",)},
    {"required_links": ("x.test:80",)}, {"headers": ("server",)}, {"per_second": 0.0}, {"questions": "https://x.test:99999/"},
])
def test_settings_that_are_mistakes(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Web(**wrong)
