"""Train a landslide model: ``python train.py dataset=ascending_baa_s``."""

from landslide.programs.train import main

if __name__ == "__main__":
    main()
