"""Map a scene: ``python predict.py checkpoint=best.ckpt scene=data/demo output=maps/demo``."""

from landslide.programs.predict import main

if __name__ == "__main__":
    main()
