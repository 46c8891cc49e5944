"""Requests by column: what each change of a trace keeps, and what no trace can hold."""

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.workload.traces import (
    Blocks,
    EmpiricalLengths,
    Labels,
    Poisson,
    Trace,
    generated,
    summary,
)


def made(seconds: float = 2000.0, seed: int = 0) -> Trace:
    """Ten requests a second; blocks, prefixes and tenants that tell which request is which."""
    rng = np.random.default_rng(seed)
    lengths = EmpiricalLengths(np.arange(1, 400), np.arange(400, 1, -1))
    bare = generated(Poisson(10.0), lengths, seconds, rng)
    n = len(bare)
    return Trace(
        bare.arrival_s,
        bare.input_tokens,
        bare.output_tokens,
        Blocks(np.arange(n + 1) * 3, np.repeat(bare.input_tokens, 3), 512),
        Labels.of([str(i) for i in bare.input_tokens]),
        Labels.of([f"t{i % 7}" for i in bare.input_tokens]),
        bare.input_tokens % 5,
    )


def check_rows_agree(trace: Trace) -> None:
    """Every column still speaks of the same request."""
    assert trace.blocks is not None
    assert trace.prefix_id is not None
    assert trace.tenant is not None
    assert trace.prefix_id.text().to_list() == [str(i) for i in trace.input_tokens]
    assert trace.tenant.text().to_list() == [f"t{i % 7}" for i in trace.input_tokens]
    assert [trace.blocks.of(i).tolist() for i in range(len(trace))] == [
        [tokens] * 3 for tokens in trace.input_tokens
    ]
    assert trace.priority is not None
    assert np.array_equal(trace.priority, trace.input_tokens % 5)
    assert np.array_equal(trace.input_tokens + trace.output_tokens, np.full(len(trace), 401))


def test_a_faster_trace_has_more_rate_and_the_same_burstiness() -> None:
    trace = made()
    before, after = summary(trace), summary(trace.sped_up(4))
    assert before.rate_per_s is not None
    assert after.rate_per_s == pytest.approx(4 * before.rate_per_s)
    assert after.burstiness == pytest.approx(before.burstiness)
    assert after.input_tokens == before.input_tokens


def test_windows_that_meet_hold_every_request_once() -> None:
    trace = made()
    windows = [trace.window(start, start + 500) for start in (0, 500, 1000, 1500)]
    assert sum(len(w) for w in windows) == len(trace)
    assert sum(int(w.input_tokens.sum()) for w in windows) == trace.input_tokens.sum()
    for window in windows:
        assert window.arrival_s[0] >= 0
        assert window.arrival_s[-1] < 500
        check_rows_agree(window)


def test_thinning_keeps_a_share_and_the_seed_says_which() -> None:
    trace = made()
    thin, again = (trace.thinned(0.3, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(thin.arrival_s, again.arrival_s)
    spread = np.sqrt(len(trace) * 0.3 * 0.7)
    assert abs(len(thin) - 0.3 * len(trace)) < 4 * spread
    assert set(thin.arrival_s) <= set(trace.arrival_s)
    check_rows_agree(thin)


def test_a_bare_request_costs_24_bytes() -> None:
    trace = Trace(np.arange(1e6), np.ones(10**6, dtype=int), np.ones(10**6, dtype=int))
    held = (trace.arrival_s, trace.input_tokens, trace.output_tokens)
    assert sum(column.nbytes for column in held) == 24 * len(trace)


def test_a_trace_can_not_be_written_through() -> None:
    own = np.array([0.0, 1.0])
    trace = Trace(own, np.array([1, 2]), np.array([3, 4]))
    with pytest.raises(ValueError, match="read-only"):
        trace.arrival_s[0] = 9
    own[1] = 2.0
    assert own[1] == 2.0


@pytest.mark.parametrize(
    ("arrival", "inputs", "outputs", "said"),
    [
        ([1, 0], [1, 1], [1, 1], "never decreases"),
        ([-1, 0], [1, 1], [1, 1], "request 0: arrival_s is -1"),
        ([0, np.nan], [1, 1], [1, 1], "request 1: arrival_s is nan"),
        ([0, 1], [1, 1.5], [1, 1], "request 1: input_tokens is 1.5"),
        ([0, 1], [1, 1], [1, 0], "request 1: output_tokens is 0"),
        ([0, 1], [1, 1], [1], "output_tokens has 1 rows, arrival_s has 2"),
    ],
)
def test_no_trace_has(
    arrival: list[float], inputs: list[float], outputs: list[float], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        Trace(np.array(arrival), np.array(inputs), np.array(outputs))


def test_the_changes_say_what_they_can_not_do() -> None:
    trace = made(10)
    with pytest.raises(BadInput, match="factor is 0"):
        trace.sped_up(0)
    with pytest.raises(BadInput, match="is empty"):
        trace.window(3, 3)
    with pytest.raises(BadInput, match=r"share is 1\.5"):
        trace.thinned(1.5, np.random.default_rng(0))


def test_a_summary_by_hand() -> None:
    trace = Trace(np.array([0.0, 1, 2, 5]), np.array([1, 2, 3, 10]), np.array([7, 7, 7, 7]))
    seen = summary(trace)
    assert (seen.requests, seen.duration_s) == (4, 5)
    assert seen.rate_per_s == pytest.approx(3 / 5)
    gaps = [1, 1, 3]
    assert seen.burstiness == pytest.approx(np.std(gaps) / np.mean(gaps))
    assert seen.input_tokens is not None
    assert (seen.input_tokens.mean, seen.input_tokens.p50, seen.input_tokens.max) == (4, 2.5, 10)


def test_a_clock_has_no_burstiness_and_one_moment_no_rate() -> None:
    ones = np.ones(50, dtype=int)
    assert summary(Trace(np.arange(50.0), ones, ones)).burstiness == 0
    at_once = summary(Trace(np.zeros(50), ones, ones))
    assert at_once.rate_per_s is None
    assert at_once.burstiness is None
    nothing = summary(Trace(np.zeros(50), ones, ones).window(1, 2))
    assert nothing.requests == 0
    assert nothing.duration_s is None
    assert nothing.input_tokens is None
