"""Parts that are read in a thread."""

import threading

import pytest

from landslide.geo.ahead import read_ahead


def test_parts_come_in_order_and_the_next_is_read_meanwhile() -> None:
    second = threading.Event()

    def read(part: int) -> int:
        if part == 1:
            second.set()
        return 10 * part

    contents = read_ahead(read, range(3))
    assert next(contents) == 0
    assert second.wait(timeout=10)  # without the next being asked for
    assert list(contents) == [10, 20]
    assert list(read_ahead(read, [])) == []


def test_a_failure_to_read_reaches_the_reader() -> None:
    def read(part: int) -> float:
        return 1 / part

    contents = read_ahead(read, [1, 0, 2])
    assert next(contents) == 1
    with pytest.raises(ZeroDivisionError):
        next(contents)
