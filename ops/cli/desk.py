"""What the page gets from a session: a desk to read from, and who may come in. `serve` and `watch` share it."""

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from ops.cli.session import Session
from ops.model import say

if TYPE_CHECKING:
    from monitoring.page.desk import Desk
    from ops.status import SiteStatus


def desk_of(session: Session) -> "Desk":
    """Sites, their statuses, the store and the state folder of this configuration."""
    from monitoring.page.desk import Desk

    def one(name: str) -> "SiteStatus":
        from ops.cli.status import read

        return read(session, name)[0]

    return Desk(lambda: session.config.sites, one, session.reading, session.reading.heads, session.config.state)


def doors(session: Session, host: str) -> dict[str, Any]:
    """token, password and public for `make_app`. Raises UsageError when the page would be open to the network."""
    from ops import secrets
    from ops.errors import UsageError

    config = session.config
    found = {
        name: secrets.resolve(reference, config.path.parent) if reference else None
        for name, reference in (("token", config.serve.token), ("password", config.serve.password))
    }
    if not ip_address(host).is_loopback and not any(found.values()):
        raise UsageError(
            say(
                "nghe ngoài loopback thì phải có serve.token hoặc serve.password",
                "beyond loopback serve.token or serve.password is demanded",
            ),
            say(
                '[serve] token = "file:secrets/page"; mật khẩu: gaccong serve --hash-password',
                '[serve] token = "file:secrets/page"; a password: gaccong serve --hash-password',
            ),
        )
    unknown = [name for name in config.serve.public if name != "*" and name not in config.sites]
    if unknown:
        raise UsageError(
            say("serve.public nêu trang không có: {n}", "serve.public names no site: {n}", n=", ".join(unknown)),
            say('viết tên trang trong cấu hình, hoặc "*"', 'write a site of the configuration, or "*"'),
        )
    return {**found, "public": config.serve.public}


def hash_password(session: Session) -> None:
    """Asks twice on the terminal (or takes one line from a pipe), and prints the line to keep in a secret file."""
    import getpass
    import sys

    from monitoring.page.passwords import hashed
    from ops.errors import UsageError

    if sys.stdin.isatty():
        first, again = (
            getpass.getpass(say(vi, en).in_(session.lang))
            for vi, en in (("Mật khẩu: ", "Password: "), ("Gõ lại: ", "Again: "))
        )
        if first != again:
            raise UsageError(say("hai lần gõ không giống nhau", "the two do not agree"))
    else:
        first = sys.stdin.readline().rstrip("\r\n")
    print(hashed(first))
    session.tell(
        say(
            'ghi dòng trên vào một tệp 0600, vd secrets/page-password, rồi đặt [serve] password = "file:secrets/page-password"',
            'put the line above into a 0600 file, e.g. secrets/page-password; then [serve] password = "file:secrets/page-password"',
        )
    )
