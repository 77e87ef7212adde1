"""Radar brightness of the ground on a given day: canopy, fields, water, landslide scars."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landslide.geo.relief import Float
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

    forest: float
    scar: float
    scar_exponent: float
    debris: float
    scar_spread: float
    trees: float
    texture: float


HARVEST_EFFECT = (-0.5, 2.5)  # mean and spread in dB of what harvest does to a field


class Surface(NamedTuple):
    """Brightness of a surface.

    Attributes:
        level: Gamma nought in VV at 36 degrees, dB.
        exponent: Exponent in VV.
        cross: VH over VV at 36 degrees, dB, before noise.
        cross_exponent: Exponent in VH.
    """

    level: float
    exponent: float
    cross: float
    cross_exponent: float


FARMLAND = Surface(-11.0, 1.2, -7.5, 0.8)
SETTLEMENT = Surface(-5.0, 0.3, -7.0, 0.3)
WATER = Surface(-19.5, 5.0, -12.0, 3.0)
CLEARING = Surface(-9.5, 1.5, -8.0, 1.0)
FLOOD = Surface(-17.0, 5.0, -10.0, 3.0)

# Volume scattering of a canopy, so calibrated that real forest is met with the noise.
CANOPY_CROSS = -6.8
# Bare soil after Oh (2004), of ks = 2 at 36 degrees. The ratio grows with incidence as
# (0.13 + sin 1.5 theta)^1.4, which takes about 2 off the exponent between 20 and 50 degrees.
SOIL_CROSS, SOIL_EXPONENT = -11.0, -2.0
# What moves all of VH when a date moves all of VV by 1 dB, and its standard deviation: medians
# of 21 OPERA RTC-S1 dates over each of four quiet bursts in California.
WHOLE_CROSS, WHOLE_CROSS_SPREAD = 1.26, 0.38
HARVEST_CROSS = -2.0  # what is gone with the crop depolarised


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


class Weather(NamedTuple):
    """What changes the ground on a day, the same for both polarisations.

    Attributes:
        day: Day of September 2018, fractional; 31 is 1 October.
        wet: (H, W) change of bare soil, dB.
        leaves: (H, W) change of canopy, dB.
        crops: (H, W) change of farmland, dB.
        flooded: (H, W) where fields are under water.
    """

    day: float
    wet: Float
    leaves: Float
    crops: Float
    flooded: NDArray[np.bool_]


class CrossRatio(NamedTuple):
    """What lastingly sets VH apart from VV, (H, W) in dB each.

    Attributes:
        texture: Of all surfaces.
        crop: From field to field.
        scar: From scar to scar.
    """

    texture: Float
    crop: Float
    scar: Float


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

    def cross_ratio(self, rng: np.random.Generator) -> CrossRatio:
        """Draw what sets VH apart from VV."""
        shape, spacing = self.cover.cover.shape, self.spacing
        fields, slides = int(self.cover.field.max()) + 1, int(self.scars.number.max()) + 1
        texture = 0.4 * self.scattering.texture * smooth_noise(shape, 40 / spacing, rng)
        crop = rng.normal(0, 1.0, fields).astype(np.float32)[self.cover.field]
        scar = rng.normal(0, 0.7, slides).astype(np.float32)[self.scars.number]
        return CrossRatio(texture, crop, scar)

    def weather(self, day: float, rng: np.random.Generator) -> Weather:
        """Draw the weather of a day of September 2018.

        Args:
            day: Day of the month, fractional; 31 is 1 October.
            rng: Source of randomness.
        """
        c, shape, fields = self.changes, self.cover.cover.shape, int(self.cover.field.max()) + 1
        weather = 0.5 * rng.standard_normal() + 0.8 * smooth_noise(shape, 2000 / self.spacing, rng)
        wet = (c.moisture * weather).astype(np.float32)
        leaves = 0.3 * rng.standard_normal() + 0.55 * smooth_noise(shape, 1000 / self.spacing, rng)
        leaves = leaves + 0.7 * smooth_noise(shape, 40 / self.spacing, rng)
        leaves = (c.forest * leaves).astype(np.float32)
        crops = (c.farmland * rng.standard_normal(fields, np.float32))[self.cover.field]
        flooded = (rng.random(fields) < c.flooded)[self.cover.field]
        return Weather(day, wet, leaves, crops, flooded)

    def gamma(self, weather: Weather, incidence: Float, cross: CrossRatio | None = None) -> Float:
        """Gamma nought, linear power (H, W), on a day.

        Args:
            weather: The day.
            incidence: (H, W) local incidence angle in degrees.
            cross: For VH, what sets it apart; None for VV.
        """
        cosine = np.maximum(np.cos(np.radians(incidence)), 0.02) / np.cos(np.radians(36))
        falloff = np.log10(cosine).astype(np.float32)
        level, exponent = self._undisturbed(weather, cross)
        texture = self.texture if cross is None else self.texture + cross.texture
        ground = from_decibel((level + texture + 10 * exponent * falloff).astype(np.float32))
        if weather.day < EARTHQUAKE:
            return ground
        scar, power = self.scar, self.scattering.scar_exponent
        if cross is not None:
            scar, power = scar + SOIL_CROSS + cross.scar, max(power + SOIL_EXPONENT, 0)
        rough = power * (1 - 0.5 * self.scars.debris)
        bare = from_decibel(scar + texture + weather.wet + 10 * rough * falloff)
        opened = self.scars.share * (1 - self.trees)
        return ground + opened * (bare - ground)

    def _undisturbed(self, weather: Weather, cross: CrossRatio | None) -> tuple[Float, Float]:
        """Brightness in dB at 36 degrees and exponent (H, W) of everything but scars."""
        cover, fields = self.cover, self.cover.cover == Cover.FARMLAND
        harvested = cover.harvest < weather.day
        level = self.scattering.forest + weather.leaves
        farmed = FARMLAND.level + self.crop + weather.wet
        farmed = farmed + np.where(harvested, self.harvest_effect, 0) + weather.crops
        if cross is not None:
            level = level + CANOPY_CROSS
            farmed = farmed + cross.crop + np.where(harvested, HARVEST_CROSS, 0)
        exponent = np.zeros_like(level)
        for where, base, surface in (
            (fields, farmed, FARMLAND),
            (fields & weather.flooded, FLOOD.level, FLOOD),
            (cover.cover == Cover.SETTLEMENT, SETTLEMENT.level + 2 * self.texture, SETTLEMENT),
            (cover.cover == Cover.WATER, WATER.level, WATER),
            (cover.felling < weather.day, CLEARING.level + weather.wet, CLEARING),
        ):
            ratio, power = 0.0, surface.exponent
            if cross is not None:
                ratio, power = surface.cross, surface.cross_exponent
            level = np.where(where, base + ratio, level)
            exponent = np.where(where, np.float32(power), exponent)
        return level.astype(np.float32), exponent


def draw_date_shifts(std: float, count: int, rng: np.random.Generator) -> Float:
    """Draw by how many dB dates move all the ground.

    Args:
        std: Standard deviation in VV, dB.
        count: Number of dates.
        rng: Source of randomness.

    Returns:
        (count, 2): of VV and of VH, which nearly moves with it.
    """
    own, rest = std * rng.standard_normal((2, count))
    return np.stack([own, WHOLE_CROSS * own + WHOLE_CROSS_SPREAD * rest], axis=1)


def from_decibel(level: Float) -> Float:
    """Linear power of a level in dB."""
    power: Float = np.power(np.float32(10), np.asarray(level, np.float32) / 10)
    return power
