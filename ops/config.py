"""The configuration: one TOML file, `include = ["sites/*.toml"]`, strict. All mistakes are told at once.

`load` gives a frozen `Config`, or raises `ConfigError` with every `Mistake`: file, line, path, what is wrong, what was
expected and the nearest right key. Domain folders bring their own sections (`ops.settings`); this module names none.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError, create_model

from ops import policy as policies
from ops.errors import GaccongError
from ops.locate import lines_of
from ops.mistakes import Mistake, from_validation
from ops.model import NOTHING, Host, Office, Site, Text, say
from ops.policy import Policy
from ops.settings import DomainSettings, Place, Reference, Strict, Word

DEFAULT = Path("/etc/gaccong/gaccong.toml")


class ConfigError(GaccongError):
    """Every mistake of the configuration at once."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        super().__init__(
            Text("\n".join(m.line_of("vi") for m in mistakes), "\n".join(m.line_of("en") for m in mistakes)),
            say("sửa {n} chỗ trên rồi chạy lại", "mend the {n} places above, then run again", n=len(mistakes)),
        )


class OfficeModel(Strict):
    """Who answers on paper."""

    parent: Word = ""
    issuer: Word = ""
    place: Word = ""
    symbol: Word = "BBT"
    authority: Word = ""
    title: Word = ""
    signer: Word = ""
    unit: Word = ""
    recipients: tuple[Word, ...] = ()


class SiteModel(Strict):
    """One portal. Domain sections (backup, monitoring, ...) are added by the domain folders."""

    name: Annotated[Word, Field(min_length=1)]
    policy: Word
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    names: tuple[str, ...] = ()
    office: OfficeModel = OfficeModel()
    thresholds: dict[str, float] = {}


class HostModel(Strict):
    """A machine reached over SSH."""

    address: str
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    user: str
    key: Reference
    known_hosts: Place
    gateway: str = ""


class ServeModel(Strict):
    """Where the page and the metrics are served; beyond loopback a token or a password is demanded.

    password: its scrypt hash, made by `gaccong serve --hash-password`. public: sites that /status shows to all ("*").
    """

    listen: str = "127.0.0.1:9850"
    names: tuple[str, ...] = ()
    token: Reference | None = None
    password: Reference | None = None
    public: tuple[str, ...] = ()


def _without_password(url: str) -> str:
    """A store's address; PostgreSQL passwords belong in ~/.pgpass (libpq), or use peer login."""
    from ops.settings import fault

    if url and not url.startswith(("sqlite:///", "postgresql+psycopg://")):
        raise fault("phải là sqlite:///… hoặc postgresql+psycopg://…", "must be sqlite:///… or postgresql+psycopg://…")
    query = url.partition("?")[2]
    if (":" in url.partition("://")[2].partition("@")[0] and "@" in url) or re.search(r"(?i)pass|sslkey", query):
        raise fault(
            "không viết mật khẩu ở đây; để trong ~/.pgpass (0600)", "no password here; keep it in ~/.pgpass (0600)"
        )
    return url


class TopModel(Strict):
    """The main file, without its sites."""

    include: tuple[str, ...] = ()
    language: Annotated[str, Field(pattern="^(vi|en)$")] = "vi"
    state: Place = Path("state")
    store: Annotated[str, AfterValidator(_without_password)] = ""
    signing_name: str = "gaccong"
    serve: ServeModel = ServeModel()
    host: dict[str, HostModel] = {}


@dataclass(frozen=True)
class Config:
    """What was read and found right. `bases`: the folder from which a site's relative references are taken."""

    path: Path
    language: str
    state: Path
    store_url: str
    signing_name: str
    serve: ServeModel
    sites: Mapping[str, Site]
    policies: Mapping[str, Policy]
    hosts: Mapping[str, Host]
    bases: Mapping[str, Path]
    tops: Mapping[str, Any] = NOTHING


Sections = Mapping[str, type[DomainSettings]]
Tops = Mapping[str, type[Strict]]


def site_model(sections: Sections) -> type[BaseModel]:
    """The model of one site with all domain sections."""
    fields: dict[str, Any] = {name: (model | None, None) for name, model in sections.items()}
    return create_model("Site", __base__=SiteModel, **fields)


def top_model(tops: Tops) -> type[TopModel]:
    """The model of the main file with the sections that domain folders bring."""
    fields: dict[str, Any] = {name: (model, model()) for name, model in tops.items()}
    return create_model("Top", __base__=TopModel, **fields)


def schema(sections: Sections, tops: Tops = NOTHING) -> dict[str, Any]:
    """JSON Schema of the whole configuration, for editors."""
    fields: dict[str, Any] = {"site": (dict[str, site_model(sections)], {})}  # type: ignore[misc]
    whole = create_model("Gaccong", __base__=top_model(tops), **fields)
    return whole.model_json_schema()


@dataclass
class _File:
    path: Path
    data: dict[str, Any]
    lines: dict[tuple[str | int, ...], int]


def load(path: Path, sections: Sections, tops: Tops = NOTHING) -> Config:
    """Reads and judges the configuration at `path`. Raises ConfigError with every mistake."""
    mistakes: list[Mistake] = []
    main = _read(path, mistakes)
    if main is None:
        raise ConfigError(mistakes)
    top_data = {key: value for key, value in main.data.items() if key != "site"}
    top = _validate(top_model(tops), top_data, main, (), mistakes)
    files = [main, *_included(main, top_data.get("include", ()), mistakes)]
    entries, hosts = _gather(files, mistakes)
    model = site_model(sections)
    sites: dict[str, Site] = {}
    used: dict[str, Policy] = {}
    bases: dict[str, Path] = {}
    for name, (file, data) in entries.items():
        site = _site(name, data, file, model, sections, used, mistakes)
        if site:
            sites[name], bases[name] = site, file.path.parent
    if not entries and not mistakes:
        what = say("chưa có trang nào", "there is no site yet")
        mend = say("thêm [site.TÊN] vào tệp này hoặc vào sites/", "add [site.NAME] here or below sites/")
        mistakes.append(Mistake(path, 1, "site", what, mend))
    if mistakes or not isinstance(top, TopModel):
        raise ConfigError(sorted(mistakes, key=lambda found: (str(found.file), found.line)))
    return Config(
        path,
        top.language,
        top.state,
        top.store or f"sqlite:///{top.state / 'gaccong.db'}",
        top.signing_name,
        top.serve,
        sites,
        used,
        {"here": Host("here"), **hosts},
        bases,
        {name: getattr(top, name) for name in tops},
    )


def _read(path: Path, mistakes: list[Mistake]) -> _File | None:
    try:
        text = path.read_bytes().decode()
        return _File(path.absolute(), tomllib.loads(text), lines_of(text))
    except FileNotFoundError:
        what = say("không có tệp cấu hình", "there is no configuration file")
        mistakes.append(Mistake(path, 0, "", what, say("gaccong init", "gaccong init")))
    except UnicodeDecodeError as error:
        what = say("tệp không phải UTF-8 (byte {at})", "the file is not UTF-8 (byte {at})", at=error.start)
        mistakes.append(Mistake(path, 0, "", what, say("lưu lại bằng UTF-8", "save it as UTF-8")))
    except tomllib.TOMLDecodeError as error:
        line = int(str(error).rpartition("line ")[2].partition(",")[0] or 0) if "line " in str(error) else 0
        what = say("không phải TOML đúng: {e}", "not valid TOML: {e}", e=error)
        mistakes.append(Mistake(path, line, "", what, say("sửa dòng này", "mend this line")))
    except OSError as error:
        what = say("không đọc được: {e}", "cannot be read: {e}", e=error.strerror or error)
        mistakes.append(Mistake(path, 0, "", what, say("kiểm tra quyền của tệp", "check the file's mode")))
    return None


def _included(main: _File, patterns: Any, mistakes: list[Mistake]) -> list[_File]:
    found: list[_File] = []
    for pattern in patterns if isinstance(patterns, list) else ():
        inside = not str(pattern).startswith("/") and ".." not in Path(str(pattern)).parts
        matched = sorted(main.path.parent.glob(str(pattern))) if inside else []
        if not inside:
            what = say("{p} phải nằm dưới thư mục này", "{p} must lie below this folder", p=pattern)
            mistakes.append(Mistake(main.path, main.lines.get(("include",), 1), "include", what, say("", "")))
            continue
        if not matched and not any(sign in str(pattern) for sign in "*?["):
            what = say("tệp {p} không có", "file {p} does not exist", p=pattern)
            mistakes.append(Mistake(main.path, main.lines.get(("include",), 1), "include", what, say("", "")))
        for path in matched:
            file = _read(path, mistakes)
            if file is None:
                continue
            for key in file.data.keys() - {"site", "host"}:
                what = say("{k} chỉ được viết trong tệp chính", "{k} may only stand in the main file", k=key)
                mend = say("chuyển sang {f}", "move it to {f}", f=main.path.name)
                mistakes.append(Mistake(file.path, file.lines.get((key,), 1), key, what, mend))
            found.append(file)
    return found


def _gather(files: list[_File], mistakes: list[Mistake]) -> tuple[dict[str, tuple[_File, Any]], dict[str, Host]]:
    """Sites and hosts of all files; the same name twice is a mistake."""
    entries: dict[str, tuple[_File, Any]] = {}
    hosts: dict[str, Host] = {}
    for number, file in enumerate(files):
        sites = file.data.get("site", {})
        for name, data in sites.items() if isinstance(sites, dict) else ():
            if name in entries:
                what = say(
                    "trang {n} đã có trong {f}", "site {n} stands in {f} already", n=name, f=entries[name][0].path
                )
                mistakes.append(
                    Mistake(file.path, file.lines.get(("site", name), 1), f"site.{name}", what, say("", ""))
                )
                continue
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
                what = say(
                    "tên trang bắt đầu bằng chữ hay số và chỉ gồm a-z, 0-9, - và _",
                    "a site's name begins with a letter or digit and is made of a-z, 0-9, - and _",
                )
                mistakes.append(
                    Mistake(file.path, file.lines.get(("site", name), 1), f"site.{name}", what, say("", ""))
                )
                continue
            entries[name] = (file, data)
        found = file.data.get("host", {})
        for name, data in found.items() if isinstance(found, dict) else ():
            if name in hosts or name == "here":
                what = say("máy {n} đã có", "host {n} stands somewhere already", n=name)
                mistakes.append(
                    Mistake(file.path, file.lines.get(("host", name), 1), f"host.{name}", what, say("", ""))
                )
                continue
            host = _validate(HostModel, data, file, ("host", name), mistakes if number else [])
            if isinstance(host, HostModel):
                hosts[name] = Host(name, **host.model_dump())
    return entries, hosts


def _validate(
    model: type[BaseModel], data: Any, file: _File, path: tuple[str | int, ...], mistakes: list[Mistake]
) -> BaseModel | None:
    try:
        return model.model_validate(data, context={"base": file.path.parent})
    except ValidationError as error:
        mistakes.extend(from_validation(error, model, file.path, file.lines, path))
        return None


def _site(
    name: str,
    data: Any,
    file: _File,
    model: type[BaseModel],
    sections: Sections,
    used: dict[str, Policy],
    mistakes: list[Mistake],
) -> Site | None:
    path = ("site", name)
    known = _policy(name, data, file, used, mistakes)
    read = _validate(model, data, file, path, mistakes)
    if not isinstance(read, SiteModel):
        return None
    settings = {section: getattr(read, section) for section in sections if getattr(read, section) is not None}
    if known is not None:
        numbers = known.thresholds_in_force(read.thresholds)
        for section, values in settings.items():
            for where, what in values.against(numbers):
                full = (*path, section, *where.split("."))
                line = _nearest(file.lines, full)
                mistakes.append(Mistake(file.path, line, ".".join(map(str, full)), what, say("", "")))
    office = Office(**read.office.model_dump())
    names = read.names or (read.url.split("/")[2].rpartition("@")[2].partition(":")[0],)
    return Site(name, read.name, read.policy, read.url, names, office, dict(read.thresholds), settings)


def _policy(name: str, data: Any, file: _File, used: dict[str, Policy], mistakes: list[Mistake]) -> Policy | None:
    wanted = data.get("policy") if isinstance(data, dict) else None
    if not isinstance(wanted, str):
        return None
    if wanted not in policies.ids():
        import difflib

        near = difflib.get_close_matches(wanted, policies.ids(), 1, 0.3)
        what = say("không có quy chế {p}", "there is no policy {p}", p=wanted)
        mend = say(
            "các quy chế: {all}{near}",
            "policies: {all}{near}",
            all=", ".join(policies.ids()),
            near=f" (→ {near[0]}?)" if near else "",
        )
        line = file.lines.get(("site", name, "policy"), 1)
        mistakes.append(Mistake(file.path, line, f"site.{name}.policy", what, mend))
        return None
    if wanted not in used:
        used[wanted] = policies.load(wanted)
    return used[wanted]


def _nearest(lines: Mapping[tuple[str | int, ...], int], path: tuple[str | int, ...]) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)
