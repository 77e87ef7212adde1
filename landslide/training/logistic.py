"""The two numbers that make a detector's score a probability, by logistic regression."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from landslide.data.normalization import Normalization
from landslide.data.scene import Sample
from landslide.errors import InputError
from landslide.models.detectors import Detector


@torch.inference_mode()
def fit_detector(
    detector: Detector, normalization: Normalization, samples: Iterable[Sample]
) -> None:
    """Set scale and offset of a detector such that its logits are those of a probability.

    The likelihood of all known pixels is maximised that the detector scores; flat ground is no
    landslide whatever they are.

    Args:
        detector: Its parameters are replaced.
        normalization: Its input's.
        samples: Patches of the training split.

    Raises:
        InputError: No pixel with a score is a landslide, or all are.
    """
    scores, truth = [], []
    for sample in samples:
        score = detector.score_on_slopes(normalization(sample["image"][None]))[0]
        known = (sample["mask"] <= 1) & score.isfinite()
        scores.append(score[known])
        truth.append(sample["mask"][known])
    joined = torch.cat(scores).numpy()
    landslide = torch.cat(truth).numpy().astype(bool)
    if landslide.all() or not landslide.any():
        raise InputError(
            f"{type(detector).__name__} scores no landslide, or nothing else, in the training "
            "split: lower model.min_slope, or choose another split"
        )
    scale, offset = fit_logistic(joined, landslide)
    detector.scale.fill_(scale)
    detector.offset.fill_(offset)


def fit_logistic(scores: NDArray[np.floating], landslide: NDArray[np.bool_]) -> tuple[float, float]:
    """Logistic regression of one variable by maximum likelihood, without a penalty.

    Args:
        scores: (N).
        landslide: (N) truth.

    Returns:
        a and b of the probability 1 / (1 + exp(-(a s + b))) of a score s.
    """
    scores = scores.astype(np.float64)
    middle, spread = scores.mean(), max(scores.std(), 1e-12)
    x = (scores - middle) / spread
    sign = np.where(landslide, -1.0, 1.0)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = parameters[0] * x + parameters[1]
        wrong = sign * expit(sign * logits)  # derivative by the logit
        value = np.logaddexp(0, sign * logits).mean()
        return value, np.array([(wrong * x).mean(), wrong.mean()])

    share = landslide.mean()
    start = np.array([0.0, np.log(share / (1 - share))])
    slope, intercept = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-7}).x
    return float(slope / spread), float(intercept - slope * middle / spread)
