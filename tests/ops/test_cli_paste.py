"""Commands inside texts: they can be pasted where they were printed, and prose is left alone."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from ops.cli import hoist
from ops.cli.app import VERBS, build
from ops.cli.following import template, wanted
from ops.cli.paste import configured, pasted
from ops.cli.placeholder import filled, refuse
from ops.errors import UsageError
from tests.kit import make_site

GACCONG = Path(sys.executable).parent / "gaccong"


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x"])  # as where the shell finds it by name


@pytest.mark.parametrize("text", [
    "xem lại: {g} plan backup.run set=user --site a", "{g} plan backup.heal; rồi {g} look backup.integrity --site a",
    "find out who; to accept the loss: {g} plan backup.prune place=x lost=1 --site a", "{g} apply 0123456789abcdef --by X",
    "{g} plan THAY-ĐỔI …", "{g} look …", "let cron call `{g} run` every five minutes", "see: {g} status; the log: journalctl",
    "{g} run --accept-clock NAME", "{g} attest TN-10.1.c --site a", "{g} accounts revoke 'Trần A' --site a", "{g} doctor",
    "{g} config schema  # [site.a]", "{g} plan restore_site --site a", "\n  → {g} run", "make room (df -h), then again: {g} run"])
def test_commands_get_the_configuration(text: str) -> None:
    assert pasted(text.format(g="gaccong"), "a b/g.toml") == text.format(g="gaccong --config 'a b/g.toml'")
    assert pasted(text.format(g="gaccong")) == text.format(g="gaccong")


@pytest.mark.parametrize("text", [
    "gaccong khác đang chạy (run, tiến trình 3)", "another gaccong is running (run, process 3)", "cài gaccong vào một venv",
    "các lần sau gaccong run tự làm", "gaccong run does it from now on", "run gaccong on web", "the gaccong plan was refused",
    "/opt/gaccong run", "gaccong.toml", "gaccong init", "gaccong --config x.toml run", "gaccong --config='x y.toml' look web.http",
    "gaccong plan backup.run --config other.toml", "journalctl -u 'gaccong*'"])
def test_prose_and_commands_that_name_one_are_left_alone(text: str) -> None:
    assert pasted(text, "g.toml") == text


def test_twice_is_once() -> None:
    once = pasted("gaccong run; gaccong plan backup.run", "g.toml")
    assert pasted(once, "g.toml") == once


def test_the_configuration_among_words() -> None:
    assert configured(hoist(["plan", "x", "--config", "a.toml"])) == configured(hoist(["--config=a.toml"])) == "a.toml"
    assert configured(hoist(["run", "--", "--config", "a.toml"])) == configured(["--config"]) == ""


def test_every_verb_of_ours_is_known_as_a_command() -> None:
    """A verb that is added must be pasted too."""
    top = build("en")
    for name in VERBS:
        command = top.commands[name]  # type: ignore[attr-defined]
        named = {"plan": "backup.run", "look": "web.http", "apply": "0" * 16, "attest": "TN-10.1", "report": "annual-risk"}
        for words in [f"{name} {one}" for one in getattr(command, "commands", ())] or [f"{name} {named.get(name, '')}".strip()]:
            wanted = "gaccong" if name == "init" else "gaccong --config g.toml"
            assert pasted(f"gaccong {words}", "g.toml") == f"{wanted} {words}"


# ---------------------------------------------------------------------- as a newcomer meets it


def begin(place: Path) -> Path:
    """What `gaccong init` writes for a small site, in a folder with a blank in its name."""
    (place / "www").mkdir(parents=True)
    (place / "www" / "index.html").write_text("<h1>Xã mẫu</h1>\n")
    words = ["init", str(place / "cau hinh"), "--site", "xa-mau", "--name", "Trang xã Mẫu", "--policy", "thong-nhat", "--url",
             "https://xamau.example.gov.vn/", "--files", str(place / "www"), "--repository", str(place / "kho")]
    done = gaccong(*words)
    assert done.returncode == 0, done.stderr
    return place / "cau hinh" / "gaccong.toml"


def gaccong(*words: str, lang: str = "vi") -> subprocess.CompletedProcess[str]:
    """The real command, as the shell finds it by name, from a folder without a configuration."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GACCONG_")}
    env |= {"PATH": f"{GACCONG.parent}:{env['PATH']}", "GACCONG_LANG": lang, "COLUMNS": "200"}
    return subprocess.run(["gaccong", *words], capture_output=True, text=True, timeout=120, check=False, cwd="/",
                          stdin=subprocess.DEVNULL, env=env)


@pytest.mark.parametrize("lang", ["vi", "en"])
def test_what_is_printed_can_be_pasted(tmp_path: Path, lang: str) -> None:
    config = begin(tmp_path)
    wanted = f"gaccong --config {shlex.quote(str(config))} "
    before = gaccong("--config", str(config), "status", lang=lang)  # an error with a mend
    assert before.returncode == 2 and before.stderr.rstrip().endswith(f"→ {wanted}run")
    refused = gaccong("--config", str(config), "apply", "0" * 16, "--by", "Trần Thị Mẫu", lang=lang)
    assert refused.returncode == 2 and f"→ {wanted}plan " in refused.stderr
    unplanned = gaccong("plan", "backup.restore", f"--config={config}", f"to={tmp_path}/ra", "at=0000", lang=lang)
    assert unplanned.returncode == 2 and "gaccong backup list" not in unplanned.stderr  # nothing without the configuration
    looked = gaccong("look", "backup.fresh", "--config", str(config), lang=lang)
    [line] = [one.strip() for one in looked.stdout.splitlines() if "set=user" in one]
    assert line.startswith(wanted)
    pasted_here = gaccong(*shlex.split(line)[1:], lang=lang)
    assert pasted_here.returncode == 0, pasted_here.stderr


def test_a_first_look_is_calm_true_and_says_what_to_do(tmp_path: Path) -> None:
    config = str(begin(tmp_path))
    looked = gaccong("look", "backup.fresh", "--config", config)
    assert looked.returncode == 1 and "○ chưa làm lần nào" in looked.stdout and "✗" not in looked.stdout
    assert "không phải sự cố" in looked.stdout and "plan backup.run set=user --site xa-mau" in looked.stdout
    told = gaccong("look", "backup.fresh", "--config", config, "--json").stdout
    assert '"verdict": "broken"' in told  # programs are told what it is: not met
    gaccong("look", "backup.offsite", "--config", config)
    status = gaccong("status", "--config", config)
    assert status.returncode == 1 and "○ chưa làm lần nào" in status.stdout and "✗" not in status.stdout
    assert "chưa nơi nào có bản sao" in status.stdout and "đạt" not in re.sub(r"chưa đạt", "", status.stdout).lower()


def test_a_first_run_that_failed_is_no_first_time_any_more(tmp_path: Path) -> None:
    config = str(begin(tmp_path))
    planned = gaccong("plan", "backup.run", "set=user", "--config", config)
    digest = re.search(r"digest ([0-9a-f]{64})", planned.stdout)
    assert digest
    (tmp_path / "kho").write_text("một tệp ở chỗ của kho\n")
    acted = gaccong("apply", digest[1], "--by", "Trần Thị Mẫu", "--config", config)
    assert acted.returncode in (2, 5), acted.stdout
    if acted.returncode == 5:
        looked = gaccong("look", "backup.contents", "--config", config, "--json").stdout
        assert looked and "○" not in [line for line in gaccong("look", "backup.fresh", "--config", config).stdout.splitlines()
                                      if " user " in line][0]


def test_a_plan_is_short_and_whole_when_asked(tmp_path: Path) -> None:
    config = str(begin(tmp_path))
    short = gaccong("plan", "backup.run", "set=user", "--config", config)
    steps = re.findall(r"^  +\d+\. .*\[máy này\]$", short.stdout, re.MULTILINE)
    assert len(steps) >= 4 and "backup.copying" not in short.stdout and "lần trước: chưa làm lần nào" in short.stdout
    assert "hoàn tác" in short.stdout and "backup.contents(user)" in short.stdout and "--standing" in short.stdout
    [again] = re.findall(r"xem đủ từng lệnh: (.*)", short.stdout)
    full = gaccong(*shlex.split(again)[1:])
    assert "backup.copying" in full.stdout and "RESTIC_PASSWORD_FILE=file:" in full.stdout and "tối đa" in full.stdout
    digest = re.compile(r"digest ([0-9a-f]{64})")
    assert digest.findall(short.stdout) == digest.findall(full.stdout) != []
    for flag in ("--full", "-v"):
        body = gaccong("plan", "backup.run", "set=user", flag, "--json", "--config", config).stdout
        assert body == gaccong("plan", "backup.run", "set=user", "--json", "--config", config).stdout and '"argv"' in body


@pytest.mark.parametrize("config", ["/a;touch x/g.toml", "/a b/$(id).toml", "/a'b.toml", "`id`"])
@pytest.mark.parametrize("text", [
    "gaccong plan backup.restore path='/w/x; gaccong run' --site a", "gaccong plan backup.restore path='/w/x gaccong run' --site a",
    "gaccong backup restore --site a --to '/w/gaccong status' --set u", "gaccong plan backup.restore path='a b' 'c gaccong run' --site a"])
def test_what_looks_like_a_command_within_quotes_stays_in_them(text: str, config: str) -> None:
    words = shlex.split(text)
    assert shlex.split(pasted(text, config)) == [words[0], "--config", config, *words[1:]]


def test_an_argument_that_mentions_the_option_is_not_the_option() -> None:
    text = "gaccong plan backup.clear set=u reason=x--config --site a"
    assert pasted(text, "g.toml") == text.replace("gaccong", "gaccong --config g.toml")
    assert pasted("gaccong plan a.b --site a --config x", "g.toml") == "gaccong plan a.b --site a --config x"


@pytest.mark.parametrize("words", [
    ["apply", "0" * 16, "--by", "HỌ-TÊN"], ["apply", "0" * 16, "--by=NAME"], ["attest", "TN-9.1", "--by", "'Họ tên'"],
    ["run", "--accept-clock", "HỌ-TÊN"], ["apply", "0" * 16, "--by", "…"],
    ["plan", "backup.clear", "set=user", "run=a#1", "reason=GHI LÝ DO Ở ĐÂY"]])
def test_a_placeholder_signs_nothing(words: list[str]) -> None:
    done = gaccong(*words)
    assert done.returncode == 2 and "chữ mẫu" in done.stderr and "→" in done.stderr, done.stderr
    refuse(["apply", "x", "--by", "Trần Thị Mẫu", "reason=thay giao diện, đã đối chiếu", "--", "--by", "x"])


def test_a_reason_is_shown_as_something_to_write() -> None:
    command = "gaccong plan backup.clear set=u run=a#1 reason='…' --site a"
    assert shlex.split(filled(command, "vi"), comments=False)[5] == "reason=GHI LÝ DO Ở ĐÂY"
    with pytest.raises(UsageError):
        refuse(shlex.split(filled(command, "en")))


def test_init_judges_each_answer_and_names_no_file_that_is_not_there(tmp_path: Path) -> None:
    words = {"site": "a", "name": "Trang A", "policy": "thong-nhat", "url": "https://a.example/", "files": "/khong-co",
             "repository": "kho"}
    for key, bad, told in (("url", "a.example", "https:// hay http://"), ("policy", "x", "thong-nhat"), ("site", "a b", "mã trang")):
        given = [part for name, value in {**words, key: bad}.items() for part in (f"--{name}", value)]
        done = gaccong("init", str(tmp_path / "c"), *given)
        assert done.returncode == 2 and told in done.stderr and ".toml" not in done.stderr and not (tmp_path / "c").exists()
    done = gaccong("init", str(tmp_path / "c"), *[part for name, value in words.items() for part in (f"--{name}", value)])
    assert done.returncode == 0 and "/khong-co chưa có" in done.stderr
    main, site = (tmp_path / "c" / name for name in ("gaccong.toml", "sites/a.toml"))
    assert 'repository = "/kho"' in site.read_text(encoding="utf-8") and "# [notify]" in main.read_text(encoding="utf-8")
    for path in (main, site):  # what stands there as comments is right once it is none
        text = re.sub(r"(?m)^# (?=\[|\w+ = [\"{\[])", "", path.read_text(encoding="utf-8"))
        tomllib.loads(text)
    body = json.loads(gaccong("doctor", "--json", "--config", str(main)).stdout)["diagnoses"]
    [roster] = [one for one in body if one["what"].endswith("roster.csv")]
    assert roster["verdict"] == "at_risk" and "chưa khai báo ai" in roster["state"]["vi"]


def test_a_password_that_was_lost_is_not_made_anew(tmp_path: Path) -> None:
    config = str(begin(tmp_path))
    secret = Path(config).parent / "secrets" / "restic"
    kept = secret.read_bytes()
    secret.unlink()
    assert "tạo mật khẩu, chmod 600" in gaccong("doctor", "--config", config, "--json").stdout
    told = gaccong("config", "check", "--config", config)
    assert told.returncode == 0 and str(secret) in told.stderr
    secret.touch(mode=0o600)
    secret.write_bytes(kept)
    digest = re.search(r"digest ([0-9a-f]{64})", gaccong("plan", "backup.run", "set=user", "--config", config).stdout)
    assert digest and gaccong("apply", digest[1], "--by", "Trần Thị Mẫu", "--config", config).returncode == 0
    secret.unlink()
    lost = gaccong("doctor", "--config", config, "--json").stdout
    assert "ĐỪNG tạo mới" in lost and "tạo mật khẩu, chmod 600" not in lost
    secret.touch(mode=0o600)
    secret.write_bytes(kept)
    (tmp_path / "kho").rename(tmp_path / "kho-cu")
    for words in (("backup", "list"), ("backup", "restore", "--to", str(tmp_path / "ra")), ("look", "backup.contents"), ("doctor",)):
        done = gaccong(*words, "--config", config)
        told_ = " ".join((done.stdout + done.stderr).split())
        assert "bình thường" not in told_ and done.returncode, told_


def test_a_first_run_begins_with_what_matters_and_offers_what_can_be_run(tmp_path: Path) -> None:
    config = str(begin(tmp_path))
    first = gaccong("run", "--config", config).stdout
    assert first.startswith("Việc đầu tiên") and first.splitlines()[2].strip().startswith("gaccong --config ")
    following = first.partition("lệnh kế tiếp:")[2]
    offered = [line.strip() for line in following.partition("\n\n")[0].splitlines() if line.strip()]
    assert 0 < len(offered) < 25 and "plan backup.run" not in following and "config schema" not in following
    assert not any("look deadline." in line or "look content." in line for line in offered)
    assert "[site.xa-mau.monitoring.renewal]\n  domain_until = " in following and len(first.splitlines()) < 190
    forced = gaccong("run", "--only", "backup.prune", "--all", "--config", config)
    assert "--all không làm sớm hơn" in forced.stdout and "để làm tất cả" not in forced.stdout


def test_commands_prose_and_settings_are_told_apart() -> None:
    site = replace(make_site(), id="a")
    said = wanted(site, {}, "content.x", "[a] chưa có\n  → ghi tên vào content.units", "gaccong look content.x --site a")
    assert said == [] and wanted(site, {}, "web.x", "x\n  → gaccong look web.http", "gaccong look web.x --site a") == ["gaccong look web.http"]
    assert wanted(site, {}, "x.y", "chưa cấu hình [site.a.accounts]", "gaccong config schema") == ["gaccong config schema  # [site.a.accounts]"]
    assert template("site.a.accounts")[0] == "[site.a.accounts]" and "schedule" in "".join(template("site.a.backup.second.…"))
    assert template("site.a.nothing") == ["[site.a.nothing]"]
