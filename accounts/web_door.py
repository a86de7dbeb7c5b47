"""Tries a site's own login form: fetch the page, fill in name and password, send, and judge the answer.

    accepted   a redirect to another page, or 200 (with `accepted` in it, where that is set)
    refused    400, 401, 403, 422; a redirect back to the form; 200 without the set text
    no verdict anything else (429, 5xx, no answer): CannotSee

Hidden fields of the form (CSRF tokens) and cookies are sent along. The password goes into the body and nowhere else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from ops import CannotSee, say

_SECONDS = 20
_LARGEST = 1 << 20
_PARSING = 5
_PIECE = 4096
_REFUSED = (400, 401, 403, 422)


@dataclass(frozen=True, slots=True)
class WebDoor:
    """A login form. authority: an extra CA file or None. accepted: text that only the page after a login holds."""

    url: str
    login_field: str
    password_field: str
    accepted: str = ""
    authority: Path | None = None

    def lets_in(self, login: str, password: bytes) -> bool:
        """True when the site accepted, False when it refused. Raises CannotSee when it said neither."""
        import pycurl

        handle = pycurl.Curl()
        try:
            handle.setopt(pycurl.COOKIEFILE, "")
            handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
            handle.setopt(pycurl.USERAGENT, "gaccong")
            handle.setopt(pycurl.NOSIGNAL, 1)
            handle.setopt(pycurl.PROXY, "")
            handle.setopt(pycurl.TIMEOUT, _SECONDS)
            if self.authority:
                handle.setopt(pycurl.CAINFO, str(self.authority))
            fields = self._hidden(*self._ask(handle))
            fields.update({self.login_field: login, self.password_field: password})
            handle.setopt(pycurl.POSTFIELDS, urlencode(fields))
            handle.setopt(pycurl.REFERER, self.url)
            return self._judge(*self._ask(handle))
        except pycurl.error as error:
            raise self._blind(str(error.args[-1])) from None
        except (ValueError, AssertionError, RecursionError) as error:  # addresses and pages that no parser takes
            raise self._blind(f"{type(error).__name__}: {str(error)[:200]}") from None
        finally:
            handle.close()

    def _ask(self, handle: Any) -> tuple[int, str, bytes]:
        """(status, absolute address of a redirect or "", body)."""
        import pycurl

        body = BytesIO()

        def take(chunk: bytes) -> int:
            return body.write(chunk) if body.tell() + len(chunk) <= _LARGEST else 0

        handle.setopt(pycurl.URL, self.url)
        handle.setopt(pycurl.WRITEFUNCTION, take)
        handle.perform()
        where = handle.getinfo(pycurl.REDIRECT_URL) or ""
        return handle.getinfo(pycurl.RESPONSE_CODE), urljoin(self.url, where) if where else "", body.getvalue()

    def _hidden(self, status: int, where: str, body: bytes) -> dict[str, str | bytes]:
        if status != 200:
            return {}
        form, page, until = _Form(), body.decode("utf-8", "replace"), time.monotonic() + _PARSING
        for start in range(0, len(page), _PIECE):
            try:
                form.feed(page[start : start + _PIECE])
            except Exception as error:  # html.parser raises AssertionError and others on pages made for it
                raise self._blind(f"HTML: {type(error).__name__}: {str(error)[:200]}") from None
            if time.monotonic() > until:
                raise self._blind(f"HTML: > {_PARSING} s")
        return dict(form.hidden)

    def _judge(self, status: int, where: str, body: bytes) -> bool:
        if status in _REFUSED:
            return False
        if 300 <= status < 400 and where:
            return urlsplit(where).path != urlsplit(self.url).path
        if status == 200:
            return self.accepted.encode() in body
        raise self._blind(f"HTTP {status}")

    def _blind(self, why: str) -> CannotSee:
        return CannotSee(
            say("không thử đăng nhập được ở {u}: {w}", "cannot try to log in at {u}: {w}", u=self.url, w=why),
            say("mở trang đó; kiểm tra try_url, authority, login_field, password_field",
                "open that page; check try_url, authority, login_field, password_field"),
        )


class _Form(HTMLParser):
    """Hidden fields of the form that holds a password field, or of the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}
        self._now: dict[str, str] = {}
        self._has_password = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "form":
            self._now, self._has_password = {}, False
        values = {name: value or "" for name, value in attrs}
        if tag == "input" and values.get("type", "").lower() == "hidden" and values.get("name"):
            self._now[values["name"]] = values.get("value", "")
        if tag == "input" and values.get("type", "").lower() == "password":
            self._has_password = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._has_password:
            self.hidden = self._now
