"""Cartography that figures and maps share: colours, scale bar, north arrow, axes in kilometres."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Bbox
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from numpy.typing import ArrayLike

from landslide.geo.files import replacing
from landslide.geo.grid import Grid

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, VERMILION, YELLOW = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#f0e442"
GREY, WHITE = "#999999", "#f7f7f7"

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_NEGATIVE = GREEN, VERMILION, BLUE, WHITE
"""Colours of a map against ground truth."""

NOT_OBSERVED = YELLOW


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure, whole or not at all, and close it; a PDF records no date."""
    style: dict[str, Any] = {"dpi": 150, "bbox_inches": crop(figure)}
    style["metadata"] = {"CreationDate": None}
    if path.suffix == ".png":
        # Of speckle this is smaller than at the usual level, in a quarter of the time.
        style["pil_kwargs"] = {"compress_level": 2}
    with replacing(path) as temporary:
        figure.savefig(temporary, **style)
    plt.close(figure)


def crop(figure: Figure) -> Bbox | str:
    """The part of a figure, in inches, that has something on it, with a margin.

    matplotlib finds it by drawing the figure once more, which only its layouts need.
    """
    if figure.get_layout_engine() is not None:
        return "tight"
    return figure.get_tightbbox().padded(0.1)


def show_image(axis: Axes, image: ArrayLike, grid: Grid, **style: object) -> AxesImage:
    """Show an image of any resolution over the extent of a grid."""
    west, south, east, north = grid.bounds
    return axis.imshow(image, extent=(west, east, south, north), **style)  # type: ignore[arg-type]


def label_kilometres(axis: Axes) -> None:
    """Label the axes of a map in metres by kilometres."""
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ticks.set_major_formatter(FuncFormatter(lambda metres, _: f"{metres / 1000:,.10g}"))
    axis.tick_params(labelsize=8)


def round_length(width: float) -> tuple[float, str]:
    """A round length in metres of about a fifth of a width in metres, and its label."""
    target = width / 5
    magnitude = 10 ** np.floor(np.log10(target))
    length = max(step * magnitude for step in (1, 2, 5) if step * magnitude <= target)
    return length, f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"


def draw_scale_bar(axis: Axes, width: float) -> None:
    """Draw a scale bar in the lower left corner of a map of ``width`` metres."""
    length, label = round_length(width)
    style = {"size_vertical": width / 200, "label_top": True, "borderpad": 0.5}
    bar = AnchoredSizeBar(axis.transData, length, label, "lower left", **style)
    bar.patch.set(alpha=0.8, linewidth=0)
    axis.add_artist(bar)


def draw_north_arrow(axis: Axes) -> None:
    """Draw an arrow to grid north in the upper right corner."""
    axis.annotate(
        "N",
        xy=(0.965, 0.975),
        xytext=(0.965, 0.875),
        xycoords="axes fraction",
        ha="center",
        va="center",
        arrowprops={"arrowstyle": "-|>", "facecolor": "black"},
        bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
    )
