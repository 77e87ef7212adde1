import numpy as np
import pytest
import torch
from builders import make_task, perturb
from torch import Tensor

from landslide.errors import InputError
from landslide.geo.grid import Grid, Window
from landslide.models.halo import Halo
from landslide.prediction.windows import BlendPredictor, HaloPredictor, Predictor
from landslide.training.network import Network

CPU = torch.device("cpu")


def read(image: Tensor, window: Window) -> Tensor:
    """What Scene.read gives: NaN beyond the edges."""
    C, H, W = image.shape
    padded = torch.full((C, H + 2000, W + 2000), torch.nan)
    padded[:, 1000 : 1000 + H, 1000 : 1000 + W] = image
    row, col = window.row + 1000, window.col + 1000
    return padded[:, row : row + window.height, col : col + window.width]


def predict(predictor: Predictor, image: Tensor, side: int | None = None) -> Tensor:
    """The probability of an image, block by block; ``side`` chooses other blocks."""
    _, H, W = image.shape
    result = torch.full((H, W), torch.nan)
    for block in Grid(None, None, H, W).blocks(side) if side else predictor.blocks:  # type: ignore[arg-type]
        part = predictor(read(image, predictor.source(block)), block)[0]
        result[block.row : block.row + block.height, block.col : block.col + block.width] = part
    return result


@pytest.mark.parametrize("size", [(320, 320), (300, 411), (97, 500), (40, 30)])
def test_halo_windows_equal_one_pass_over_the_scene(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = {"_target_": "landslide.models.AttentionUNet", "in_channels": 4, "filters": 8}
    task = make_task(model=model)
    perturb(task)
    image = torch.rand(4, *size) + 0.01
    image[:, 20:23, 5:25] = torch.nan
    task.normalization.fit([image[None]])
    network = Network([task], CPU)
    H, W = size
    whole = read(image, Window(0, 0, -(-H // 16) * 16, -(-W // 16) * 16))
    with torch.no_grad():
        expected = torch.sigmoid(task.eval()(whole[None]))[0, 0, :H, :W]
    assert expected.std() > 0.01
    sides = HaloPredictor(network, size, Halo(16, 96), side=128)
    assert (predict(sides, image) - expected).abs().max() <= 1e-5
    # Several equal windows, as on a large scene.
    monkeypatch.setattr("landslide.prediction.windows.MAX_WINDOW_PIXELS", 288**2)
    monkeypatch.setattr("landslide.prediction.windows.MIN_BLOCK_SIDE", 16)
    equal = HaloPredictor(network, size, Halo(16, 96))
    assert len(equal.blocks) > 1 or size[0] * size[1] < 288**2
    assert len({equal.source(block)[2:] for block in equal.blocks}) == 1
    assert (predict(equal, image) - expected).abs().max() <= 1e-5


def constant_task(value: float) -> Network:
    task = make_task(normalization={"_target_": "landslide.data.normalization.PatchMinMax"})
    with torch.no_grad():
        head = task.model.head
        head.weight.zero_()
        head.bias.fill_(value)
    return Network([task], CPU)


@pytest.mark.parametrize("size", [(150, 201), (64, 64), (33, 70)])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
def test_blending_covers_every_pixel_without_edge_artefacts(
    size: tuple[int, int], overlap: float
) -> None:
    predictor = BlendPredictor(constant_task(0.3), size, window=32, overlap=overlap)
    found = predict(predictor, torch.rand(4, *size), side=64)
    expected = torch.sigmoid(torch.tensor(0.3))
    torch.testing.assert_close(found, expected.expand(size))


def test_blending_does_not_depend_on_the_blocks() -> None:
    torch.manual_seed(0)
    task = make_task(normalization={"_target_": "landslide.data.normalization.PatchMinMax"})
    perturb(task)
    image = torch.rand(4, 150, 201)
    predictor = BlendPredictor(Network([task], CPU), (150, 201), window=32, overlap=0.5)
    small, large = predict(predictor, image, 64), predict(predictor, image, 1024)
    torch.testing.assert_close(small, large, atol=1e-6, rtol=0)


def test_no_overlap_is_the_papers_tiling() -> None:
    torch.manual_seed(0)
    task = make_task(normalization={"_target_": "landslide.data.normalization.PatchMinMax"})
    perturb(task)
    network = Network([task], CPU)
    image = torch.rand(4, 96, 128)
    found = predict(BlendPredictor(network, (96, 128), window=32, overlap=0), image, 64)
    for row in range(0, 96, 32):
        for col in range(0, 128, 32):
            tile = np.s_[row : row + 32, col : col + 32]
            torch.testing.assert_close(found[tile], network(image[None, :, *tile])[0, 0])


def test_flips_average_four_views() -> None:
    task = make_task()
    perturb(task)
    image = torch.rand(1, 4, 32, 48) + 0.01
    plain, flipped = Network([task], CPU), Network([task], CPU, "flips")
    views = [plain(image.flip(axes)).flip(axes) for axes in ([], [2], [3], [2, 3])]
    torch.testing.assert_close(flipped(image), torch.stack(views).mean(0))


@pytest.mark.parametrize("overlap", [-0.1, 1.0])
def test_an_impossible_overlap_is_refused(overlap: float) -> None:
    with pytest.raises(InputError, match=r"window\.overlap"):
        BlendPredictor(constant_task(0), (64, 64), window=32, overlap=overlap)


def test_a_halo_off_the_grid_is_refused() -> None:
    with pytest.raises(InputError, match=r"window\.halo=50"):
        HaloPredictor(Network([make_task()], CPU), (64, 64), Halo(16, 50))


def test_windows_and_halos_larger_than_usual_are_taken() -> None:
    large = BlendPredictor(constant_task(0.3), (100, 100), window=2048, overlap=0.5)
    assert [block[2:] for block in large.blocks] == [(100, 100)]
    network = Network([make_task()], CPU)
    far = HaloPredictor(network, (5000, 5000), Halo(16, 1024))
    covered = np.zeros((5000, 5000), dtype=np.uint8)
    for block in far.blocks:
        covered[block.row : block.row + block.height, block.col : block.col + block.width] += 1
    assert (covered == 1).all()
