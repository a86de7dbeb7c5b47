"""The heat map of likelihood and impact as PNG, 200 dpi; light to dark by level, so that it reads in black and white."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from ops.risk import RiskRow
from ops.risk_data import Register

FONTS = Path("/usr/share/fonts/truetype/liberation2")
SHADES = ("#f7f7f2", "#f3dfa2", "#d98b4a", "#8c2d19")


def heat_map(rows: Sequence[RiskRow], register: Register) -> bytes:
    """PNG bytes; the same for the same rows. A `*` marks a row whose data are missing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(6.4, 4.2), dpi=200)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.17, 0.16, 0.81, 0.82))
    font = _font()
    order = {band.id: index for index, band in enumerate(register.bands)}
    for likelihood in range(1, 6):
        for impact in range(1, 6):
            band = register.band(likelihood, impact)
            step = round(order[band.id] * (len(SHADES) - 1) / max(1, len(order) - 1))
            ink = "white" if step == len(SHADES) - 1 else "black"
            axes.add_patch(
                Rectangle(
                    (impact - 0.5, likelihood - 0.5), 1, 1, facecolor=SHADES[step], edgecolor="black", linewidth=0.8
                )
            )
            axes.text(
                impact - 0.46,
                likelihood + 0.44,
                f"{band.name.vi} ({likelihood * impact})",
                color=ink,
                va="top",
                fontproperties=font,
                fontsize=8,
            )
            axes.text(
                impact,
                likelihood - 0.1,
                _codes(rows, likelihood, impact),
                color=ink,
                ha="center",
                va="center",
                fontproperties=_font(bold=True),
                fontsize=8,
                linespacing=1.15,
            )
    axes.set(xlim=(0.5, 5.5), ylim=(0.5, 5.5), xticks=range(1, 6), yticks=range(1, 6))
    axes.set_xticklabels(
        [f"{item.value}. {item.name.vi}" for item in register.impact], fontproperties=font, fontsize=10
    )
    axes.set_yticklabels(
        [f"{item.value}. {item.name.vi}" for item in register.likelihood], fontproperties=font, fontsize=10
    )
    axes.set_xlabel("Mức độ tác động", fontproperties=_font(bold=True), fontsize=11)
    axes.set_ylabel("Khả năng xảy ra", fontproperties=_font(bold=True), fontsize=11)
    axes.tick_params(length=0)
    out = BytesIO()
    canvas.print_figure(out, format="png", dpi=200, metadata={"Software": None})
    return out.getvalue()


def _codes(rows: Sequence[RiskRow], likelihood: int, impact: int) -> str:
    codes = [
        row.row.id + ("*" if row.missing else "")
        for row in rows
        if (row.likelihood, row.impact) == (likelihood, impact)
    ]
    return "\n".join("  ".join(codes[index : index + 2]) for index in range(0, len(codes), 2))


def _font(bold: bool = False) -> object:
    from matplotlib.font_manager import FontProperties

    path = FONTS / f"LiberationSerif-{'Bold' if bold else 'Regular'}.ttf"
    if path.exists():
        return FontProperties(fname=str(path))
    return FontProperties(family="serif", weight="bold" if bold else "normal")
