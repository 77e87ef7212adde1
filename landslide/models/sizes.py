"""Sizes of input that a model takes."""

from torch import nn


def size_multiple(model: nn.Module) -> int:
    """Return the number that height and width of a model's input must be multiples of.

    It is a model's attribute ``size_multiple``, or the output stride of the encoder of a model
    of segmentation_models_pytorch. Other models take any size.
    """
    if hasattr(model, "size_multiple"):
        return int(model.size_multiple)  # type: ignore[arg-type]
    if getattr(model, "requires_divisible_input_shape", False):
        return int(model.encoder.output_stride)  # type: ignore[union-attr,arg-type]
    return 1
