"""Images and elevation from an open archive: search, choose, fetch what lies in the area.

``plan`` says what there is and what would be taken; ``acquire`` fetches it.
"""

from landslide.prepare.stac.acquisition import acquire, plan

__all__ = ["acquire", "plan"]
