"""BatchLLM (arXiv:2412.03594): an offline batch in the order of its prefixes."""

from dataclasses import replace

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.errors import BadInput
from bursar.policies.batching import SarathiServe
from bursar.policies.ordering import ORDERING
from bursar.simulate import Server, Simulation, server_of, simulate
from bursar.workload.traces import Blocks, Labels, Trace

SERVER = replace(
    server_of(Deployment(catalog.model("llama-2-13b"), catalog.device("a100-sxm-40gb"))),
    prefix_cache=True,
)
"""Room for 15,200 tokens: seven of the prefixes."""
PREFIX, GROUPS = 2000, 40


def offline(seed: int = 2) -> Trace:
    """All at once, 25 requests a group, shuffled: a long shared text, a short question."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.arange(1000) % GROUPS)
    question = rng.integers(0, 200, 1000) * (rng.random(1000) > 0.1)
    answer = np.ceil(rng.lognormal(np.log(80), 0.7, 1000))
    prompt = PREFIX + question
    return Trace(np.zeros(1000), prompt, answer, prefix_id=Labels.of([f"p{n}" for n in names]))


def served(trace: Trace, order: str, server: Server = SERVER) -> Simulation:
    ranked = replace(trace, priority=ORDERING[order]().places(trace))
    return simulate(ranked, server, SarathiServe())


def prefills_per_prefix(run: Simulation) -> float:
    return (1000 - float(run.cached_tokens.sum()) / PREFIX) / GROUPS


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_prefixes_together_outrun_a_cache_of_the_last_used(seed: int) -> None:
    arrival, grouped = (served(offline(seed), order) for order in ("arrival", "batch_llm"))
    assert grouped.finished_s.max() < arrival.finished_s.max() / 2.2
    held = [float(run.timeline.blocks @ run.timeline.seconds) for run in (arrival, grouped)]
    assert held[1] < 0.5 * held[0]
    # A second of its group may be admitted before the first has computed the text.
    assert prefills_per_prefix(grouped) < 1.15
    assert prefills_per_prefix(arrival) > 15


def test_the_order_gains_nothing_where_all_prefixes_stay_cached() -> None:
    """Control: the gain is the cache's, not the order's."""
    plenty = Server(SERVER.times, blocks=10**5, prefix_cache=True)
    arrival, grouped = (served(offline(), order, plenty) for order in ("arrival", "batch_llm"))
    assert grouped.finished_s.max() == pytest.approx(arrival.finished_s.max(), rel=0.05)


def test_equal_beginnings_are_neighbours_at_every_depth_and_short_work_comes_first() -> None:
    hashes = [[1, 2, 3], [7, 8], [1, 4, 5], [7, 9], [1, 2, 6], [1, 4, 5]]
    offsets = np.cumsum([0, *(len(one) for one in hashes)])
    blocks = Blocks(offsets, np.concatenate(hashes), 16)
    trace = Trace(np.zeros(6), [48, 30, 48, 30, 48, 48], np.ones(6), blocks=blocks)
    # 7s: 30 + 14 tokens for two; 1s: 48 + 16 + 32 + 0 for four
    assert ORDERING["batch_llm"]().places(trace).tolist() == [2, 0, 4, 1, 3, 5]


@pytest.mark.parametrize("name", sorted(ORDERING))
def test_an_order_has_a_place_for_each_and_reads_no_answer(name: str) -> None:
    trace, order = offline(), ORDERING[name]()
    places = order.places(trace)
    assert sorted(places) == list(range(1000))
    other = replace(trace, output_tokens=trace.output_tokens[::-1])
    np.testing.assert_array_equal(order.places(other), places)


def test_a_trace_without_prefixes_is_refused() -> None:
    with pytest.raises(BadInput, match="nothing to group"):
        ORDERING["batch_llm"]().places(Trace([0.0], [1], [1]))
