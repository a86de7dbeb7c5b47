"""What the prober watches: targets out of sites, and the file through which the prober's process gets them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring.endpoints import Family
from monitoring.probe import Aim
from ops import GaccongError, Site, say

SHORTEST, LONGEST = 0.5, 600.0


class BadFleet(GaccongError):
    """The fleet file cannot be used."""


@dataclass(frozen=True, slots=True)
class Target:
    """One site over one family. name: `SITE/ipv4` or `SITE/ipv6`, the name in the record and in the metrics.

    expect: text that the page must hold, "" for none. every_address: look at each address of the name.
    """

    name: str
    aim: Aim
    expect: str = ""
    every_address: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """All targets, and every how many seconds each is looked at."""

    targets: tuple[Target, ...]
    interval: float = 60.0


def target_name(site: str, family: Family) -> str:
    """The name under which a site's family is recorded."""
    return f"{site}/{family.value}"


def targets_of(site: Site) -> list[Target]:
    """Both families of a site, by its monitoring settings."""
    from monitoring.settings import Settings

    chosen = site.settings.get("monitoring")
    if not isinstance(chosen, Settings):
        chosen = Settings()
    if not chosen.probing.enabled:
        return []
    return [
        Target(
            target_name(site.id, family),
            Aim(site.url, family, chosen.nameservers, chosen.reference, chosen.authority, chosen.timeout_seconds),
            chosen.expect, chosen.probing.every_address,
        )
        for family in Family
    ]


def fleet_of(sites: Iterable[Site], interval: float = 60.0) -> Fleet:
    """Every site's targets."""
    return Fleet(tuple(target for site in sites for target in targets_of(site)), interval)


def write_fleet(fleet: Fleet, path: Path) -> None:
    """Writes the file that `python -m monitoring.prober --fleet` reads, whole or not at all."""
    made = {"interval": fleet.interval, "targets": [_plain(target) for target in fleet.targets]}
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
    os.replace(beside, path)


def _plain(target: Target) -> dict[str, Any]:
    aim = target.aim
    return {
        "name": target.name, "url": aim.url, "family": aim.family.value, "nameservers": list(aim.nameservers),
        "references": list(aim.references), "authority": str(aim.authority or ""), "timeout": aim.timeout,
        "expect": target.expect, "every_address": target.every_address,
    }


def read_fleet(path: Path) -> Fleet:
    """Reads that file. Raises BadFleet for anything that is not one."""
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        interval = float(made["interval"])
        targets = tuple(_target(one) for one in made["targets"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _bad(path, f"{type(error).__name__}: {error}") from None
    if not SHORTEST <= interval <= LONGEST:
        raise _bad(path, f"interval {interval}")
    if len({target.name for target in targets}) < len(targets):
        raise _bad(path, "two targets with one name")
    return Fleet(targets, interval)


def _bad(path: Path, why: str) -> BadFleet:
    return BadFleet(
        say("không dùng được danh sách theo dõi {f}: {why}", "the list of targets {f} cannot be used: {why}", f=path,
            why=why[:300]),
        say("gaccong serve tự viết lại tệp này từ cấu hình", "gaccong serve writes this file anew from the configuration"),
    )


def _target(one: Mapping[str, Any]) -> Target:
    timeout = float(one["timeout"])
    if not 0 < timeout <= 30 or not isinstance(one["url"], str) or not isinstance(one["name"], str) or not one["name"]:
        raise ValueError(str(one.get("name")))
    authority = Path(str(one["authority"])) if one["authority"] else None
    aim = Aim(one["url"], Family(one["family"]), tuple(map(str, one["nameservers"])),
              tuple(map(str, one["references"])), authority, timeout)
    return Target(one["name"], aim, str(one["expect"]), bool(one["every_address"]))
