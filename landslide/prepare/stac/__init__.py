"""Images and elevation from an open archive: search, choose, download the part in the area."""
