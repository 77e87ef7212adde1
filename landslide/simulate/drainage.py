"""Drainage: the flow of water on a surface, and the valleys that it cuts."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import spsolve_triangular

Float64 = NDArray[np.float64]


class Drainage(NamedTuple):
    """Flow routing of an (H, W) surface with N = H * W cells.

    Attributes:
        order: Cells from the outlets upstream, every cell after its receiver.
        receiver: Position **in order** of the cell that each cell drains to, -1 at outlets;
            in the order of ``order``.
        distance: Distance to the receiver in pixels, in the order of ``order``.
    """

    order: NDArray[np.int64]
    receiver: NDArray[np.int64]
    distance: Float64


def border_cells(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W): the outermost cells of a surface."""
    return np.pad(np.zeros((shape[0] - 2, shape[1] - 2), bool), 1, constant_values=True)


def route(surface: Float64, outlets: NDArray[np.bool_]) -> Drainage:
    """Route the flow of every cell to an outlet, over the lowest sill out of a depression.

    The minimum spanning tree of the 8-connected grid, in which an edge weighs as much as its
    higher end, contains the path of lowest sill from every cell to the outlets. The small second
    term of the weight prefers the steepest of a cell's lower neighbours.

    Args:
        surface: (H, W) elevations in metres.
        outlets: (H, W) cells where water leaves; at least one is set.
    """
    height, width = surface.shape
    index = np.arange(height * width).reshape(height, width)
    pairs = [
        (index[:, :-1], index[:, 1:], 1.0),
        (index[:-1], index[1:], 1.0),
        (index[:-1, :-1], index[1:, 1:], np.sqrt(2)),
        (index[:-1, 1:], index[1:, :-1], np.sqrt(2)),
    ]
    flat = surface.ravel() - surface.min() + 2.0
    one = np.concatenate([a.ravel() for a, _, _ in pairs])
    other = np.concatenate([b.ravel() for _, b, _ in pairs])
    length = np.concatenate([np.full(a.size, d) for a, _, d in pairs])
    high, low = np.maximum(flat[one], flat[other]), np.minimum(flat[one], flat[other])
    weight = high - 1e-3 * (high - low) / length
    root, exits = flat.size, np.flatnonzero(outlets)
    graph = sparse.coo_array(
        (
            np.r_[weight, np.full(exits.size, 1e-6)],
            (np.r_[one, exits], np.r_[other, np.full(exits.size, root)]),
        ),
        shape=(root + 1, root + 1),
    )
    tree = csgraph.minimum_spanning_tree(graph.tocsr())
    order, parent = csgraph.breadth_first_order(tree, root, directed=False)
    position = np.empty(root + 1, np.int64)
    position[order] = np.arange(root + 1) - 1
    order, parent = order[1:].astype(np.int64), parent[order[1:]].astype(np.int64)
    receiver = position[parent]
    rows, cols = np.divmod(np.where(receiver < 0, order, parent), width)
    distance = np.hypot(rows - order // width, cols - order % width)
    return Drainage(order, receiver, np.where(receiver < 0, 1.0, distance))


def drainage_area(drainage: Drainage) -> Float64:
    """Number of cells upstream of every cell, with itself: (N,) as in ``drainage.order``."""
    size = drainage.order.size
    inner = np.flatnonzero(drainage.receiver >= 0)
    # area = 1 + sum of the donors' areas is a unit upper triangular system in upstream order.
    system = sparse.eye_array(size, format="csr") - sparse.csr_array(
        (np.ones(inner.size), (drainage.receiver[inner], inner)), shape=(size, size)
    )
    area: Float64 = spsolve_triangular(system.tocsr(), np.ones(size), lower=False)
    return area


def erode(
    surface: Float64,
    outlets: NDArray[np.bool_],
    uplift: Float64,
    steps: int,
    *,
    erosion: float,
    diffusion: float,
) -> tuple[Float64, Float64]:
    """Cut valleys by stream power and round the hillslopes by diffusion.

    The stream power law dh/dt = U - K A^0.5 dh/dx, implicit in time as in Braun & Willett
    (2013, Geomorphology 180-181, section 3), alternated with linear hillslope diffusion.

    Args:
        surface: (H, W) initial elevations in any unit.
        outlets: (H, W) cells that keep their elevation.
        uplift: (H, W) rise per step in the same unit.
        steps: Number of steps.
        erosion: K times the time step, in pixels per square root of the upstream cells.
        diffusion: Standard deviation in pixels of the smoothing of one step.

    Returns:
        Elevations and upstream cells, both (H, W).
    """
    height, width = surface.shape
    area = np.ones(height * width)
    for _ in range(steps):
        drainage = route(surface, outlets)
        upstream = drainage_area(drainage)
        inner = np.flatnonzero(drainage.receiver >= 0)
        factor = np.zeros(upstream.size)
        factor[inner] = erosion * np.sqrt(upstream[inner]) / drainage.distance[inner]
        system = sparse.diags_array(1 + factor) - sparse.csr_array(
            (factor[inner], (inner, drainage.receiver[inner])), shape=(upstream.size,) * 2
        )
        risen = (surface + np.where(outlets, 0, uplift)).ravel()[drainage.order]
        new = np.empty(upstream.size)
        new[drainage.order] = spsolve_triangular(system.tocsr(), risen, lower=True)
        area[drainage.order] = upstream
        smooth = ndimage.gaussian_filter(new.reshape(height, width), diffusion, mode="nearest")
        surface = np.where(outlets, surface, smooth)
    return surface, area.reshape(height, width)
