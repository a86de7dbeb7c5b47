"""`gaccong init`: writes a commented configuration by asking; `--demo` makes a small real site on loopback."""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli.session import Session

if TYPE_CHECKING:
    from ops.mistakes import Mistake
    from ops.model import Text


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
    from ops.model import Text, say
    from ops.steps import write_file

    main = folder / "gaccong.toml"
    if main.exists():
        raise UsageError(
            say("{f} đã có; không ghi đè", "{f} exists; it is not overwritten", f=main),
            say("sửa tệp ấy, hoặc chọn thư mục khác", "edit it, or choose another folder"),
        )
    answers = _answers(session, given)
    (folder / "sites").mkdir(parents=True, exist_ok=True)
    password = _password(folder / "secrets")
    if not (folder / "roster.csv").exists():
        write_file(folder / "roster.csv", b"person,unit,role,from,until,logins\n", 0o600)
    site_file = folder / "sites" / f"{answers['site']}.toml"
    write_file(site_file, _template("site").format(**answers).encode(), 0o600)
    write_file(main, _template("main").encode(), 0o600)
    try:
        load(main, catalog.settings(), catalog.tops())
    except ConfigError as error:  # a wrong answer: nothing is left that would stop the next try, or that could be named
        main.unlink()
        site_file.unlink()
        told = [Text(*(_bare(one, lang) for lang in ("vi", "en"))) for one in error.mistakes]
        raise UsageError(
            Text("\n".join(one.vi for one in told), "\n".join(one.en for one in told)),
            say("chưa viết gì; chạy lại gaccong init", "nothing is written; run gaccong init again"),
        ) from None
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


def _bare(mistake: "Mistake", lang: str) -> str:
    """A mistake without the file that it stood in: that file is no more."""
    mend = mistake.mend.in_(lang)
    return f"{mistake.path}: {mistake.what.in_(lang)}" + (f" → {mend}" if mend else "")


def _answers(session: Session, given: dict[str, str]) -> dict[str, str]:
    """Every answer, judged as soon as it is there; on a terminal a wrong one is asked again."""
    from ops import policy
    from ops.errors import UsageError
    from ops.model import nfc, say

    terminal = sys.stdin.isatty()
    answers = {}
    for key, (vi, en, default) in QUESTIONS.items():
        more = f" ({', '.join(policy.ids())})" if key == "policy" else ""
        value = given[key]
        while True:
            if not value and not terminal:
                raise UsageError(
                    say("thiếu --{k} (không có bàn phím để hỏi)", "--{k} is missing (no terminal to ask on)", k=key)
                )
            value = nfc(value or typer.prompt((en if session.lang == "en" else vi) + more, default=default)).strip()
            wrong = _wrong(key, value)
            if wrong is None:
                break
            if not terminal:
                raise UsageError(say("--{k}: {vi}", "--{k}: {en}", k=key, vi=wrong.vi, en=wrong.en))
            session.tell(wrong)
            value = ""
        answers[key] = _whole(key, value)
        if key == "files" and not Path(answers[key]).is_dir():
            session.tell(
                say(
                    "lưu ý: {p} chưa có hoặc không phải thư mục; sao lưu sẽ không đạt cho đến khi sửa `paths` trong tệp của trang",
                    "note: {p} is not there or no folder; copies will not be proved until `paths` in the site's file is mended",
                    p=answers[key],
                )
            )
    return answers


def _wrong(key: str, value: str) -> "Text | None":
    """What is wrong with an answer, or None."""
    from ops import policy
    from ops.model import say

    if not value.strip():
        return say("không được để trống", "must not be empty")
    if any(sign in value for sign in '"\\') or not value.isprintable():
        return say('câu trả lời không được có dấu " \\ hay xuống dòng', 'an answer must not hold " \\ or line breaks')
    if key == "site" and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", value):
        return say(
            "mã trang bắt đầu bằng chữ hay số và chỉ gồm a-z, 0-9, - và _",
            "a site id begins with a letter or digit and is made of a-z, 0-9, - and _",
        )
    if key == "policy" and value not in policy.ids():
        return say(
            "không có quy chế {v}; có: {all}",
            "there is no policy {v}; there are: {all}",
            v=value,
            all=", ".join(policy.ids()),
        )
    if key == "url" and not re.fullmatch(r"https?://[^\s/]+\S*", value):
        return say(
            "phải bắt đầu bằng https:// hay http://, rồi tên miền, không có dấu cách",
            "must begin with https:// or http://, then the name, without blanks",
        )
    return None


def _whole(key: str, value: str) -> str:
    """A folder as it is meant where it is typed: the site's file lies elsewhere, and paths in it begin there."""
    if key == "files" or (key == "repository" and not re.match(r"\w+:", value)):
        return os.path.normpath(Path(value).expanduser().absolute())
    return value


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
