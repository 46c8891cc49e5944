"""CloudMatrix384 (arXiv:2506.12708): a supernode's published rates from its measured operators."""

from dataclasses import replace

import pytest

from bursar import catalog
from bursar.cost import CLOUDMATRIX384, Deployment, Supernode, step_arrays
from bursar.errors import BadInput, Infeasible

SUPERNODE = Supernode(catalog.model("deepseek-r1"), catalog.device("ascend-910c-die"))
WIDE, CONTEXT = 320, 4096 + 128
"""Dies of a decode instance; a prompt of 4,096 tokens and half of an answer of 256."""
RDMA_BYTES_PER_SECOND = 50e9
"""To each die, both directions: the supernode's second network, 400 Gbit/s to an NPU."""
# (batch an NPU, prompt and half the answer, ms between tokens, tokens/s an NPU), as published
AT_50_MS, AT_15_MS = (96, CONTEXT, 49.4, 1943.0), (8, CONTEXT, 14.9, 538.0)
OTHERS = [
    (128, 1024 + 512, 46.8, 2733.0),
    (112, 2048 + 128, 47.4, 2360.0),
    (24, CONTEXT, 24.6, 974.0),
]


def test_the_die_is_half_of_the_npu() -> None:
    die, npu = SUPERNODE.die, catalog.device("ascend-910c")
    for field in ("memory_bytes", "memory_bytes_per_second", "link_bytes_per_second"):
        assert 2 * getattr(die, field) == getattr(npu, field)
    assert {name: 2 * rate for name, rate in die.peak_flops.items()} == npu.peak_flops


def test_the_bus_gives_the_published_times_of_dispatch_and_combine() -> None:
    """152 + 149 us for 128 tokens on each of 256 dies, in each of 58 layers with experts."""
    place = Deployment(
        SUPERNODE.model, SUPERNODE.die, dp=256, dtype="int8", efficiency=CLOUDMATRIX384
    )
    steps = step_arrays(place, 1, CONTEXT, 128 * 256)
    assert float(steps.terms["communication"]) / 58 == pytest.approx(301e-6, rel=0.03)


def test_prefill_is_predicted() -> None:
    """16,384 tokens on each of 16 NPUs, published with perfect balance."""
    assert SUPERNODE.prefill(32, 4096, 4) == pytest.approx(6688, rel=0.10)


@pytest.mark.parametrize("published", [AT_50_MS, AT_15_MS])
def test_decode_is_predicted(published: tuple[int, int, float, float]) -> None:
    batch, context, milliseconds, rate = published
    found = SUPERNODE.decode(WIDE, batch, context)
    assert found.tpot_seconds == pytest.approx(milliseconds / 1e3, rel=0.3)
    assert found.tokens_per_second == pytest.approx(rate, rel=0.3)


def test_the_price_of_a_short_time_between_tokens_is_predicted() -> None:
    """Also when the batch is not given: the largest one that keeps 15 ms."""
    loose, tight = (SUPERNODE.decode(WIDE, x[0], x[1]) for x in (AT_50_MS, AT_15_MS))
    drop = tight.tokens_per_second / loose.tokens_per_second
    assert drop == pytest.approx(538 / 1943, rel=0.3)
    assert SUPERNODE.decode_within(WIDE, CONTEXT, 0.015).tokens_per_second == pytest.approx(
        538, rel=0.3
    )


def test_the_other_rows_are_too_fast_by_a_third() -> None:
    """What operators alone leave out: never too slow, at most 40 % too fast, in the right order."""
    found = [SUPERNODE.decode(WIDE, batch, context) for batch, context, _, _ in OTHERS]
    ratios = [one.tokens_per_second / row[3] for one, row in zip(found, OTHERS, strict=True)]
    assert min(ratios) > 1.3
    assert max(ratios) < 1.4
    rates = [one.tokens_per_second for one in found]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("goal", [0.03, 0.05])
def test_a_slow_bus_erases_what_wide_expert_parallelism_gains(goal: float) -> None:
    """Against the best small domain that keeps fast links: 16 dies (one node), 24 or 32."""
    narrow = max(
        SUPERNODE.decode_within(dies, CONTEXT, goal).tokens_per_second for dies in (16, 24, 32)
    )
    buses = (392e9, 200e9, 100e9, RDMA_BYTES_PER_SECOND)
    wide = [
        SUPERNODE.over(bus).decode_within(WIDE, CONTEXT, goal).tokens_per_second for bus in buses
    ]
    assert wide == sorted(wide, reverse=True)
    assert wide[0] > 1.1 * narrow
    assert wide[-1] < 0.7 * narrow


def test_at_20_ms_even_a_slow_bus_is_better_than_few_dies() -> None:
    """There reading the experts is what binds, and only more dies help."""
    slow = SUPERNODE.over(RDMA_BYTES_PER_SECOND).decode_within(WIDE, CONTEXT, 0.02)
    narrow = SUPERNODE.decode_within(32, CONTEXT, 0.02)
    assert slow.tokens_per_second > 3 * narrow.tokens_per_second


def test_guesses_that_are_never_right_only_cost() -> None:
    right, wrong = (replace(SUPERNODE, accepted=share).decode(WIDE, 96, 4224) for share in (1, 0))
    assert right.tokens_per_second == pytest.approx(2 * wrong.tokens_per_second)
    with pytest.raises(BadInput, match="share"):
        replace(SUPERNODE, accepted=1.5)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(Infeasible, match="GiB"):
        SUPERNODE.decode(16, 100, CONTEXT)
    with pytest.raises(Infeasible, match="GiB"):
        SUPERNODE.decode_within(8, CONTEXT, 0.05)
    with pytest.raises(Infeasible, match="relax"):
        SUPERNODE.decode_within(16, CONTEXT, 0.015)
