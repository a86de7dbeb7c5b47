"""A plan as bytes: what is shown, hashed, approved, kept. No secret and no clock time stands in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ops.model import FileWrite, Host, Plan, Proof, Site, Step, Text, text_of


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan made for one site with given arguments. `digest` (64 hex digits) binds all of it."""

    site: Site
    change: str
    args: Mapping[str, str]
    plan: Plan
    digest: str
    standing: str = ""
    """What a standing approval is given to: the digest, or for a plan with a rule the digest of the rule."""

    def json(self) -> dict[str, Any]:
        """The plan as stored and printed."""
        return {
            "site": self.site.id,
            "change": self.change,
            "args": dict(self.args),
            "digest": self.digest,
            "plan": plan_json(self.plan),
        }


def prepare(
    site: Site, change: str, args: Mapping[str, str], plan: Plan, hosts: Mapping[str, Host] | None = None
) -> Prepared:
    """Binds a plan to its site, change, arguments and hosts by the SHA-256 of their canonical bytes (RFC 8785).

    A host is bound by address, port, user and known_hosts, so that its name cannot come to mean another machine.
    """
    import rfc8785

    body: Any = {"v": 1, "site": site.id, "change": change, "args": dict(args), "plan": plan_json(plan)}
    away = {one.host for step in plan.steps for one in (step, step.undo) if one is not None} - {"here"}
    body["hosts"] = {name: _host(hosts[name]) for name in sorted(away) if hosts and name in hosts}
    digest = hashlib.sha256(rfc8785.dumps(body)).hexdigest()
    if plan.rule is None:
        return Prepared(site, change, args, plan, digest, digest)
    rule: Any = {"v": 1, "site": site.id, "change": change, "args": dict(args), "rule": plan.rule.json()}
    return Prepared(site, change, args, plan, digest, hashlib.sha256(rfc8785.dumps(rule)).hexdigest())


def _host(host: Host) -> dict[str, Any]:
    known = host.known_hosts.read_bytes() if host.known_hosts and host.known_hosts.is_file() else b""
    return {
        "address": host.address,
        "port": host.port,
        "user": host.user,
        "gateway": host.gateway,
        "known_hosts": hashlib.sha256(known).hexdigest(),
    }


def plan_json(plan: Plan) -> dict[str, Any]:
    """`{"title":, "steps": [...], "proofs": [...]}`; secrets appear as references only."""
    return {
        "title": plan.title.json(),
        "steps": [step_json(step) for step in plan.steps],
        "proofs": [{"check": proof.check, "subjects": list(proof.subjects)} for proof in plan.proofs],
        **({"rule": plan.rule.json()} if plan.rule else {}),
    }


def step_json(step: Step) -> dict[str, Any]:
    """One step; empty fields are left out, so that a plan reads short."""
    body: dict[str, Any] = {"why": step.why.json(), "host": step.host}
    if step.argv:
        body["argv"] = list(step.argv)
    if step.feed:
        body["feed"] = list(step.feed)
    if step.file:
        body["file"] = {"path": step.file.path, "content": step.file.content, "mode": step.file.mode}
    if step.env:
        body["env"] = dict(step.env)
    if step.secrets:
        body["secrets"] = dict(step.secrets)
    if step.expect != (0,):
        body["expect"] = list(step.expect)
    if step.keep:
        body["keep"] = True
    body["timeout"] = int(step.timeout)
    if step.undo:
        body["undo"] = step_json(step.undo)
    return body


def plan_of(body: Mapping[str, Any]) -> Plan:
    """The plan that `plan_json` wrote; raises KeyError, TypeError or ValueError when it is none."""
    proofs = tuple(Proof(str(found["check"]), tuple(map(str, found["subjects"]))) for found in body["proofs"])
    rule = text_of(body["rule"]) if "rule" in body else None
    return Plan(text_of(body["title"]), tuple(_step_of(found) for found in body["steps"]), proofs, rule)


def _step_of(body: Mapping[str, Any]) -> Step:
    file = body.get("file")
    undo = body.get("undo")
    return Step(
        text_of(body["why"]),
        tuple(map(str, body.get("argv", ()))),
        tuple(map(str, body.get("feed", ()))),
        FileWrite(file["path"], file["content"], int(file["mode"])) if file else None,
        str(body["host"]),
        dict(body.get("env", {})),
        dict(body.get("secrets", {})),
        tuple(int(code) for code in body.get("expect", (0,))),
        bool(body.get("keep", False)),
        float(body["timeout"]),
        _step_of(undo) if undo else None,
    )


def title_of(prepared: Prepared) -> Text:
    """The plan's title with its site."""
    title = prepared.plan.title
    return Text(f"{prepared.site.name}: {title.vi}", f"{prepared.site.name}: {title.en}")
