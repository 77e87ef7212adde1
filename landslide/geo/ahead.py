"""Reading ahead: while one part is worked on, a thread reads the next."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Content = TypeVar("Content")


def read_ahead(read: Callable[[Part], Content], parts: Iterable[Part]) -> Iterator[Content]:
    """Yield what ``read`` returns for each part, in order, two at a time in memory."""
    with ThreadPoolExecutor(1) as reader:
        waiting = None
        for part in parts:
            following = reader.submit(read, part)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
