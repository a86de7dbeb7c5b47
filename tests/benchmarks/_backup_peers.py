"""runrestic and npbackup for the backup benchmark, from PyPI into an environment of their own, with their own settings."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

PEERS = ("runrestic", "npbackup")


def install(place: Path) -> str:
    """Makes the environment; "" when it is there, else why not (no network, for example)."""
    if all((place / "bin" / name).exists() for name in ("runrestic", "npbackup-cli")):
        return ""
    try:
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, timeout=120, capture_output=True)
        subprocess.run([str(place / "bin/pip"), "install", "-q", "--retries", "0", "--timeout", "10", *PEERS], check=True,
                       timeout=300, capture_output=True)
    except (subprocess.SubprocessError, OSError) as error:
        return f"pip cannot reach them ({type(error).__name__}); give --peers DIR with an environment that has {', '.join(PEERS)}"
    return ""


def versions(place: Path) -> dict[str, str]:
    """Name -> version."""
    done = subprocess.run([str(place / "bin/pip"), "list", "--format", "json"], capture_output=True, text=True, timeout=60,
                          check=True)
    return {one["name"]: one["version"] for one in json.loads(done.stdout) if one["name"] in PEERS}


def runrestic(place: Path, home: Path, repository: Path, password: str, sources: list[str]) -> tuple[str, ...]:
    """argv of one backup."""
    conf = home / "runrestic.toml"
    conf.write_text(f'name = "bench"\nrepositories = ["{repository}"]\n[environment]\nRESTIC_PASSWORD = "{password}"\n'
                    f"[backup]\nsources = {json.dumps(sources)}\n[prune]\nkeep-last = 1000\n", encoding="utf-8")
    return (str(place / "bin/runrestic"), "-c", str(conf), "backup")


def npbackup(place: Path, home: Path, repository: Path, password: str, sources: list[str], program: str) -> tuple[str, ...]:
    """argv of one backup."""
    conf = home / "npbackup.conf"
    body = {
        "conf_version": "3.0.4", "audience": "public",
        "repos": {"default": {"repo_uri": str(repository), "permissions": "full", "repo_group": "default_group",
                              "backup_opts": {"paths": sources, "tags": []},
                              "repo_opts": {"repo_password": password}, "prometheus": {},
                              "env": {"env_variables": {}, "encrypted_env_variables": {}}}},
        "groups": {"default_group": {
            "backup_opts": {"source_type": "folder_list", "use_fs_snapshot": False, "one_file_system": False, "priority": "normal",
                            "exclude_caches": False, "exclude_files": [], "minimum_backup_size_error": "1 B", "tags": []},
            "repo_opts": {"compression": "auto", "minimum_backup_age": 0, "random_delay_before_backup": 0, "upload_speed": "0 Mib",
                          "download_speed": "0 Mib", "backend_connections": 0, "retention_policy": {"last": 1000}},
            "prometheus": {}, "env": {"env_variables": {}, "encrypted_env_variables": {}}}},
        "identity": {"machine_id": "bench", "machine_group": "bench"},
        "global_prometheus": {"metrics": False, "instance": "bench", "destination": None},
        "global_email": {"enable": False}, "global_options": {"auto_upgrade": False},
    }
    conf.write_text(json.dumps(body), encoding="utf-8")
    return (str(place / "bin/npbackup-cli"), "-c", str(conf), "-b", "-f", "--log-file", str(home / "npbackup.log"),
            "--external-backend-binary", shutil.which(program) or program)
