import time
from collections.abc import Callable
from threading import Barrier

import pytest

from landslide.geo.grid import Window
from landslide.prepare.threads import read_side_by_side

WINDOWS = [Window(0, number, 1, 1) for number in range(20)]


def test_results_come_in_the_order_of_the_windows() -> None:
    def read(window: Window) -> int:
        time.sleep(0.01 if window.col % 3 == 0 else 0)
        return window.col

    found = list(read_side_by_side([read] * 3, WINDOWS))
    assert found == [(window, window.col) for window in WINDOWS]


def test_readers_read_at_the_same_time_and_each_one_window_at_once() -> None:
    meet = Barrier(2, timeout=10)

    def reader(busy: list[bool]) -> Callable[[Window], None]:
        def read(window: Window) -> None:
            assert not busy
            busy.append(True)
            meet.wait()
            busy.pop()

        return read

    assert len(list(read_side_by_side([reader([]), reader([])], WINDOWS))) == len(WINDOWS)


def test_no_more_results_wait_than_there_are_readers() -> None:
    begun: list[int] = []

    def read(window: Window) -> None:
        begun.append(window.col)

    for number, _ in enumerate(read_side_by_side([read] * 2, WINDOWS)):
        time.sleep(0.005)
        assert len(begun) <= number + 1 + 2


def test_the_error_of_a_reader_is_raised() -> None:
    def read(window: Window) -> None:
        if window.col == 7:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(read_side_by_side([read] * 2, WINDOWS))
