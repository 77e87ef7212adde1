"""Radar brightness of the ground on a day: canopy, fields, water, landslide scars."""

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

    A surface of exponent p has gamma0(theta) = gamma0(36 deg) * (cos theta / cos 36 deg)^p; p is
    zero for the volume scattering of a canopy, and larger the smoother the surface.

    Attributes:
        forest: Forest, dB.
        scar: Bare soil of a scar at 36 degrees, dB.
        scar_exponent: Exponent of the slip surface.
        debris: Brightness of debris and logs at the foot relative to the slip surface, dB.
        scar_spread: Standard deviation of the brightness from scar to scar, dB.
        trees: Mean share of the canopy that survives on a landslide, [0, 1).
        texture: Standard deviation of the lasting texture of all surfaces, dB.
    """

    forest: float
    scar: float
    scar_exponent: float
    debris: float
    scar_spread: float
    trees: float
    texture: float


HARVEST_EFFECT = (-0.5, 2.5)
"""Mean and standard deviation in dB of the effect of harvest on a field."""


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

# VH over VV of a canopy, calibrated such that it matches real forest together with the noise.
CANOPY_CROSS = -6.8
# VH over VV of bare soil after Oh (2004), of ks = 2 at 36 degrees. It grows with incidence as
# (0.13 + sin 1.5 theta)^1.4, which takes about 2 off the exponent between 20 and 50 degrees.
SOIL_CROSS, SOIL_EXPONENT = -11.0, -2.0
# Shift of a whole date in VH per dB in VV, and its standard deviation: medians of 21 OPERA
# RTC-S1 dates over each of four quiet bursts in California.
WHOLE_CROSS, WHOLE_CROSS_SPREAD = 1.26, 0.38
# Change of VH over VV by harvest, as crops depolarise.
HARVEST_CROSS = -2.0


class Scars(NamedTuple):
    """True landslides, (H, W) each.

    Attributes:
        share: Share of the pixel that slid, [0, 1].
        number: Number of the landslide, 0 elsewhere.
        debris: Share of deposit in the scar, [0, 1].
    """

    share: Float
    number: NDArray[np.int32]
    debris: Float


class Weather(NamedTuple):
    """State of the ground on a day, the same for both polarisations.

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
    """Lasting difference between VH and VV, (H, W) in dB each.

    Attributes:
        texture: Texture of all surfaces.
        crop: Difference from field to field.
        scar: Difference from scar to scar.
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
        rng: Source of randomness for lasting properties.
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
        self.shape = shape = cover.cover.shape
        self.fields, self.slides = int(cover.field.max()) + 1, int(scars.number.max()) + 1
        self.texture = scattering.texture * (
            0.7 * smooth_noise(shape, 15 / spacing, rng)
            + 0.7 * smooth_noise(shape, 80 / spacing, rng)
        )
        self.crop = self._by_field(0, 1.5, rng)
        self.harvest_effect = self._by_field(*HARVEST_EFFECT, rng)
        self.scar = (
            scattering.scar
            + scattering.debris * scars.debris
            + self._by_slide(scattering.scar_spread, rng)
            + 1.2 * smooth_noise(shape, 40 / spacing, rng)
        )
        self.trees = self._trees(rng)

    def _by_field(self, mean: float, std: float, rng: np.random.Generator) -> Float:
        """(H, W): a normal variate for every field."""
        return rng.normal(mean, std, self.fields).astype(np.float32)[self.cover.field]

    def _by_slide(self, std: float, rng: np.random.Generator) -> Float:
        """(H, W): a normal variate of zero mean for every landslide, and one for the rest."""
        return rng.normal(0, std, self.slides).astype(np.float32)[self.scars.number]

    def _trees(self, rng: np.random.Generator) -> Float:
        """Share of canopy left in a scar: some slides keep nearly all, most have clumps."""
        mean = self.scattering.trees
        if mean <= 0:
            return np.zeros_like(self.scars.share)
        each = rng.beta(2 * mean, 2 * (1 - mean), self.slides).astype(np.float32)
        clumps = 0.35 * smooth_noise(self.shape, 30 / self.spacing, rng)
        trees: Float = np.clip(each[self.scars.number] + clumps, 0, 1)
        return trees

    def cross_ratio(self, rng: np.random.Generator) -> CrossRatio:
        """Draw the lasting difference between VH and VV."""
        texture = 0.4 * self.scattering.texture * smooth_noise(self.shape, 40 / self.spacing, rng)
        return CrossRatio(texture, self._by_field(0, 1.0, rng), self._by_slide(0.7, rng))

    def weather(self, day: float, rng: np.random.Generator) -> Weather:
        """Draw the weather of a day of September 2018.

        Args:
            day: Day of the month, fractional; 31 is 1 October.
            rng: Source of randomness.
        """
        c, shape, field = self.changes, self.shape, self.cover.field
        weather = 0.5 * rng.standard_normal() + 0.8 * smooth_noise(shape, 2000 / self.spacing, rng)
        wet = (c.moisture * weather).astype(np.float32)
        leaves = 0.3 * rng.standard_normal() + 0.55 * smooth_noise(shape, 1000 / self.spacing, rng)
        leaves = leaves + 0.7 * smooth_noise(shape, 40 / self.spacing, rng)
        leaves = (c.forest * leaves).astype(np.float32)
        crops = (c.farmland * rng.standard_normal(self.fields, np.float32))[field]
        flooded = (rng.random(self.fields) < c.flooded)[field]
        return Weather(day, wet, leaves, crops, flooded)

    def gamma(self, weather: Weather, incidence: Float, cross: CrossRatio | None = None) -> Float:
        """Gamma nought, linear power (H, W), on a day.

        Args:
            weather: The day.
            incidence: (H, W) local incidence angle in degrees.
            cross: For VH, its difference from VV; None for VV.
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
    """Draw the shifts in dB of whole dates.

    Args:
        std: Standard deviation in VV, dB.
        count: Number of dates.
        rng: Source of randomness.

    Returns:
        (count, 2): shifts in VV and in VH, which nearly follows VV.
    """
    own, rest = std * rng.standard_normal((2, count))
    return np.stack([own, WHOLE_CROSS * own + WHOLE_CROSS_SPREAD * rest], axis=1)


def from_decibel(level: Float) -> Float:
    """Linear power of a level in dB."""
    power: Float = np.power(np.float32(10), np.asarray(level, np.float32) / 10)
    return power
