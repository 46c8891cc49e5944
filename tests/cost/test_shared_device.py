"""Laws of a shared device: nothing beyond capacity, nothing lost, hand-worked cases."""

import numpy as np
import pytest

from bursar.cost.shared_device import Operation, SharedDevice, fair_parts
from bursar.errors import BadInput

DEVICE = SharedDevice(100.0, 10.0, 1.0, memory_units=0.5, link_units=0.4, interference=0.0)


def test_alone_an_operation_takes_its_roofline() -> None:
    assert DEVICE.seconds_alone(Operation(flops=200.0, bytes=10.0)) == pytest.approx(2.0)
    assert DEVICE.seconds_alone(Operation(flops=50.0, bytes=30.0)) == pytest.approx(3.0)
    assert DEVICE.seconds_alone(Operation(bytes=10.0, latency_seconds=0.5)) == pytest.approx(1.5)


def test_units_divide_arithmetic_and_half_of_them_keep_the_bandwidth() -> None:
    assert DEVICE.seconds_alone(Operation(flops=100.0, units=0.5)) == pytest.approx(2.0)
    assert DEVICE.seconds_alone(Operation(bytes=10.0, units=0.5)) == pytest.approx(1.0)
    assert DEVICE.seconds_alone(Operation(bytes=10.0, units=0.25)) == pytest.approx(2.0)


def test_different_bottlenecks_overlap_and_equal_ones_do_not() -> None:
    compute = Operation(flops=100.0, lane="a")
    memory = Operation(bytes=10.0, units=0.5, lane="b")
    assert DEVICE.play([compute, memory]).seconds == pytest.approx(1.5)  # 1 s at half, then alone
    assert DEVICE.play([memory, Operation(bytes=10.0, lane="c")]).seconds == pytest.approx(2.0)


def test_who_wants_few_units_gets_them() -> None:
    assert fair_parts([1.0, 0.3], 1.0) == pytest.approx([0.7, 0.3])
    assert fair_parts([1.0, 0.3, 0.9], 1.0) == pytest.approx([0.35, 0.3, 0.35])


def test_small_demands_are_met_first() -> None:
    """10 a second: one wants 2 of it, so the other two get 4 each."""
    small = Operation(flops=50.0, bytes=1.0, units=1.0)
    large = Operation(bytes=10.0, units=1.0)
    device = SharedDevice(300.0, 10.0, interference=0.0)  # a third of the units each
    speeds = device.speeds([small, large, large])
    assert speeds == pytest.approx([2.0, 0.4, 0.4])


def test_interference_takes_bandwidth_only_from_those_that_share_it() -> None:
    device = SharedDevice(100.0, 10.0, interference=0.2)
    both = [Operation(bytes=10.0, units=0.5), Operation(bytes=10.0, units=0.5)]
    assert sum(device.speeds(both)) == pytest.approx(0.8)
    assert device.speeds([both[0], Operation(flops=1.0, units=0.5)])[0] == pytest.approx(1.0)


def test_order_lanes_and_latency() -> None:
    first = Operation(flops=100.0, lane="a", latency_seconds=1.0)
    second = Operation(flops=100.0, lane="a")
    third = Operation(flops=100.0, lane="b", after=(1,))
    played = DEVICE.play([first, second, third])
    assert played.starts == pytest.approx((0.0, 2.0, 3.0))
    assert played.ends == pytest.approx((2.0, 3.0, 4.0))


def test_an_operation_without_work_takes_its_latency() -> None:
    empty = Operation(lane="a", latency_seconds=0.5)
    played = DEVICE.play([empty, Operation(lane="a"), Operation(flops=100.0, lane="a")])
    assert played.ends == pytest.approx((0.5, 0.5, 1.5))


def test_a_circle_is_refused() -> None:
    with pytest.raises(BadInput, match="no circle"):
        DEVICE.play([Operation(after=(1,), lane="a"), Operation(after=(0,), lane="b")])
    with pytest.raises(BadInput, match="interference = 1"):
        SharedDevice(1.0, 1.0, interference=1.0)


@pytest.mark.parametrize("seed", range(20))
def test_no_schedule_beats_the_bound_or_wastes_more_than_running_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    operations = [
        Operation(
            flops=float(rng.exponential(100.0)),
            bytes=float(rng.exponential(10.0)),
            link_bytes=float(rng.exponential(1.0)),
            units=float(rng.uniform(0.1, 1.0)),
            lane=str(rng.integers(3)),
            after=tuple(int(x) for x in rng.choice(i, min(i, 2), replace=False)),
        )
        for i in range(12)
    ]
    seconds = DEVICE.play(operations).seconds
    assert seconds >= DEVICE.bound_seconds(operations)
    for running in (operations[:3], operations[3:8]):
        speeds = DEVICE.speeds(running)
        for name, capacity in (("flops", 100.0), ("bytes", 10.0), ("link_bytes", 1.0)):
            used = sum(s * getattr(x, name) for s, x in zip(speeds, running, strict=True))
            assert used <= capacity * (1 + 1e-9)
