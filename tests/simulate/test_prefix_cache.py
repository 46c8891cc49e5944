"""What a prefix cache saves: exactly what was computed before and is still there."""

from dataclasses import replace

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.errors import BadInput
from bursar.policies.batching import BATCHING, BatchState, Decision, PrefillFirst, SarathiServe
from bursar.price import Price
from bursar.simulate import LinearTimes, RooflineTimes, Server, simulate
from bursar.simulate.prefixes import prefixes
from bursar.workload.traces import Blocks, Labels, Trace

TIMES = LinearTimes(0.01, per_token=1e-4)
LLAMA = RooflineTimes(Deployment(catalog.model("llama-3.1-8b"), catalog.device("h100")))


def hashed(arrival: list[float], prompts: list[list[int]], tokens: list[int]) -> Trace:
    """Prompts by their hashes, of 32 tokens each; answers of 4 tokens."""
    offsets = np.cumsum([0, *(len(one) for one in prompts)])
    blocks = Blocks(offsets, np.concatenate(prompts), 32)
    return Trace(arrival, tokens, [4] * len(tokens), blocks=blocks)


def test_only_whole_blocks_from_the_start_are_reused_and_one_token_always_runs() -> None:
    trace = hashed(
        [0.0, 1.0, 2.0, 3.0, 4.0],
        [[1, 2, 3], [1, 2, 3], [1, 2, 9], [9, 2, 3], [1, 2, 3, 4]],
        [96, 96, 96, 96, 100],
    )
    run = simulate(trace, Server(TIMES, 1000, prefix_cache=True), PrefillFirst())
    assert run.cached_tokens.tolist() == [0, 95, 64, 0, 96]
    assert run.prefix_hit_rate == pytest.approx(255 / 484)
    assert run.summary()["prefix_hit_rate"] == run.prefix_hit_rate
    saved = run.ttft_s[0] - run.ttft_s
    np.testing.assert_allclose(saved[:4], 1e-4 * run.cached_tokens[:4], atol=1e-12)


def test_what_has_not_been_used_for_longest_is_forgotten() -> None:
    """Nine blocks hold two prompts of four and an answer's block; five hold one prompt."""
    a, b, c = [1, 2], [3, 4], [5, 6]
    trace = hashed([0.0, 1.0, 2.0, 3.0, 4.0], [a, b, a, c, a], [64] * 5)
    run = simulate(trace, Server(TIMES, 9, prefix_cache=True), PrefillFirst())
    assert run.cached_tokens.tolist() == [0, 0, 63, 0, 63]
    run = simulate(trace, Server(TIMES, 5, prefix_cache=True), PrefillFirst())
    assert run.cached_tokens[2:].sum() == 0


@pytest.mark.parametrize(("blocks", "reused"), [(14, 63), (13, 32)])
def test_what_has_been_free_for_longest_is_taken_first_cached_or_not(
    blocks: int, reused: int
) -> None:
    """Three times five blocks; the second answer's block is of no use, but younger than a prompt's.

    One block less than the third needs beyond those: the end of the first prompt goes.
    """
    trace = hashed([0.0, 1.0, 2.0, 3.0], [[1, 2], [3, 4], [5, 6], [1, 2]], [64] * 4)
    run = simulate(trace, Server(TIMES, blocks, prefix_cache=True), PrefillFirst())
    assert run.cached_tokens.tolist() == [0, 0, 0, reused]


@pytest.mark.parametrize(("answer", "kept"), [(20, 4), (40, 3), (96, 0)])
def test_a_preempted_job_finds_what_others_have_left_of_its_context(answer: int, kept: int) -> None:
    """Two jobs of five blocks fill ten; the second goes, and the first takes its last blocks."""
    trace = Trace([0.0, 0.0], [64, 64], [answer, 90])
    without = Server(TIMES, 10)
    before, after = (
        simulate(trace, server, SarathiServe(watermark=0.0))
        for server in (without, replace(without, prefix_cache=True))
    )
    assert before.preemptions.tolist() == after.preemptions.tolist() == [0, 1]
    saved = before.finished_s - after.finished_s
    np.testing.assert_allclose(saved, [0.0, 1e-4 * 16 * kept], atol=1e-12)
    assert after.prefix_hit_rate == 0  # no prompt was found when it came


class Watched:
    """Notes the fewest free blocks."""

    def __init__(self) -> None:
        self.fewest = 10**9

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        self.fewest = min(self.fewest, state.free_blocks)
        return PrefillFirst().decide(state, now, price)


def test_running_jobs_hold_a_shared_prefix_once() -> None:
    names = Labels.of(["chat"] * 30)
    trace = Trace([0.0, *[1.0] * 29], [800, *[816] * 29], [200] * 30, prefix_id=names)
    apart, together = Watched(), Watched()
    simulate(trace, Server(TIMES, 5000), apart)
    simulate(trace, Server(TIMES, 5000, prefix_cache=True), together)
    answers = 30 * -(-216 // 16)
    assert 5000 - apart.fewest >= 30 * 50
    assert 50 + 30 < 5000 - together.fewest <= 50 + answers


def test_a_named_prefix_is_as_long_as_its_shortest_prompt() -> None:
    names = Labels.of(["a", "", "a", "b", ""])
    trace = Trace(np.arange(5.0), [100, 50, 70, 9, 50], [1] * 5, prefix_id=names)
    parts = prefixes(trace, 16)
    assert [sum(part.blocks for part in one) for one in parts] == [4, 0, 4, 0, 0]
    assert parts[0] == parts[2]


@pytest.mark.parametrize("name", sorted(BATCHING))
def test_every_policy_saves_time_by_it_and_serves_all(name: str) -> None:
    rng = np.random.default_rng(0)
    names = Labels.of(rng.choice(["a", "b", "c"], 400).tolist())
    trace = Trace(
        np.cumsum(rng.exponential(0.02, 400)),
        rng.integers(2000, 2400, 400),
        rng.integers(1, 100, 400),
        prefix_id=names,
    )
    without = Server(LLAMA, blocks=4000)
    before, after = (
        simulate(trace, server, BATCHING[name]())
        for server in (without, replace(without, prefix_cache=True))
    )
    assert after.served.all()
    assert after.prefix_hit_rate > 0.6
    assert before.prefix_hit_rate == 0
    assert np.mean(after.e2e_s) < 0.7 * np.mean(before.e2e_s)


def test_it_changes_nothing_where_prompts_share_nothing() -> None:
    trace = hashed(list(np.arange(20.0) / 50), np.arange(60).reshape(20, 3).tolist(), [96] * 20)
    without = Server(TIMES, blocks=30)
    before, after = (
        simulate(trace, server, PrefillFirst())
        for server in (without, replace(without, prefix_cache=True))
    )
    np.testing.assert_array_equal(after.finished_s, before.finished_s)


def test_hashes_must_be_of_whole_cache_blocks() -> None:
    trace = hashed([0.0], [[1]], [32])
    with pytest.raises(BadInput, match="hashes blocks of 32 tokens, the cache has blocks of 24"):
        simulate(trace, Server(TIMES, 10, block_tokens=24, prefix_cache=True), PrefillFirst())
