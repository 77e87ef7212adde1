from pathlib import Path

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from commands import CONF
from hydra.utils import instantiate
from omegaconf import OmegaConf

from landslide.errors import InputError
from landslide.models import AttentionUNet, DeepLabV3Plus, UNet
from landslide.models.layers import BatchNorm, SameConvTranspose2d
from landslide.training.keras_weights import Weights, convert_weights, read_weights
from landslide.training.losses import DiceLoss


def parameters(model: torch.nn.Module) -> int:
    counted = [v for name, v in model.state_dict().items() if "num_batches" not in name]
    return sum(value.numel() for value in counted)


@pytest.mark.parametrize("filters", [2, 4, 32])
@pytest.mark.parametrize("bands", [3, 4])
def test_parameter_count_is_the_papers(filters: int, bands: int) -> None:
    f = filters
    expected = 822 * f**2 + 210 * f + 9 * bands * f + 4
    model = AttentionUNet(bands, filters)
    assert parameters(model) == expected
    assert sum(p.numel() for p in model.parameters()) == expected - 70 * f


def test_parameter_count_of_the_published_setting() -> None:
    assert parameters(AttentionUNet(4, 4)) == 14_140
    assert parameters(AttentionUNet(4, 32)) == 849_604
    assert parameters(AttentionUNet(3, 32)) == 849_316


def keras_parameters(reference: np.lib.npyio.NpzFile, prefix: str) -> Weights:
    return {k.removeprefix(prefix): reference[k] for k in reference.files if k.startswith(prefix)}


@pytest.mark.parametrize("tag", ["f4", "f4_c3"])
def test_agrees_with_keras_in_inference_training_and_gradients(real_data: Path, tag: str) -> None:
    folder = real_data / "keras_reference"
    reference = np.load(folder / f"parity_{tag}.npz")
    weights = read_weights(folder / f"keras_{tag}.hdf5")
    x = torch.from_numpy(reference["x_nhwc"]).permute(0, 3, 1, 2)
    target = torch.from_numpy(reference["target_nhwc"])[..., 0]
    model = AttentionUNet(x.shape[1], filters=4)
    model.load_state_dict(convert_weights(weights))

    with torch.no_grad():
        probability = torch.sigmoid(model.eval()(x)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(probability, reference["y_nhwc"], atol=1e-5, rtol=0)

    # In double precision the outcome does not depend on the number of threads.
    logits = model.double().train()(x.double())
    probability = torch.sigmoid(logits.detach()).permute(0, 2, 3, 1)
    np.testing.assert_allclose(probability, reference["y_train_nhwc"], atol=1e-4, rtol=0)
    loss = DiceLoss()(logits, target)
    assert loss.item() == pytest.approx(float(reference["dice_train"]), abs=1e-6)
    loss.backward()
    gradients = convert_weights({**weights, **keras_parameters(reference, "grad/")})
    after = convert_weights({**weights, **keras_parameters(reference, "bn_after/")})
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad.float(), gradients[name], atol=1e-4, rtol=0)
    for name, buffer in model.named_buffers():
        if "running" in name:
            torch.testing.assert_close(buffer.float(), after[name], atol=1e-5, rtol=0)


def test_unnamed_keras_layers_are_taken_in_order_whatever_their_first_number(
    real_data: Path,
) -> None:
    weights = read_weights(real_data / "keras_reference" / "keras_f4.hdf5")
    later = {}
    for key, value in weights.items():
        layer, parameter = key.split("/")
        for kind in ("conv2d_transpose", "conv2d"):
            number = layer.removeprefix(kind).lstrip("_")
            if layer.startswith(kind) and (number.isdigit() or not number):
                layer = f"{kind}_{int(number or 0) + 9}"  # 9, 10, …: not in alphabetical order
                break
        later[f"{layer}/{parameter}"] = value
    assert later.keys() != weights.keys()
    torch.testing.assert_close(convert_weights(later), convert_weights(weights))


def test_weights_of_another_network_are_refused(real_data: Path, tmp_path: Path) -> None:
    weights = read_weights(real_data / "keras_reference" / "keras_f4.hdf5")
    partial = {key: value for key, value in weights.items() if not key.startswith("psi_2")}
    with pytest.raises(InputError, match="psi_2"):
        convert_weights(partial)
    (tmp_path / "x.hdf5").write_text("no")
    with pytest.raises(InputError, match="cannot be read as Keras"):
        read_weights(tmp_path / "x.hdf5")


@pytest.mark.parametrize("model", [AttentionUNet(3, 4), UNet(3, 4), UNet(3, 4, dropout=0.3)])
@pytest.mark.parametrize("size", [(16, 16), (64, 64), (48, 160)])
def test_every_model_takes_any_multiple_of_16(
    model: torch.nn.Module, size: tuple[int, int]
) -> None:
    assert model(torch.rand(2, 3, *size)).shape == (2, 1, *size)


@pytest.mark.parametrize("model", [AttentionUNet(3, 4), UNet(3, 4)])
def test_other_sizes_are_refused_clearly(model: torch.nn.Module) -> None:
    with pytest.raises(InputError, match="multiples of 16 px, not 64 x 72"):
        model(torch.rand(1, 3, 64, 72))


SMP = ("smp_unet", "unetplusplus", "deeplabv3plus", "segformer")


@pytest.mark.parametrize("model", SMP)
def test_a_librarys_model_learns_from_a_single_patch_of_64_px(model: str) -> None:
    config = OmegaConf.load(CONF / "model" / f"{model}.yaml")
    config.in_channels = 3
    network, x = instantiate(config), torch.rand(1, 3, 64, 64)
    loss = DiceLoss()(network.train()(x), torch.ones(1, 64, 64, dtype=torch.uint8))
    loss.backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert sum(gradient.abs().sum() for gradient in gradients) > 0
    assert network.eval()(x.expand(2, -1, -1, -1)).shape == (2, 1, 64, 64)


def test_deeplab_is_the_librarys_but_for_batches_of_one() -> None:
    torch.manual_seed(0)
    ours = DeepLabV3Plus(encoder_name="resnet18", encoder_weights=None, in_channels=3)
    theirs = smp.DeepLabV3Plus(encoder_name="resnet18", encoder_weights=None, in_channels=3)
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(4, 3, 64, 64)
    for mode in (True, False):
        torch.manual_seed(1)  # dropout
        expected = theirs.train(mode)(x)
        torch.manual_seed(1)
        torch.testing.assert_close(ours.train(mode)(x), expected)


@pytest.mark.parametrize("channels", [2, 5, 8])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_few_channels_is_torchs(channels: int, training: bool) -> None:
    torch.manual_seed(0)
    ours = BatchNorm(channels).train(training)
    theirs = torch.nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01).double().train(training)
    x = torch.randn(4, channels, 16, 16).contiguous(memory_format=torch.channels_last)
    upstream, mine = torch.randn_like(x), x.clone().requires_grad_()
    its = x.double().requires_grad_()
    output, expected = ours(mine), theirs(its)
    output.backward(upstream)
    expected.backward(upstream.double())
    assert output.is_contiguous(memory_format=torch.channels_last)
    # Sums over 1024 numbers in single precision, in an order that depends on the threads.
    pairs = [(output, expected), (mine.grad, its.grad)]
    pairs += [(p.grad, q.grad) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)]
    pairs += [(v, theirs.state_dict()[name]) for name, v in ours.state_dict().items()]
    for single, double in pairs:
        assert single is not None
        assert double is not None
        torch.testing.assert_close(single.double(), double.double(), atol=1e-5, rtol=1e-5)


def test_dropout_acts_in_training_only() -> None:
    model, x = UNet(3, 4, dropout=0.5), torch.rand(2, 3, 32, 32)
    assert not torch.equal(model.train()(x), model(x))
    assert torch.equal(model.eval()(x), model(x))


@pytest.mark.parametrize("stride", [1, 2])
def test_upsampling_is_keras_transposed_convolution(stride: int) -> None:
    layer = SameConvTranspose2d(5, 3, stride).double()
    x = torch.rand(2, 5, 7, 9, dtype=torch.float64)
    # Keras crops what a full transposed convolution adds: one pixel all around for
    # stride 1, the last row and column for stride 2.
    full = F.conv_transpose2d(x, layer.weight, layer.bias, stride=stride)
    expected = full[:, :, 1:-1, 1:-1] if stride == 1 else full[:, :, :-1, :-1]
    torch.testing.assert_close(layer(x), expected)


def test_initial_weights_follow_glorot() -> None:
    torch.manual_seed(0)
    model = AttentionUNet(4, 32)
    normal = model.center[0].weight
    assert normal.std().item() == pytest.approx((2 / (9 * (64 + 128))) ** 0.5, rel=0.02)
    uniform = model.attention1.phi.weight
    limit = (6 / (128 + 128)) ** 0.5
    assert uniform.abs().max().item() == pytest.approx(limit, rel=0.01)
    assert all((v == 0).all() for k, v in model.named_parameters() if k.endswith("theta.bias"))
