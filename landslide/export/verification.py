"""Exported models against ``predict.py``, on random and broken input, and on a scene."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor

from landslide.data.scene import Scene
from landslide.errors import InputError
from landslide.geo.grid import Window
from landslide.models.detectors import MIN_SCORE
from landslide.models.folding import fold
from landslide.radar.bands import is_backscatter
from landslide.training.model import LandslideModel
from landslide.training.network import TTA, Function, Network

TOLERANCE = 1e-5
"""Largest difference in probability, or of a score in its largest value, beyond what both models
round by, which is taken to be twice what ``predict.py`` does."""

MAX_ROUNDING = 1e-3
"""Rounding of ``predict.py`` from which its outputs are no reference; networks stay below 2e-4."""

BROKEN = (torch.nan, 0.0, -1.0, torch.inf, -torch.inf)
"""Values that were not measured, in backscatter."""

Images = dict[str, Tensor]
"""Images (B, C, H, W) by kind."""

Outputs = Callable[[Tensor], Sequence[Tensor]]
"""An exported model: an image to its outputs, each (B, 1, H, W)."""


def make_images(bands: Sequence[str], sides: tuple[int, int], scene: Scene | None) -> Images:
    """Make the input on which models are compared.

    Args:
        bands: Names of the channels.
        sides: Height and width in pixels.
        scene: A scene of these bands, of which a part is input.

    Returns:
        ``random``: backscatter and angles over all that a radar measures. ``broken``: the same
        with patches of values that were not measured in each band and in all, and an image
        without any measurement. ``scene``: the part of the scene that has most measurements.
    """
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(2, len(bands), *sides, generator=generator)
    power = torch.tensor([is_backscatter(band) for band in bands])[:, None, None]
    random = torch.where(power, 10 ** (4 * uniform - 3.5), 90 * uniform)  # -35 to 5 dB, degrees
    broken = random.clone()
    broken[1] = torch.nan
    height, width = sides
    step = height // (len(BROKEN) + 1)
    for i, value in enumerate(BROKEN):
        rows = slice(i * step, (i + 1) * step)
        broken[0, i % len(bands), rows, : width // 3] = value
        broken[0, :, rows, width // 2 : width // 2 + step] = value
    images = {"random": random, "broken": broken}
    return images | {"scene": _best_window(scene, sides)[None]} if scene else images


def _best_window(scene: Scene, sides: tuple[int, int]) -> Tensor:
    """The image (C, H, W) of the window with most measured pixels, of up to nine over a scene."""
    starts = [
        [round(share * max(length - side, 0)) for share in (0.5, 0.1, 0.9)]
        for length, side in zip((scene.grid.height, scene.grid.width), sides, strict=True)
    ]
    images = [
        scene.read(Window(row, col, *sides))["image"] for row in starts[0] for col in starts[1]
    ]
    return max(images, key=lambda image: int(image.isfinite().all(dim=0).sum()))


def expected_outputs(network: Network, images: Images) -> Images:
    """What ``predict.py`` computes, (B, K, H, W); nothing where a band was not measured.

    Raises:
        InputError: It is not finite where all bands were measured.
    """
    expected = _outputs(network, network, images)
    for kind, output in expected.items():
        if not output.isfinite().all():
            raise InputError(
                f"checkpoint: the model gives values that are not finite on {kind} input, and was "
                "not written: its weights are damaged, or its training diverged"
            )
    return expected


def rounding_errors(
    members: Sequence[LandslideModel], tta: TTA, network: Network, expected: Images, images: Images
) -> dict[str, float]:
    """How far ``predict.py`` is off what it computes in double precision, by kind of input.

    Args:
        members: The network's checkpoints.
        tta: Its flips.
        network: The network.
        expected: Its outputs for ``images``.
        images: Input.
    """
    models = [(deepcopy(m.normalization).double(), fold(m.model).double()) for m in members]
    function = Function(models, tta, members[0].bands, network.measure)
    with torch.no_grad():
        exact = _outputs(lambda image: function(image.double()), network, images)
    return largest_differences(lambda image: [image], exact, expected, network.measure)


def _outputs(run: Callable[[Tensor], Tensor], network: Network, images: Images) -> Images:
    """Outputs (B, K, H, W) of a function that takes NaN for what was not measured."""
    bands = network.members[0].bands
    power = torch.tensor([is_backscatter(band) for band in bands])[:, None, None]
    empty = 0.0 if network.measure == "probability" else MIN_SCORE
    expected = {}
    for kind, image in images.items():
        measured = torch.where(power, (image > 0) & (image < torch.inf), image.isfinite())
        output = run(image.where(measured, torch.nan))
        nothing = output.new_tensor([empty, 0.0][: len(network.bands)])[:, None, None]
        expected[kind] = output.where(measured.all(dim=1, keepdim=True), nothing)
    return expected


def largest_differences(
    model: Outputs, images: Images, expected: Images, measure: str
) -> dict[str, float]:
    """Largest difference of a model's outputs by kind of input; infinite where one is NaN.

    A score's is divided by the largest absolute score of the input.
    """
    differences = {}
    for kind, image in images.items():
        difference = (torch.cat(list(model(image)), dim=1) - expected[kind]).abs().max()
        if measure == "score":
            difference /= expected[kind].abs().max().clamp_min(1)
        differences[kind] = float(difference.nan_to_num(nan=torch.inf))
    return differences


def require_equal(
    differences: Mapping[str, Mapping[str, float]], rounding: Mapping[str, float]
) -> None:
    """Raise where a model differs by more than rounding.

    Args:
        differences: By file and kind of input.
        rounding: See ``rounding_errors``. Deep networks round by more than the tolerance.

    Raises:
        InputError: Names the file and the input, or the input on which ``predict.py`` itself
            rounds by too much to tell.
    """
    for kind, error in rounding.items():
        if not error <= MAX_ROUNDING:
            raise InputError(
                f"checkpoint: predict.py rounds by {error:.2g} on {kind} input, more than "
                f"{MAX_ROUNDING:g}, so that no file can be compared with it: train with a smaller "
                "learning_rate"
            )
    for file, kinds in differences.items():
        for kind, difference in kinds.items():
            tolerated = TOLERANCE + 2 * rounding[kind]
            if difference > tolerated:
                raise InputError(
                    f"{file} differs from predict.py by {difference:.2g} on {kind} input, more "
                    f"than {tolerated:.2g}, and was not written: export for one size with size=, "
                    "or with other versions of torch and onnxscript"
                )
