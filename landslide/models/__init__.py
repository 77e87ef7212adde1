"""Networks: every module maps (B, C, H, W) to (B, 1, H, W) logits."""

from landslide.models.attention_unet import AttentionUNet
from landslide.models.unet import UNet

__all__ = ["AttentionUNet", "UNet"]
