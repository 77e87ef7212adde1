"""What a side-looking radar measures: names of bands, viewing geometry, layover and shadow.

In come bands and relief; out comes what a pixel of theirs means. All later rooms may import
from here.
"""
