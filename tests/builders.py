"""What tests are made of: small scenes, rasters, tasks and finished runs."""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
import torch
from affine import Affine
from rasterio.crs import CRS
from scipy.ndimage import gaussian_filter

from landslide.data.datamodule import LandslideDataModule
from landslide.data.samplers import PatchSampler
from landslide.data.splits import random_split
from landslide.geo.folders import SCENE_INFO
from landslide.geo.grid import Grid
from landslide.geo.rasters import write_raster
from landslide.radar.stack import StackStatistics, date_band, dates_path
from landslide.training.scores import SCORES
from landslide.training.task import LandslideTask, save_task

GRID = Grid(CRS.from_epsg(32654), Affine(10, 0, 600_000, 0, -10, 4_740_000), 80, 100)
"""Where images of providers lie."""

BANDS = ["vv_pre", "vv_post1", "vv_post2", "slope"]


def make_scene(
    root: Path,
    size: tuple[int, int] = (192, 320),
    seed: int = 0,
    *,
    epsg: int = 32654,
    origin: tuple[float, float] = (600_000.0, 4_740_000.0),
    res: float = 10.0,
) -> Path:
    """Write a scene whose landslides darken the post-event images by half."""
    rng = np.random.default_rng(seed)
    grid = Grid(CRS.from_epsg(epsg), Affine(res, 0, origin[0], 0, -res, origin[1]), *size)
    landslides = gaussian_filter(rng.normal(size=size), 5)
    mask = (landslides > np.quantile(landslides, 0.9)).astype(np.uint8)
    slope = 15 + 10 * gaussian_filter(rng.normal(size=size), 8) / 0.05
    for orbit in ("ascending", "descending"):
        power = 0.15 * rng.gamma(20, 1 / 20, size=(3, *size))
        power[1:, mask == 1] *= 0.4
        image = np.stack([*power, slope.clip(0, 60)]).astype(np.float32)
        image[:, :10, :6] = np.nan
        write_raster(root / f"{orbit}.tif", image, grid, BANDS, np.nan)
    write_raster(root / "landslides.tif", mask, grid, ["landslides"], 255)
    (root / "scene.json").write_text(json.dumps({"event": "generated", "simulated": True}))
    return root


def make_stack(
    root: Path,
    before: int = 6,
    after: int = 2,
    *,
    size: tuple[int, int] = (160, 256),
    rain: Sequence[float] = (),
    slides: float = 0.05,
    seed: int = 0,
    res: float = 30.0,
) -> Path:
    """Write a scene of stacks in VV and VH, whose landslides darken VV and brighten VH by 5 dB.

    Args:
        root: Folder of the scene.
        before: Number of dates before the event.
        after: Number of dates after it.
        size: Rows and columns.
        rain: Decibels by which each of the dates, in order, is brighter as a whole.
        slides: Share of the scene that failed.
        seed: Of speckle, terrain and landslides.
        res: Side of a pixel in metres.
    """
    rng = np.random.default_rng(seed)
    grid = Grid(CRS.from_epsg(32654), Affine(res, 0, 600_000, 0, -res, 4_740_000), *size)
    field = gaussian_filter(rng.normal(size=size), 4)
    mask = (field > np.quantile(field, 1 - slides)).astype(np.uint8)
    texture = 10 ** (0.2 * gaussian_filter(rng.normal(size=size), 6) / 0.05)
    slope = (25 + 10 * gaussian_filter(rng.normal(size=size), 8) / 0.035).clip(0, 60)
    days = [date(2018, 6, 1) + timedelta(days=12 * i) for i in range(before + after)]
    offsets = np.pad(np.asarray(rain, float), (0, len(days) - len(rain)))
    for orbit in ("ascending", "descending"):
        stack, images, entries = StackStatistics(size, ["vv", "vh"]), {}, []
        for number, (day, offset) in enumerate(zip(days, offsets, strict=True)):
            side: Literal["pre", "post"] = "pre" if number < before else "post"
            powers = {}
            for name, level, change in (("vv", 0.1, 10**-0.5), ("vh", 0.02, 10**0.5)):
                power = level * texture * 10 ** (offset / 10) * rng.gamma(4, 1 / 4, size)
                power[(mask == 1) & (side == "post")] *= change
                powers[name] = power.astype(np.float32)
                images[date_band(name, day)] = powers[name]
            stack.add(side, powers, {"vv": offset, "vh": offset})
            entries.append(
                {"date": day.isoformat(), "side": side, "offset_db": {"vv": offset, "vh": offset}}
            )
        write_raster(
            dates_path(root, orbit), np.stack(list(images.values())), grid, list(images), np.nan
        )
        single = {
            f"{name}_{kind}": images[date_band(name, days[index])]
            for name in ("vv", "vh")
            for kind, index in zip(
                ("pre", "post1", "post2"), range(before - 1, before + after), strict=False
            )
        }
        bands = single | {"slope": slope.astype(np.float32)} | stack.bands()
        write_raster(
            root / f"{orbit}.tif", np.stack(list(bands.values())), grid, list(bands), np.nan
        )
        info = json.loads((root / SCENE_INFO).read_text()) if (root / SCENE_INFO).exists() else {}
        info |= {"event": "generated", "simulated": True}
        info["stack"] = info.get("stack", {}) | {orbit: entries}
        (root / SCENE_INFO).write_text(json.dumps(info))
    write_raster(root / "landslides.tif", mask, grid, ["landslides"], 255)
    return root


def write_image(
    path: Path, image: np.ndarray, grid: Grid = GRID, nodata: float | None = np.nan, **tags: str
) -> Path:
    """Write a raster of one band, as providers deliver images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        crs=grid.crs,
        transform=grid.transform,
        height=grid.height,
        width=grid.width,
        count=1,
        dtype=image.dtype,
        nodata=nodata,
    ) as sink:
        sink.write(image, 1)
        sink.update_tags(**tags)
    return path


def add_bands(root: Path, orbit: str = "ascending", **bands: np.ndarray) -> None:
    with rasterio.open(root / f"{orbit}.tif") as source:
        image, grid, names = source.read(), Grid.of(source), list(source.descriptions)
    image = np.concatenate([image, np.stack(list(bands.values()))]).astype(np.float32)
    write_raster(root / f"{orbit}.tif", image, grid, [*names, *bands], np.nan)


def small_datamodule(root: Path, bands: Sequence[str] = BANDS) -> LandslideDataModule:
    """Patches of 32 px under the random split, set up."""
    datamodule = LandslideDataModule(
        root=root,
        orbit="ascending",
        bands=bands,
        patch_size=32,
        batch_size=4,
        split=partial(random_split, seed=0, test_share=0.3, val_share=0.3),
        sampler=PatchSampler,
    )
    datamodule.setup()
    return datamodule


def read_band(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read(1)  # type: ignore[no-any-return]


def make_task(**changes: object) -> LandslideTask:
    settings: dict[str, object] = {
        "model": {"_target_": "landslide.models.AttentionUNet", "in_channels": 4, "filters": 2},
        "loss": {"_target_": "landslide.training.losses.DiceLoss"},
        "normalization": {"_target_": "landslide.data.normalization.ZScore"},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-3},
        "bands": BANDS,
        "orbit": "ascending",
        "patch_size": 32,
    }
    return LandslideTask(**(settings | changes))  # type: ignore[arg-type]


def save_checkpoint(task: LandslideTask, path: Path) -> Path:
    save_task(task, path)
    return path


def perturb(task: torch.nn.Module) -> None:
    """Perturb all parameters so that every one of them matters, as in a trained network."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in task.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=generator))


def perturbed_task() -> LandslideTask:
    torch.manual_seed(0)
    task = make_task(
        model={"_target_": "landslide.models.AttentionUNet", "in_channels": 4, "filters": 4}
    )
    perturb(task)
    task.normalization.fit([torch.rand(1, 4, 64, 64) + 0.01])
    return task


def equal_counts(f1: float) -> dict[str, int]:
    """Counts whose precision, recall and F1 are all the same."""
    tp, wrong = round(1e12 * f1), 10**12 - round(1e12 * f1)
    return {"tp": tp, "fp": wrong, "fn": wrong, "tn": 10**12, "patches": 9}


def write_run(
    sweep: Path,
    name: str,
    val: float,
    test: float,
    facts: dict[str, object] | None = None,
    **settings: object,
) -> Path:
    """A finished run as a sweep leaves it."""
    folder = sweep / name
    folder.mkdir(parents=True)
    common = {"split": "random", "dataset.root": "data/x", "trainer.max_epochs": 3, "seed": 0}
    (folder / "settings.json").write_text(json.dumps(common | settings))
    scores = {
        split: dict.fromkeys(SCORES, f1) | equal_counts(f1)
        for split, f1 in (("val", val), ("test", test))
    }
    replicate = [settings.get(name, 0) for name in ("seed", "split.fold")]
    replicate[0] = settings.get("split.seed", replicate[0])
    found = {
        "simulated": True,
        "train_patches": 36,
        "split": f"{replicate}",
        "tested": f"{replicate}",
        "code": "1",
        "data": {},
    }
    (folder / "metrics.json").write_text(json.dumps({**scores, **found, **(facts or {})}))
    (folder / "history.csv").write_text("epoch,train_f1,val_f1\n0,0.1,0.1\n1,0.3,0.2\n")
    return folder
