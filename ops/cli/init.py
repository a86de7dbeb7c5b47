"""`gaccong init`: writes a commented configuration by asking; `--demo` makes a small real site on loopback."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.session import Session


def add(app: typer.Typer, lang: str) -> None:
    """Adds the verb."""
    vi = lang == "vi"

    @app.command(
        help={
            "vi": "Viết cấu hình có chú thích bằng cách hỏi; --demo tạo trang mẫu trên loopback.",
            "en": "Writes a commented configuration by asking; --demo makes a small real site on loopback.",
        }[lang]
    )
    def init(
        ctx: typer.Context,
        folder: Annotated[
            Path | None,
            typer.Argument(
                help="thư mục (mặc định: thư mục này; với --demo: .demo)"
                if vi
                else "folder (default: this one; with --demo: .demo)"
            ),
        ] = None,
        demo: Annotated[bool, typer.Option("--demo")] = False,
        site: Annotated[str, typer.Option(help="mã trang, vd thong-nhat" if vi else "site id, e.g. thong-nhat")] = "",
        name: Annotated[str, typer.Option(help="tên trang" if vi else "name of the site")] = "",
        policy: Annotated[str, typer.Option(help="quy chế" if vi else "policy")] = "",
        url: Annotated[str, typer.Option(help="địa chỉ trang" if vi else "address of the site")] = "",
        files: Annotated[
            str, typer.Option(help="thư mục tệp của trang" if vi else "folder with the site's files")
        ] = "",
        repository: Annotated[str, typer.Option(help="nơi giữ bản sao" if vi else "where copies are kept")] = "",
    ) -> None:
        session: Session = ctx.obj
        if demo:
            from ops.cli.demo.site import make_demo

            made = make_demo((folder or Path(".demo")).absolute())
            print(made.config)
            return
        ask(
            session,
            (folder or Path()).absolute(),
            {"site": site, "name": name, "policy": policy, "url": url, "files": files, "repository": repository},
        )


QUESTIONS = {
    "site": ("Mã trang (a-z, 0-9, -)", "Site id (a-z, 0-9, -)", "trang-xa"),
    "name": ("Tên trang", "Name of the site", "Trang thông tin điện tử xã …"),
    "policy": ("Quy chế", "Policy", "thong-nhat"),
    "url": ("Địa chỉ trang", "Address of the site", "https://xa….tinh.gov.vn/"),
    "files": ("Thư mục tệp của trang", "Folder with the site's files", "/var/www/html"),
    "repository": (
        "Nơi giữ bản sao (nên ở máy khác)",
        "Where copies are kept (better elsewhere)",
        "/srv/backup/restic",
    ),
}


def ask(session: Session, folder: Path, given: dict[str, str]) -> None:
    """Asks for what was not given (on a terminal), writes gaccong.toml, sites/NAME.toml and a fresh backup password."""
    from ops import catalog
    from ops.config import ConfigError, load
    from ops.errors import UsageError
    from ops.model import say
    from ops.steps import write_file

    main = folder / "gaccong.toml"
    if main.exists():
        raise UsageError(
            say("{f} đã có; không ghi đè", "{f} exists; it is not overwritten", f=main),
            say("sửa tệp ấy, hoặc chọn thư mục khác", "edit it, or choose another folder"),
        )
    answers = _answers(session.lang, given)
    (folder / "sites").mkdir(parents=True, exist_ok=True)
    password = _password(folder / "secrets")
    if not (folder / "roster.csv").exists():
        write_file(folder / "roster.csv", b"person,unit,role,from,until,logins\n", 0o600)
    site_file = folder / "sites" / f"{answers['site']}.toml"
    write_file(site_file, _template("site").format(**answers).encode(), 0o600)
    write_file(main, _template("main").encode(), 0o600)
    try:
        load(main, catalog.settings(), catalog.tops())
    except ConfigError:  # a wrong answer: nothing is left that would stop the next try
        main.unlink()
        site_file.unlink()
        raise
    session.say(
        say(
            "đã viết:\n  {m}\n  {s}\n  {p} (mật khẩu kho sao lưu: CHÉP NGAY ra nơi khác, mất là mất hết bản sao)\n"
            "tiếp theo:\n  gaccong --config {m} config check\n  gaccong --config {m} doctor\n  gaccong --config {m} run",
            "written:\n  {m}\n  {s}\n  {p} (password of the repository: COPY IT elsewhere now; without it the copies are"
            " lost)\nnext:\n  gaccong --config {m} config check\n  gaccong --config {m} doctor\n  gaccong --config {m} run",
            m=main,
            s=site_file,
            p=password,
        )
    )


def _answers(lang: str, given: dict[str, str]) -> dict[str, str]:
    from ops import policy
    from ops.errors import UsageError
    from ops.model import say

    answers = {}
    for key, (vi, en, default) in QUESTIONS.items():
        if given[key]:
            answers[key] = given[key]
        elif sys.stdin.isatty():
            more = f" ({', '.join(policy.ids())})" if key == "policy" else ""
            answers[key] = typer.prompt((en if lang == "en" else vi) + more, default=default)
        else:
            raise UsageError(
                say("thiếu --{k} (không có bàn phím để hỏi)", "--{k} is missing (no terminal to ask on)", k=key)
            )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", answers["site"]):
        raise UsageError(
            say(
                "mã trang bắt đầu bằng chữ hay số và chỉ gồm a-z, 0-9, - và _",
                "a site id begins with a letter or digit and is made of a-z, 0-9, - and _",
            )
        )
    if any(sign in value for value in answers.values() for sign in '"\\\n'):
        raise UsageError(
            say('câu trả lời không được có dấu " \\ hay xuống dòng', 'answers must not hold " \\ or line breaks')
        )
    return answers


def _password(hidden: Path) -> Path:
    """A fresh password for the repository, readable by nobody else; one that is there is left alone."""
    import secrets

    hidden.mkdir(mode=0o700, exist_ok=True)
    path = hidden / "restic"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_urlsafe(32) + "\n")
    return path


def _template(name: str) -> str:
    return (Path(__file__).parent / "templates" / f"{name}.toml").read_text(encoding="utf-8")
