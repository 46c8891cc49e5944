"""A step is the sum of its operators, and these are the work that the roofline counts."""

from dataclasses import replace

import numpy as np
import pytest

from bursar.catalog import Experts, device, model
from bursar.cost import Deployment, step_arrays
from bursar.cost.tables import (
    Call,
    Engine,
    Interpolator,
    OperatorCosts,
    OperatorTable,
    fitted,
    load,
    step_operators,
)
from bursar.cost.work import Rows
from bursar.errors import BadInput

H100 = device("h100-sxm")
DENSE = Deployment(model("llama-3.1-8b"), H100)
MIXED = ([1, 512], [900, 256], [32, 1])  # 32 that decode, and a chunk of a prompt


def calls(place: Deployment, engine: Engine = Engine()) -> list[Call]:  # noqa: B008
    return list(step_operators(place, Rows.of(*MIXED), engine))


def total(found: list[Call], what: str) -> float:
    work = [(call, call.work or load(call.kind, call.dtype, call.shape)) for call in found]
    return sum(float(np.sum(getattr(part, what) * call.times)) for call, part in work)


@pytest.mark.parametrize(
    "name", ["llama-3.1-70b", "qwen3-235b-a22b", "deepseek-v3", "qwen3.5-397b-a17b"]
)
@pytest.mark.parametrize(("tp", "dp"), [(1, 1), (8, 1), (2, 4)])
def test_operators_do_the_flops_that_the_roofline_counts(name: str, tp: int, dp: int) -> None:
    place = Deployment(model(name), H100, tp=tp, dp=dp)
    counted = float(step_arrays(place, *MIXED).flops) / (tp * dp)
    router = sum(
        b.count * 2 * b.experts * place.model.hidden * (32 + 512) / dp * (1 - 1 / tp)
        for b in place.model.blocks
        if isinstance(b, Experts)
    )  # every device scores all experts
    replicated = router + _replicated_keys(place)
    assert total(calls(place), "flops") == pytest.approx(counted + replicated, rel=0.01)


def _replicated_keys(place: Deployment) -> float:
    """Devices beyond the number of KV heads project a copy of one."""
    copies = 0.0
    for block in place.model.blocks:
        if (heads := getattr(block, "kv_heads", place.tp)) < place.tp:
            copied = (1 - heads / place.tp) * (block.key_dim + block.value_dim)
            copies += block.count * 2 * place.model.hidden * copied * (32 + 512) / place.dp
    return copies


def test_more_devices_communicate_and_one_does_not() -> None:
    alone, together = calls(DENSE), calls(replace(DENSE, tp=8))
    assert not any(call.term == "communication" for call in alone)
    reduced = sum(float(c.times[...]) for c in together if c.kind == "all_reduce")
    assert reduced == 2 * DENSE.model.layers


def test_spread_experts_exchange_tokens_and_do_not_reduce() -> None:
    spread = calls(replace(Deployment(model("qwen3-235b-a22b"), H100), tp=1, dp=8))
    (experts,) = (call for call in spread if call.kind == "moe")
    assert experts.shape["ep"] == 8
    assert [call.kind for call in spread if call.term == "communication"] == ["all_to_all"]


def test_fp8_scales_and_the_engine_choose_the_kernels() -> None:
    place = replace(DENSE, dtype="fp8")
    dtypes = {
        scales: {c.dtype for c in calls(place, Engine(block_scales=scales)) if c.kind == "gemm"}
        for scales in (False, True)
    }
    assert dtypes == {False: {"fp8", "bf16"}, True: {"fp8_block", "bf16"}}  # bf16: the head


COSTS = OperatorCosts(H100)


@pytest.mark.parametrize(
    "name", ["llama-3.1-8b", "qwen3-235b-a22b", "deepseek-v3", "qwen3.5-397b-a17b", "gpt-oss-120b"]
)
def test_an_unseen_model_works_from_the_datasheet_and_never_beats_it(name: str) -> None:
    place = Deployment(model(name), H100, tp=8)
    found = COSTS.step_arrays(place, 1, 2000, np.array([[1.0], [16.0], [256.0]]))
    bound = step_arrays(place, 1, 2000, np.array([[1.0], [16.0], [256.0]])).bound_seconds
    assert np.all(found.seconds > bound)
    assert np.all(np.diff(found.seconds) > 0)
    assert np.all((found.low < found.seconds) & (found.seconds < found.high))
    assert found.tier == "fitted"


def test_terms_and_tiers_add_up() -> None:
    found = COSTS.step_arrays(replace(DENSE, tp=2), *MIXED)
    assert float(sum(found.terms.values())) == pytest.approx(float(found.seconds))
    assert sum(found.tiers.values()) == pytest.approx(1.0)


def test_many_steps_at_once_are_each_step_alone() -> None:
    new, context, count = ([[1, 300], [1, 1], [700, 2]], [[50, 0], [9, 9], [0, 64]], [[8, 1]] * 3)
    together = COSTS.step_arrays(DENSE, new, context, count).seconds
    alone = [
        float(COSTS.step_arrays(DENSE, *row).seconds)
        for row in zip(new, context, count, strict=True)
    ]
    np.testing.assert_allclose(together, alone)


def test_prompts_in_the_decoding_kernel_change_only_steps_that_have_both() -> None:
    fused = OperatorCosts(H100, Engine(fused_attention=True))
    for rows in ((1, 900, 32), (512, 256, 1)):
        apart, together = (costs.step_arrays(DENSE, *rows) for costs in (COSTS, fused))
        assert float(together.seconds) == pytest.approx(float(apart.seconds))
    kinds = {c.kind for c in calls(DENSE, Engine(fused_attention=True)) if np.any(c.times > 0)}
    assert "mixed_attention" in kinds
    assert not kinds & {"generation_attention", "context_attention"}


def measured(slower: float, engine: str, device_name: str = "h100-sxm") -> OperatorTable:
    mesh = np.meshgrid([1.0, 64.0, 8192.0], [256.0, 131072.0], [256.0, 16384.0], indexing="ij")
    shape = {axis: column.ravel() for axis, column in zip("mnk", mesh, strict=True)}
    plain = fitted(H100, "gemm", "bf16", engine).seconds(H100, "gemm", "bf16", shape)
    return OperatorTable("gemm", device_name, engine, "1", "bf16", shape, slower * plain)


def projections(costs: OperatorCosts) -> float:
    return float(costs.step_arrays(DENSE, 1, 900, 32).terms["projections"])


def test_a_table_of_the_engine_comes_before_anothers_and_other_devices_are_passed_over() -> None:
    tables = [measured(2.0, "trtllm"), measured(3.0, "vllm"), measured(9.0, "vllm", "l40s")]
    engine, plain = Engine("vllm"), projections(OperatorCosts(H100, Engine("vllm")))
    own = OperatorCosts(H100, engine, tables)
    assert projections(own) == pytest.approx(3.0 * plain, rel=1e-6)
    assert own.step_arrays(DENSE, 1, 900, 32).tier == "table"
    borrowed = OperatorCosts(H100, engine, tables[:1])
    other = projections(OperatorCosts(H100, Engine("trtllm")))
    assert projections(borrowed) == pytest.approx(2.0 * other, rel=1e-6)
    assert projections(OperatorCosts(H100, engine, tables[2:])) == pytest.approx(plain)


def test_tables_are_sharper_than_coefficients() -> None:
    with_table = OperatorCosts(H100, Engine("vllm"), [measured(1.0, "vllm")])
    found, plain = (
        costs.step_arrays(DENSE, 1, 900, 32)
        for costs in (with_table, OperatorCosts(H100, Engine("vllm")))
    )
    assert float(found.high / found.low) < float(plain.high / plain.low)


def test_another_device_is_refused() -> None:
    with pytest.raises(BadInput, match="priced for h100-sxm"):
        COSTS.step_arrays(Deployment(DENSE.model, device("l40s")), 1, 10)


def test_an_interpolator_takes_single_numbers() -> None:
    table = measured(1.0, "vllm")
    coefficients = fitted(H100, "gemm", "bf16", "vllm")
    found = Interpolator(table, lambda s: coefficients.seconds(H100, "gemm", "bf16", s)).seconds(
        {"m": 3, "n": 4096, "k": 4096}
    )
    assert found.shape == ()
    assert float(found) > 0
