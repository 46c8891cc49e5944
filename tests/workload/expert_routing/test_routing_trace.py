"""Routing traces: what they refuse, what shuffling keeps, what the recording holds."""

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.workload.expert_routing import RoutingTrace, recorded


def trace(tokens: int = 6, layers: int = 3, experts: int = 4) -> RoutingTrace:
    rng = np.random.default_rng(0)
    route = rng.permuted(np.tile(np.arange(experts), (tokens, layers, 1)), axis=2)[:, :, :2]
    shares = np.full(route.shape, 0.5, np.float32)
    return RoutingTrace(route, shares, np.arange(tokens), np.arange(tokens) // 2, experts)


def test_columns_of_different_lengths_are_refused() -> None:
    whole = trace()
    with pytest.raises(BadInput, match=r"token \(5,\).*the others \(tokens,\)"):
        RoutingTrace(whole.experts, whole.shares, whole.token[:5], whole.question, 4)


def test_an_expert_that_is_not_there_is_refused() -> None:
    whole = trace()
    with pytest.raises(BadInput, match=r"experts run from 0 to 3; .* there are 3"):
        RoutingTrace(whole.experts, whole.shares, whole.token, whole.question, 3)


def test_load_counts_every_visit_once() -> None:
    whole = trace()
    assert (whole.num_layers, whole.top_k, len(whole)) == (3, 2, 6)
    assert whole.load().sum(1).tolist() == [12, 12, 12]
    assert whole.load()[1, 2] == (whole.experts[:, 1] == 2).sum()


def test_shuffling_keeps_loads_and_breaks_routes() -> None:
    fit, _ = recorded()
    shuffled = fit.shuffled(np.random.default_rng(0))
    np.testing.assert_array_equal(shuffled.load(), fit.load())
    before, after = ((t.experts[:, 0, 0] * 16 + t.experts[:, 1, 0]) for t in (fit, shuffled))
    assert np.bincount(before).max() > 1.5 * np.bincount(after).max()


def test_the_recording_has_two_parts_without_a_common_question() -> None:
    fit, held_out = recorded()
    assert not set(fit.question) & set(held_out.question)
    assert (fit.num_layers, fit.num_experts, fit.top_k) == (6, 16, 2)
    for part in (fit, held_out):
        assert len(part) > 10_000
        assert (part.experts[..., 0] != part.experts[..., 1]).all()
        np.testing.assert_allclose(part.shares.sum(2), 1, atol=2e-3)  # stored as float16
        assert (part.shares[..., 0] >= part.shares[..., 1]).all()
