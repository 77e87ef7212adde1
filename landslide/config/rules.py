"""Rules for the options of every program, by key."""

import re
from collections.abc import Mapping

from landslide.config.checks import (
    ANY_NUMBER,
    COUNT,
    FRACTION,
    NATURAL,
    NOT_NEGATIVE,
    NUMBER,
    POSITIVE,
    SWITCH,
    Rule,
    between,
    choice,
    optional,
)

ORBITS = ("ascending", "descending")

CALIBRATED = "calibrated"
"""As ``threshold``: the one with the best F1 on the validation split."""

TRAIN: Mapping[str, Rule] = {
    "trainer.max_epochs": COUNT,
    "trainer.precision": choice("32-true", "bf16-mixed", "16-mixed"),
    "batch_size": COUNT,
    "learning_rate": POSITIVE,
    "patch_size": COUNT,
    "datamodule.window_size": COUNT,
    "seed": NATURAL,
    "num_workers": NATURAL,
    "memory_mib": NATURAL,
    "split.seed": NATURAL,
    "split.test_share": FRACTION,
    "split.val_share": FRACTION,
    "split.folds": Rule(int, lambda value: value >= 3, "a whole number from 3"),
    "split.fold": NATURAL,
    "split.period": COUNT,
    "sampler.landslide_share": between(0, 1),
    "false_alarms": optional(FRACTION),
    "datamodule.windows": COUNT,
    "datamodule.labels": between(0, 1),
    "datamodule.implants.mean_area": between(500, 1_000_000),
    "datamodule.implants.before": optional(COUNT),
    "datamodule.implants.after": optional(COUNT),
    "threshold": Rule(
        (*NUMBER, str),
        lambda value: value == CALIBRATED if isinstance(value, str) else 0 <= value <= 1,
        f"a number from 0 to 1 or {CALIBRATED}",
    ),
}

POLYGONS: Mapping[str, Rule] = {
    "threshold": optional(NOT_NEGATIVE),
    "percentile": optional(
        Rule(NUMBER, lambda value: 0 < value < 100, "a number between 0 and 100")
    ),
    "min_area": NOT_NEGATIVE,
    "fill_holes": NOT_NEGATIVE,
    "simplify": NOT_NEGATIVE,
    "geojson": SWITCH,
    "pdf": SWITCH,
    "ems": SWITCH,
    "ems_activation": Rule(
        str, lambda value: bool(re.fullmatch(r"EMSR\d{3,4}", value)), "a code such as EMSR793"
    ),
    "ems_area": Rule(int, lambda value: 1 <= value <= 99, "a whole number from 1 to 99"),
}
"""Options of what follows from a map's raster."""

PREDICT: Mapping[str, Rule] = {
    **POLYGONS,
    "false_alarms": optional(Rule(NUMBER, lambda value: 0 < value < 1, "a share between 0 and 1")),
    "resume": SWITCH,
    "parts": COUNT,
    "window.size": optional(COUNT),
    "window.overlap": FRACTION,
    "window.halo": optional(NATURAL),
    "device": choice("auto", "cpu", "cuda"),
}

EXPORT: Mapping[str, Rule] = {
    "tta": choice("none", "flips"),
    "size": optional(COUNT),
    "threshold": optional(NOT_NEGATIVE),
    "overwrite": SWITCH,
}

ANOMALY: Mapping[str, Rule] = {
    "quiet": Rule(int, lambda value: value in (0, *range(2, 9)), "0 or a whole number from 2 to 8")
}

STUDY: Mapping[str, Rule] = {"ensembles": SWITCH, "partial": SWITCH}

SIMULATE: Mapping[str, Rule] = {
    "seed": NATURAL,
    "overwrite": SWITCH,
    "dates.before": COUNT,
    "dates.after": Rule(int, lambda value: value >= 2, "a whole number from 2"),
    "terrain.mean_slope": between(1, 35),
    "terrain.valley_share": between(0, 0.9),
    "slides.share": between(0.001, 0.3),
    "slides.mean_area": between(500, 100_000),
    "slides.slope": between(5, 60),
    "slides.slope_spread": between(1, 30),
    "slides.aspect": ANY_NUMBER,
    "slides.aspect_preference": between(0, 1),
    "slides.minimum_area": NOT_NEGATIVE,
    "slides.boundary_error": between(0, 50),
    "slides.missed": between(0, 0.9),
    "changes.forest": between(0, 10),
    "changes.farmland": between(0, 10),
    "changes.moisture": between(0, 10),
    "changes.harvested": between(0, 1),
    "changes.flooded": between(0, 1),
    "changes.felled": between(0, 0.3),
    "changes.whole_date": between(0, 10),
    "scattering.forest": ANY_NUMBER,
    "scattering.scar": ANY_NUMBER,
    "scattering.scar_exponent": ANY_NUMBER,
    "scattering.debris": ANY_NUMBER,
    "scattering.scar_spread": ANY_NUMBER,
    "scattering.trees": between(0, 0.95),
    "scattering.texture": ANY_NUMBER,
    "radar.incidence": between(15, 60),
    "radar.looks": between(1, 100),
    "radar.resolution": between(5, 80),
    "radar.noise": ANY_NUMBER,
    "radar.geolocation": between(0, 50),
}

IMPLANT: Mapping[str, Rule] = {
    "seed": NATURAL,
    "overwrite": SWITCH,
    "scars": optional(NATURAL),
    "orbit": Rule(str, lambda value: value in ORBITS, "ascending or descending"),
    "implants.mean_area": between(500, 1_000_000),
    "implants.before": optional(COUNT),
    "implants.after": optional(COUNT),
    "implants.strength": between(0, 3),
}

TRACK = Rule(int, lambda value: 1 <= value <= 175, "a track of Sentinel-1, 1 to 175", optional=True)
ANGLE = Rule(
    NUMBER, lambda value: 15 <= value <= 60, "an angle from 15 to 60 degrees", optional=True
)
HEADING = Rule(NUMBER, lambda value: -360 <= value <= 360, "a heading in degrees", optional=True)
GEOID = Rule(NUMBER, lambda value: -120 <= value <= 100, "metres from -120 to 100", optional=True)

LAYER: Mapping[str, Rule] = {
    "resampling": Rule(str, lambda value: True, "the name of a resampling", optional=True),
    "units": Rule(str, lambda value: True, "a name of units", optional=True),
    "nodata": optional(ANY_NUMBER),
    "band": COUNT,
}
"""Options of one of the ``layers`` of ``landslide prepare``."""

DESPECKLE = ("none", "total_variation", "temporal")
"""How ``landslide prepare`` despeckles the dates of a stack."""

COREGISTER = ("measure", "correct", "off")
"""What ``landslide prepare`` does about dates of a stack that lie off the others."""

RESPOND: Mapping[str, Rule] = {
    "before": Rule(int, lambda value: value >= 5, "a whole number from 5"),
    "after": COUNT,
    "plan": SWITCH,
    "checkpoint": optional(Rule(str, lambda _: True, "one checkpoint or detector")),
    "slopes": optional(Rule(str, lambda _: True, "the path of an inventory or mask")),
}

PREPARE: Mapping[str, Rule] = {
    "parts": COUNT,
    "overwrite": SWITCH,
    "plan": SWITCH,
    "grid.resolution": POSITIVE,
    "inventory.radius": optional(POSITIVE),
    "inventory.all_touched": SWITCH,
    "terrain.void_distance": NATURAL,
    "terrain.geoid": GEOID,
    "sar.source": choice("files", "stac", "safe"),
    "despeckle": Rule(str, lambda value: value in DESPECKLE, f"one of {', '.join(DESPECKLE)}"),
    "sar.before": COUNT,
    "sar.coregister": Rule(
        str, lambda value: value in COREGISTER, f"one of {', '.join(COREGISTER)}"
    ),
    "sar.after": NATURAL,
    "sar.relative_orbit.ascending": TRACK,
    "sar.relative_orbit.descending": TRACK,
    "sar.incidence.ascending": ANGLE,
    "sar.incidence.descending": ANGLE,
    "sar.heading.ascending": HEADING,
    "sar.heading.descending": HEADING,
}
