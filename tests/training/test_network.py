"""Folding, engines and ensembles leave the probabilities what they are."""

import os
import shutil

import pytest
import torch
from builders import make_task, perturb
from torch import Tensor, nn

from landslide.errors import InputError
from landslide.models import AttentionUNet, UNet
from landslide.models.folding import Strips, fold
from landslide.models.halo import Halo, measure_halo
from landslide.training.network import Network
from landslide.training.task import LandslideTask

CPU = torch.device("cpu")


def used(model: nn.Module) -> nn.Module:
    """A network whose every parameter and statistic matters."""
    generator = torch.Generator().manual_seed(0)
    perturb(model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return model.eval()


class Encoder(nn.Module):
    """Parts that look foldable and are not."""

    def __init__(self) -> None:
        super().__init__()

        class Louder(nn.BatchNorm2d):
            def forward(self, x: Tensor) -> Tensor:
                return 3 * super().forward(x)

        self.body = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), Louder(6), nn.ReLU())
        self.tail = nn.Sequential(nn.Conv2d(6, 5, 1), nn.BatchNorm2d(5), nn.Conv2d(5, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.body(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "model", [AttentionUNet(4, 8), UNet(4, 8), UNet(4, 4, dropout=0.5), Encoder()]
)
def test_a_folded_network_computes_the_same(model: nn.Module) -> None:
    model = used(model)
    x = torch.randn(2, 4, 48, 80)
    with torch.no_grad():
        expected = model(x)
        found = fold(model)(x)
        assert expected.std() > 0.01
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model(x), expected)  # the original is as it was


@pytest.mark.parametrize("kind", [AttentionUNet, UNet])
@pytest.mark.parametrize("pixels", [1, 3000, 10**6])  # strips of 16 rows, of 30, one of all
def test_strips_compute_what_the_whole_does(kind: type[AttentionUNet | UNet], pixels: int) -> None:
    model = used(kind(4, 8))
    strips = Strips(fold(model), pixels)  # type: ignore[arg-type]
    x = torch.randn(2, 4, 112, 48)
    with torch.no_grad():
        expected = model(x)
        assert expected.std() > 0.01
        torch.testing.assert_close(strips(x), expected, atol=1e-5, rtol=1e-5)
        with pytest.raises(InputError, match="multiples of 16"):
            strips(x[..., :40])


class Doubled(UNet):
    """A user's network that derives from the paper's and computes something else."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_a_derived_network_is_mapped_by_its_own_forward() -> None:
    torch.manual_seed(0)
    model = {"_target_": f"{__name__}.Doubled", "in_channels": 4, "filters": 4}
    task = make_task(model=model).eval()
    used(task.model)
    image = torch.rand(1, 4, 64, 48) + 0.01
    with torch.no_grad():
        expected = torch.sigmoid(task(image))
    torch.testing.assert_close(Network([task], CPU)(image), expected, atol=1e-5, rtol=1e-5)


def test_folding_leaves_no_normalisation_in_the_papers_network() -> None:
    kinds = {type(module) for module in fold(AttentionUNet(4, 2)).modules()}
    assert nn.BatchNorm2d not in kinds


def tasks(count: int) -> list[LandslideTask]:
    members = []
    for seed in range(count):
        torch.manual_seed(seed)
        task = make_task(
            model={"_target_": "landslide.models.AttentionUNet", "in_channels": 4, "filters": 4}
        )
        task.normalization.fit([torch.rand(1, 4, 64, 64) + 0.01])
        members.append(task.eval())
    return members


def test_an_ensemble_is_mean_and_spread_of_its_members() -> None:
    members = tasks(3)
    image = torch.rand(2, 4, 64, 48) + 0.01
    each = torch.cat([Network([task], CPU)(image) for task in members], dim=1)
    network = Network(members, CPU)
    found = network(image)
    assert network.bands == ("probability", "spread")
    torch.testing.assert_close(found[:, 0], each.mean(dim=1))
    torch.testing.assert_close(found[:, 1], each.std(dim=1, correction=0))
    assert found[:, 1].max() > 0


def test_an_ensemble_of_other_bands_is_refused() -> None:
    first, second = tasks(2)
    second.bands = ["vv_pre", "vv_post1"]
    with pytest.raises(InputError, match="shares its bands"):
        Network([first, second], CPU)


@pytest.mark.slow
def test_openvino_gives_torchs_probabilities() -> None:
    pytest.importorskip("openvino", reason="an optional extra")
    (task,) = tasks(1)
    perturb(task.model)
    fast = Network([task], CPU, engine="openvino")
    for size in ((64, 64), (160, 96)):
        image = torch.rand(1, 4, *size) + 0.01
        expected = Network([task], CPU)(image)
        assert expected.std() > 0.001
        torch.testing.assert_close(fast(image), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which(os.environ.get("CXX", "c++")), reason="needs a C++ compiler")
def test_a_compiled_network_computes_the_same() -> None:
    model = {"_target_": "torch.nn.Conv2d", "in_channels": 4, "out_channels": 1, "kernel_size": 1}
    task = make_task(model=model).eval()
    compiled = Network([task], CPU, engine="compiled")
    for size in ((32, 32), (48, 64)):
        image = torch.rand(1, 4, *size) + 0.01
        torch.testing.assert_close(compiled(image), Network([task], CPU)(image))


def test_compiling_without_a_compiler_is_one_clear_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match="there is no no-such-compiler"):
        Network(tasks(1), CPU, engine="compiled")


@pytest.mark.parametrize("engine", ["torch", pytest.param("openvino", marks=pytest.mark.slow)])
def test_half_precision_is_close(engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="an optional extra")
    (task,) = tasks(1)
    perturb(task.model)
    image = torch.rand(1, 4, 96, 64) + 0.01
    full = Network([task], CPU, engine=engine)(image)
    half = Network([task], CPU, engine=engine, precision="half")(image)
    assert half.dtype == torch.float32
    assert full.std() > 0.001
    assert (full - half).abs().max() < 0.02
    with pytest.raises(InputError, match="choose from full, half"):
        Network([task], CPU, precision="quarter")


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(InputError, match="choose from torch, compiled, openvino"):
        Network(tasks(1), CPU, engine="abacus")


def test_the_halo_of_an_ensemble_is_its_members_largest_and_measured_once_if_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured: list[int] = []

    def record(model: torch.nn.Module, channels: int) -> Halo | None:
        measured.append(channels)
        return measure_halo(model, channels)

    monkeypatch.setattr("landslide.training.model.measure_halo", record)
    small = {"_target_": "torch.nn.Conv2d", "in_channels": 4, "out_channels": 1, "kernel_size": 1}
    tasks = [make_task(model=small), make_task(), make_task(), make_task(model=small)]
    network = Network(tasks, torch.device("cpu"))
    assert measured == []
    assert network.halo == Halo(16, 96)
    assert measured == [4, 4]
