"""Radar measurements: names of bands, viewing geometry, layover and shadow, balance of dates.

In come bands and relief; out comes the meaning of their pixels. All later rooms may import from
here.
"""
