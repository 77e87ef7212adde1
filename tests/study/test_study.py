"""A sweep's tables: chosen on validation, tested with pairs, refused when not comparable."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import write_run
from commands import composed, run_program
from scipy import stats

from landslide.errors import InputError
from landslide.study.effects import _estimate, effects, holm
from landslide.study.leaderboard import write_leaderboard
from landslide.study.page import write_study
from landslide.study.runs import read_runs, varying_settings
from landslide.study.sweeps import settings_of
from landslide.study.tables import comparable_runs, score_table

BY = ["dataset", "augmentation"]
BANDS = {"ba": ["vv_pre", "vv_post1", "slope"], "baa": ["vv_pre", "vv_post1", "vv_post2", "slope"]}


def dataset(orbit: str, dates: str) -> dict[str, object]:
    name = f"{orbit}_{dates}_s"
    return {
        "dataset": name,
        "dataset.name": name,
        "dataset.orbit": orbit,
        "dataset.bands": BANDS[dates],
    }


@pytest.fixture
def best(tmp_path: Path) -> Path:
    """The paper's eight rows, three seeds, with a known effect of flips on each orbit."""
    rng = np.random.default_rng(0)
    rows = product(("ascending", "descending"), BANDS, ("flips", "none"), range(3))
    for i, (orbit, dates, flips, seed) in enumerate(rows):
        gain = {"ascending": 0.04, "descending": -0.03}[orbit] if flips == "flips" else 0
        f1 = 0.5 + gain + 0.02 * (dates == "baa") + 0.05 * seed + 0.002 * rng.normal()
        settings = {"augmentation": flips, "seed": seed, "batch_size": len(flips)}
        write_run(tmp_path / "best", f"run{i}", f1, f1, **dataset(orbit, dates), **settings)
    return tmp_path / "best"


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """One dataset, one seed: where validation is best, the test score is worst."""
    for i, (filters, batch, flips) in enumerate(product((2, 4, 8), (4, 8), ("flips", "none"))):
        val = 0.4 + 0.01 * filters + 0.001 * batch
        write_run(
            tmp_path / "grid",
            f"run{i}",
            val,
            0.9 - val + 0.01 * (flips == "flips"),
            **dataset("ascending", "ba"),
            augmentation=flips,
            batch_size=batch,
            **{"model.filters": filters},
        )
    return tmp_path / "grid"


def runs_of(sweep: Path, by: list[str] = BY, *, partial: bool = False) -> pd.DataFrame:
    return comparable_runs(read_runs(sweep), sweep, by, partial=partial)


def test_differences_that_are_all_the_same_have_no_p_value() -> None:
    # 2 points each but for the last bits, as differences of scores in percent are.
    rounded = 2 + pd.Series([0.0, 1, -1, 2, -2, 1]) * np.spacing(2.0)
    assert rounded.nunique() > 1
    for differences in (pd.Series([-1.0] * 6), rounded):
        found = _estimate(differences, 0.25)
        assert found["mean"] == pytest.approx(differences.iloc[0])
        assert np.isnan([found["low"], found["high"], found["p"]]).all()


def test_the_setting_is_chosen_on_validation_alone(grid: Path) -> None:
    table = score_table(runs_of(grid), BY)
    assert list(table["model.filters"]) == [8, 8]
    assert list(table.batch_size) == [8, 8]
    assert list(table.f1) == pytest.approx([41.2 + 1, 41.2])  # the worst on test
    assert "f1_std" not in table  # one seed


def test_a_seed_that_lacks_folds_is_no_division_of_its_own(tmp_path: Path) -> None:
    # Three seeds of one division, F1 40, 50 and 90; the last lacks a fold.
    for seed, score in enumerate((0.4, 0.5, 0.9)):
        for fold in range(2 if seed < 2 else 1):
            settings = dataset("ascending", "baa") | {"seed": seed, "split.fold": fold}
            write_run(tmp_path, f"{seed}{fold}", 0.5, score, {"tested": f"{fold}"}, **settings)
    runs = comparable_runs(read_runs(tmp_path), tmp_path, ["dataset"], partial=True)
    row = score_table(runs, ["dataset"]).iloc[0]
    assert (row.f1, row.f1_std) == pytest.approx((45, 50**0.5), abs=1e-6)
    assert row.divisions == 1


def test_seeds_of_one_division_count_as_one(tmp_path: Path) -> None:
    f1 = {(0, "a"): 0.5, (1, "a"): 0.7, (2, "a"): 0.6, (3, "b"): 0.4}
    for (seed, division), score in f1.items():
        settings = dataset("ascending", "baa") | {"seed": seed}
        write_run(tmp_path, f"{seed}", 0.5, score, {"tested": division}, **settings)
    runs = comparable_runs(read_runs(tmp_path), tmp_path, ["dataset"], partial=False)
    row = score_table(runs, ["dataset"]).iloc[0]
    # Divisions score 60 and 40: the mean is 50 and the standard deviation 10 times the root of 2.
    assert (row.f1, row.f1_std) == pytest.approx((50, 14.142), abs=1e-3)
    assert (row.seeds, row.divisions) == (4, 2)
    write_study(runs, ["dataset"], tmp_path, tmp_path / "study")
    text = (tmp_path / "study" / "study.md").read_text()
    assert "standard deviation over 2 divisions of the scene" in text


def test_rows_scored_on_less_ground_are_named(tmp_path: Path) -> None:
    for model, folds in (("a", 3), ("b", 2)):
        for fold in range(folds):
            settings = dataset("ascending", "baa") | {"model": model, "split.fold": fold}
            write_run(tmp_path, f"{model}{fold}", 0.5, 0.5, **settings)
    quiet = json.loads((tmp_path / "a0" / "metrics.json").read_text())
    quiet["test"] |= {"f1": None, "tp": 0, "fn": 0}
    (tmp_path / "a0" / "metrics.json").write_text(json.dumps(quiet))
    runs = comparable_runs(read_runs(tmp_path), tmp_path, ["model"], partial=True)
    write_study(runs, ["model"], tmp_path, tmp_path / "study")
    text = (tmp_path / "study" / "study.md").read_text()
    assert "Of 3 distinct splits some rows are scored on fewer: b on 2." in text
    assert "1 run had no landslide in the test split." in text


def test_one_lucky_seed_does_not_beat_several(best: Path) -> None:
    write_run(best, "lucky", 0.99, 0.99, **dataset("ascending", "ba"), augmentation="none")
    table = score_table(runs_of(best), BY)
    assert set(table.seeds) == {3}


def test_rows_give_mean_and_standard_deviation_beside_the_papers(best: Path) -> None:
    runs = runs_of(best)
    table = score_table(runs, BY).set_index(BY)
    assert len(table) == 8
    row = table.loc[("ascending_baa_s", "flips")]
    part = runs[(runs.dataset == "ascending_baa_s") & (runs.augmentation == "flips")]
    scores = [float(f1) for f1 in part.test_f1]
    assert row.f1 == pytest.approx(100 * np.mean(scores))
    assert row.f1_std == pytest.approx(100 * np.std(scores, ddof=1))
    assert row.seeds == 3
    assert (row.paper_precision, row.paper_recall) == (53.59, 71.60)
    assert (row.paper_f1, row.paper_iou) == (61.15, 44.13)


def test_differences_are_paired_by_seed(best: Path) -> None:
    runs = runs_of(best)
    table = effects(runs, BY).set_index(["difference", "where"])
    row = table.loc[("flips - none", "orbit ascending")]
    # Two datasets of the orbit, averaged within each seed, against scipy's paired test.
    f1 = runs[runs["dataset.orbit"] == "ascending"].assign(f1=100 * runs.test_f1.astype(float))
    with_, without = (f1[f1.augmentation == a].groupby("seed").f1.mean() for a in ("flips", "none"))
    difference = with_ - without
    # Three splits, 9 patches tested and 36 trained on: the variance is 1/3 + 1/4 of s².
    reach = stats.t.ppf(0.975, 2) * np.sqrt((1 / 3 + 9 / 36) * difference.var(ddof=1))
    assert row["mean"] == pytest.approx(difference.mean())
    assert row.low == pytest.approx(difference.mean() - reach)
    assert row.high == pytest.approx(difference.mean() + reach)
    assert (row.over, row.units, row.pairs) == ("splits", 3, 6)
    assert table.p.isna().all()  # of three splits there is no test
    assert table.loc[("flips - none", "orbit descending"), "mean"] == pytest.approx(-3, abs=0.5)
    assert table.loc[("with vv_post2 - without vv_post2", "all"), "mean"] == pytest.approx(2, abs=1)
    assert table.loc[("ascending - descending", "augmentation flips"), "mean"] > 6


def test_datasets_of_unlike_bands_are_compared_by_name(tmp_path: Path) -> None:
    unlike = {"paper": BANDS["baa"], "stack": ["vv_pre_mean", "vv_post_mean", "slope"]}
    for (name, bands), seed, normalization in product(unlike.items(), range(3), ("zscore", "none")):
        if (name, normalization) == ("stack", "none"):
            continue
        settings = dataset("ascending", "baa") | {"dataset": name, "dataset.bands": bands}
        f1 = 0.5 + 0.1 * (name == "stack") + 0.01 * seed
        settings |= {"seed": seed, "normalization": normalization}
        write_run(tmp_path, f"{name}{seed}{normalization}", f1, f1, **settings)
    by = ["dataset", "normalization"]
    found = effects(runs_of(tmp_path, by), by).set_index(["difference", "where"])
    assert found.loc[("paper - stack", "all"), "mean"] == pytest.approx(-10)
    # Stacks have one normalisation, so that its level would repeat the same pairs.
    assert [where for difference, where in found.index if difference == "paper - stack"] == ["all"]


def test_with_one_seed_settings_are_paired(grid: Path) -> None:
    (row,) = effects(runs_of(grid), BY).itertuples()
    assert (row.difference, row.where, row.pairs) == ("flips - none", "all", 6)
    assert (row.over, row.units) == ("settings", 6)
    assert row.mean == pytest.approx(1)
    assert np.isnan(row.p)  # settings of one split are no sample of splits
    assert np.isnan(row.p_holm)


@pytest.fixture
def variants(tmp_path: Path) -> Path:
    """Three variants, three seeds, on one split; validation and test disagree on b."""
    gains = {"a": (0.05, 0.04), "b": (-0.02, 0.03), "baseline": (0, 0)}
    for (variant, (val, test)), seed in product(gains.items(), range(3)):
        settings = {"variant": variant, "loss": variant, "loss.gamma": len(variant), "seed": seed}
        f1 = 0.4 + 0.03 * seed
        noise = 0.001 * seed * len(variant)
        split = {"split": "blocks", "split.seed": 0, **dataset("ascending", "baa")}
        folder = tmp_path / "beyond"
        write_run(folder, f"{variant}{seed}", f1 + val, f1 + test + noise, **settings, **split)
    return tmp_path / "beyond"


def test_variants_are_compared_with_the_baseline_alone(variants: Path) -> None:
    runs = runs_of(variants, ["variant"])
    table = effects(runs, ["variant"]).set_index("difference")
    assert list(table.index) == ["a - baseline", "b - baseline"]
    assert list(table.validation) == pytest.approx([5, -2])
    assert table["mean"]["a - baseline"] == pytest.approx(4 - 0.7)
    assert table.p.isna().all()  # one split
    assert (table.over == "seeds").all()
    scores = score_table(runs, ["variant"])
    assert list(scores.variant) == ["baseline", "a", "b"]
    assert "loss" not in scores  # follows from the variant
    assert varying_settings(runs) == ["seed", "variant"]


def test_seeds_of_one_split_can_be_rows(variants: Path) -> None:
    runs = runs_of(variants, ["variant", "seed"])
    assert len(score_table(runs, ["variant", "seed"])) == 9
    assert set(effects(runs, ["variant", "seed"]).factor) == {"variant"}


def test_a_variant_may_not_change_the_protocol(variants: Path) -> None:
    for seed in range(3):
        settings = {"variant": "c", "split": "blocks", "split.seed": 1, "seed": seed}
        write_run(variants, f"c{seed}", 0.5, 0.5, **settings)
    with pytest.raises(InputError, match=r"a is scored on 1 splits and c on 1, .* share 0"):
        runs_of(variants, ["variant"])


def test_a_study_of_one_split_says_so(variants: Path, tmp_path: Path) -> None:
    write_study(runs_of(variants, ["variant"]), ["variant"], variants, tmp_path / "study")
    page_text = (tmp_path / "study" / "study.md").read_text()
    assert "Seeds redraw weights and order of one split" in page_text
    assert "| a - baseline | all | +3.30 |" in page_text


HAND = [1.0, 2.0, 3.0, 4.0, 5.0]


def write_folds(sweep: Path, seeds: int, differences: list[float], *, splits: int = 5) -> None:
    """Flips better than none by so many points in each fold, alike in all seeds."""
    for seed, fold, flips in product(range(seeds), range(splits), ("flips", "none")):
        f1 = 0.5 + (differences[fold] / 100 if flips == "flips" else 0)
        split = {"seed": seed, "split.seed": 0, "split.fold": fold, "split": "blocks"}
        settings = {**dataset("ascending", "ba"), **split, "augmentation": flips}
        write_run(sweep, f"{seed}-{fold}-{flips}", f1, f1, **settings)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_corrected_test_against_hand_worked_numbers(tmp_path: Path, seeds: int) -> None:
    write_folds(tmp_path / "s", seeds, HAND)
    (row,) = effects(runs_of(tmp_path / "s"), BY).itertuples()
    # Mean 3, s² = 2.5; (1/5 + 9/36) s² = 1.125; t = 3 / sqrt(1.125) = 2 sqrt(2) with 4 degrees of
    # freedom, whose distribution is sin θ (1 + cos² θ / 2) with tan θ = t / 2 (Abramowitz and
    # Stegun 26.7.4): sqrt(2/3) (1 + 1/6).
    assert row.mean == pytest.approx(3)
    assert row.p == pytest.approx(1 - np.sqrt(2 / 3) * 7 / 6, abs=1e-6)
    assert row.p_holm == row.p
    assert row.high - row.mean == pytest.approx(2.7764451 * np.sqrt(1.125), abs=1e-5)
    assert (row.over, row.units, row.pairs) == ("splits", 5, 5 * seeds)


def test_two_splits_met_five_times_give_no_p_value(tmp_path: Path) -> None:
    for seed, flips in product(range(5), ("flips", "none")):
        f1 = 0.5 + (0.02 + 0.001 * (seed % 2)) * (flips == "flips")
        settings = {**dataset("ascending", "ba"), "augmentation": flips, "seed": seed}
        same = {"tested": f"of {seed % 2}"}
        write_run(tmp_path / "s", f"{seed}{flips}", f1, f1, same, **settings)
    (row,) = effects(runs_of(tmp_path / "s"), BY).itertuples()
    assert (row.over, row.units, row.pairs) == ("splits", 2, 5)
    assert np.isnan(row.p)
    assert np.isnan(row.p_holm)


@pytest.mark.slow
def test_the_corrected_test_keeps_its_level_where_splits_share_training() -> None:
    # Differences of five splits, correlated as a quarter of tested per trained patches makes them:
    # correlation (1/4) / (1 + 1/4), no effect. Student's test rejects far too often.
    rng = np.random.default_rng(0)
    draws = np.sqrt(0.8) * rng.normal(size=(4000, 5)) + np.sqrt(0.2) * rng.normal(size=(4000, 1))
    rejected = {
        ratio: np.mean([_estimate(pd.Series(draw), ratio)["p"] < 0.05 for draw in draws])
        for ratio in (0.25, 0.0)
    }
    assert rejected[0.25] == pytest.approx(0.05, abs=0.012)
    assert rejected[0.0] > 0.12


def test_folds_are_pooled_to_one_score(tmp_path: Path) -> None:
    found = [(1, 0, 9, 0.2), (80, 20, 0, 0.9)]  # tp, fp, fn, average precision
    for fold, (tp, fp, fn, ap) in enumerate(found):
        run = write_run(tmp_path / "s", str(fold), 0.5, 0.5, **{"split.fold": fold}, dataset="d")
        metrics = json.loads((run / "metrics.json").read_text())
        metrics["test"] |= {"tp": tp, "fp": fp, "fn": fn, "average_precision": ap}
        metrics["test"]["f1"] = 2 * tp / (2 * tp + fp + fn)
        (run / "metrics.json").write_text(json.dumps(metrics))
    (row,) = score_table(runs_of(tmp_path / "s", ["dataset"]), ["dataset"]).itertuples()
    assert row.precision == pytest.approx(100 * 81 / 101)
    assert row.recall == pytest.approx(90)
    assert row.f1 == pytest.approx(100 * 162 / 191)
    assert row.iou == pytest.approx(100 * 81 / 110)
    assert row.average_precision == pytest.approx(55)
    assert (row.seeds, row.folds) == (1, 2)
    assert row.f1_lowest == pytest.approx(100 * 2 / 11)
    write_leaderboard(tmp_path / "s")
    board = pd.read_csv(tmp_path / "s" / "leaderboard.csv")
    assert list(board.folds) == [2]


def test_runs_of_another_scene_are_refused_and_of_another_code_named(tmp_path: Path) -> None:
    for seed, code in enumerate(("0.1.0+a", "0.1.0+b")):
        facts = {"code": code, "data": {"x.tif": "aa"}}
        write_run(
            tmp_path / "s", f"{seed}", 0.5, 0.5, facts, **dataset("ascending", "ba"), seed=seed
        )
    write_study(runs_of(tmp_path / "s", ["dataset"]), ["dataset"], tmp_path / "s", tmp_path / "o")
    assert "1 of 0.1.0+b (such as 1)" in (tmp_path / "o" / "study.md").read_text()
    facts["data"] = {"x.tif": "bb"}
    write_run(tmp_path / "s", "2", 0.5, 0.5, facts, **dataset("ascending", "ba"), seed=2)
    with pytest.raises(InputError, match=r"2 and 0 were trained on different versions of x\.tif"):
        runs_of(tmp_path / "s", ["dataset"])


def test_holm_against_a_hand_worked_example() -> None:
    corrected = holm(np.array([0.04, 0.01, 0.03, 0.5]))
    np.testing.assert_allclose(corrected, [0.09, 0.04, 0.09, 0.5])


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


@pytest.mark.parametrize("sweep", ["best", "grid"])
def test_a_study_is_tables_figures_and_one_page_that_stands_alone(
    sweep: str, request: pytest.FixtureRequest, tmp_path: Path, figures: None
) -> None:
    folder: Path = request.getfixturevalue(sweep)
    output = tmp_path / "study"
    write_study(runs_of(folder), BY, folder, output)
    page = Page()
    page.feed((output / "study.html").read_text())
    drawn = {path.name for path in (output / "figures").iterdir()}
    assert drawn >= {"scores.png", "effects.png", "curves.png"}
    assert ("grid.png" in drawn) == (sweep == "grid")
    assert len(page.images) == len(drawn)
    assert all(source.startswith("data:image/png;base64,") for source in page.images)
    table = pd.read_csv(output / "table.csv")
    page_text = (output / "study.md").read_text()
    for text in ("simulated", "ascending_ba_s", f"{table.f1[0]:.2f}"):
        assert text in page_text
        assert any(text in cell for cell in page.cells)
    tex = (output / "tables.tex").read_text()
    assert tex.count(r"\toprule") == tex.count(r"\bottomrule") == 2
    assert r"ascending\_ba\_s" in tex
    assert ("$\\pm$" in tex) == (sweep == "best")
    assert not re.search(r"(?<!\\)_", tex)


def bad_sweeps() -> list[object]:
    def missing(sweep: Path) -> None:
        pass

    def empty(sweep: Path) -> None:
        sweep.mkdir()

    def half_written(sweep: Path) -> None:
        write_run(sweep, "a", 0.5, 0.5)
        (write_run(sweep, "b", 0.5, 0.5, seed=1) / "metrics.json").unlink()

    def failed(sweep: Path) -> None:
        half_written(sweep)
        (sweep / "b" / "error.txt").write_text("Traceback\nValueError: no\n")

    def truncated(sweep: Path) -> None:
        metrics = write_run(sweep, "a", 0.5, 0.5) / "metrics.json"
        metrics.write_text(metrics.read_text()[:40])

    def untested(sweep: Path) -> None:
        (write_run(sweep, "a", 0.5, 0.5) / "metrics.json").write_text('{"val": {"f1": 1}}')

    def mixed(sweep: Path) -> None:
        write_run(sweep, "a", 0.5, 0.5)
        write_run(sweep, "b", 0.5, 0.5, split="blocks")

    def budgets(sweep: Path) -> None:
        write_run(sweep, "a", 0.5, 0.5)
        write_run(sweep, "b", 0.5, 0.5, **{"trainer.max_epochs": 9})

    return [
        pytest.param(missing, "there is no sweep folder", id="missing"),
        pytest.param(empty, "holds no run of a sweep", id="empty"),
        pytest.param(half_written, "begun 1 are not finished .* b, is unfinished", id="half"),
        pytest.param(failed, "b, is failed", id="failed"),
        pytest.param(truncated, "metrics.json is not readable JSON", id="truncated"),
        pytest.param(untested, "no precision of the val split", id="untested"),
        pytest.param(mixed, "mixes runs of split blocks and random", id="mixed"),
        pytest.param(budgets, "mixes runs of trainer.max_epochs 3 and 9", id="budgets"),
    ]


@pytest.mark.parametrize(("make", "expected"), bad_sweeps())
def test_a_sweep_that_cannot_be_studied_is_refused(
    make: Callable[[Path], None], expected: str, tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    make(sweep)
    with pytest.raises(InputError, match=expected):
        runs_of(sweep, ["seed"])


def test_finished_runs_can_be_studied_while_others_go_on(best: Path) -> None:
    (best / "run0" / "metrics.json").unlink()
    assert len(runs_of(best, partial=True)) == 23


def test_an_unknown_setting_is_refused(best: Path) -> None:
    with pytest.raises(InputError, match="no run has the setting 'orbits'"):
        runs_of(best, ["orbits"])


def test_settings_that_vary_are_listed_once(best: Path) -> None:
    assert varying_settings(read_runs(best)) == ["seed", "dataset", "augmentation", "batch_size"]


def test_a_leaderboard_ranks_by_validation_and_lists_failures(best: Path) -> None:
    (best / "run0" / "metrics.json").unlink()
    (best / "run0" / "error.txt").write_text("Traceback\nValueError: a | b\n")
    (best / "run1" / "metrics.json").unlink()
    write_leaderboard(best)
    board = pd.read_csv(best / "leaderboard.csv")
    assert board.val_f1[:22].is_monotonic_decreasing
    assert set(board.status[22:]) == {"failed", "unfinished"}
    page_text = (best / "leaderboard.md").read_text()
    assert "22 finished, 1 failed, 1 unfinished" in page_text
    assert r"ValueError: a \| b" in page_text
    assert "test" not in page_text
    assert len({line.count("|") - line.count(r"\|") for line in page_text.splitlines()[4:]}) == 1


def name(*overrides: str) -> dict[str, object]:
    config = composed("output_dir=x", *overrides)
    return settings_of(config, {"model": "attention_unet", "trainer": "cpu", "hydra/launcher": "x"})


def test_a_run_is_known_by_what_it_is_not_by_where_it_runs() -> None:
    plain = name()
    for same in ("trainer.accelerator=cpu", "num_workers=3", "logger=tensorboard", "ckpt_path=x"):
        assert name(same) == plain
    for other in ("seed=1", "trainer.precision=16-mixed", "model.filters=8", "split.val_share=0.3"):
        assert name(other) != plain
    assert plain["model"] == "attention_unet"
    assert not any("hydra" in key or key.startswith("output_dir") for key in plain)


@pytest.mark.parametrize(
    ("experiment", "runs"), [("nava2022", 200), ("nava2022_best", 40), ("honest", 40)]
)
def test_an_experiment_is_its_sweep(experiment: str, runs: int) -> None:
    config = composed(f"experiment={experiment}", "dataset.root=here", with_hydra=True)
    params = config.hydra.sweeper.params
    assert np.prod([len(values.split(",")) for values in params.values()]) == runs
    assert config.dataset.root == "here"
    split = "block_split" if experiment == "honest" else "random_split"
    assert config.split._target_ == f"landslide.data.splits.{split}"
    assert config.learning_rate == 1e-3
    assert config.task.model.filters == 32


@pytest.mark.parametrize("experiment", ["nava2022_best", "honest"])
def test_published_batch_sizes(experiment: str) -> None:
    from landslide.study.paper import TABLES

    for (data, augmentation), published in TABLES.items():
        config = composed(
            f"experiment={experiment}",
            f"dataset={data}",
            f"augmentation={augmentation}",
            with_hydra=True,
        )
        assert config.batch_size == published.batch_size


@pytest.mark.slow
def test_the_program_as_a_user_types_it(best: Path, tmp_path: Path) -> None:
    done = run_program("study", f"sweep={best}", "by=dataset", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ascending_ba_s" in done.stdout
    assert (best / "study" / "study.html").exists()
    for override, expected in (("partial=false", "sweep is not set"), ("sweep=no", "folder no")):
        done = run_program("study", override, cwd=tmp_path)
        assert done.returncode == 1
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "no").exists()
