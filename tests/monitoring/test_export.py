"""`gaccong export`: a folder that the real tools take as it is, and that never costs a person's own file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring import export
from monitoring.export import Scrape, bundle, textfile, write
from ops import UsageError
from tests.journeys.place import GACCONG
from tests.monitoring.lab import free_port
from tests.monitoring.observatory import find

HERE = Scrape("127.0.0.1:9850", "http", "/etc/prometheus/gaccong-token", ("xamau", "khac"))
SITE = """
[site.xamau]
name = "Xã Mẫu"
policy = "thong-nhat"
url = "https://xamau.example.gov.vn/"
"""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not find(program), reason=f"{program} is not installed (./setup test)")


def tool(*words: str) -> str:
    program = find(words[0])
    assert program
    done = subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---------------------------------------------------------------------- the folder


@needs("promtool")
def test_promtool_takes_the_folder(tmp_path: Path) -> None:
    secret = tmp_path / "mã truy cập \"x\""
    secret.write_text("x")
    done = write(tmp_path / "ra", bundle(Scrape("[::1]:9850", "https", str(secret), ("xamau",))))
    assert len([name for name in done.files if name.startswith("rules/")]) >= 7
    assert len([name for name in done.files if name.startswith("dashboards/")]) == 6
    said = tool("promtool", "check", "config", str(tmp_path / "ra" / "prometheus.yml"))
    assert said.count("SUCCESS") >= 8 and "WARN" not in said.upper()
    [job] = yaml.safe_load((tmp_path / "ra" / "prometheus.yml").read_text())["scrape_configs"]
    assert job["authorization"] == {"type": "Bearer", "credentials_file": str(secret)}
    assert job["static_configs"] == [{"targets": ["[::1]:9850"]}] and job["scheme"] == "https"


@needs("promtool")
def test_the_second_door_works_as_it_is_written(tmp_path: Path) -> None:
    """The example that stands commented out must be right when somebody takes the signs away."""
    (tmp_path / "ma").write_text("x")
    text = bundle(replace(HERE, token_file=str(tmp_path / "ma")))["prometheus.yml"].decode()
    begin = text.index("  # - job_name: gaccong-probe")
    opened = text[:begin] + text[begin:].replace("  # ", "  ")
    write(tmp_path, bundle(HERE))
    (tmp_path / "prometheus.yml").write_text(opened)
    tool("promtool", "check", "config", str(tmp_path / "prometheus.yml"))
    jobs = yaml.safe_load(opened)["scrape_configs"]
    assert jobs[1]["static_configs"] == [{"targets": ["xamau", "khac"]}] and jobs[1]["metrics_path"] == "/probe"


def test_no_token_no_login() -> None:
    assert "authorization" not in bundle(Scrape("127.0.0.1:9850"))["prometheus.yml"].decode()


def test_the_runbook_lies_where_it_was_said() -> None:
    files = bundle(Scrape("127.0.0.1:9850", runbook="https://so-tay.example.vn/r"))
    urls = [rule["annotations"]["runbook_url"] for name, content in files.items() if name.startswith("rules/")
            for group in yaml.safe_load(content)["groups"] for rule in group["rules"] if "alert" in rule]
    assert len(urls) > 60 and all(url.startswith("https://so-tay.example.vn/r#gaccong") for url in urls)


def test_again_is_the_same_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write(tmp_path, bundle(HERE))
    first = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert write(tmp_path, bundle(HERE)).kept == ()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in first)


@pytest.mark.parametrize("name", ["prometheus.yml", "rules/site.yml", "rules", "dashboards/trang.json"])
def test_a_foreign_file_stops_everything(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("của người khác\n")
    with pytest.raises(UsageError, match="gaccong did not write"):
        write(tmp_path, bundle(HERE))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]
    assert (tmp_path / name).read_text() == "của người khác\n"


@pytest.mark.parametrize("name", ["prometheus.yml", "rules"])
def test_a_link_leads_nowhere(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "noi-khac"
    elsewhere.mkdir()
    (elsewhere / "x").write_text("giữ")
    out = tmp_path / "ra"
    out.mkdir()
    (out / name).symlink_to(elsewhere / "x" if "." in name else elsewhere)
    with pytest.raises(UsageError):
        write(out, bundle(HERE))
    assert (elsewhere / "x").read_text() == "giữ" and [one.name for one in elsewhere.iterdir()] == ["x"]


def test_what_a_person_edited_is_kept_and_the_new_one_laid_beside(tmp_path: Path) -> None:
    write(tmp_path, bundle(HERE))
    path = tmp_path / "alertmanager.yml"
    path.write_text(path.read_text().replace("example.vn", "xamau.example.gov.vn"))
    edited = path.read_bytes()
    again = write(tmp_path, bundle(HERE))
    assert again.kept == ("alertmanager.yml",) and path.read_bytes() == edited and not (tmp_path / "alertmanager.yml.new").exists()
    newer = {**bundle(HERE), "alertmanager.yml": b"route: {}\n"}
    assert write(tmp_path, newer).kept == ("alertmanager.yml",)
    assert path.read_bytes() == edited and (tmp_path / "alertmanager.yml.new").read_bytes() == b"route: {}\n"
    assert write(tmp_path, newer).kept == ("alertmanager.yml",)
    assert path.read_bytes() == edited


def test_what_is_no_longer_shipped_is_taken_away_unless_edited(tmp_path: Path) -> None:
    write(tmp_path, {**bundle(HERE), "rules/cu.yml": b"groups: []\n", "rules/cu2.yml": b"groups: []\n"})
    (tmp_path / "rules" / "cu2.yml").write_bytes(b"groups: [] # cua toi\n")
    (tmp_path / "rules" / "rieng.yml").write_bytes(b"groups: []\n")
    write(tmp_path, bundle(HERE))
    assert not (tmp_path / "rules" / "cu.yml").exists()
    assert (tmp_path / "rules" / "cu2.yml").exists() and (tmp_path / "rules" / "rieng.yml").exists()


def test_a_spoilt_memory_is_told_and_a_hostile_one_reaches_no_further(tmp_path: Path) -> None:
    write(tmp_path / "ra", bundle(HERE))
    (tmp_path / "ngoai").write_bytes(b"x")
    memory = tmp_path / "ra" / export.MANIFEST
    told = json.loads(memory.read_text())
    memory.write_text(json.dumps({**told, "../ngoai": export._digest(b"x"), str(tmp_path / "ngoai"): export._digest(b"x")}))
    write(tmp_path / "ra", bundle(HERE))
    assert (tmp_path / "ngoai").exists()
    memory.write_text("[")
    with pytest.raises(UsageError, match="spoilt"):
        write(tmp_path / "ra", bundle(HERE))


# ---------------------------------------------------------------------- Alertmanager


@needs("amtool")
def test_amtool_takes_the_example_and_routes_by_it(tmp_path: Path) -> None:
    write(tmp_path, bundle(HERE))
    config = str(tmp_path / "alertmanager.yml")
    assert "SUCCESS" in tool("amtool", "check-config", config)
    for labels, receiver in (("alertname=GaccongWatchdog severity=none", "chuong-canh"), ("alertname=GaccongMaintenance severity=none", "im-lang"),
                             ("alertname=GaccongSiteDown severity=critical", "truc-ban"), ("alertname=GaccongDiskFills severity=warning", "hop-thu")):
        assert tool("amtool", "config", "routes", "test", f"--config.file={config}", *labels.split()).strip().splitlines()[-1] == receiver


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    program, port = find("prometheus-alertmanager"), free_port()
    assert program
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am",
                                    f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="], stdout=log, stderr=log)
        try:
            url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 20
            while True:
                try:
                    urllib.request.urlopen(f"{url}/-/ready", timeout=2).close()
                    break
                except OSError:
                    assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
                    time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def standing(url: str, alerts: list[dict[str, str]]) -> dict[str, bool]:
    """alertname/site -> whether somebody is told, by a real Alertmanager."""
    body = json.dumps([{"labels": one} for one in alerts]).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"}), timeout=5).close()
    deadline = time.monotonic() + 20
    while True:
        with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        if len(found) >= len(alerts) and all(one["status"]["state"] != "unprocessed" for one in found):
            return {f"{one['labels']['alertname']}/{one['labels'].get('site', '')}": one["status"]["state"] == "active" for one in found}
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def labels_of(alert: str, **more: str) -> dict[str, str]:
    """The labels that the shipped rule gives."""
    for content in bundle(HERE).items():
        if content[0].startswith("rules/"):
            for group in yaml.safe_load(content[1])["groups"]:
                for rule in group["rules"]:
                    if rule.get("alert") == alert:
                        return {"alertname": alert, **{key: str(value) for key, value in rule["labels"].items()}, **more}
    raise KeyError(alert)


QUIET = [
    (["GaccongMaintenance/a", "GaccongSiteDown/a", "GaccongSiteDown/b", "GaccongDiskFull/a"], {"GaccongSiteDown/a"}),
    (["GaccongManyDown/", "GaccongSiteDown/a", "GaccongSiteDown/b", "GaccongDnsBroken/b", "GaccongDiskFull/a"],
     {"GaccongSiteDown/a", "GaccongSiteDown/b", "GaccongDnsBroken/b"}),
    (["GaccongBlind/", "GaccongSiteDownIPv6/a", "GaccongPageLacks/a", "GaccongBackupMissing/a"], {"GaccongSiteDownIPv6/a", "GaccongPageLacks/a"}),
    (["GaccongSiteDown/a", "GaccongPageLacks/a", "GaccongPageLacks/b", "GaccongUpdatesWait/a"], {"GaccongPageLacks/a"}),
    (["GaccongGone/", "GaccongSiteDown/a", "GaccongDiskFull/b", "GaccongWatchdog/"], {"GaccongSiteDown/a", "GaccongDiskFull/b"}),
]


@needs("prometheus-alertmanager")
@pytest.mark.parametrize(("firing", "quiet"), QUIET, ids=["maintenance", "many down", "blind", "one down", "gaccong gone"])
def test_who_is_not_called(tmp_path: Path, firing: list[str], quiet: set[str]) -> None:
    write(tmp_path, bundle(HERE))
    alerts = []
    for one in firing:
        name, _, site = one.partition("/")
        duty = {"duty": name.lower(), "subject": "x"} if site else {}
        alerts.append(labels_of(name, **({"site": site} if site else {}), **duty))
    with alertmanager(tmp_path) as url:
        told = standing(url, alerts)
    assert {name for name, active in told.items() if not active} == quiet


@needs("amtool")
def test_the_letter(tmp_path: Path) -> None:
    write(tmp_path, bundle(HERE))
    data = {"status": "firing", "groupLabels": {"alertname": "GaccongSiteDown"}, "commonLabels": {"severity": "critical"}, "alerts": [
        {"status": "firing", "labels": {}, "startsAt": "2026-11-21T19:14:05Z", "annotations": {
            "summary": "[xamau] trang không vào được", "description": "Không ai mở được.", "next": "gaccong look web.http", "runbook_url": "R#x"}}]}
    (tmp_path / "d.json").write_text(json.dumps(data))
    said = tool("amtool", "template", "render", f"--template.glob={tmp_path}/gaccong.tmpl", f"--template.data={tmp_path}/d.json",
                '--template.text={{ template "gaccong.subject" . }}\n{{ template "gaccong.text" . }}')
    assert "[GẤP] 1 cảnh báo GaccongSiteDown" in said and "Từ lúc: 02:14 22/11/2026" in said and "Làm tiếp: gaccong look web.http" in said


# ---------------------------------------------------------------------- node_exporter


def test_the_textfile_keeps_what_is_not_ours(tmp_path: Path) -> None:
    ours = b"# HELP gaccong_build_info x\n# TYPE gaccong_build_info gauge\ngaccong_build_info 1\n"
    path = tmp_path / "gaccong.prom"
    textfile(path, ours)
    textfile(path, ours + b"gaccong_x 1\n")
    assert path.read_bytes().endswith(b"gaccong_x 1\n") and [one.name for one in tmp_path.iterdir()] == ["gaccong.prom"]
    path.write_bytes(b"khac 1\n")
    with pytest.raises(UsageError, match="not written by gaccong"):
        textfile(path, ours)
    (tmp_path / "l.prom").symlink_to(path)
    with pytest.raises(UsageError):
        textfile(tmp_path / "l.prom", ours)
    with pytest.raises(UsageError, match="prom files only"):
        textfile(tmp_path / "gaccong.txt", ours)
    with pytest.raises(UsageError, match="cannot write"):
        textfile(tmp_path / "gaccong.prom" / "x.prom", ours)


# ---------------------------------------------------------------------- the command


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "bi-mat").mkdir()
    token = tmp_path / "bi-mat" / "trang"
    token.touch(mode=0o600)
    token.write_text("ma-truy-cap-khong-duoc-in-ra-dau-ca\n")
    (tmp_path / "gaccong.toml").write_text('state = "state"\n[serve]\nlisten = "0.0.0.0:9861"\ntoken = "file:bi-mat/trang"\n' + SITE)
    return tmp_path


def gaccong(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(GACCONG), "--config", str(home / "gaccong.toml"), *words], capture_output=True, text=True, timeout=60,
                          check=False, cwd=home, env={**os.environ, "GACCONG_LANG": "vi"})
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_the_command_writes_and_says_what_next(home: Path) -> None:
    done = gaccong(home, "export", "prometheus", "--out", "ra đây")
    assert done.returncode == 0, done.stderr
    assert "làm tiếp" in done.stdout and "promtool check config" in done.stdout and f"'{home}/ra đây'" in done.stdout
    assert f"install -m 0640 -g prometheus {home}/bi-mat/trang /etc/prometheus/gaccong-token" in done.stdout
    [job] = yaml.safe_load((home / "ra đây" / "prometheus.yml").read_text())["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["127.0.0.1:9861"]}]
    everything = b"".join(path.read_bytes() for path in (home / "ra đây").rglob("*") if path.is_file())
    assert b"khong-duoc-in-ra" not in everything and "khong-duoc-in-ra" not in done.stdout + done.stderr
    (home / "ra đây" / "prometheus.yml").write_text("# của tôi\n")
    again = gaccong(home, "export", "prometheus", "--out", "ra đây")
    assert again.returncode == 0 and "prometheus.yml đã được sửa tay" in again.stdout
    (home / "lạ").mkdir()
    (home / "lạ" / "prometheus.yml").write_text("x")
    refused = gaccong(home, "export", "prometheus", "--out", "lạ")
    assert refused.returncode == 2 and "không ghi đè" in refused.stderr


@pytest.mark.parametrize("target", ["x y:1", "a:b", '"', "máy:99999", "$(id):1"])
def test_a_target_that_is_none(home: Path, target: str) -> None:
    done = gaccong(home, "export", "prometheus", "--out", "ra", "--target", target)
    assert done.returncode == 2 and not (home / "ra").exists()


@needs("prometheus-node-exporter")
def test_node_exporter_reads_the_textfile(home: Path) -> None:
    assert gaccong(home, "look", "dns.domain_pattern").returncode in (0, 1, 3)
    folder, port = home / "text", free_port()
    folder.mkdir()
    done = gaccong(home, "export", "textfile", "--out", str(folder / "gaccong.prom"))
    assert done.returncode == 0, done.stderr
    assert gaccong(home, "export", "textfile", "--out", "-").stdout.startswith("# HELP gaccong_build_info")
    program = find("prometheus-node-exporter")
    assert program
    process = subprocess.Popen([program, f"--web.listen-address=127.0.0.1:{port}", "--collector.disable-defaults", "--collector.textfile",
                                f"--collector.textfile.directory={folder}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline, text = time.monotonic() + 20, ""
        while not text:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    text = answer.read().decode()
            except OSError:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.05)
    finally:
        process.terminate()
        process.wait(10)
    assert "node_textfile_scrape_error 0" in text and 'gaccong_site_verdict{policy="thong-nhat",site="xamau"}' in text
    assert sys.version_info >= (3, 11)
