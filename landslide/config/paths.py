"""Files and folders that options name, checked before anything else is done."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from landslide.errors import InputError


def configuration_folder() -> Path:
    """Folder of the configuration: ``conf/`` of a checkout, or the one that the wheel carries."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "conf"
    return checkout if (checkout / "train.yaml").is_file() else package / "conf"


def require_checkpoints(names: str | Sequence[str]) -> None:
    """Require that checkpoints exist.

    Raises:
        InputError: One is missing or is a folder.
    """
    for name in [names] if isinstance(names, str) else names:
        path = Path(name)
        if path.is_dir():
            raise InputError(f"checkpoint {path} is a folder: name a file, such as best.ckpt in it")
        if not path.is_file():
            raise InputError(
                f"there is no checkpoint {path}: train one with train.py, or name a detector: "
                "slope, log_ratio or change_z"
            )


def checkpoint_names(checkpoint: str | Sequence[str]) -> list[str]:
    """The names in an option that takes one checkpoint or a list of them."""
    return [checkpoint] if isinstance(checkpoint, str) else [str(name) for name in checkpoint]


def require_models(checkpoint: str | Sequence[str]) -> list[str]:
    """Require that checkpoints exist, and return their names; names of detectors are no files.

    Raises:
        InputError: One is missing or is a folder.
    """
    names = checkpoint_names(checkpoint)
    require_checkpoints([name for name in names if not is_model_name(name)])
    return names


def is_model_name(checkpoint: str) -> bool:
    """Whether a checkpoint is an option of the group ``model``, such as ``log_ratio``; no file."""
    path = Path(checkpoint)
    option = configuration_folder() / "model" / f"{path.name}.yaml"
    return path.name == checkpoint and not path.exists() and option.is_file()


def is_scene_folder(scene: str) -> bool:
    """Whether a scene is named as a folder, which need not exist, rather than as a raster."""
    path = Path(scene)
    if path.is_dir():
        return True
    return not (is_address(scene) or path.exists() or path.suffix)


def is_address(scene: str) -> bool:
    """Whether GDAL opens a raster elsewhere; the suffix of a signed URL is its signature's."""
    return "/vsi" in scene or "://" in scene


def require_scene(root: Path) -> None:
    """Require that a scene's folder exists.

    Raises:
        InputError: It does not; says how to make one.
    """
    if not root.is_dir():
        raise InputError(
            f"there is no scene folder {root}: simulate one with `landslide simulate root={root}`, "
            f"prepare one with `landslide prepare root={root} …`, or name another with "
            "dataset.root (training) or scene (prediction)"
        )


def require_scenes(config: DictConfig) -> None:
    """Require the scenes of a training; arrays are checked when they are read.

    Raises:
        InputError: One is missing.
    """
    if OmegaConf.select(config, "dataset.datamodule") is None:
        roots = config.dataset.root
        for root in [roots] if isinstance(roots, str) else roots:
            require_scene(Path(root))
