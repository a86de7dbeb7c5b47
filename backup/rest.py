"""One short question to a rest-server, without restic: is it there, does it let us in, would it delete?

restic itself asks again for minutes when a server answers 500 or nothing (0.14 also on 403). What a server says to one
request is known within seconds, and harmless: the name asked for does not exist.
"""

from __future__ import annotations

import base64
import http.client
import secrets
import ssl
import threading
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from ops import CannotSee, Text, say

SECONDS = 15.0
"""The whole exchange ends after this, also where a server sends one byte at a time."""


@dataclass(frozen=True, slots=True)
class Server:
    """A `rest:` address. login: `name:password` or ""; ca: a PEM file, or "" for the public authorities."""

    url: str
    login: str = ""
    ca: str = ""

    def __repr__(self) -> str:
        return "Server(***)"  # the login, or an address with it inside, must not get into a traceback

    @property
    def shown(self) -> str:
        """The address without a login, for people."""
        parts = urlsplit(self.url.removeprefix("rest:"))
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def ask(server: Server, method: str, name: str, seconds: float = SECONDS) -> int:
    """The HTTP status that the server answers for `name` below the repository.

    Raises CannotSee in plain words: no connection, no answer in time, a certificate that does not hold, no HTTP.
    """
    parts = urlsplit(server.url.removeprefix("rest:"))
    login = server.login or (f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else "")
    headers = {"Accept": "application/vnd.x.restic.rest.v2"}
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
    host = parts.hostname or ""
    try:
        if parts.scheme == "https":
            trusted = ssl.create_default_context(cafile=server.ca or None)
            line: http.client.HTTPConnection = http.client.HTTPSConnection(host, parts.port, timeout=seconds,
                                                                           context=trusted)
        else:
            line = http.client.HTTPConnection(host, parts.port, timeout=seconds)
        return _exchange(line, method, f"{parts.path.rstrip('/')}/{name}", headers, seconds)
    except ssl.SSLCertVerificationError as error:
        raise CannotSee(say("chứng thư của máy chủ {u} không đúng: {e}", "the certificate of {u} does not hold: {e}",
                            u=server.shown, e=error.verify_message),
                        say("đặt khóa `ca` của kho này thành tệp PEM của nơi cấp, hoặc thay chứng thư",
                            "set this place's `ca` to its authority's PEM file, or renew the certificate")) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CannotSee(_silent(server, error, seconds), say(
            "kiểm tra mạng và máy chủ chứa kho rồi chạy lại", "check the network and the storage server, then run again",
        )) from None


def _exchange(line: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str], seconds: float) -> int:
    def give_up() -> None:
        if line.sock is not None:
            line.sock.close()

    limit = threading.Timer(seconds, give_up)
    limit.daemon = True
    limit.start()
    try:
        line.request(method, path, headers=headers)
        return line.getresponse().status
    except AttributeError:  # the limit took the socket away between two calls
        raise TimeoutError from None
    finally:
        limit.cancel()
        line.close()


def _silent(server: Server, error: Exception, seconds: float) -> Text:
    if isinstance(error, TimeoutError) or (isinstance(error, OSError) and error.errno == 9):
        return say("máy chủ {u} không trả lời trong {s} giây", "server {u} gave no answer within {s} seconds",
                   u=server.shown, s=f"{seconds:g}")
    said = str(error) or type(error).__name__
    return say("không kết nối được tới máy chủ {u}: {e}", "server {u} cannot be reached: {e}", u=server.shown, e=said)


def refuse(server: Server, status: int) -> None:
    """Raises CannotSee for a status that says the server cannot be used now; passes 200, 403 and 404."""
    if status == 401:
        raise CannotSee(say("máy chủ {u} từ chối tên hoặc mật khẩu (401)", "server {u} refuses name or password (401)",
                            u=server.shown),
                        say("kiểm tra tệp của khóa `login` và tên thư mục kho (--private-repos đòi trùng tên)",
                            "check the file of key `login`, and the folder (--private-repos wants the same name)"))
    if status not in (200, 403, 404):
        raise CannotSee(say("máy chủ {u} trả lời lỗi {n}", "server {u} answers with error {n}", u=server.shown, n=status),
                        say("xem nhật ký và ổ đĩa của máy chủ đó; các bản sao đã có không bị ảnh hưởng",
                            "see that server's log and disk; the copies that it holds are not harmed"))


def there(server: Server, seconds: float = SECONDS) -> bool:
    """Whether a repository stands at the address. Raises CannotSee when the server does not say."""
    status = ask(server, "HEAD", "config", seconds)
    refuse(server, status)
    if status == 403:
        raise CannotSee(say("máy chủ {u} không cho đọc (403)", "server {u} does not let us read (403)", u=server.shown),
                        say("kiểm tra quyền của tài khoản trên máy chủ", "check the account's rights on the server"))
    return status == 200


def would_delete(server: Server, seconds: float = SECONDS) -> bool:
    """Whether the server lets us delete: asked for a name that does not exist, so that nothing can be lost.

    rest-server with --append-only says 403; without, it looks for the file (404, or 200). Raises CannotSee.
    """
    status = ask(server, "DELETE", f"data/{secrets.token_hex(32)}", seconds)
    refuse(server, status)
    return status != 403
