"""FastSwitch (arXiv:2411.18424): what it costs that conversations take turns."""

from dataclasses import replace

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Deployment
from bursar.errors import BadInput, Infeasible
from bursar.policies.batching import ByPriority, BySwap, DrawnPriorities, SarathiServe, blocks_for
from bursar.simulate import HostMemory, Simulation, host_memory_of, server_of, simulate_users
from bursar.workload.traces import ClosedLoop

PLACE = Deployment(catalog.model("llama-3.1-8b"), catalog.device("a10"))
SERVER = server_of(PLACE)
"""The paper's smaller setting: room for 53,000 tokens, 60 GB on the host, PCIe 4."""
BY_BLOCK = host_memory_of(PLACE, 60e9, bytes_per_second=25e9, seconds_per_copy=10e-6)
FAST = replace(BY_BLOCK, group_blocks=60, overlapped=True, keeps_copies=True)
USERS, TURNS = 80, 5


def conversations(seed: int) -> ClosedLoop:
    """Five turns each, questions and answers as people write them, ten seconds of thought."""
    rng, shape = np.random.default_rng(seed), (USERS, TURNS)
    asked = np.ceil(np.minimum(rng.lognormal(np.log(150), 0.9, shape), 1000)).astype(int)
    answer = np.ceil(np.minimum(rng.lognormal(np.log(200), 0.7, shape), 1000)).astype(int)
    prompt = np.cumsum(asked, axis=1) + np.cumsum(answer, axis=1) - answer
    return ClosedLoop(rng.exponential(10.0, shape), prompt, answer, continues=True)


def served(loop: ClosedLoop, host: HostMemory, stay: float) -> Simulation:
    """All in turns that change every two seconds, at random or (`stay`) less abruptly."""
    policy = ByPriority(SarathiServe(max_tokens=512), DrawnPriorities(2.0, levels=8, stay=stay))
    return simulate_users(loop, replace(SERVER, host=host), BySwap(policy))


def first_token_p99(run: Simulation) -> float:
    return float(np.quantile(run.ttft_s, 0.99))


def fairness(loop: ClosedLoop, run: Simulation) -> float:
    """Jain's index, (sum x)^2 / (n sum x^2), of the tokens a second that each user was served."""
    # A user is known by prompt and answer: no two in these loops have both in common.
    users = {
        pair: user
        for user, rows in enumerate(np.stack([loop.input_tokens, loop.output_tokens], axis=2))
        for pair in map(tuple, rows.tolist())
    }
    pairs = zip(run.trace.input_tokens.tolist(), run.trace.output_tokens.tolist(), strict=True)
    user = np.array([users[pair] for pair in pairs])
    rate = np.bincount(user, run.trace.output_tokens) / np.bincount(user, run.e2e_s)
    return float(np.sum(rate) ** 2 / (len(rate) * np.sum(rate**2)))


def blocks_at_the_end(loop: ClosedLoop) -> int:
    """Of all conversations' caches, each counted once."""
    tokens = loop.input_tokens[:, -1] + loop.output_tokens[:, -1] - 1
    return sum(blocks_for(int(one), SERVER.block_tokens) for one in tokens)


@pytest.mark.parametrize(("seed", "stay"), [(1, 0.5), (2, 0.5), (3, 0.5), (1, 0.0)])
def test_far_fewer_copies_and_earlier_first_tokens_no_less_fair(seed: int, stay: float) -> None:
    loop = conversations(seed)
    by_block, fast = (served(loop, host, stay) for host in (BY_BLOCK, FAST))
    assert by_block.preemptions.sum() > fast.preemptions.sum() > 100
    assert fast.transfers.operations < by_block.transfers.operations / 10
    assert first_token_p99(fast) < 0.6 * first_token_p99(by_block)
    assert fairness(loop, fast) > fairness(loop, by_block) - 0.01
    # Each block of a conversation goes to the host once, and again only when it was not full.
    assert fast.prefix_hit_rate > 0.75
    unfilled = loop.input_tokens.size + fast.preemptions.sum()
    assert fast.transfers.blocks_out <= blocks_at_the_end(loop) + unfilled
    assert by_block.transfers.blocks_out > 4 * fast.transfers.blocks_out


def test_each_part_alone_brings_its_own() -> None:
    loop = conversations(1)
    plain = served(loop, BY_BLOCK, 0.5).transfers
    grouped = served(loop, replace(BY_BLOCK, group_blocks=60), 0.5).transfers
    overlapped = served(loop, replace(BY_BLOCK, overlapped=True), 0.5).transfers
    kept = served(loop, replace(BY_BLOCK, keeps_copies=True), 0.5).transfers
    assert 5 * grouped.operations < grouped.blocks_in + grouped.blocks_out
    assert overlapped.stalled_seconds < 0.01 * plain.stalled_seconds
    assert overlapped.operations == overlapped.blocks_in + overlapped.blocks_out
    assert 3 * kept.blocks_out < kept.blocks_in


def test_groups_gain_nothing_where_an_operation_costs_nothing() -> None:
    """Control: the gain of groups is that of fewer operations."""
    free = replace(BY_BLOCK, operation_seconds=0.0)
    one, many = (
        served(conversations(1), host, 0.5) for host in (free, replace(free, group_blocks=60))
    )
    assert many.transfers.operations < one.transfers.operations / 5
    np.testing.assert_array_equal(one.finished_s, many.finished_s)


def test_bad_settings_name_the_value() -> None:
    with pytest.raises(BadInput, match="group_blocks = 0"):
        replace(BY_BLOCK, group_blocks=0)
    with pytest.raises(BadInput, match="block_seconds = -1"):
        replace(BY_BLOCK, block_seconds=-1.0)
    with pytest.raises(BadInput, match="bytes_per_second = 0"):
        host_memory_of(PLACE, 60e9, bytes_per_second=0, seconds_per_copy=0.0)
    with pytest.raises(Infeasible, match="a block of 16 tokens of llama"):
        host_memory_of(PLACE, 1000.0, bytes_per_second=1e9, seconds_per_copy=0.0)
    with pytest.raises(BadInput, match="prefix_cache and host"):
        replace(SERVER, host=FAST, prefix_cache=True)
    with pytest.raises(BadInput, match="period_seconds = 0"):
        DrawnPriorities(0.0)
