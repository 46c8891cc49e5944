"""A window over weights: order, memory, loading beside the user, errors."""

import threading
from collections.abc import Iterator

import pytest

from bursar.backends.streamed import WeightWindow
from bursar.errors import BadInput, Infeasible


def use(window: WeightWindow[int], count: int) -> Iterator[int]:
    for _ in range(count):
        with window.next_block() as block:
            yield block


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("window_bytes", [10, 20, 25, 1000])
def test_blocks_come_in_order_pass_after_pass(ahead: bool, window_bytes: int) -> None:
    loads: list[int] = []
    alive = WeightWindow(lambda i: loads.append(i) or i, [10] * 4, window_bytes, ahead=ahead)
    with alive as window:
        assert list(use(window, 9)) == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert window.peak_bytes <= window_bytes
    if window_bytes >= 40:
        assert loads == [0, 1, 2, 3]


def test_the_next_block_is_loaded_while_this_one_is_used() -> None:
    begun = [threading.Event() for _ in range(3)]
    with WeightWindow(lambda i: begun[i].set(), [10] * 3, 20) as window:
        with window.next_block():
            assert begun[1].wait(10)
            assert not begun[2].wait(0.05)  # no room while two are held
        assert begun[2].wait(10)


def test_without_a_thread_nothing_is_loaded_before_it_is_asked_for() -> None:
    loads: list[int] = []
    with WeightWindow(loads.append, [10] * 3, 20, ahead=False) as window, window.next_block():
        assert loads == [0]


def test_an_error_in_loading_reaches_the_user() -> None:
    def load(index: int) -> int:
        if index == 1:
            raise OSError("disk gone")
        return index

    with pytest.raises(OSError, match="disk gone"), WeightWindow(load, [10] * 3, 10) as window:
        list(use(window, 3))


def test_what_can_not_fit_is_refused() -> None:
    with pytest.raises(Infeasible, match="2 too few"):
        WeightWindow(lambda i: i, [8, 12], 10)
    with pytest.raises(BadInput, match="at least one"):
        WeightWindow(lambda i: i, [], 10)
