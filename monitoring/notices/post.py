"""Sends one letter through Apprise (`python -m monitoring.notices.post`), in a process of its own: the address, which holds
the password, comes on standard input and is in no argv, environment or log; a service that hangs is ended from outside.

Standard input: JSON {"url", "title", "body"}. Exit 0: the service took it; 1: it did not, the reason on stderr, without any
part of the address; 2: the address is none.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from urllib.parse import unquote, urlsplit

ATTEMPT_SECONDS = 20


def main() -> int:
    """Sends once."""
    given = json.load(sys.stdin)
    url = str(given["url"]).strip()
    import apprise

    said: list[str] = []

    class Keep(logging.Handler):
        """Keeps what Apprise says."""

        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    kept = logging.getLogger("apprise")
    kept.handlers, kept.propagate = [Keep(logging.WARNING)], False
    kept.setLevel(logging.WARNING)
    # no plugin folders, no file of the user's: only what is built in
    sender = apprise.Apprise(asset=apprise.AppriseAsset(app_id="gaccong", app_desc="gaccong", app_url="", plugin_paths=[]))
    if not sender.add(url):
        print("địa chỉ kênh không dùng được (the channel's address is of no known kind)", file=sys.stderr)
        return 2
    done = sender.notify(body=str(given["body"]), title=str(given["title"]), body_format=apprise.NotifyFormat.TEXT)
    if done:
        return 0
    print(hidden("; ".join(dict.fromkeys(said)), url)[:500] or "dịch vụ từ chối (the service refused)", file=sys.stderr)
    return 1


def hidden(text: str, url: str) -> str:
    """The text without any part of the address that could be a secret: Apprise's own words may quote it. The name of a
    server stays, for whoever must mend it; without a dot it is no server but some service's token."""
    parts = {url, *re.split(r"[/?&=:@,]+", url.partition("://")[2])}
    parts |= {unquote(part) for part in parts}
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    for part in sorted((one for one in parts if len(one) > 3 and (one.lower() != host or "." not in host)), key=len, reverse=True):
        text = text.replace(part, "***")
    return "".join(sign if sign.isprintable() else " " for sign in text)


if __name__ == "__main__":
    sys.exit(main())
