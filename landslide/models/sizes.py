"""Which sizes of input a model takes."""

from torch import nn


def size_multiple(model: nn.Module) -> int:
    """What height and width of a model's input must be multiples of.

    A model says so by an attribute ``size_multiple``, one of segmentation_models_pytorch by the
    output stride of its encoder. Others take any size.
    """
    if hasattr(model, "size_multiple"):
        return int(model.size_multiple)  # type: ignore[arg-type]
    if getattr(model, "requires_divisible_input_shape", False):
        return int(model.encoder.output_stride)  # type: ignore[union-attr,arg-type]
    return 1
