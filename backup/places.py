"""The places where copies live: the first, which `backup.run` writes, and others that receive from it."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from backup.keep import KeepRule
from ops import Place, Reference, Strict, Word, fault

FIRST = "first"
"""The name of the place that `[site.X.backup]` itself describes."""

_REMOTE = re.compile(r"^(rest|s3|sftp|b2|azure|gs|swift|rclone):")
_INSIDE = re.compile(r"^\w+:(?:https?://)?[^/@]*:[^/@]*@")


def _repository(value: str, info: ValidationInfo) -> str:
    if _INSIDE.match(value):
        raise fault("không viết mật khẩu trong địa chỉ kho sao lưu; viết vào tệp của khóa `login`",
                    "a repository's address must not hold a password; put it into the file of key `login`")
    if _REMOTE.match(value):
        return value
    base = (info.context or {}).get("base")
    path = Path(value.removeprefix("local:")).expanduser()
    return os.path.normpath(path if base is None else Path(base) / path)


class Where(Strict):
    """repository: a path or restic URL; `sftp:NAME:/path` goes to the configured host NAME with its key and known_hosts.

    password: of the repository. login: the secret `name:password` of a rest-server, or `key:secret` of S3.
    ca: a PEM file with the authority that the server's certificate comes from, when it is not a public one.
    append_only: nothing can be deleted from here (rest-server --append-only). `backup.offsite` tries it where it can.
    off_host: whether this is another machine; unsaid, the address tells (a tunnel on loopback must be told).
    keep: which copies stay; unsaid, none is ever removed.
    """

    repository: Annotated[Word, Field(min_length=1), AfterValidator(_repository)]
    password: Reference
    login: Reference | None = None
    ca: Place | None = None
    append_only: bool = False
    off_host: bool | None = None
    keep: KeepRule | None = None

    @property
    def kind(self) -> Literal["local", "sftp", "rest", "s3", "other"]:
        """How restic reaches it."""
        scheme = self.repository.partition(":")[0]
        if self.repository.startswith("/"):
            return "local"
        return scheme if scheme in ("sftp", "rest", "s3") else "other"  # type: ignore[return-value]

    @property
    def elsewhere(self) -> bool:
        """Whether the place is off this machine, as told or as the address says."""
        if self.off_host is not None:
            return self.off_host
        if self.kind == "local":
            return False
        if self.kind in ("rest", "s3"):
            url = self.repository.partition(":")[2]
            name = urlsplit(url if "://" in url else f"//{url}").hostname or ""
            try:
                return not ipaddress.ip_address(name).is_loopback
            except ValueError:
                return name not in ("", "localhost")
        return True

    @model_validator(mode="after")
    def _login_fits(self) -> Self:
        if self.login is not None and self.kind not in ("rest", "s3"):
            raise fault("`login` chỉ dùng cho kho rest: và s3:", "`login` is for rest: and s3: repositories only")
        return self


class Second(Where):
    """A further place. schedule: when `backup.copy` brings it the new copies, as a cron line in Vietnamese time."""

    schedule: str
