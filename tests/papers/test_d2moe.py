"""D2MoE (arXiv:2504.15299): nested experts, widths by token, hottest parts first."""

import random

import numpy as np
import pytest

from bursar.backends.moe import MOE_WEIGHTS, Mix, MixtureOfExperts, NestedExperts, NestedMatrix
from bursar.backends.moe.nested import GROUP
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.errors import BadInput, Infeasible
from bursar.policies.expert_loading import EXPERT_LOADING, BitRouter
from bursar.simulate.expert_pipeline import ExpertPipeline, PipelineRun
from bursar.training.traces import MAKERS, document_ids
from bursar.workload.expert_routing import recorded

FIT, HELD_OUT = recorded()
MODEL = MixtureOfExperts.load(MOE_WEIGHTS / "tiny-moe")
SEEDS = (0, 1, 2)


def quantised_directly(weights: np.ndarray, bits: int) -> np.ndarray:
    """The same formula at one width, without any nesting."""
    groups = weights.T.reshape(-1, GROUP).astype(np.float64)
    low, span = groups.min(1, keepdims=True), np.ptp(groups, axis=1, keepdims=True)
    code = np.minimum(np.floor((groups - low) / span * 2**bits), 2**bits - 1)
    return (low + (code + 0.5) * span / 2**bits).reshape(weights.shape[::-1]).T


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_beginning_of_one_buffer_is_the_expert_at_each_width(bits: int) -> None:
    for expert in MODEL.experts[0][:4]:
        for weights in (expert.gate, expert.up, expert.down):
            nested = NestedMatrix.of(weights)
            assert len(nested.buffer) == weights.size  # one byte a weight for all widths
            cut = nested.buffer.copy()
            cut[nested.bytes_at(bits) :] = 0xAA
            alone = NestedMatrix(cut, nested.low, nested.span, nested.shape).at(bits)
            np.testing.assert_array_equal(nested.at(bits), alone)
            direct = quantised_directly(weights, bits)
            span = np.ptp(weights, axis=0).max()
            # float32 rounding may move a weight that lies on the edge of a cell
            wrong = np.abs(alone - direct) > 1e-5
            assert wrong.mean() < 1e-3
            assert np.abs(alone - weights).max() <= 0.51 * span / 2**bits


def solved(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Fresh solved questions: ids (count, 96), and which of them a model should know."""
    rng, tokenizer = random.Random(seed), Tokenizer()
    ids = np.zeros((count, 96), np.int64)
    known = np.zeros(ids.shape, bool)
    for row in range(count):
        found, learnt = document_ids(tokenizer, list(MAKERS.values())[row % 3](rng))
        size = min(len(found), 96)
        ids[row, :size], known[row, :size] = found[:size], learnt[:size]
    return ids, known


def accuracy(mix: Mix, documents: tuple[np.ndarray, np.ndarray]) -> float:
    """Share of the tokens worth knowing that are the likeliest next ones."""
    ids, known = documents
    right = MODEL.forward(ids, mix).logits[:, :-1].argmax(-1) == ids[:, 1:]
    return float(right[known[:, 1:]].mean())


EIGHT = BitRouter(0, 0)
ROUTED = BitRouter(0.2, 0.5)


def test_accuracy_is_within_one_point_of_8_bits() -> None:
    """Thresholds fitted on some solved questions, judged on three times as many others."""
    nested, seen = NestedExperts(MODEL, EIGHT), solved(seed=100)

    def of(router: BitRouter, documents: tuple[np.ndarray, np.ndarray] = seen) -> float:
        nested.router = router
        return accuracy(nested, documents)

    router = BitRouter.fit(FIT.shares, of, at_least=of(EIGHT) - 0.005)
    assert router.widths(HELD_OUT.shares).mean() <= 6.5
    found = {
        name: np.mean([of(one, solved(seed)) for seed in SEEDS])
        for name, one in (("routed", router), ("8 bits", EIGHT), ("2 bits", BitRouter(2, 2)))
    }
    assert found["routed"] >= found["8 bits"] - 0.01
    assert found["2 bits"] < found["8 bits"] - 0.01  # the check can fail


def test_what_no_width_reaches_is_refused() -> None:
    with pytest.raises(Infeasible, match="no width reaches"):
        BitRouter.fit(FIT.shares, lambda router: 0.5, at_least=0.9)
    with pytest.raises(BadInput, match=r"thresholds 0\.5 for 4 bits and 0\.2 for 8"):
        BitRouter(0.5, 0.2)


def pipelines(
    name: str,
    seed: int,
    *,
    memory_experts: float,
    batch: int = 16,
    compute_to_load: float = 1.0,
    router: BitRouter = ROUTED,
    batches: int = 12,
) -> list[PipelineRun]:
    """All layers of random held-out batches; the unit of time is a byte loaded, an expert has 8.

    Computing all tokens of a batch takes `compute_to_load` times as long as loading 10 experts at
    8 bits, which is about what a batch of 16 needs.
    """
    pipeline = ExpertPipeline(
        expert_bytes=8.0,
        bytes_per_second=1.0,
        seconds_per_token=compute_to_load * 80.0 / (batch * HELD_OUT.top_k),
        memory_bytes=8.0 * memory_experts,
    )
    rows = np.random.default_rng(seed).permutation(len(HELD_OUT))[: batch * batches]
    return [
        pipeline.run(
            HELD_OUT.experts[some, layer],
            router.widths(HELD_OUT.shares[some, layer]),
            EXPERT_LOADING[name](),
        )
        for some in rows.reshape(-1, batch)
        for layer in range(HELD_OUT.num_layers)
    ]


def idle(runs: list[PipelineRun]) -> float:
    return sum(run.idle_seconds for run in runs)


def idle_ratio(other: str, *, memory_experts: int) -> float:
    """Idle time with the hottest experts first, as a share of that in another order; all seeds."""
    times = {}
    for name in ("d2moe", other):
        runs = [run for s in SEEDS for run in pipelines(name, s, memory_experts=memory_experts)]
        assert max(run.peak_bytes for run in runs) <= 8.0 * memory_experts
        times[name] = idle(runs)
    return times["d2moe"] / times[other]


@pytest.mark.parametrize(("memory_experts", "most"), [(2, 0.75), (4, 0.95), (8, 0.95)])
def test_the_computing_unit_idles_less_at_equal_memory(memory_experts: int, most: float) -> None:
    assert idle_ratio("arrival", memory_experts=memory_experts) <= most


def test_most_of_that_is_finishing_an_expert_before_the_next() -> None:
    """Against order of arrival with whole experts the heat gains little, and at two none."""
    assert 0.8 <= idle_ratio("arrival_by_expert", memory_experts=4) <= 0.97
    assert idle_ratio("arrival_by_expert", memory_experts=2) >= 0.95


def test_routed_widths_take_less_time_than_8_bits() -> None:
    routed, eight = (
        sum(run.seconds for run in pipelines("d2moe", 0, memory_experts=4, router=router))
        for router in (ROUTED, EIGHT)
    )
    assert routed < 0.9 * eight


def test_nothing_is_gained_where_all_experts_are_equally_hot() -> None:
    """Control: sixteen experts with as many tokens each at one width, in random order."""
    pipeline = ExpertPipeline(8.0, 1.0, 1.0, memory_bytes=32.0)
    rng = np.random.default_rng(0)
    experts = rng.permutation(np.repeat(np.arange(16), 8))[:, None]
    widths = np.full(experts.shape, 8)
    runs = {pipeline.run(experts, widths, make()) for make in EXPERT_LOADING.values()}
    assert len(runs) == 1


def test_a_pipeline_by_hand() -> None:
    """Two parts of 2 s for expert 1 (three tokens of 1 s), then 8 s for expert 0 (one token)."""
    pipeline = ExpertPipeline(8.0, 1.0, 1.0, memory_bytes=12.0)
    experts = np.array([[0], [1], [1], [1]])
    widths = np.array([[8], [2], [4], [4]])
    run = pipeline.run(experts, widths, EXPERT_LOADING["d2moe"]())
    assert run == PipelineRun(seconds=13.0, idle_seconds=9.0, peak_bytes=8.0)
    with pytest.raises(Infeasible, match="memory of 4 bytes does not hold one expert of 8"):
        ExpertPipeline(8.0, 1.0, 1.0, memory_bytes=4.0).run(
            experts, widths, EXPERT_LOADING["arrival"]()
        )
