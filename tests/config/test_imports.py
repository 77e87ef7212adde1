"""Imports while the garbage collector pauses."""

import subprocess
import sys

FIRST_AND_SECOND = """
import gc
from landslide.config.imports import importing

with importing():
    assert not gc.isenabled()
    import xml.dom.minidom
frozen = gc.get_freeze_count()
assert gc.isenabled() and frozen > 1000

class Node: pass
import weakref
node = Node()
node.own = node
kept = weakref.ref(node)
with importing():
    assert gc.isenabled()
del node
gc.collect()
assert kept() is None, "what the second use found is collected"

gc.unfreeze()
try:
    with importing():
        raise ImportError
except ImportError:
    assert gc.isenabled()
"""


def test_only_the_first_imports_are_left_alone_by_the_garbage_collector() -> None:
    subprocess.run([sys.executable, "-c", FIRST_AND_SECOND], check=True)
