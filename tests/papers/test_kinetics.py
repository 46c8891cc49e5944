"""Kinetics (arXiv:2506.05333): what counting memory access changes about test-time scaling."""

import numpy as np
import pytest

from bursar import catalog
from bursar.cost import Kinetics, overtaking_length
from bursar.errors import BadInput

SIZES = ["qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "qwen3-14b", "qwen3-32b"]
MODELS = [catalog.model(name) for name in SIZES]
PROMPT = 256
LENGTHS = np.geomspace(256, 32_768, 43)
TRIALS = np.array([1, 2, 4, 8, 16, 32])


def coverage(size: float, length: np.ndarray, trials: np.ndarray, loss: float) -> np.ndarray:
    """A stand-in for measured pass@k: larger models and longer thoughts are right more often.

    One trial's chance saturates in length and rises with size (log-linear, as on AIME); trials are
    independent. `loss` is the share of it that an approximation costs.
    """
    skill = np.clip(0.16 + 0.22 * np.log10(size / 0.6e9), 0.02, 0.95)
    chance = (1.0 - loss) * skill * (1.0 - np.exp(-length / 6_000))
    return np.asarray(1.0 - (1.0 - chance) ** trials)


def best(budget: float, pricing: Kinetics, loss: float = 0.0) -> tuple[int, float]:
    """(index of the model, coverage) of the best model, length and trials within a budget."""
    length, trials = LENGTHS[:, None], TRIALS[None, :]
    reached = []
    for model in MODELS:
        cost = pricing.cost(model, PROMPT, length, trials).eflops
        value = np.where(cost <= budget, coverage(model.parameters, length, trials, loss), 0.0)
        reached.append(float(value.max()))
    return int(np.argmax(reached)), max(reached)


def frontier(intensity: float, *, sparse: bool) -> np.ndarray:
    """Best coverage at each budget; sparse attention keeps what suits, 3 % less often right."""
    if not sparse:
        return np.array([best(budget, Kinetics(intensity))[1] for budget in BUDGETS])
    menu = [Kinetics(intensity, kept, block=16) for kept in (128, 256, 512, 1024)]
    return np.array([max(best(budget, m, loss=0.03)[1] for m in menu) for budget in BUDGETS])


MEMORY, FLOPS_ONLY = Kinetics(), Kinetics(intensity=0.0)
BUDGETS = np.geomspace(3e13, 3e16, 13)


def test_kv_reads_overtake_parameters_past_the_computed_length() -> None:
    for model in MODELS:
        length = overtaking_length(model)
        for factor, memory_first in ((0.8, False), (1.25, True)):
            one_token = MEMORY.cost(model, length * factor, 1e-9)
            parameters = 2 * model.active_parameters * 1e-9
            assert (MEMORY.intensity * one_token.bytes > parameters) == memory_first
    # the smaller the model, the sooner: its cache shrinks less than its weights
    lengths = [overtaking_length(model) for model in MODELS]
    assert lengths[0] < 0.2 * lengths[-1]
    assert lengths[0] < 40 < 400 < lengths[-1] * 2


def test_counting_memory_picks_a_larger_model_than_flops_alone() -> None:
    """Compared where both pricings leave the same coverage to be had, not at the same number."""
    larger, smaller = 0, 0
    for budget in BUDGETS:
        by_flops, reached = best(budget, FLOPS_ONLY)
        at = next((b for b in np.geomspace(3e13, 3e19, 300) if best(b, MEMORY)[1] >= reached), None)
        assert at is not None
        by_memory, _ = best(at, MEMORY)
        larger += by_memory > by_flops
        smaller += by_memory < by_flops
    assert larger >= 5
    assert smaller == 0


def test_sparse_attention_raises_the_frontier() -> None:
    """By much where compute is scarce, by little where it is not; by far less if memory is free."""
    memory = MEMORY.intensity
    dense, sparse = frontier(memory, sparse=False), frontier(memory, sparse=True)
    gain = sparse - dense
    assert (gain >= -0.03 * dense).all()  # at worst what the approximation costs
    assert (gain > 0).sum() >= len(BUDGETS) - 1
    assert gain.max() > 0.15
    assert gain[-1] < 0.05 * gain.max()
    control = frontier(0.0, sparse=True) - frontier(0.0, sparse=False)
    assert control.max() < 0.4 * gain.max()


@pytest.mark.parametrize(("before", "out", "kept"), [(100, 400, 150), (500, 300, 200), (0, 64, 32)])
def test_the_budgeted_sum_has_the_right_sign(before: int, out: int, kept: int) -> None:
    """Against adding min(context, kept) up, token by token (the midpoint of each)."""
    model = MODELS[0]
    heads = 16 * 128 * 28
    attended = sum(min(before + t + 0.5, kept) for t in range(out))
    cost = Kinetics(kept=kept).cost(model, before, out)
    assert cost.flops == pytest.approx(2 * model.active_parameters * out + 4 * heads * attended)
    assert cost.bytes == pytest.approx(4 * 8 * 128 * 28 * attended)


def test_a_budget_that_nothing_reaches_changes_nothing() -> None:
    model = MODELS[3]
    all_of_it = MEMORY.cost(model, 300, 700).eflops
    assert Kinetics(kept=1000).cost(model, 300, 700).eflops == pytest.approx(all_of_it)
    assert Kinetics(kept=1e9).cost(model, 300, 700).eflops == pytest.approx(all_of_it)


def test_the_prompt_is_read_once_for_all_trials() -> None:
    model = MODELS[3]
    one, many = (MEMORY.cost(model, 10_000, 10, trials) for trials in (1, 64))
    assert many.flops == pytest.approx(64 * one.flops)
    assert many.bytes < 1.1 * one.bytes


def test_it_agrees_with_the_step_cost_on_one_decode_step() -> None:
    """Same FLOPs and cache reads as the roofline counts, but for the token's own and the head."""
    from bursar.cost import Deployment, step_arrays

    model, context = MODELS[3], 4000
    ours = step_arrays(Deployment(model, catalog.device("b200")), 1, context)
    theirs = MEMORY.cost(model, context, 1)
    assert theirs.flops == pytest.approx(float(ours.flops), rel=1e-3)
    assert theirs.bytes == pytest.approx(context * model.kv_bytes_per_token(), rel=1e-3)


def test_models_without_kv_heads_are_refused() -> None:
    with pytest.raises(BadInput, match="no softmax attention"):
        MEMORY.cost(catalog.model("deepseek-v3"), 10, 10)
