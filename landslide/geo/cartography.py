"""What figures and maps share: colours, scale bar, direction of north, axes in kilometres."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrow, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from landslide.geo.files import replacing

# Okabe and Ito's colours, which colour-blind readers tell apart.
BLUE, ORANGE, GREEN, VERMILION, YELLOW = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#f0e442"
GREY, WHITE = "#999999", "#f7f7f7"

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_NEGATIVE = GREEN, VERMILION, BLUE, WHITE
"""Colours of a map against ground truth."""

NOT_OBSERVED = YELLOW


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure, whole or not at all, and close it."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, bbox_inches="tight")
    plt.close(figure)


def label_kilometres(axis: Axes) -> None:
    """Label the axes of a map in metres by kilometres."""
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ticks.set_major_formatter(FuncFormatter(lambda metres, _: f"{metres / 1000:,.10g}"))
    axis.tick_params(labelsize=8)


def round_length(width: float) -> tuple[float, str]:
    """A round length of about a fifth of a width in metres, and the same in words."""
    target = width / 5
    magnitude = 10 ** np.floor(np.log10(target))
    length = max(step * magnitude for step in (1, 2, 5) if step * magnitude <= target)
    return length, f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"


def draw_scale_bar(axis: Axes, width: float) -> None:
    """A bar of about a fifth of the map's width, in a round number of metres."""
    length, label = round_length(width)
    west, east = axis.get_xlim()
    south, north = axis.get_ylim()
    height = 0.008 * (north - south)
    x, y = west + 0.03 * (east - west), south + 0.03 * (north - south)
    margin = 0.012 * (east - west)
    axis.add_patch(
        Rectangle(
            (x - margin, y - 1.5 * height),
            length + 2 * margin,
            7.5 * height,
            facecolor="white",
            alpha=0.8,
            zorder=4,
        )
    )
    for half, color in enumerate(("black", "white")):
        corner = (x + half * length / 2, y)
        bar = Rectangle(
            corner, length / 2, height, facecolor=color, edgecolor="black", linewidth=0.6, zorder=5
        )
        axis.add_patch(bar)
    axis.text(
        x + length / 2, y + 1.8 * height, label, ha="center", va="bottom", fontsize=8, zorder=5
    )


def draw_north_arrow(axis: Axes) -> None:
    """An arrow to grid north in the upper right corner."""
    arrow = FancyArrow(
        0.965,
        0.885,
        0,
        0.05,
        width=0.004,
        head_width=0.018,
        head_length=0.025,
        transform=axis.transAxes,
        facecolor="black",
        edgecolor="white",
        linewidth=0.6,
        zorder=5,
    )
    axis.add_patch(arrow)
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5}
    axis.text(
        0.965, 0.875, "N", transform=axis.transAxes, ha="center", va="top", fontsize=9, bbox=box
    )
