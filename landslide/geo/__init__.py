"""Maps without radar: grids and windows, GeoTIFFs, vector files, atomic writing, relief.

In come files of any provider; out come arrays, tables and files on one grid. Every room but
``config`` may import from here, and this room knows nothing of scenes, radar or networks.
"""
