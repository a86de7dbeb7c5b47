"""Panels and dashboards as values; `document` turns a dashboard into Grafana's JSON (schema 41, Grafana 11 and later)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 41
WIDE = 24
SOURCE = {"type": "prometheus", "uid": "${source}"}
VERDICTS = ((0, "đạt", "green"), (1, "chưa kiểm tra được", "purple"), (2, "cảnh báo", "yellow"), (3, "không đạt", "red"))
STANDINGS = ((0, "vào được", "green"), (1, "chưa biết", "purple"), (2, "không có địa chỉ", "blue"), (3, "hỏng", "red"))
Names = tuple[tuple[int, str, str], ...]


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression, and the legend of its series (`{{label}}` where labels go)."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    kind: stat, timeseries, table, state-timeline, bargauge. unit: Grafana's name of one ("s", "bytes", "percentunit").
    names: values that have a name and a colour. steps: (from, colour) of thresholds, the first one from nowhere.
    about: what it means, and in English. columns: labels that a table shows, with their headings.
    """

    title: str
    kind: str
    queries: tuple[Query, ...]
    about: str
    unit: str = "short"
    width: int = 12
    height: int = 8
    names: Names = ()
    steps: tuple[tuple[float | None, str], ...] = ((None, "green"),)
    columns: tuple[tuple[str, str], ...] = ()
    stacked: bool = False
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; panels flow from left to right. `of_site`: with the choice of a site."""

    uid: str
    title: str
    about: str
    panels: tuple[Panel, ...]
    of_site: bool = True
    since: str = "now-24h"
    links: tuple[str, ...] = field(default=())


def document(board: Board) -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    return {
        "uid": board.uid, "title": board.title, "description": board.about, "tags": ["gaccong"], "schemaVersion": SCHEMA,
        "version": 1, "editable": True, "graphTooltip": 1, "refresh": "1m", "timezone": "Asia/Ho_Chi_Minh", "weekStart": "monday",
        "time": {"from": board.since, "to": "now"}, "annotations": {"list": []},
        "links": [{"type": "dashboards", "tags": ["gaccong"], "title": "gác cổng", "asDropdown": True, "keepTime": True,
                   "includeVars": True, "targetBlank": False, "url": "", "icon": "external link", "tooltip": ""}],
        "templating": {"list": _variables(board.of_site)}, "panels": _flow(board.panels),
    }


def _variables(of_site: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0, "refresh": 1,
         "current": {}, "options": [], "multi": False, "includeAll": False, "regex": ""},
    ]
    if of_site:
        found.append({
            "name": "site", "label": "Trang", "type": "query", "datasource": SOURCE, "hide": 0, "refresh": 2, "sort": 1,
            "query": {"query": "label_values(gaccong_site_info, site)", "refId": "site"},
            "definition": "label_values(gaccong_site_info, site)", "multi": True, "includeAll": True, "allValue": ".+",
            "current": {"text": ["All"], "value": ["$__all"]}, "options": [], "regex": "",
        })
    return found


def _flow(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Places: left to right, a new line where a panel has no room."""
    made, left, top, tallest = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        if left + panel.width > WIDE:
            left, top, tallest = 0, top + tallest, 0
        made.append(_panel(number, panel, left, top))
        left, tallest = left + panel.width, max(tallest, panel.height)
    return made


def _panel(number: int, panel: Panel, left: int, top: int) -> dict[str, Any]:
    now = panel.kind in ("stat", "table", "bargauge")
    targets = [
        {"refId": chr(ord("A") + at), "datasource": SOURCE, "expr": query.expr, "editorMode": "code", "instant": now, "range": not now,
         "legendFormat": query.legend or "__auto", **({"format": "table"} if panel.kind == "table" else {})}
        for at, query in enumerate(panel.queries)
    ]
    return {
        "id": number, "title": panel.title, "description": panel.about, "type": panel.kind, "datasource": SOURCE,
        "gridPos": {"x": left, "y": top, "w": panel.width, "h": panel.height}, "targets": targets,
        "fieldConfig": {"defaults": _field(panel), "overrides": []}, "options": _options(panel),
        "transformations": _columns(panel) if panel.kind == "table" else [],
    }


def _field(panel: Panel) -> dict[str, Any]:
    named = [{"type": "value", "options": {str(value): {"text": text, "color": colour, "index": value}
                                           for value, text, colour in panel.names}}]
    steps = tuple((float(value) if value else None, colour) for value, _, colour in panel.names) or panel.steps
    found: dict[str, Any] = {
        "unit": panel.unit, "mappings": named if panel.names else [], "noValue": "không có",
        "thresholds": {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]},
        "color": {"mode": "thresholds" if panel.names or len(panel.steps) > 1 else "palette-classic"},
    }
    if panel.most is not None:
        found |= {"min": 0, "max": panel.most}
    if panel.kind == "timeseries":
        found["custom"] = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 25 if panel.stacked else 8, "showPoints": "never",
                           "spanNulls": False, "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"}}
    if panel.kind == "table":
        found["custom"] = {"align": "auto", "cellOptions": {"type": "color-text"}, "filterable": True}
    return found


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {"legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
                "tooltip": {"mode": "multi", "sort": "desc"}}
    if panel.kind == "state-timeline":
        return {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "multi", "sort": "none"},
                "mergeValues": True, "showValue": "never", "rowHeight": 0.9, "alignValue": "left"}
    if panel.kind == "table":
        return {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": "Giá trị", "desc": True}]}
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind == "bargauge":
        return {"reduceOptions": reduced, "orientation": "horizontal", "displayMode": "gradient", "showUnfilled": True}
    return {"reduceOptions": reduced, "colorMode": "background", "graphMode": "none", "textMode": "auto", "justifyMode": "center",
            "orientation": "auto"}


def _columns(panel: Panel) -> list[dict[str, Any]]:
    """Only the labels that are named, in their order, then the value."""
    order = {label: at for at, (label, _) in enumerate(panel.columns)}
    headings = {**dict(panel.columns), "Value": "Giá trị"}
    shown = {"include": {"names": [*order, "Value"]}}
    return [{"id": "filterFieldsByName", "options": shown},
            {"id": "organize", "options": {"indexByName": {**order, "Value": len(order)}, "renameByName": headings, "excludeByName": {}}}]
