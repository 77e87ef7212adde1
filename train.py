"""Train a landslide model: ``python train.py dataset=ascending_baa_s``."""

import sys

from landslide.__main__ import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
