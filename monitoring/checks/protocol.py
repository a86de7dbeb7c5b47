"""Are the old TLS versions refused, and is a sound one spoken with sound ciphers?"""

from __future__ import annotations

import shlex
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from monitoring.endpoints import Family, bracketed
from monitoring.greeting import FORWARD, SOUND, WEAK, Greeting, Heard, Version, greet
from monitoring.looking import host_of
from monitoring.names import lookup
from monitoring.reasons import DOUBTFUL, NO_ADDRESS, OURS, Reason
from monitoring.vantage import blind
from ops import Context, Finding, Patience, Site, Text, Verdict, check, hours, minutes, say

OLD = (Version.SSL30, Version.TLS10, Version.TLS11)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What one address speaks: the best handshake (version, cipher; "" for none) and the answers to our greetings."""

    version: str
    cipher: str
    old: dict[Version, Greeting]
    weak: Greeting
    twelve: Greeting


@check("tls.protocol", every=hours(6), clauses=["TN-7.2"], patience=Patience(times=2, span=minutes(5)))
def protocol(site: Site, ctx: Context) -> Iterator[Finding]:
    """Does the server refuse SSL 3.0, TLS 1.0 and 1.1 and weak ciphers, and speak TLS 1.2 or newer?

    Subjects "ipv4" and "ipv6" (where there is an address). Broken: no TLS 1.2 or newer, an old version or a broken
    cipher (no encryption, EXPORT, RC4, DES, anonymous) is accepted. At risk: TLS 1.2 only without a fresh key for each visit.
    """
    host = host_of(site)
    split = urlsplit(site.url)
    port = split.port if split.scheme == "https" and split.port else 443
    for family in Family:
        if ctx.subjects and family.value not in ctx.subjects:
            continue
        found = lookup(host, family, ctx.settings.nameservers, min(5.0, ctx.settings.timeout_seconds))
        if found.reason in NO_ADDRESS:
            continue  # dns.address and web.ipv6 demand it
        if found.reason is not None:
            yield _unseen(family, found.reason, ctx)
            continue
        yield _judged(family, listen(found.addresses[0], port, host, min(5.0, ctx.settings.timeout_seconds)),
                      (found.addresses[0], port, host), ctx)


def listen(address: str, port: int, host: str, seconds: float) -> Spoken:
    """Six greetings and one handshake with one address, at most two at a time."""
    with ThreadPoolExecutor(2) as pool:
        best = pool.submit(handshake, address, port, host, seconds)
        old = {version: pool.submit(greet, address, port, host, version, (*SOUND, *WEAK), seconds) for version in OLD}
        weak = pool.submit(greet, address, port, host, Version.TLS12, WEAK, seconds)
        twelve = pool.submit(greet, address, port, host, Version.TLS12, SOUND, seconds)
        version, cipher = best.result()
        return Spoken(version, cipher, {one: found.result() for one, found in old.items()}, weak.result(), twelve.result())


def handshake(address: str, port: int, host: str, seconds: float) -> tuple[str, str]:
    """(version, cipher) of an ordinary handshake, ("", "") when there is none. Whether the certificate holds is
    tls.certificate's question."""
    import socket

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with (socket.create_connection((address, port), timeout=seconds) as link,
              context.wrap_socket(link, server_hostname=host) as secured):
            return secured.version() or "", (secured.cipher() or ("",))[0]
    except (OSError, ValueError):
        return "", ""


def _unseen(family: Family, reason: Reason, ctx: Context) -> Finding:
    if reason in DOUBTFUL:
        reason = blind(family, "", ctx.settings.reference, ctx.settings.nameservers) or reason
    words = say("{f}: {w}", "{f}: {e}", f=family.label, w=reason.words.vi, e=reason.words.en)
    return Finding(family.value, Verdict.UNSEEN, words, facts={"reason": reason.value})


def _judged(family: Family, heard: Spoken, place: tuple[str, int, str], ctx: Context) -> Finding:
    address, port, host = place
    accepted = [version for version, one in heard.old.items() if one.heard is Heard.ACCEPTED]
    silent = sum(one.heard is Heard.SILENT for one in [*heard.old.values(), heard.weak])
    figures = {"old_versions": float(len(accepted)), "weak_ciphers": float(heard.weak.heard is Heard.ACCEPTED),
               "silent": float(silent)}
    facts = {
        "address": address, "version": heard.version, "cipher": heard.cipher,
        "answers": {one.label: greeting.heard.value for one, greeting in heard.old.items()},
        "weak": heard.weak.heard.value, "weak_suite": f"{heard.weak.suite:04x}" if heard.weak.suite else "",
    }
    verdict, words = _verdict(heard, accepted)
    command = shlex.join(["openssl", "s_client", f"-{family.version}", "-connect", f"{bracketed(host)}:{port}",
                          "-servername", host, "-brief"])
    if not heard.version and not accepted and heard.twelve.heard is not Heard.ACCEPTED:
        verdict, words = _nothing(family, heard, address, ctx)
    elif verdict is Verdict.MET and silent:
        # a guard that lets us connect and then drops what it dislikes has refused; who did not let us in said nothing
        verdict, words = Verdict.UNSEEN, say("có lời chào không được trả lời, chưa kết luận được",
                                             "some greetings were not answered; nothing can be concluded")
    elif verdict is Verdict.BROKEN:
        command = "grep -rn ssl_protocols /etc/nginx"
    text = say("{f}: {w}", "{f}: {e}", f=family.label, w=words.vi, e=words.en)
    return Finding(family.value, verdict, text, figures, facts, "" if verdict is Verdict.MET else command)


def _verdict(heard: Spoken, accepted: list[Version]) -> tuple[Verdict, Text]:
    if accepted:
        return Verdict.BROKEN, say(
            "còn nhận {v}; đặt ssl_protocols TLSv1.2 TLSv1.3", "still accepts {v}; set ssl_protocols TLSv1.2 TLSv1.3",
            v=", ".join(version.label for version in accepted),
        )
    if heard.weak.heard is Heard.ACCEPTED:
        return Verdict.BROKEN, say(
            "còn nhận mật mã yếu (số {c}); bỏ khỏi ssl_ciphers", "still accepts a weak cipher (number {c}); take it out of "
            "ssl_ciphers", c=f"0x{heard.weak.suite:04x}",
        )
    if heard.version != "TLSv1.3" and heard.twelve.heard is Heard.ACCEPTED and heard.twelve.suite not in FORWARD:
        return Verdict.AT_RISK, say(
            "chỉ có mật mã không tạo khóa mới cho mỗi lượt; thêm ECDHE vào ssl_ciphers",
            "only ciphers without a fresh key for each visit; add ECDHE to ssl_ciphers",
        )
    return Verdict.MET, say("{v}, {c}; các bản cũ đều bị từ chối", "{v}, {c}; all old versions are refused",
                            v=heard.version or "TLSv1.2", c=heard.cipher or f"0x{heard.twelve.suite:04x}")


def _nothing(family: Family, heard: Spoken, address: str, ctx: Context) -> tuple[Verdict, Text]:
    """No version at all: an outage (web.http tells it), our own trouble, or a server that speaks no TLS."""
    reason = blind(family, address, ctx.settings.reference, ctx.settings.nameservers)
    if reason in OURS:
        return Verdict.UNSEEN, reason.words
    if all(one.heard in (Heard.SILENT, Heard.DROPPED) for one in [*heard.old.values(), heard.twelve]):
        return Verdict.UNSEEN, say("cổng HTTPS không trả lời; xem web.http", "the HTTPS port does not answer; see web.http")
    return Verdict.BROKEN, Reason.TLS_PROTOCOL.words
