"""Map a scene: ``python predict.py checkpoint=best.ckpt scene=data/demo output=maps/demo``."""

import sys

from landslide.__main__ import main

if __name__ == "__main__":
    main(["predict", *sys.argv[1:]])
