"""A public site where no shell is given, copied over the web into WARC: `kind = "mirror"  seeds = ["https://xamau.vn/"]`.

The commune's page on the province's platform: pages, images and documents as everybody sees them, with the links and
sitemaps that lead to them. The archive opens with any WARC reader (pywb, ReplayWeb.page, warcio).
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from backup.crawl.addresses import Scope, normal
from backup.source import PART_DONE, BaseSource, Desk, Name, Restored, read_note
from ops import Place, Step, Text, fault, nfc, python, say


def _address(value: str) -> str:
    made = normal(nfc(value))
    if not made:
        raise fault("địa chỉ {a} không dùng được: viết đầy đủ, http:// hoặc https://, không có tên và mật khẩu",
                    "address {a} cannot be used: write it whole, http:// or https://, without name and password", a=value)
    return made


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise fault("{n} không phải mạng (mẫu: 10.1.2.0/24)", "{n} is no network (like 10.1.2.0/24)", n=value) from None


Address = Annotated[str, AfterValidator(_address)]


class Source(BaseSource):
    """seeds: where the walk begins. hosts: further names that are the site's (`www.xamau.vn`, `host:port`).

    sitemaps: beside those that robots.txt names. exclude: patterns of path with query (`/lich/*`). robots: heed
    robots.txt (a site's owner may say no for his own site). rate: requests a second. pages, gib, seconds, file_mib: bounds
    of a walk and of one answer. alike: of pages that differ only in numbers or query values, so many are taken unless a
    sitemap names them. ca: the site's own authority. networks: private networks that the site's names may lead to.
    """

    kind: Literal["mirror"]
    name: Name
    seeds: Annotated[tuple[Address, ...], Field(min_length=1)]
    hosts: tuple[str, ...] = ()
    sitemaps: tuple[Address, ...] = ()
    exclude: tuple[str, ...] = ()
    robots: bool = True
    rate: Annotated[float, Field(gt=0, le=1000)] = 2.0
    pages: Annotated[int, Field(gt=0, le=1_000_000)] = 20_000
    gib: Annotated[float, Field(gt=0, le=100)] = 4.0
    seconds: Annotated[float, Field(gt=0, le=80_000)] = 14_400.0
    file_mib: Annotated[int, Field(gt=0, le=400)] = 64
    alike: Annotated[int, Field(gt=0)] = 1000
    ca: Place | None = None
    networks: tuple[Annotated[str, AfterValidator(_network)], ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for pattern in self.exclude:
            if not pattern.startswith(("/", "*")):
                raise fault("mẫu loại trừ {p} phải bắt đầu bằng / hoặc *", "exclusion {p} must begin with / or *", p=pattern)
        scope = Scope.of(self.seeds, self.hosts, self.exclude)
        out = next((seed for seed in self.seeds if not scope.holds(seed)), "")
        if out:
            raise fault("trang đầu {s} lại nằm trong `exclude`", "the seed {s} is left out by `exclude`", s=out)
        return self

    def staged(self) -> tuple[str, ...]:
        """Archive, index, note."""
        return (f"{self.name}.warc.gz", f"{self.name}.cdxj", f"{self.name}.note.json")

    def stage(self, desk: Desk) -> list[Step]:
        """One step: the walk."""
        orders = {"seeds": self.seeds, "hosts": self.hosts, "sitemaps": self.sitemaps, "exclude": self.exclude,
                  "robots": self.robots, "rate": self.rate, "pages": self.pages, "bytes": int(self.gib * (1 << 30)),
                  "seconds": self.seconds, "most": self.file_mib << 20, "alike": self.alike, "ca": str(self.ca or ""),
                  "networks": self.networks}
        why = say("chép trang công khai {s} thành kho lưu WARC", "copy the public site {s} into a WARC archive",
                  s=self.seeds[0])
        argv = python("backup.crawl", "--stage", str(desk.folder), "--name", self.name, "--orders",
                      json.dumps(orders, sort_keys=True))
        return [Step(why, argv, expect=(0, PART_DONE), keep=True, timeout=self.seconds + 1800.0)]

    def examine(self, copy: Restored) -> Iterable[Text]:
        """Archive and index are those of the note, agree in every record, and hold the front page."""
        from backup.crawl import archive

        paths = {key: copy.stage / f"{self.name}.{end}" for key, end in
                 (("archive_sha256", "warc.gz"), ("index_sha256", "cdxj"))}
        try:
            noted = read_note(copy.stage / f"{self.name}.note.json")
            for key, path in paths.items():
                if _sha256(path) != noted.get(key):
                    yield say("{f} không phải tệp đã ghi trong ghi chú", "{f} is not the file that was noted", f=path.name)
            with paths["index_sha256"].open("rb") as stream:
                entries = {entry.url: entry for entry in archive.read_index(stream)}
        except (OSError, ValueError, TypeError, KeyError) as error:
            yield say("bản chép trang {n} không đọc được: {e}", "mirror {n} cannot be read: {e}", n=self.name, e=error)
            return
        for number, said in enumerate(archive.faults(paths["archive_sha256"], paths["index_sha256"])):
            if number < 5:
                yield say("bản chép trang {n}: {e}", "mirror {n}: {e}", n=self.name, e=said)
        for seed in self.seeds:
            if not archive.lands(entries, seed):
                yield say("bản chép trang {n} không có trang đầu {s}", "mirror {n} has no front page {s}", n=self.name, s=seed)
        copy.measures["mirror_pages"] = copy.measures.get("mirror_pages", 0) \
            + sum(entry.status == 200 for entry in entries.values())


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
