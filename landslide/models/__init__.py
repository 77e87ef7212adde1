"""Networks: every module maps (B, C, H, W) to (B, 1, H, W) logits."""

from landslide.models.attention_unet import AttentionUNet
from landslide.models.deeplab import DeepLabV3Plus
from landslide.models.unet import UNet

__all__ = ["AttentionUNet", "DeepLabV3Plus", "UNet"]
