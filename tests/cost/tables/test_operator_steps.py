"""A step is the sum of its operators, and these are the work that the roofline counts."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike

from bursar.catalog import Experts, device, devices, model, models
from bursar.cost import Deployment, step_arrays
from bursar.cost.calibration import shipped
from bursar.cost.tables import (
    Call,
    Engine,
    MeasuredTables,
    OperatorSteps,
    OperatorTable,
    fitted,
    load,
    operator_steps,
    step_operators,
)
from bursar.cost.work import Rows

H100 = device("h100-sxm")
DENSE = Deployment(model("llama-3.1-8b"), H100)
MIXED = ([1, 512], [900, 256], [32, 1])  # 32 that decode, and a chunk of a prompt


def calls(place: Deployment, engine: Engine | None = None) -> list[Call]:
    chosen = place if engine is None else replace(place, engine=engine)
    return list(step_operators(chosen, Rows.of(*MIXED)))


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


def steps(place: Deployment, new: ArrayLike, context: ArrayLike, count: ArrayLike) -> OperatorSteps:
    return operator_steps(place, Rows.of(new, context, count))


@pytest.mark.parametrize(
    "name", ["llama-3.1-8b", "qwen3-235b-a22b", "deepseek-v3", "qwen3.5-397b-a17b", "gpt-oss-120b"]
)
def test_an_unseen_model_works_from_the_datasheet_and_never_beats_it(name: str) -> None:
    place = Deployment(model(name), H100, tp=8)
    found = step_arrays(place, 1, 2000, np.array([[1.0], [16.0], [256.0]]))
    assert np.all(found.seconds > found.bound_seconds)
    assert np.all(np.diff(found.seconds) > 0)
    assert np.all((found.low < found.seconds) & (found.seconds < found.high))
    assert found.tier == "fitted"


def test_every_device_and_model_of_the_catalogue_has_an_answer() -> None:
    """In whatever type the device computes, on eight of it where it has a link."""
    for chip in devices().values():
        if chip.memory_bytes_per_second is None:
            continue
        place = Deployment(model("deepseek-v3"), chip, tp=8 if chip.link_bytes_per_second else 1)
        assert np.all(np.isfinite(step_arrays(place, [[1], [512]], 100, 4).seconds)), chip.name
    for entry in models().values():
        found = step_arrays(Deployment(entry.spec, H100), [[1], [512]], 100, 4)
        assert np.all(found.seconds > 0), entry.spec.name


def test_terms_and_tiers_add_up() -> None:
    found = steps(replace(DENSE, tp=2), *MIXED)
    assert float(sum(found.terms.values())) == pytest.approx(float(found.seconds))
    assert sum(found.tiers.values()) == pytest.approx(1.0)


def test_many_steps_at_once_are_each_step_alone() -> None:
    new, context, count = ([[1, 300], [1, 1], [700, 2]], [[50, 0], [9, 9], [0, 64]], [[8, 1]] * 3)
    together = steps(DENSE, new, context, count).seconds
    alone = [float(steps(DENSE, *row).seconds) for row in zip(new, context, count, strict=True)]
    np.testing.assert_allclose(together, alone)


def test_prompts_in_the_decoding_kernel_change_only_steps_that_have_both() -> None:
    fused = replace(DENSE, engine=Engine(fused_attention=True))
    for rows in ((1, 900, 32), (512, 256, 1)):
        apart, together = (steps(place, *rows) for place in (DENSE, fused))
        assert float(together.seconds) == pytest.approx(float(apart.seconds))
    kinds = {c.kind for c in calls(DENSE, Engine(fused_attention=True)) if np.any(c.times > 0)}
    assert "mixed_attention" in kinds
    assert not kinds & {"generation_attention", "context_attention"}


def measured(slower: float, engine: str, device_name: str = "h100-sxm") -> OperatorTable:
    mesh = np.meshgrid([1.0, 64.0, 8192.0], [256.0, 131072.0], [256.0, 16384.0], indexing="ij")
    shape = {axis: column.ravel() for axis, column in zip("mnk", mesh, strict=True)}
    plain = fitted(H100, "gemm", "bf16", engine).seconds(H100, "gemm", "bf16", shape)
    return OperatorTable("gemm", device_name, engine, "1", "bf16", shape, slower * plain)


def served_by(engine: str, *tables: OperatorTable) -> OperatorSteps:
    known = replace(shipped(), tables=MeasuredTables(tables))
    return steps(replace(DENSE, engine=Engine(engine), calibration=known), 1, 900, 32)


def projections(found: OperatorSteps) -> float:
    return float(found.terms["projections"])


def test_a_table_of_the_engine_comes_before_anothers_and_other_devices_are_passed_over() -> None:
    tables = [measured(2.0, "trtllm"), measured(3.0, "vllm"), measured(9.0, "vllm", "l40s")]
    plain, other = projections(served_by("vllm")), projections(served_by("trtllm"))
    own = served_by("vllm", *tables)
    assert projections(own) == pytest.approx(3.0 * plain, rel=1e-6)
    assert own.tiers["table"] > 0.5
    assert projections(served_by("vllm", tables[0])) == pytest.approx(2.0 * other, rel=1e-6)
    assert projections(served_by("vllm", tables[2])) == pytest.approx(plain)


def test_tables_are_sharper_than_coefficients() -> None:
    found, plain = served_by("vllm", measured(1.0, "vllm")), served_by("vllm")
    assert float(found.high / found.low) < float(plain.high / plain.low)
