"""Long-context peak analysis (arXiv:2405.08944): every cost of 50K tokens is that of the cache."""

from dataclasses import replace

import numpy as np
import pytest

from bursar import catalog
from bursar.catalog import Attention, ModelSpec
from bursar.cost import DATASHEET, Deployment
from bursar.cost.long_context import LongContext
from bursar.errors import BadInput, Infeasible
from bursar.policies.batching import PrefillFirst
from bursar.simulate import Pool, link_of, server_of, simulate, simulate_split
from bursar.workload.traces import Trace

YI, A100 = catalog.model("yi-34b"), catalog.device("a100-sxm-80gb")
LONG, SHORT = 50_000, 4096
HOST = 20e9
HEADS = (1, 4, 8, 56)
"""Heads of keys and values: multi-query, the model's own 8, and as many as of queries."""


def with_heads(heads: int) -> ModelSpec:
    """The model with another grouping; the cache is all that changes much."""
    blocks = tuple(
        replace(block, kv_heads=heads) if isinstance(block, Attention) else block
        for block in YI.blocks
    )
    return replace(YI, blocks=blocks)


def analysis(model: ModelSpec = YI, tp: int = 1) -> LongContext:
    return LongContext(Deployment(model, A100, tp=tp, efficiency=DATASHEET), HOST)


def counted_bytes(heads: int, tokens: int) -> int:
    """Layers x (keys and values) x heads x width x 2 bytes, from the model card."""
    return 60 * 2 * heads * 128 * 2 * tokens


def most_at_once(model: ModelSpec, tp: int, context: int) -> int:
    """How many of many alike requests the simulated server runs side by side."""
    server = server_of(Deployment(model, A100, tp=tp), max_jobs=1024)
    many = 2 * server.blocks * server.block_tokens // context + 2
    ones = np.ones(many, dtype=np.int64)
    run = simulate(
        Trace(0.0 * ones, (context - 2) * ones, 2 * ones), server, PrefillFirst(1024, watermark=0.0)
    )
    together = run.finished_s[None, :] > run.admitted_s[:, None]
    begun = run.admitted_s[None, :] <= run.admitted_s[:, None]
    return int(np.max(np.sum(together & begun, axis=1)))


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("context", [SHORT, LONG])
def test_bytes_and_switches_are_those_counted_by_hand(heads: int, context: int) -> None:
    found = analysis(with_heads(heads), tp=4).peak(context)
    assert found.kv_bytes == counted_bytes(heads, context)
    shards = min(4, heads)  # one head is not divided; every device then moves a copy
    assert found.switch_seconds == pytest.approx(2 * found.kv_bytes / shards / HOST)


def test_the_published_example() -> None:
    long, short = analysis().peak(LONG), analysis().peak(SHORT)
    assert long.decode_seconds == pytest.approx(9.8, rel=0.02)
    assert short.decode_seconds == pytest.approx(8.5, rel=0.02)
    assert short.prefill_seconds == pytest.approx(0.89, rel=0.05)
    assert 14.1 < long.prefill_seconds < 1.3 * 14.1  # all pairs of a causal mask
    assert long.users < 2 < short.users


@pytest.mark.parametrize(
    ("heads", "tp", "context"),
    [(8, 2, LONG), (8, 4, LONG), (4, 2, LONG), (1, 1, LONG), (8, 1, SHORT), (56, 4, SHORT)],
)
def test_users_are_those_of_the_simulated_server(heads: int, tp: int, context: int) -> None:
    expected = most_at_once(with_heads(heads), tp, context)
    found = analysis(with_heads(heads), tp).peak(context).users
    assert expected > 3
    assert found == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("heads", HEADS)
def test_a_transfer_takes_as_long_as_in_the_simulator(heads: int) -> None:
    model = with_heads(heads)
    place = Deployment(model, A100, tp=8)
    pool = Pool(server_of(place), PrefillFirst())
    one = Trace(np.zeros(1), np.array([LONG]), np.array([2]))
    slow, fast = (
        simulate_split(one, pool, pool, link_of(place, speed)).finished_s[0]
        for speed in (HOST, 1e6 * HOST)
    )
    # the simulated link carries the whole cache; each of the 8 devices has one for its part
    switch = LongContext(place, HOST).peak(LONG).switch_seconds * min(8, heads)
    assert 2 * (slow - fast) == pytest.approx(switch, rel=0.05)


def test_fewer_heads_of_keys_and_values_buy_users_and_switches_in_proportion() -> None:
    many, few = (analysis(with_heads(heads), tp=4).peak(LONG) for heads in (8, 4))
    assert many.switch_seconds == pytest.approx(2 * few.switch_seconds)
    assert few.users == pytest.approx(2 * many.users, rel=0.1)
    # what does not come from the cache hardly moves
    assert few.prefill_seconds == pytest.approx(many.prefill_seconds, rel=0.03)


def test_what_cannot_be_answered_is_refused() -> None:
    with pytest.raises(Infeasible, match="more than 1 devices"):
        LongContext(Deployment(catalog.model("llama-3.1-70b"), A100)).peak(LONG)
    with pytest.raises(BadInput, match="host link"):
        LongContext(Deployment(YI, A100), 0.0)
    with pytest.raises(BadInput, match="use tp"):
        LongContext(Deployment(YI, A100, pp=2))
    with pytest.raises(BadInput, match="1 or more"):
        analysis().peak(0)
