"""Convert weights of the authors' Keras program to a checkpoint for ``predict.py``."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from landslide.errors import InputError
from landslide.training.task import LandslideTask, save_task

Weights = Mapping[str, NDArray[np.float32]]
"""Arrays by ``<keras layer>/<parameter>``, for example ``conv1_1/kernel``."""


def read_weights(path: Path) -> Weights:
    """Read what Keras' ``save_weights`` wrote in HDF5.

    Raises:
        InputError: The file is missing or is not such a file.
    """
    arrays: dict[str, NDArray[np.float32]] = {}

    def visit(name: str, item: object) -> None:
        # <layer>/<layer>/<parameter>:0
        parts = name.removesuffix(":0").split("/")
        if isinstance(item, h5py.Dataset) and len(parts) >= 2:
            arrays[f"{parts[-2]}/{parts[-1]}"] = np.asarray(item, dtype=np.float32)

    try:
        with h5py.File(path) as file:
            file.visititems(visit)
    except OSError as error:
        raise InputError(f"{path} cannot be read as Keras HDF5 weights: {error}") from error
    return arrays


def convert_weights(weights: Weights) -> dict[str, Tensor]:
    """Return the weights of the authors' Attention U-Net as a state of ``AttentionUNet``.

    Args:
        weights: Arrays by Keras layer and parameter. Keras numbers unnamed layers through a
            whole session, so only their numeric order counts.

    Raises:
        InputError: A layer of the network is missing.
    """
    unnamed = {kind: _numbered(weights, kind) for kind in ("conv2d", "conv2d_transpose")}
    state: dict[str, Tensor] = {}
    for module, layer in _layers():
        kind, _, index = layer.partition("#")
        names = unnamed.get(kind, [])
        if index and int(index) >= len(names):
            raise InputError(f"these are not the Attention U-Net's weights: {layer!r} is missing")
        state |= _parameters(weights, names[int(index)] if index else layer, module)
    return state


def _layers() -> Iterator[tuple[str, str]]:
    """Yield pairs of a PyTorch module and a Keras layer; ``kind#i`` is the i-th unnamed layer."""
    for block in ("conv1", "conv2", "conv3", "conv4", "center"):
        for half, (conv, bn) in enumerate(((0, 1), (3, 4)), start=1):
            yield f"{block}.{conv}", f"{block}_{half}"
            yield f"{block}.{bn}", f"{block}_{half}_bn"
    for k in (1, 2, 3):
        yield f"gate{k}.0", f"g{k}_conv"
        yield f"gate{k}.1", f"g{k}_bn"
        yield f"attention{k}.theta", f"xl_{k}"
        yield f"attention{k}.phi", f"conv2d#{k - 1}"
        yield f"attention{k}.phi_up", f"g_up_{k}"
        yield f"attention{k}.psi", f"psi_{k}"
        yield f"attention{k}.out", f"q_attn_conv_{k}"
        yield f"attention{k}.out_bn", f"q_attn_bn_{k}"
    for k in (1, 2, 3, 4):
        yield f"up{k}.0", f"conv2d_transpose#{k - 1}"
    yield "head", "final"


def _numbered(weights: Weights, kind: str) -> list[str]:
    """Unnamed layers ``kind``, ``kind_1``, … in numeric order."""
    layers = {key.split("/")[0] for key in weights}
    found = [match for layer in layers if (match := re.fullmatch(rf"{kind}(?:_(\d+))?", layer))]
    return [match[0] for match in sorted(found, key=lambda match: int(match[1] or 0))]


def _parameters(weights: Weights, layer: str, module: str) -> dict[str, Tensor]:
    names = (
        {
            "gamma": "weight",
            "beta": "bias",
            "moving_mean": "running_mean",
            "moving_variance": "running_var",
        }
        if f"{layer}/gamma" in weights
        else {"kernel": "weight", "bias": "bias"}
    )
    try:
        arrays = {ours: weights[f"{layer}/{keras}"] for keras, ours in names.items()}
    except KeyError as error:
        raise InputError(
            f"these are not the Attention U-Net's weights: {error.args[0]!r} is missing"
        ) from error
    # Both HWIO -> OIHW and, for transposed convolutions, HWOI -> IOHW.
    state = {
        f"{module}.{name}": torch.from_numpy(
            np.ascontiguousarray(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array)
        )
        for name, array in arrays.items()
    }
    if "running_mean" in names.values():
        state[f"{module}.num_batches_tracked"] = torch.tensor(0)
    return state


def convert(config: DictConfig) -> None:
    """Write a checkpoint with the authors' weights.

    Args:
        config: Composed from ``conf/keras.yaml``.

    Raises:
        InputError: The weights are not those of the network, or take other bands.
    """
    weights = read_weights(Path(config.weights))
    state = convert_weights(weights)
    filters, bands = state["conv1.0.weight"].shape[:2]
    if bands != len(config.bands):
        raise InputError(
            f"bands={list(config.bands)} names {len(config.bands)} bands, but the network in "
            f"{config.weights} takes {bands}"
        )
    task = LandslideTask(
        model={
            "_target_": "landslide.models.AttentionUNet",
            "in_channels": bands,
            "filters": filters,
        },
        loss={"_target_": "landslide.training.losses.DiceLoss"},
        normalization=OmegaConf.to_container(config.normalization),  # type: ignore[arg-type]
        optimizer={"_target_": "torch.optim.Adam", "lr": 1e-3, "eps": 1e-7},
        bands=list(config.bands),
        orbit=config.orbit,
        patch_size=config.patch_size,
    )
    task.model.load_state_dict(state)
    save_task(task, Path(config.output))
