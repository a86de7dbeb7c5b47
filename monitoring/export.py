"""What Prometheus, Alertmanager and Grafana read, written into one folder; and the textfile of node_exporter.

The folder belongs to the person. `.gaccong-export.json` remembers what was written, by hash: a file that stands there and
is not ours stops everything before the first byte; one of ours that a person has edited since is kept, and the new one is
laid beside it as `NAME.new`. Everything is written beside its place and renamed into it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ops import Text, UsageError, say

HERE = Path(__file__).parent
MANIFEST, NEW = ".gaccong-export.json", ".new"
TOKEN_FILE = "/etc/prometheus/gaccong-token"  # noqa: S105 - a place, not a secret
_MARK = b"# HELP gaccong_build_info"


@dataclass(frozen=True, slots=True)
class Scrape:
    """How Prometheus reaches gaccong.

    target: host:port. scheme: http or https. token_file: absolute path of a file with the token, "" for none.
    sites: names, for the example of `/probe`. runbook: where RUNBOOK.md can be read; "" leaves it beside the rules.
    """

    target: str
    scheme: str = "http"
    token_file: str = ""
    sites: tuple[str, ...] = ()
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it: written (or the same already), and kept because a person had edited them."""

    files: tuple[str, ...]
    kept: tuple[str, ...]


def bundle(wanted: Scrape) -> dict[str, bytes]:
    """Relative path -> content of every file of the folder."""
    found = {"RUNBOOK.md": (HERE / "RUNBOOK.md").read_bytes(), "prometheus.yml": _scraping(wanted).encode()}
    for name in ("alertmanager.yml", "gaccong.tmpl"):
        found[name] = (HERE / "templates" / name).read_bytes()
    found["grafana-provisioning.yml"] = (HERE / "templates" / "grafana-provisioning.yml").read_bytes()
    for path in sorted((HERE / "rules").glob("*.yml")):
        rules = path.read_text(encoding="utf-8")
        if wanted.runbook:
            rules = rules.replace('runbook_url: "RUNBOOK.md#', "runbook_url: " + json.dumps(wanted.runbook + "#")[:-1])
        found[f"rules/{path.name}"] = rules.encode()
    for path in sorted((HERE / "dashboards").glob("*.json")):
        found[f"dashboards/{path.name}"] = path.read_bytes()
    return found


def _scraping(wanted: Scrape) -> str:
    """prometheus.yml. What comes from the configuration goes in as JSON strings, which are YAML ones too."""
    login = ""
    if wanted.token_file:
        file = json.dumps(wanted.token_file, ensure_ascii=False)
        login = f"\n    authorization: {{type: Bearer, credentials_file: {file}}}"
    text = (HERE / "templates" / "prometheus.yml").read_text(encoding="utf-8")
    for name, value in (("scheme", wanted.scheme), ("target", json.dumps(wanted.target)[1:-1]), ("authorization", login),
                        ("sites", ", ".join(json.dumps(site) for site in wanted.sites))):
        text = text.replace("{{" + name + "}}", value)
    return text


def write(out: Path, files: Mapping[str, bytes]) -> Written:
    """Writes the folder. Raises UsageError, before anything is touched, when a file that is not ours is in the way."""
    out = out.absolute()
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(say("{p} không phải thư mục", "{p} is no folder", p=out), say("chọn chỗ khác: --out", "choose another --out"))
    ours = _manifest(out)
    foreign = sorted(name for name in files if _foreign(out, name, files[name], ours))
    if foreign:
        raise UsageError(
            say("trong {p} đã có tệp không phải do gaccong ghi: {n}; không ghi đè", "{p} holds files that gaccong did not "
                "write: {n}; nothing is overwritten", p=out, n=", ".join(foreign)),
            say("chọn thư mục trống: --out", "choose an empty folder: --out"),
        )
    kept, hashes = [], {}
    for name, content in files.items():
        hashes[name] = _digest(content)
        there = _read(out / name)
        if there is not None and there != content and _digest(there) != ours.get(name):
            kept.append(name)
            if ours[name] != hashes[name] or name + NEW in ours:
                hashes[name + NEW] = hashes[name]
                replace(out / (name + NEW), content)
            hashes[name] = ours[name]
        elif there != content:
            replace(out / name, content)
    _sweep(out, ours, hashes)
    replace(out / MANIFEST, (json.dumps(hashes, indent=1, sort_keys=True) + "\n").encode())
    return Written(tuple(files), tuple(kept))


def _foreign(out: Path, name: str, content: bytes, ours: Mapping[str, str]) -> bool:
    """Whether something stands in this file's place that we neither wrote nor would write."""
    for parent in PurePosixPath(name).parents:
        place = out / parent
        if place.is_symlink() and place != out or (place.exists() and not place.is_dir()):
            return True
    place = out / name
    if place.is_symlink() or (place.exists() and not place.is_file()):
        return True
    return place.exists() and name not in ours and place.read_bytes() != content


def _sweep(out: Path, ours: Mapping[str, str], hashes: Mapping[str, str]) -> None:
    """Takes away what an older version wrote and this one does not, unless a person has edited it."""
    for name, digest in ours.items():
        place = out / name
        inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
        if name not in hashes and inside and not place.is_symlink():
            there = _read(place)
            if there is not None and _digest(there) == digest:
                place.unlink()


def _manifest(out: Path) -> dict[str, str]:
    try:
        made = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        return {str(name): str(digest) for name, digest in made.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError):
        raise UsageError(
            say("{p} hỏng: không biết tệp nào là của gaccong", "{p} is spoilt: whose the files are is unknown", p=out / MANIFEST),
            say("chọn thư mục trống: --out", "choose an empty folder: --out"),
        ) from None


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def replace(path: Path, content: bytes) -> None:
    """Whole or not at all, readable by everybody: none of it is secret. Raises UsageError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, beside = tempfile.mkstemp(prefix=".gaccong-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.chmod(beside, 0o644)  # noqa: PTH101 - mkstemp gave a string
            os.replace(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        raise UsageError(
            say("không ghi được {p}: {why}", "cannot write {p}: {why}", p=path, why=error.strerror or str(error)),
            say("kiểm tra quyền và chỗ trống", "check permissions and room"),
        ) from None


def textfile(path: Path, content: bytes) -> None:
    """Replaces node_exporter's file. Raises UsageError for a file that is no exposition of ours, or a name it passes over."""
    if path.suffix != ".prom":
        raise UsageError(say("node_exporter chỉ đọc tệp .prom", "node_exporter reads .prom files only"),
                         say("--out /var/lib/prometheus/node-exporter/gaccong.prom", "--out /var/lib/prometheus/node-exporter/gaccong.prom"))
    if path.is_symlink() or path.exists():
        known = path.is_file() and not path.is_symlink()
        if known:
            with path.open("rb") as file:
                known = file.read(len(_MARK)) == _MARK
        if not known:
            raise UsageError(say("{p} không phải do gaccong ghi; không ghi đè", "{p} was not written by gaccong; it is kept", p=path),
                             say("chọn tên khác: --out", "choose another name: --out"))
    replace(path, content)


def steps(out: Path, wanted: Scrape, token_from: str = "") -> Iterable[Text]:
    """What to do next, one command each. token_from: the file with the token, when Prometheus may not read it itself."""
    folder = shlex.quote(str(out))
    if wanted.token_file:
        yield say("cho Prometheus đọc mã truy cập:", "let Prometheus read the token:")
        origin = shlex.quote(token_from) if token_from else "TỆP-MÃ"
        yield Text(*[f"  install -m 0640 -g prometheus {origin} {shlex.quote(wanted.token_file)}"] * 2)
    yield say("kiểm tra:", "check:")
    yield Text(*[f"  promtool check config {folder}/prometheus.yml && amtool check-config {folder}/alertmanager.yml"] * 2)
    yield say("sửa máy gửi thư và người nhận trong alertmanager.yml; chuông canh gửi ra một nơi bên ngoài",
              "put your mail server and recipients into alertmanager.yml; send the watchdog to a place elsewhere")
    yield say("đưa vào Prometheus và Alertmanager (máy đã có cấu hình riêng: chỉ chép rules và đoạn scrape_configs):",
              "hand it to Prometheus and Alertmanager (where they have a configuration: copy rules and scrape_configs only):")
    yield Text(*[f"  cp -r {folder}/prometheus.yml {folder}/rules /etc/prometheus/ && systemctl reload prometheus"] * 2)
    yield Text(*[f"  cp {folder}/alertmanager.yml {folder}/gaccong.tmpl /etc/prometheus/ && "
                 "systemctl reload prometheus-alertmanager"] * 2)
    yield say("Grafana: Dashboards → Import → từng tệp trong dashboards/, hoặc dùng grafana-provisioning.yml",
              "Grafana: Dashboards → Import → each file of dashboards/, or use grafana-provisioning.yml")
