from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
import rasterio
from builders import make_scene
from commands import CONF, composed
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from landslide.config.checks import Rule, check
from landslide.config.rules import PREDICT, SIMULATE, TRAIN
from landslide.data.datamodule import LandslideDataModule
from landslide.errors import InputError
from landslide.geo.grid import Window
from landslide.study.sweeps import settings_of
from landslide.training.task import LandslideTask

PREPARE = ("archive", "event")
"""Groups of options that belong to the preparation of scenes."""

ALONE = ("dataset", "experiment", "hparams", "launcher", "logger", "model")
"""Groups whose options set others or need an extra; those of other groups share compositions."""

GROUPS = {
    group.name: [f"{group.name}={option.stem}" for option in sorted(group.glob("*.yaml"))]
    for group in sorted(CONF.iterdir())
    if group.is_dir() and group.name not in PREPARE
}
VARIANTS = [option.partition("=")[2] for option in GROUPS.pop("variant")]
VARIANTS.remove("operational")  # several changes at once

OPTIONS = ["variant=operational"] + [option for group in ALONE for option in GROUPS[group]]
OPTIONS += [
    " ".join(filter(None, row))
    for row in zip_longest(*(GROUPS[group] for group in GROUPS if group not in ALONE))
]

EXTRAS = {
    "logger=tensorboard": "tensorboard",
    "logger=mlflow": "mlflow",
    "hparams=optuna": "hydra_plugins.hydra_optuna_sweeper",
    "launcher=joblib": "hydra_plugins.hydra_joblib_launcher",
    "launcher=slurm": "hydra_plugins.hydra_submitit_launcher",
    "launcher=ray": "hydra_plugins.hydra_ray_launcher",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_instantiates(option: str, tmp_path: Path) -> None:
    pytest.importorskip(EXTRAS.get(option, "torch"), reason="an optional extra")
    overrides = [*option.split(), f"output_dir={tmp_path}", f"dataset.root={tmp_path}"]
    if "trainer=" not in option:
        overrides.append("trainer=cpu")
    if option == "logger=mlflow":
        overrides.append(f"logger.tracking_uri=sqlite:///{tmp_path}/mlflow.db")
    if option == "model=change_z":
        overrides.append("dataset=stack_ascending")
    if option == "model=anomaly":
        overrides.append("dataset=anomaly_ascending")
    require_usable(composed(*overrides, with_hydra=True), on_gpu="trainer=gpu" in option)


def require_usable(config: DictConfig, *, on_gpu: bool = False) -> None:
    assert isinstance(instantiate(config.datamodule), LandslideDataModule)
    task = LandslideTask(**OmegaConf.to_container(config.task, resolve=True))
    task.configure_optimizers()
    instantiate(config.logger)
    callbacks = instantiate(config.callbacks)
    assert {"best", "last", "early_stopping", "history"} <= set(callbacks)
    if not on_gpu:
        instantiate(config.trainer, callbacks=list(callbacks.values()), logger=False)


@pytest.mark.parametrize(
    ("dataset", "orbit", "bands"),
    [
        ("ascending_baa_s", "ascending", ["vv_pre", "vv_post1", "vv_post2", "slope"]),
        ("ascending_ba_s", "ascending", ["vv_pre", "vv_post1", "slope"]),
        ("descending_baa_s", "descending", ["vv_pre", "vv_post1", "vv_post2", "slope"]),
        ("descending_ba_s", "descending", ["vv_pre", "vv_post1", "slope"]),
    ],
)
def test_the_papers_four_datasets(dataset: str, orbit: str, bands: list[str]) -> None:
    config = composed(f"dataset={dataset}", "output_dir=x")
    assert config.dataset.root == "data/iburi_2018"
    assert config.datamodule.orbit == orbit
    assert config.datamodule.bands == bands
    assert config.task.model.in_channels == len(bands)


def test_the_papers_training_settings_are_the_defaults() -> None:
    config = composed("output_dir=x")
    assert config.patch_size == 64
    assert config.learning_rate == 1e-3
    assert config.trainer.max_epochs == 200
    assert config.callbacks.early_stopping.patience == 30
    assert config.task.model.filters == 32
    assert config.task.loss._target_ == "landslide.training.losses.DiceLoss"


CHANGED = {
    "fused": {"dataset.bands"},
    "log_ratio": {"dataset.bands", "normalization.scale"},
    "vv_vh": {"dataset.bands"},
    "context": {"datamodule.window_size"},
}
"""Values that a variant changes, beside those that follow from one other option."""


def compose_variant(variant: str) -> DictConfig:
    words = (f"variant={variant}", "output_dir=x", "trainer.accelerator=cpu")
    return composed("experiment=beyond", *words, with_hydra=True)


def settings_of_variant(config: DictConfig) -> set[tuple[str, str]]:
    settings = settings_of(config, config.hydra.runtime.choices)
    return {(key, str(value)) for key, value in settings.items()}


@pytest.fixture(scope="module")
def baseline() -> set[tuple[str, str]]:
    return settings_of_variant(compose_variant("baseline"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_one_change_of_the_baseline_and_instantiates(
    variant: str, baseline: set[tuple[str, str]]
) -> None:
    config = compose_variant(variant)
    changed = {key for key, _ in baseline ^ settings_of_variant(config)}
    groups = {key for key in changed if "." not in key} - {"variant"}
    values = {key for key in changed if "." in key and key != "dataset.name"}
    assert len(groups) == (0 if variant in ("baseline", "context") else 1)
    followed = {key for key in values if key.split(".")[0] in groups - {"dataset"}}
    assert values - followed == CHANGED.get(variant, set())
    require_usable(config)


@pytest.mark.parametrize(
    ("overrides", "loss"),
    [
        ([], "DiceLoss"),  # the paper's
        (["split=blocks"], "DiceBCELoss"),
        (["experiment=demo"], "DiceBCELoss"),
        (["experiment=operational"], "DiceBCELoss"),
        (["split=blocks", "loss=dice"], "DiceLoss"),
        (["split=blocks", "variant=baseline"], "DiceLoss"),
        (["split=blocks", "variant=tversky"], "TverskyLoss"),
    ],
)
def test_quiet_ground_counts_in_the_loss_where_it_is_trained_on(
    overrides: list[str], loss: str
) -> None:
    assert composed(*overrides, "output_dir=x").loss._target_ == f"landslide.training.losses.{loss}"


def test_beyond_is_every_variant_on_one_split() -> None:
    config = composed("experiment=beyond", "seed=3", "output_dir=x", with_hydra=True)
    params = config.hydra.sweeper.params
    assert sorted(params.variant.split(",")) == VARIANTS
    assert params.variant.startswith("baseline,")
    assert len(params.seed.split(",")) == 5
    assert config.datamodule.split.seed == 0
    assert composed("seed=3", "output_dir=x").datamodule.split.seed == 3


def test_the_operational_recipe_can_lose_an_ingredient() -> None:
    recipe = ("experiment=operational", "output_dir=x")
    config = composed(*recipe)
    assert config.datamodule.orbit == "ascending"
    assert {"vv_pre@descending", "vh_pre"} < set(config.datamodule.bands)
    assert config.task.model.in_channels == 13
    assert config.task.normalization._target_ == "landslide.data.normalization.ZScore"
    assert config.task.loss._target_ == "landslide.training.losses.DiceBCELoss"
    assert list(config.datamodule.augmentation) == ["flips"]
    assert config.datamodule.split._target_ == "landslide.data.splits.block_split"
    assert config.threshold == "calibrated"
    less = composed(*recipe, "dataset=ascending_baa_s", "loss=dice")
    assert "vv_pre@descending" not in less.datamodule.bands
    assert less.task.loss._target_ == "landslide.training.losses.DiceLoss"
    assert less.task.normalization._target_ == "landslide.data.normalization.ZScore"


def test_a_held_split_stays_while_the_seed_changes(scene_root: Path) -> None:
    tables = {}
    for overrides in (("seed=0",), ("seed=1",), ("seed=1", "split.seed=0")):
        options = (f"dataset.root={scene_root}", "output_dir=x", "patch_size=32", *overrides)
        datamodule = instantiate(composed(*options).datamodule)
        datamodule.setup()
        tables[overrides] = datamodule.patches
        order = [x.start for x, _ in datamodule.train_dataloader().sampler]
        tables[(*overrides, "order")] = order
    assert not tables[("seed=0",)].equals(tables[("seed=1",)])
    assert tables[("seed=0",)].equals(tables[("seed=1", "split.seed=0")])
    assert tables[("seed=0", "order")] != tables[("seed=1", "split.seed=0", "order")]


@pytest.fixture(scope="module")
def wide_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene with room for guard bands between splits."""
    return make_scene(tmp_path_factory.mktemp("wide") / "scene", (192, 640))


@pytest.fixture(scope="module")
def other_images(wide_root: Path) -> Path:
    """The same landslides on the same grid, in other images."""
    root = make_scene(wide_root.with_name("other"), (192, 640))
    with rasterio.open(root / "ascending.tif", "r+") as file:
        file.write(2 * file.read(1), 1)
    return root


def datamodule_of(root: Path, *overrides: str) -> LandslideDataModule:
    options = (f"dataset.root={root}", "output_dir=x", "split=blocks", *overrides)
    datamodule: LandslideDataModule = instantiate(composed(*options).datamodule)
    datamodule.setup()
    return datamodule


@pytest.fixture(scope="module")
def training_state(wide_root: Path) -> dict[str, object]:
    """What a run on ``wide_root`` keeps of its patches for resuming."""
    return datamodule_of(wide_root).state_dict()


def test_a_run_is_resumed_on_its_own_patches(
    wide_root: Path, training_state: dict[str, object]
) -> None:
    datamodule_of(wide_root).load_state_dict(training_state)


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("split.fold=2", "the split"),
        ("seed=1", "the split"),
        ("batch_size=4", "batch_size 8, not 4"),
        ("augmentation=none", "augmentation RandomFlips, not "),
        ("dataset=descending_baa_s", "orbit ascending, not descending"),
        ("normalization=zscore", "normalization.balance False, not True"),
        ("dataset.root={other_images}", "the scenes"),
    ],
)
def test_a_run_is_not_resumed_on_other_patches(
    override: str,
    difference: str,
    wide_root: Path,
    other_images: Path,
    training_state: dict[str, object],
) -> None:
    changed = datamodule_of(wide_root, override.format(other_images=other_images))
    with pytest.raises(InputError, match=f"was trained with {difference}.*run's own settings"):
        changed.load_state_dict(training_state)


def test_context_is_read_but_neither_trained_on_nor_scored(wide_root: Path) -> None:
    plain = datamodule_of(wide_root, "augmentation=none")
    wide = datamodule_of(wide_root, "augmentation=none", "datamodule.window_size=128")
    assert plain.patches.equals(wide.patches)
    scene = wide.scenes[0]
    splits = np.zeros((scene.grid.height + 64, scene.grid.width + 64), dtype=int)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        covered = np.zeros_like(splits)
        for query in getattr(wide, loader)().sampler:
            row, col, _, _ = scene.grid.window(*query)
            covered[row : row + 128, col : col + 128] = 1
        splits += covered
        batches = zip(getattr(plain, loader)(), getattr(wide, loader)(), strict=True)
        for patch, window in batches:
            assert window["image"].shape[2:] == (128, 128)
            inside = window["mask"][:, 32:96, 32:96]
            assert inside.equal(patch["mask"])
            assert (window["mask"] != 255).sum() == (inside != 255).sum()
            middle = window["image"][:, :, 32:96, 32:96]
            assert middle.nan_to_num().equal(patch["image"].nan_to_num())
    assert splits.max() == 1  # no pixel is read for two splits
    whole = scene.read(Window(0, 0, scene.grid.height, scene.grid.width))["image"]
    row, col = (64 * int(wide.patches_of("test").iloc[0][name]) for name in ("row", "col"))
    first = next(iter(wide.test_dataloader()))["image"][0]
    around = whole[:, max(row - 32, 0) : row + 96, max(col - 32, 0) : col + 96]
    inside = first[:, max(32 - row, 0) :, max(32 - col, 0) :]
    inside = inside[:, : around.shape[1], : around.shape[2]]
    assert inside.nan_to_num().equal(around.nan_to_num())
    assert first.isnan().sum() == first.numel() - around.isfinite().sum()


def test_context_under_the_papers_split_is_refused(scene_root: Path) -> None:
    options = (f"dataset.root={scene_root}", "output_dir=x", "patch_size=32")
    config = composed(*options, "datamodule.window_size=64")
    with pytest.raises(InputError, match=r"window_size=64 .*use split=blocks"):
        instantiate(config.datamodule).setup()


def test_a_window_smaller_than_its_patch_is_refused(scene_root: Path) -> None:
    options = (f"dataset.root={scene_root}", "output_dir=x", "datamodule.window_size=32")
    with pytest.raises(InputError, match="window_size=32 is smaller than the patch of 64 px"):
        instantiate(composed(*options).datamodule).setup()


def test_a_window_that_the_model_does_not_take_is_refused() -> None:
    settings = OmegaConf.to_container(
        composed("output_dir=x", "datamodule.window_size=100").task, resolve=True
    )
    with pytest.raises(InputError, match="100 x 100 px is no multiple of 16 px"):
        LandslideTask(**settings)


def test_a_list_of_scenes_on_different_grids_becomes_one_split(tmp_path: Path) -> None:
    roots = [
        make_scene(tmp_path / "a", seed=1),
        make_scene(tmp_path / "b", (256, 192), seed=2, epsg=32652),
    ]
    config = composed(f"dataset.root=[{roots[0]},{roots[1]}]", "output_dir=x", "batch_size=3")
    datamodule = instantiate(config.datamodule)
    datamodule.setup()
    assert set(datamodule.patches_of("train").scene) == {0, 1}
    batch = next(iter(datamodule.train_dataloader()))
    assert batch["image"].shape == (3, 4, 64, 64)
    datamodule.write_splits(tmp_path / "splits.geojson")


def test_overlapping_scenes_would_leak_between_splits(scene_root: Path, tmp_path: Path) -> None:
    other = make_scene(tmp_path / "b", origin=(601_000.0, 4_739_000.0))
    config = composed(f"dataset.root=[{scene_root},{other}]", "output_dir=x")
    with pytest.raises(InputError, match="overlap"):
        instantiate(config.datamodule).setup()


@pytest.mark.slow
def test_worker_processes_read_what_this_process_reads(scene_root: Path) -> None:
    root = f"dataset.root={scene_root}"
    alone, workers = (
        instantiate(composed(root, "output_dir=x", "memory_mib=0", f"num_workers={n}").datamodule)
        for n in (0, 2)
    )
    for datamodule in (alone, workers):
        datamodule.setup()
    pairs = zip(alone.train_dataloader(), workers.train_dataloader(), strict=True)
    for first, second in pairs:
        assert (first["mask"] == second["mask"]).all()
        assert first["image"].nan_to_num().equal(second["image"].nan_to_num())


def test_scenes_too_large_to_keep_are_read_on_demand(scene_root: Path) -> None:
    kept, read = (
        instantiate(
            composed(f"dataset.root={scene_root}", "output_dir=x", f"memory_mib={m}").datamodule
        )
        for m in (100, 0)
    )
    for datamodule in (kept, read):
        datamodule.setup()
    batches = [next(iter(datamodule.val_dataloader())) for datamodule in (kept, read)]
    assert (batches[0]["mask"] == batches[1]["mask"]).all()
    assert batches[0]["image"].nan_to_num().equal(batches[1]["image"].nan_to_num())


@pytest.mark.parametrize(
    ("name", "rules"), [("train", TRAIN), ("predict", PREDICT), ("simulate", SIMULATE)]
)
def test_defaults_keep_the_rules_and_null_stands_only_for_a_default(
    name: str, rules: Mapping[str, Rule]
) -> None:
    required = {"predict": ["checkpoint=a", "scene=b", "output=c"], "train": ["output_dir=d"]}
    config = composed(*required.get(name, []), name=name)
    check(config, rules)
    for key in rules:
        default = OmegaConf.select(config, key, default="absent")
        if default is not None and default != "absent":
            changed = config.copy()
            OmegaConf.update(changed, key, None)
            with pytest.raises(InputError, match=f"{key}=null is not "):
                check(changed, rules)


def test_a_reference_to_nothing_is_one_sentence() -> None:
    with pytest.raises(InputError, match=r"seed cannot be resolved: .*'nope' not found$"):
        check(composed("seed=${nope}", "output_dir=x"), TRAIN)
