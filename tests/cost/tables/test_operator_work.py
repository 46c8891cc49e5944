"""Work of single operators: what they must do at least, whatever the device."""

import numpy as np
import pytest

from bursar.catalog import device
from bursar.cost.tables import KINDS, OperatorTable, load
from bursar.cost.tables.operator import peak_flops
from bursar.cost.work import attended_pairs
from bursar.errors import BadInput

HEADS = {"heads": 32.0, "kv_heads": 8.0, "head_dim": 128.0, "window": 0.0}


def test_a_product_reads_its_weights_once_and_multiplies_each_with_every_token() -> None:
    one, many = (load("gemm", "bf16", {"m": m, "n": 512, "k": 1024}) for m in (1, 64))
    assert many.flops == 64 * one.flops == 64 * 2 * 512 * 1024
    assert one.memory_bytes == pytest.approx(2 * 512 * 1024, rel=0.01)
    assert many.memory_bytes < 1.3 * one.memory_bytes


@pytest.mark.parametrize("window", [0.0, 100.0])
@pytest.mark.parametrize("context", [0.0, 700.0])
def test_a_prompt_attends_to_as_many_pairs_as_in_the_roofline(
    window: float, context: float
) -> None:
    shape = {**HEADS, "batch": 3.0, "new": 256.0, "context": context, "window": window}
    pairs = attended_pairs(np.array(256.0), np.array(context), int(window) or None)
    assert load("context_attention", "bf16", shape).flops == pytest.approx(
        3 * 4 * 32 * 128 * float(pairs)
    )


def test_a_chunked_prompt_does_the_work_of_the_whole() -> None:
    def flops(new: float, context: float) -> float:
        shape = {**HEADS, "batch": 1.0, "new": new, "context": context}
        return float(load("context_attention", "bf16", shape).flops)

    assert flops(512, 0) + flops(512, 512) == pytest.approx(flops(1024, 0))


def test_mixed_attention_is_both_kinds_of_work() -> None:
    prompt, decode = {"new": 512.0, "context": 64.0}, {"batch": 8.0, "length": 900.0}
    mixed = load("mixed_attention", "bf16", {**HEADS, **prompt, **decode})
    parts = (
        load("context_attention", "bf16", {**HEADS, **prompt, "batch": 1.0}),
        load("generation_attention", "bf16", {**HEADS, **decode}),
    )
    assert mixed.flops == pytest.approx(sum(float(part.flops) for part in parts))
    assert mixed.memory_bytes == pytest.approx(sum(float(part.memory_bytes) for part in parts))


def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather() -> None:
    shape = {"bytes": 1e6, "devices": 4.0}
    both = sum(
        float(load(kind, "bf16", shape).link_bytes) for kind in ("reduce_scatter", "all_gather")
    )
    assert float(load("all_reduce", "bf16", shape).link_bytes) == both


def test_experts_are_read_at_most_once_however_many_tokens_come() -> None:
    shape = {"hidden": 1024, "inner": 512, "experts": 64, "top_k": 4, "matrices": 3, "skew": 0.0}
    tokens = np.array([1.0, 16.0, 256.0, 4096.0])
    moved = load("moe", "bf16", {**shape, "tokens": tokens, "tp": 1.0, "ep": 1.0})
    weights = 64 * 3 * 1024 * 512 * 2
    activations = tokens * 4 * (2 * 1024 + 3 * 512) * 2
    read = moved.memory_bytes - activations
    assert read[0] == pytest.approx(weights * 4 / 64)
    assert np.all(np.diff(read) > 0)
    assert read[-1] == pytest.approx(weights)


def test_weight_only_types_compute_in_sixteen_bits() -> None:
    h100 = device("h100-sxm")
    assert peak_flops(h100, "gemm", "int4_wo") == h100.peak_flops["bf16"]
    assert peak_flops(h100, "gemm", "fp8_block") == h100.peak_flops["fp8"]
    assert peak_flops(h100, "context_attention", "fp8") == h100.peak_flops["bf16"]


@pytest.mark.parametrize("bad", [0.0, -1e-6, np.nan, np.inf])
def test_a_table_has_no_times_that_cannot_be(bad: float) -> None:
    shape = {name: np.array([64.0, 64.0]) for name in KINDS["gemm"].axes}
    with pytest.raises(BadInput, match="not above zero"):
        OperatorTable("gemm", "h100-sxm", "x", "1", "bf16", shape, np.array([1e-5, bad]))


def test_a_table_needs_the_sizes_of_its_kind() -> None:
    with pytest.raises(BadInput, match="gemm needs"):
        OperatorTable("gemm", "h100-sxm", "x", "1", "bf16", {"m": np.ones(1)}, np.ones(1))
