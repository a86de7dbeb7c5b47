"""The checks: what they yield, with which subjects, verdicts, measures and next commands."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from monitoring.checks.address import address
from monitoring.checks.certificate import certificate
from monitoring.checks.disk import disk, look
from monitoring.checks.http import http
from monitoring.checks.ipv6 import ipv6
from monitoring.checks.load import cpu, load, memory
from monitoring.looking import similarity
from monitoring.reasons import Reason
from monitoring.settings import Settings
from ops import Check, Finding, Site, Verdict
from tests.kit import NOW, make_context
from tests.monitoring.conftest import Web
from tests.monitoring.lab import Authority, Zone, free_port

MET, RISK, BROKEN, UNSEEN = Verdict.MET, Verdict.AT_RISK, Verdict.BROKEN, Verdict.UNSEEN


class Bench:
    """Runs a check against a URL."""

    def __init__(self, tmp: Path, nameserver: str, authority: Authority) -> None:
        self.tmp, self.nameserver, self.authority = tmp, nameserver, authority

    def run(self, check: Check, url: str, *, names: tuple[str, ...] = (), thresholds: dict[str, float] | None = None,
            subjects: tuple[str, ...] = (), **settings) -> dict[str, Finding]:
        from datetime import UTC, datetime

        chosen = Settings(**{"nameservers": (self.nameserver,), "authority": self.authority.path,
                             "timeout_seconds": 3, **settings})
        site = Site("xamau", "Xã mẫu", "thong-nhat", url, names)
        context = make_context(self.tmp, chosen, now=datetime.now(UTC), thresholds=thresholds, subjects=subjects)
        return {found.subject: found for found in check.function(site, context)}


@pytest.fixture
def bench(tmp_path: Path, nameserver: str, authority: Authority, zone: Zone) -> Bench:
    zone.host("xamau.test")
    return Bench(tmp_path, nameserver, authority)


def verdicts(found: dict[str, Finding]) -> dict[str, Verdict]:
    return {subject: one.verdict for subject, one in found.items()}


def test_http_tells_both_families(bench: Bench, web: Web) -> None:
    found = bench.run(http, f"https://xamau.test:{web.tls['good']}/", expect="kính  chào bà con")
    assert verdicts(found) == {"ipv4": MET, "ipv6": MET}
    assert found["ipv6"].measures["status_code"] == 200
    assert found["ipv6"].measures["duration_seconds"] * 4096 % 1 == 0
    assert found["ipv6"].next == ""


def test_http_over_a_dead_ipv6_after_the_redirect(bench: Bench, web: Web) -> None:
    found = bench.run(http, f"http://xamau.test:{web.to_dead_six}/")
    assert verdicts(found) == {"ipv4": MET, "ipv6": BROKEN}
    assert found["ipv6"].facts["reason"] == "refused"
    assert "https://xamau.test" in found["ipv6"].detail.vi
    assert found["ipv6"].next.startswith("curl -6 ")


def test_http_leaves_a_missing_aaaa_to_the_ipv6_duty(bench: Bench, web: Web, zone: Zone) -> None:
    zone.host("bon.test", six="")
    url = f"http://bon.test:{web.http}/"
    assert verdicts(bench.run(http, url)) == {"ipv4": MET}
    found = bench.run(ipv6, url)["ipv6"]
    assert (found.verdict, found.facts["reason"]) == (BROKEN, "no_record")
    assert found.next == "dig +short AAAA bon.test"


def test_http_of_a_name_that_is_gone(bench: Bench) -> None:
    found = bench.run(http, "http://khongco.test/")
    assert verdicts(found) == {"ipv4": BROKEN}
    assert found["ipv4"].facts["reason"] == "nxdomain"


def test_http_demands_its_text(bench: Bench, web: Web) -> None:
    found = bench.run(http, f"http://xamau.test:{web.http}/", expect="Trang đang bảo trì")
    assert verdicts(found) == {"ipv4": BROKEN, "ipv6": BROKEN}
    assert found["ipv4"].facts["reason"] == "wrong_text"


def test_http_with_a_dead_resolver_accuses_nobody(bench: Bench) -> None:
    found = bench.run(http, "http://xamau.test/", nameservers=(f"127.0.0.1:{free_port()}",), timeout_seconds=1)
    assert set(verdicts(found).values()) == {UNSEEN}


def test_ipv6_compares_the_content(bench: Bench, web: Web) -> None:
    same = bench.run(ipv6, f"http://xamau.test:{web.http}/")["ipv6"]
    assert (same.verdict, same.measures["similarity_ratio"]) == (MET, 1.0)
    other = bench.run(ipv6, f"http://xamau.test:{web.two_faced}/")["ipv6"]
    assert (other.verdict, other.facts["reason"]) == (BROKEN, "different_content")
    assert other.measures["similarity_ratio"] < 0.2


def test_similarity() -> None:
    words = [f"tu{n}" for n in range(400)]
    page, turned = " ".join(words), " ".join(["tin", "mới", "đăng", *words[5:]])
    assert similarity(page, page) == 1.0
    assert similarity(page, turned) > 0.9
    assert similarity(page, "khác hẳn nội dung này") == 0.0
    assert similarity("", "") == 1.0


def test_addresses(bench: Bench, zone: Zone) -> None:
    zone.host("bon.test", six="")
    found = bench.run(address, "https://xamau.test/", names=("bon.test",))
    assert verdicts(found) == {"A": MET, "AAAA": BROKEN}
    assert "bon.test" in found["AAAA"].detail.vi
    assert found["AAAA"].next == "dig +short AAAA bon.test"
    assert verdicts(bench.run(address, "https://xamau.test/", subjects=("AAAA",))) == {"AAAA": MET}


def test_a_certificate_in_order(bench: Bench, web: Web, zone: Zone) -> None:
    zone.host("www.xamau.test")
    found = bench.run(certificate, f"https://xamau.test:{web.tls['good']}/", names=("www.xamau.test",))
    assert verdicts(found) == {"ipv4": MET, "ipv6": MET}
    assert 89 < found["ipv4"].measures["days_left"] <= 90
    assert found["ipv4"].facts["certificate"]["names"][0] == "xamau.test"


@pytest.mark.parametrize(("kind", "reason"), [
    ("expired", "tls_expired"), ("foreign", "tls_chain"), ("misnamed", "tls_name"), ("early", "tls_not_yet_valid"),
])
def test_bad_certificates(bench: Bench, web: Web, kind: str, reason: str) -> None:
    found = bench.run(certificate, f"https://xamau.test:{web.tls[kind]}/")
    assert verdicts(found) == {"ipv4": BROKEN, "ipv6": BROKEN}
    assert found["ipv6"].facts["reason"] == reason
    assert "days_left" in found["ipv6"].measures
    assert found["ipv6"].next.startswith("openssl s_client -6 ")


def test_a_second_name_that_the_certificate_lacks(bench: Bench, web: Web, zone: Zone) -> None:
    zone.host("cu.xamau.test")
    found = bench.run(certificate, f"https://xamau.test:{web.tls['good']}/", names=("cu.xamau.test",))
    assert found["ipv4"].facts["reason"] == "tls_name"
    assert "cu.xamau.test" in found["ipv4"].detail.vi


def test_a_certificate_that_ends_soon(bench: Bench, web: Web) -> None:
    url = f"https://xamau.test:{web.tls['soon']}/"
    assert verdicts(bench.run(certificate, url)) == {"ipv4": RISK, "ipv6": RISK}
    assert verdicts(bench.run(certificate, url, thresholds={"tls.days_left": 3}))["ipv4"] is MET


def test_a_certificate_that_nobody_could_ask_for_is_unseen(bench: Bench, zone: Zone) -> None:
    zone.silent.add("im.test")
    found = bench.run(certificate, "https://im.test/", timeout_seconds=1)
    assert verdicts(found) == {"ipv4": UNSEEN, "ipv6": UNSEEN}


def test_no_https_at_all_is_broken(bench: Bench) -> None:
    assert bench.run(certificate, f"https://xamau.test:{free_port()}/")["ipv4"].verdict is BROKEN


def test_disk(bench: Bench, tmp_path: Path) -> None:
    assert set(bench.run(disk, "http://x/", disks=("/", "/khong/co"))) == {"/", "/khong/co"}
    assert look("/khong/co", 10).verdict is UNSEEN
    free = look(str(tmp_path), 0)
    assert free.verdict is MET
    assert look(str(tmp_path), free.measures["free_percent"] + 0.5).verdict in (RISK, BROKEN)


@pytest.mark.needs_root
def test_a_full_disk_and_one_without_inodes() -> None:
    from tests.monitoring.test_probe import ROOT

    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom monitoring.checks.disk import look\n"
        "open('/mnt/f', 'wb').write(b'x' * 4150000); print(look('/mnt', 10).verdict)\n"
    )
    few = code.replace("open('/mnt/f', 'wb').write(b'x' * 4150000)", "[open(f'/mnt/{n}', 'w') for n in range(60)]")
    import sys

    for options, script in (("size=4m", code), ("size=4m,nr_inodes=62", few)):
        shell = f"mount -t tmpfs -o {options} t /mnt && exec {shlex.quote(sys.executable)} -c {shlex.quote(script)}"
        done = subprocess.run(["unshare", "--mount", "sh", "-c", shell], capture_output=True, text=True, timeout=30)
        assert (done.stdout.strip(), done.stderr) == ("broken", "")


def test_load_and_memory(bench: Bench) -> None:
    assert set(bench.run(load, "http://x/")) == {"cpu", "memory"}
    assert cpu(3.9, 2, 4.0).verdict is MET
    assert cpu(8.2, 2, 4.0).verdict is RISK
    assert [memory(free * 1e9, 100e9).verdict for free in (50, 9, 2)] == [MET, RISK, BROKEN]
    assert cpu(8.2, 2, 4.0).next


def test_every_reason_has_words_in_both_languages() -> None:
    assert all(reason.words.vi and reason.words.en and reason.words.vi != reason.words.en for reason in Reason)


def test_a_next_command_stays_one_word_whatever_the_url_holds(bench: Bench, web: Web) -> None:
    found = bench.run(http, f"http://xamau.test:{web.http}/broken?a=$(id);b='c'")
    assert shlex.split(found["ipv4"].next)[-1] == f"http://xamau.test:{web.http}/broken?a=$(id);b='c'"


@pytest.mark.parametrize("bad", [
    {"nameservers": ("ns.test:53",)}, {"nameservers": ("127.0.0.1:x",)}, {"reference": ("chi-ten",)},
    {"timeout_seconds": 0}, {"timeout_seconds": 3600}, {"unknown": 1}, {"disk_free_percent": 100},
])
def test_settings_refuse(bad: dict) -> None:
    with pytest.raises(ValidationError):
        Settings(**bad)


def test_settings_beside_the_policy(tmp_path: Path) -> None:
    def problems(**chosen) -> list[str]:
        return [key for key, _ in Settings(**chosen).against({"tls.days_left": 14, "disk.free_percent": 10})]

    assert problems(certificate_days=7, disk_free_percent=20) == ["certificate_days"]
    assert problems() == []
    beside = Settings(renewal={"days_left": 5}).against({"renewal.days_left": 30})
    assert [key for key, _ in beside] == ["renewal.days_left"]
    assert problems(authority=tmp_path / "thieu.pem") == ["authority"]
    assert NOW.tzinfo is not None
