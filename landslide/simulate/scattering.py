"""Radar brightness of the ground on a given day: canopy, fields, water, landslide scars."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landslide.relief import Float
from landslide.simulate.landcover import Changes, Cover, LandCover
from landslide.simulate.noise import smooth_noise

EARTHQUAKE = 6.13
"""Day of September 2018 of the Eastern Iburi earthquake: the 6th, 03:07 JST."""


@dataclass(frozen=True)
class Scattering:
    """Backscatter gamma nought (VV) of surfaces and its dependence on local incidence.

    A surface of exponent p has gamma0(theta) = gamma0(36 deg) * (cos theta / cos 36 deg)^p:
    zero for the volume scattering of a canopy, larger the smoother the surface.

    Attributes:
        forest: Forest, dB.
        scar: Bare soil of a scar at 36 degrees, dB.
        scar_exponent: Exponent of the slip surface.
        debris: Brightness of debris and logs at the foot relative to the slip surface, dB.
        scar_spread: Standard deviation of the brightness from scar to scar, dB.
        trees: Mean share of the canopy that survives on or rides with a landslide, [0, 1).
        texture: Standard deviation of the lasting texture of all surfaces, dB.
    """

    forest: float = -7.6
    scar: float = -11.5
    scar_exponent: float = 4.0
    debris: float = 0.5
    scar_spread: float = 1.5
    trees: float = 0.1
    texture: float = 1.2


# gamma0 at 36 degrees in dB, exponent
FARMLAND, SETTLEMENT, WATER = (-11.0, 1.2), (-5.0, 0.3), (-19.5, 5.0)
HARVEST_EFFECT = (-0.5, 2.5)  # mean and spread in dB of what harvest does to a field
CLEARING = (-9.5, 1.5)
FLOOD = (-17.0, 5.0)


class Scars(NamedTuple):
    """Truth of the landslides, (H, W) each.

    Attributes:
        share: Share of the pixel that slid, [0, 1].
        number: Number of the landslide, 0 outside.
        debris: Share of deposit in the scar, [0, 1].
    """

    share: Float
    number: NDArray[np.int32]
    debris: Float


class Ground:
    """The ground of a scene through time; lasting properties are drawn once.

    Args:
        cover: Land cover and its changes.
        scars: Landslides.
        scattering: Brightness of surfaces.
        changes: Strength of changes.
        spacing: Pixel size in metres.
        rng: Source of randomness for what lasts.
    """

    def __init__(
        self,
        cover: LandCover,
        scars: Scars,
        scattering: Scattering,
        changes: Changes,
        spacing: float,
        rng: np.random.Generator,
    ) -> None:
        self.cover, self.scars = cover, scars
        self.scattering, self.changes, self.spacing = scattering, changes, spacing
        shape = cover.cover.shape
        fields = int(cover.field.max()) + 1
        slides = int(scars.number.max()) + 1
        self.texture = scattering.texture * (
            0.7 * smooth_noise(shape, 15 / spacing, rng)
            + 0.7 * smooth_noise(shape, 80 / spacing, rng)
        )
        self.crop = rng.normal(0, 1.5, fields).astype(np.float32)[cover.field]
        self.harvest_effect = rng.normal(*HARVEST_EFFECT, fields).astype(np.float32)[cover.field]
        self.scar = (
            scattering.scar
            + scattering.debris * scars.debris
            + rng.normal(0, scattering.scar_spread, slides).astype(np.float32)[scars.number]
            + 1.2 * smooth_noise(shape, 40 / spacing, rng)
        )
        self.trees = self._trees(slides, rng)

    def _trees(self, slides: int, rng: np.random.Generator) -> Float:
        """Share of canopy left in a scar: some slides stay nearly clothed, most have clumps."""
        mean = self.scattering.trees
        if mean <= 0:
            return np.zeros_like(self.scars.share)
        each = rng.beta(2 * mean, 2 * (1 - mean), slides).astype(np.float32)
        clumps = 0.35 * smooth_noise(self.scars.share.shape, 30 / self.spacing, rng)
        trees: Float = np.clip(each[self.scars.number] + clumps, 0, 1)
        return trees

    def gamma(self, day: float, incidence: Float, rng: np.random.Generator) -> Float:
        """Gamma nought, linear power (H, W), on a day of September 2018.

        Args:
            day: Day of the month, fractional; 31 is 1 October.
            incidence: (H, W) local incidence angle in degrees.
            rng: Source of randomness for the weather of that day.
        """
        s, c = self.scattering, self.changes
        shape = incidence.shape
        cosine = np.maximum(np.cos(np.radians(incidence)), 0.02) / np.cos(np.radians(36))
        falloff = np.log10(cosine).astype(np.float32)
        weather = 0.5 * rng.standard_normal() + 0.8 * smooth_noise(shape, 2000 / self.spacing, rng)
        wet = (c.moisture * weather).astype(np.float32)
        leaves = 0.3 * rng.standard_normal() + 0.55 * smooth_noise(shape, 1000 / self.spacing, rng)
        leaves = leaves + 0.7 * smooth_noise(shape, 40 / self.spacing, rng)
        leaves = (c.forest * leaves).astype(np.float32)
        level, exponent = self._undisturbed(day, leaves, wet, rng)
        ground = from_decibel((level + self.texture + 10 * exponent * falloff).astype(np.float32))
        if day < EARTHQUAKE:
            return ground
        rough = s.scar_exponent * (1 - 0.5 * self.scars.debris)
        bare = from_decibel(self.scar + self.texture + wet + 10 * rough * falloff)
        opened = self.scars.share * (1 - self.trees)
        return ground + opened * (bare - ground)

    def _undisturbed(
        self, day: float, leaves: Float, wet: Float, rng: np.random.Generator
    ) -> tuple[Float, Float]:
        """Brightness in dB at 36 degrees and exponent (H, W) of everything but scars."""
        cover, fields = self.cover, int(self.cover.field.max()) + 1
        level = self.scattering.forest + leaves
        exponent = np.zeros_like(level)
        farmed = (
            FARMLAND[0] + self.crop + wet + np.where(cover.harvest < day, self.harvest_effect, 0)
        )
        farmed += self.changes.farmland * rng.standard_normal(fields, np.float32)[cover.field]
        flooded = (rng.random(fields) < self.changes.flooded)[cover.field]
        for where, (base, power) in (
            (cover.cover == Cover.FARMLAND, (farmed, FARMLAND[1])),
            ((cover.cover == Cover.FARMLAND) & flooded, FLOOD),
            (cover.cover == Cover.SETTLEMENT, (SETTLEMENT[0] + 2 * self.texture, SETTLEMENT[1])),
            (cover.cover == Cover.WATER, WATER),
            (cover.felling < day, (CLEARING[0] + wet, CLEARING[1])),
        ):
            level = np.where(where, base, level)
            exponent = np.where(where, np.float32(power), exponent)
        return level.astype(np.float32), exponent


def from_decibel(level: Float) -> Float:
    """Linear power of a level in dB."""
    power: Float = np.power(np.float32(10), np.asarray(level, np.float32) / 10)
    return power
