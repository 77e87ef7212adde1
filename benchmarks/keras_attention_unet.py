"""The paper's Attention U-Net in Keras, trained by ``fit``, to compare training speeds.

It runs in a process of its own, with any interpreter that has TensorFlow, which is no dependency
of this project; ``train_throughput.py --keras-python PATH`` starts it. It follows that program's
protocol: one line on standard input starts an epoch, one line of JSON on ``--report-fd`` ends it.
"""

import argparse
import json
import os
import sys
import time
from typing import Any

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped, import-not-found, unused-ignore]

keras: Any = tf.keras
layers = keras.layers
NETWORK_PARAMETERS = 849_604  # f = 32, c = 4

Node = Any  # a symbolic tensor (B, H, W, C)


def convolution(x: Node, filters: int, size: int = 1, *, inside_attention: bool = False) -> Node:
    start = "glorot_uniform" if inside_attention else "glorot_normal"
    return layers.Conv2D(filters, size, padding="same", kernel_initializer=start)(x)


def normalise(x: Node, activation: bool = True) -> Node:
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if activation else x


def encoder_block(x: Node, filters: int) -> Node:
    for _ in range(2):
        x = normalise(convolution(x, filters, 3))
    return x


def gating_signal(x: Node) -> Node:
    return normalise(convolution(x, x.shape[-1]))


def upsample(x: Node, filters: int) -> Node:
    """(B, H, W, C) -> (B, 2H, 2W, F)."""
    return layers.Conv2DTranspose(
        filters, 3, strides=2, padding="same", activation="relu", kernel_initializer="glorot_normal"
    )(x)


def attention(skip: Node, gate: Node, inter: int) -> Node:
    """Weigh a skip connection (B, H, W, C) by a gate at half or a quarter of its size."""
    theta = layers.Conv2D(inter, 2, strides=2)(skip)
    phi = convolution(gate, inter, inside_attention=True)
    stride = theta.shape[1] // gate.shape[1]
    phi = layers.Conv2DTranspose(inter, 3, strides=stride, padding="same")(phi)
    compared = layers.ReLU()(layers.Add()([theta, phi]))
    psi = layers.Conv2D(1, 1, activation="sigmoid")(compared)
    weighted = layers.Multiply()([skip, layers.UpSampling2D(2)(psi)])
    out = convolution(weighted, skip.shape[-1], inside_attention=True)
    return normalise(out, activation=False)


def attention_unet(side: int, bands: int, f: int) -> Any:  # noqa: ANN401
    """The network of Nava et al. 2022 as their program builds it."""
    image = keras.Input((side, side, bands))
    conv1 = encoder_block(image, f)
    conv2 = encoder_block(layers.MaxPooling2D()(conv1), f)
    conv3 = encoder_block(layers.MaxPooling2D()(conv2), 2 * f)
    conv4 = encoder_block(layers.MaxPooling2D()(conv3), 2 * f)
    center = encoder_block(layers.MaxPooling2D()(conv4), 4 * f)
    join = layers.Concatenate()
    up1 = join([upsample(center, f), attention(conv4, gating_signal(center), 4 * f)])
    up2 = join([upsample(up1, 2 * f), attention(conv3, gating_signal(up1), 2 * f)])
    # The third gate is taken from up1 once more.
    up3 = join([upsample(up2, f), attention(conv2, gating_signal(up1), f)])
    up4 = join([upsample(up3, f), conv1])
    probability = layers.Conv2D(1, 1, activation="sigmoid", kernel_initializer="glorot_normal")(up4)
    return keras.Model(image, probability)


def dice_loss(truth: Node, probability: Node) -> Node:
    """Pooled over the batch."""
    overlap = tf.reduce_sum(truth * probability)
    return 1 - (2 * overlap + 1) / (tf.reduce_sum(truth) + tf.reduce_sum(probability) + 1)


class EpochTimer(keras.callbacks.Callback):  # type: ignore[misc]
    """Wait for the request before an epoch, and report its time afterwards."""

    def __init__(self, patches: int, report: Any, busy: bool) -> None:  # noqa: ANN401
        super().__init__()
        self.patches, self.report, self.start = patches, report, 0.0
        self.clock = time.process_time if busy else time.perf_counter

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Wait."""
        sys.stdin.readline()
        self.start = self.clock()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Report."""
        seconds = self.clock() - self.start
        print(json.dumps({"patches": self.patches, "seconds": seconds}), file=self.report)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--patches", required=True, help="images and masks, .npz")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--busy", action="store_true", help="one thread, CPU seconds")
    options = parser.parse_args()
    if options.busy:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    model = attention_unet(64, 4, 32)
    if model.count_params() != NETWORK_PARAMETERS:
        raise SystemExit(f"{model.count_params()} parameters, not {NETWORK_PARAMETERS}")
    model.compile(keras.optimizers.Adam(1e-3), dice_loss)
    patches = np.load(options.patches)
    images, truth = patches["images"], patches["masks"][..., None].astype(np.float32)
    report = os.fdopen(options.report_fd, "w", buffering=1)
    print(json.dumps({"version": f"TensorFlow {tf.__version__}"}), file=report)
    turns = EpochTimer(len(images), report, options.busy)
    model.fit(images, truth, batch_size=8, epochs=options.epochs, verbose=0, callbacks=[turns])


if __name__ == "__main__":
    main()
