"""Train a landslide model: ``python train.py dataset=ascending_baa_s``."""

import hydra
from omegaconf import DictConfig

from landslide.training import train


@hydra.main(config_path="conf", config_name="train", version_base="1.3")
def main(config: DictConfig) -> float:
    """Train, test the best checkpoint and return the validation F1 for the sweeper."""
    return train(config)


if __name__ == "__main__":
    main()
