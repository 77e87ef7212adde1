"""Networks: every module maps (B, C, H, W) to (B, 1, H, W) logits."""

from landslide.models.attention_unet import AttentionUNet
from landslide.models.unet import UNet

__all__ = ["AttentionUNet", "DeepLabV3Plus", "UNet"]


def __getattr__(name: str) -> object:
    """Import the network whose library takes long to import when it is first used."""
    if name == "DeepLabV3Plus":
        from landslide.models.deeplab import DeepLabV3Plus

        return DeepLabV3Plus
    raise AttributeError(f"module 'landslide.models' has no attribute {name!r}")
