"""Train a landslide model: ``python train.py dataset=ascending_baa_s``."""

import sys

import hydra
from omegaconf import DictConfig

from landslide.config.checks import check_words
from landslide.errors import told_in_a_sentence
from landslide.study.sweeps import run


@hydra.main(config_path="conf", config_name="train", version_base="1.3")
def main(config: DictConfig) -> float:
    """Train, test the best checkpoint and return the validation F1 for the sweeper."""
    # Not a decorator: launchers pickle this function for other processes.
    with told_in_a_sentence():
        return run(config)


if __name__ == "__main__":
    check_words(sys.argv[1:])
    # argparse wants all overrides on one side of a flag; users type them on both sides of -m.
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word in ("-m", "--multirun"))
    main()
