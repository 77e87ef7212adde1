"""Which quiet dates a sample takes."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from builders import make_stack
from commands import composed
from hydra.utils import instantiate

from landslide.errors import InputError
from landslide.geo.files import write_json
from landslide.geo.grid import Grid, Window
from landslide.geo.metadata import scene_info
from landslide.geo.rasters import write_raster
from landslide.implant.dates import Calendar, DrawnFor, QuietDates
from landslide.radar.stack import dates_path


@pytest.mark.parametrize(("count", "after"), [(6, 1), (10, 1), (13, 2), (24, 2)])
def test_no_split_has_the_dates_after_of_another(count: int, after: int) -> None:
    calendar = Calendar(count, None, after, 1, "stack")
    rng = np.random.default_rng(0)
    splits: tuple[DrawnFor, ...] = ("train", "val", "test")
    seen: dict[str, set[int]] = {}
    for split in splits:
        seen[split] = set()
        for _ in range(300):
            choice = calendar.draw(rng, split)
            every = np.concatenate(choice)
            assert len(set(every.tolist())) == len(every) == calendar.before + 2 * after
            assert 0 <= every.min() <= every.max() < count
            seen[split] |= set(choice.after.tolist())
            if split != "train":
                assert choice.before.max() < choice.after.min()

    assert not seen["train"] & (seen["val"] | seen["test"])
    assert not seen["val"] & seen["test"]


def test_few_dates_are_shared_by_validation_and_test_but_not_by_training() -> None:
    calendar = Calendar(5, None, 1, 2, "stack")
    rng = np.random.default_rng(0)

    assert {int(calendar.draw(rng, "val").after[0]) for _ in range(50)} == {4}
    assert {int(calendar.draw(rng, "test").after[0]) for _ in range(50)} == {4}
    assert 4 not in {int(calendar.draw(rng, "train").after[0]) for _ in range(50)}


def test_a_look_at_dates_is_in_order_of_time() -> None:
    calendar = Calendar(12, None, 1, 2, "stack")
    rng = np.random.default_rng(0)
    for _ in range(100):
        choice = calendar.draw(rng, "view")
        assert choice.before.max() < choice.after.min()


def test_most_training_samples_are_drawn_in_and_out_of_order_of_time() -> None:
    calendar = Calendar(12, 4, 1, 1, "stack")
    rng = np.random.default_rng(0)
    choices = [calendar.draw(rng, "train") for _ in range(500)]

    assert calendar.before == 4
    in_order = np.mean([choice.before.max() < choice.after.min() for choice in choices])
    assert 0.5 < in_order < 0.75
    assert all((np.diff(choice.before) > 0).all() for choice in choices)


def test_too_few_dates_are_one_sentence_that_names_a_detector() -> None:
    with pytest.raises(InputError, match=r"4 quiet dates .* needs 5: .*checkpoint=log_ratio"):
        Calendar(4, None, 1, 2, "dates/ascending.tif")


def test_offsets_of_whole_dates_are_found(tmp_path: Path) -> None:
    rain = [0.0, 0.0, 3.0, 0.0, -2.0, 0.0]
    dates = QuietDates(make_stack(tmp_path, rain=rain), "ascending", ["vv", "vh"], 2**30)

    found = dates.offsets - np.median(dates.offsets, axis=0)
    np.testing.assert_allclose(found, np.array(rain)[:, None].repeat(2, 1), atol=0.3)
    assert len(dates.days) == 6


def test_windows_are_read_alike_from_memory_and_from_the_file(tmp_path: Path) -> None:
    root = make_stack(tmp_path)
    memory, file = (QuietDates(root, "descending", ["vh", "vv"], limit) for limit in (2**30, 0))
    window, dates = Window(-5, 200, 40, 70), np.array([4, 0])

    image = memory.read(window, dates)

    np.testing.assert_array_equal(image, file.read(window, dates))
    assert image.shape == (2, 2, 40, 70)
    assert np.isnan(image[:, :, :5]).all()
    assert np.isnan(image[..., 56:]).all()
    assert np.isfinite(image[:, :, 5:, :56]).all()


def test_a_scene_without_dates_says_what_to_prepare(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no dates/ascending.tif: prepare .*sar.before=12"):
        QuietDates(tmp_path, "ascending", ["vv"], 0)


def test_despeckled_dates_are_refused(tmp_path: Path) -> None:
    root = make_stack(tmp_path)
    info = scene_info(root)
    write_json(root / "scene.json", info | {"options": {"despeckle": "temporal"}})
    with pytest.raises(InputError, match=r"were despeckled \(temporal\).*despeckle=none"):
        QuietDates(root, "ascending", ["vv"], 0)


def test_a_scene_in_vv_alone_is_told_which_bands_work(tmp_path: Path) -> None:
    root = make_stack(tmp_path, before=9)
    for path in (root / "ascending.tif", dates_path(root, "ascending")):
        with rasterio.open(path) as source:
            names = [name for name in source.descriptions if not name.startswith("vh")]
            image = source.read([source.descriptions.index(name) + 1 for name in names])
            grid = Grid.of(source)
        write_raster(path, image, grid, names, np.nan)

    with pytest.raises(InputError, match="no date of vh before the event") as raised:
        QuietDates(root, "ascending", ["vv", "vh"], 0)

    option = str(raised.value).split("'")[1]
    assert "vh" not in option
    words = ["experiment=tonight", "split=time", "output_dir=x", option, f"dataset.root={root}"]
    instantiate(composed(*words).datamodule).setup()


def test_dates_are_quiet_before_the_time_of_the_event(tmp_path: Path) -> None:
    root = make_stack(tmp_path)
    info = json.loads((root / "scene.json").read_text())
    del info["stack"]
    info["event"] = {"time": "2018-07-08T03:07:00+09:00"}
    (root / "scene.json").write_text(json.dumps(info))

    days = QuietDates(root, "ascending", ["vv"], 0).days
    assert [day.isoformat() for day in days] == [
        "2018-06-01",
        "2018-06-13",
        "2018-06-25",
        "2018-07-07",
    ]

    info["event"] = "generated"
    (root / "scene.json").write_text(json.dumps(info))
    with pytest.raises(InputError, match="has no time of the event"):
        QuietDates(root, "ascending", ["vv"], 0)


def test_offsets_are_those_of_slopes_and_not_of_the_sea(tmp_path: Path) -> None:
    root = make_stack(tmp_path)
    with rasterio.open(root / "ascending.tif", "r+") as sink:
        number = sink.descriptions.index("slope") + 1
        slope = sink.read(number)
        slope[:, :100] = 0
        sink.write(slope, number)
    dry = QuietDates(root, "ascending", ["vv"], 2**30)
    with rasterio.open(root / "dates" / "ascending.tif", "r+") as sink:
        windy = sink.read(5)
        windy[:, :100] *= 10  # the sea on one date
        sink.write(windy, 5)

    wet = QuietDates(root, "ascending", ["vv"], 2**30)

    np.testing.assert_allclose(wet.offsets, dry.offsets, atol=0.02)
    np.testing.assert_allclose(wet.levels, dry.levels, atol=0.02)


def test_dates_that_share_no_ground_are_measured_each_on_its_own(tmp_path: Path) -> None:
    root = make_stack(tmp_path, before=8, rain=[0, 0, 2.0])
    whole = QuietDates(root, "ascending", ["vv"], 2**30).offsets
    with rasterio.open(root / "dates" / "ascending.tif", "r+") as sink:
        for number, columns in ((1, slice(0, 128)), (5, slice(128, 256))):
            date = sink.read(number)
            date[:, columns] = np.nan
            sink.write(date, number)

    parts = QuietDates(root, "ascending", ["vv"], 2**30).offsets

    np.testing.assert_allclose(parts, whole, atol=0.4)
