"""The section `[site.NAME.monitoring]`: how the site is looked at, and where a figure starts to worry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from monitoring.notices.settings import Notify
from monitoring.sections.content import Content
from monitoring.sections.dns import Names
from monitoring.sections.host import Machine
from monitoring.sections.probing import Probing
from monitoring.sections.renewal import Renewal
from monitoring.sections.web import Web
from ops import DomainSettings, Place, Problem, Word, fault, say


def _endpoint(value: str) -> str:
    from monitoring.endpoints import endpoint

    try:
        endpoint(value)
    except ValueError:
        raise fault(
            "{value}: không phải địa chỉ máy:cổng; viết như 192.0.2.1:53 hay [2001:db8::1]:53",
            "{value}: not host:port; write it like 192.0.2.1:53 or [2001:db8::1]:53",
            value=value,
        ) from None
    return value


def _nameserver(value: str) -> str:
    from monitoring.endpoints import is_literal, nameserver

    try:
        host = nameserver(value)[0]
    except ValueError:
        host = ""
    if not is_literal(host):
        raise fault(
            "{value}: máy chủ tên miền phải ghi bằng địa chỉ IP, như 192.0.2.1:53 hay [2001:db8::1]:53",
            "{value}: a name server is written as an IP address, like 192.0.2.1:53 or [2001:db8::1]:53",
            value=value,
        )
    return value


Endpoint = Annotated[Word, AfterValidator(_endpoint)]
Nameserver = Annotated[Word, AfterValidator(_nameserver)]


_FLOORS = (("tls.days_left", "", "certificate_days"), ("disk.free_percent", "", "disk_free_percent"),
           ("renewal.days_left", "renewal", "days_left"))
"""(threshold of the policy, section, key): a smaller number there would be looser than the policy."""


class Settings(DomainSettings):
    """How one site is watched.

    nameservers:       ask these (`address:port`, port 53 when left out) instead of the system's resolver.
    authority:         a PEM file with certificate authorities to trust beside the system's own.
    expect:            text that the front page must contain; "" asks for none.
    timeout_seconds:   limit of one probe, redirects and body included.
    certificate_days:  days left below which a certificate is at risk, where the policy sets no number.
    reference:         `host:port` places of our own network; when none answers, it is we who are cut off.
    disks:             mount points of this machine that must keep room.
    disk_free_percent: room below which a disk is at risk, where the policy sets no number.
    load_per_core:     running average load for each core above which the machine is at risk.
    web, dns, renewal, content, host, probing: sections of their own (`monitoring/sections/`).
    """

    nameservers: tuple[Nameserver, ...] = ()
    authority: Place | None = None
    expect: Word = ""
    timeout_seconds: float = Field(default=10.0, gt=0, le=30)
    certificate_days: float = Field(default=14.0, ge=0, le=365)
    reference: tuple[Endpoint, ...] = ()
    disks: tuple[Word, ...] = ("/",)
    disk_free_percent: float = Field(default=10.0, ge=0, lt=100)
    load_per_core: float = Field(default=4.0, gt=0)
    web: Web = Web()
    dns: Names = Names()
    renewal: Renewal = Renewal()
    content: Content = Content()
    host: Machine = Machine()
    probing: Probing = Probing()

    def against(self, thresholds: Mapping[str, float]) -> Iterable[Problem]:
        """A number written here that is looser than the policy's would never be used: it is a mistake to tell."""
        for name, section, key in _FLOORS:
            holder = getattr(self, section) if section else self
            demanded, chosen = thresholds.get(name), getattr(holder, key)
            if key in holder.model_fields_set and demanded is not None and chosen < demanded:
                yield f"{section}.{key}".lstrip("."), say(
                    "{chosen:g} lỏng hơn mức {name} = {demanded:g} đang áp dụng; bỏ dòng này hoặc ghi ít nhất mức đó"
                    .replace("{chosen:g}", f"{chosen:g}").replace("{demanded:g}", f"{demanded:g}"),
                    "{chosen:g} is looser than {name} = {demanded:g} in force; drop the line or write at least that"
                    .replace("{chosen:g}", f"{chosen:g}").replace("{demanded:g}", f"{demanded:g}"),
                    name=name,
                )
        if self.authority is not None and not self.authority.is_file():
            yield "authority", say(
                "không có tệp {path}", "there is no file {path}", path=self.authority
            )


TOP = {"notify": Notify}
"""Sections of the main file."""
