"""The three formats become one noun, in seconds and bytes, without the rows that mislead."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bursar.cost.tables import OperatorTable, read_tables
from bursar.errors import BadInput


def aiconfigurator(folder: Path, group: str, engine: str, rows: list[dict[str, Any]]) -> None:
    place = folder / "h100_sxm" / group / engine / "1.2.3"
    place.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_parquet(place / f"{rows[0]['op_name']}_perf.parquet")


def product(m: int, latency: float, **more: Any) -> dict[str, Any]:
    row = {"op_name": "gemm", "gemm_dtype": "fp8", "m": m, "n": 512, "k": 1024, "latency": latency}
    return {**row, "kernel_source": "a", **more}


def only(tables: tuple[OperatorTable, ...]) -> OperatorTable:
    (table,) = tables
    return table


def test_aiconfigurator_is_in_milliseconds_and_twice_measured_rows_are_one(tmp_path: Path) -> None:
    rows = [product(1, 0.010), product(1, 0.020), product(1, 0.012), product(8, 0.5)]
    aiconfigurator(tmp_path, "gemm", "vllm", rows)
    table = only(read_tables(tmp_path))
    assert (table.kind, table.device, table.engine, table.version) == (
        "gemm", "h100-sxm", "vllm", "1.2.3",
    )  # fmt: skip
    assert table.seconds.tolist() == pytest.approx([12e-6, 5e-4])


def test_aiconfigurator_counts_elements_and_measures_eager_launches_too(tmp_path: Path) -> None:
    row = {"op_name": "all_reduce", "num_gpus": 4, "message_size": 1024, "latency": 0.01}
    rows = [{**row, "nccl_dtype": d, "backend": "graph"} for d in ("half", "int8")]
    slow = {**row, "nccl_dtype": "half", "backend": "vllm_eager", "latency": 9.0}
    aiconfigurator(tmp_path, "comm", "nccl", [*rows, slow])
    by_dtype = {table.dtype: table for table in read_tables(tmp_path)}
    assert by_dtype["fp16"].shape["bytes"].tolist() == [2048]
    assert by_dtype["int8"].shape["bytes"].tolist() == [1024]
    assert by_dtype["fp16"].seconds.tolist() == pytest.approx([1e-5])


def test_aiconfigurator_attention_counts_the_new_token_and_leaves_fp8_arithmetic_out(
    tmp_path: Path,
) -> None:
    row = {"batch_size": 2, "isl": 1, "step": 255, "num_heads": 8, "num_key_value_heads": 2}
    row = {**row, "head_dim": 128, "kv_cache_dtype": "fp8", "latency": 0.02}
    decode = {"op_name": "generation_attention", **row}
    rows = [{**decode, "attn_dtype": dtype} for dtype in ("bfloat16", "fp8")]
    aiconfigurator(tmp_path, "attention", "trtllm", rows)
    table = only(read_tables(tmp_path))
    assert table.rows == 1
    assert table.shape["length"].tolist() == [256]
    assert table.shape["window"].tolist() == [0]
    assert table.dtype == "fp8"


def test_aiconfigurator_experts_have_their_skew_and_their_matrices(tmp_path: Path) -> None:
    row = {"op_name": "moe", "moe_dtype": "bfloat16", "num_tokens": 8, "hidden_size": 64}
    row |= {"inter_size": 32, "topk": 2, "num_experts": 8, "moe_tp_size": 1, "moe_ep_size": 2}
    rows = [
        {**row, "latency": 0.1, "distribution": "power_law_1.2", "kernel_source": "cutlass"},
        {**row, "latency": 0.2, "distribution": "balanced", "kernel_source": "x_nongated"},
    ]
    aiconfigurator(tmp_path, "moe", "trtllm", rows)
    table = only(read_tables(tmp_path))
    assert table.shape["skew"].tolist() == [1.2, 0.0]
    assert table.shape["matrices"].tolist() == [3, 2]


@pytest.mark.parametrize(("engine", "dtype"), [("vllm", "fp8_block"), ("trtllm", "fp8")])
def test_aiconfigurator_products_not_measured_as_served_are_left_out(
    tmp_path: Path, engine: str, dtype: str
) -> None:
    rows = [product(1, 0.06, gemm_dtype=name) for name in (dtype, "bfloat16")]
    aiconfigurator(tmp_path, "gemm", engine, rows)
    assert [table.dtype for table in read_tables(tmp_path)] == ["bf16"]


def test_a_parquet_without_times_is_named(tmp_path: Path) -> None:
    aiconfigurator(tmp_path, "gemm", "vllm", [{"op_name": "gemm", "m": 1}])
    with pytest.raises(BadInput, match="no operator table"):
        read_tables(tmp_path)


def vidur_mlp(folder: Path, rows: list[dict[str, Any]]) -> None:
    place = folder / "profiling/compute/a100/meta-llama/Llama-2-70b-hf"
    place.mkdir(parents=True)
    fixed = {"n_head": 64, "n_kv_head": 8, "n_embd": 8192, "n_expanded_embd": 28672}
    fixed |= {"use_gated_mlp": True, "num_tensor_parallel_workers": 4}
    pl.DataFrame([{**fixed, **row} for row in rows]).write_csv(place / "mlp.csv")


def test_vidur_splits_matrices_and_gates_the_up_projection(tmp_path: Path) -> None:
    up, down = "time_stats.mlp_up_proj.median", "time_stats.mlp_down_proj.median"
    vidur_mlp(tmp_path, [{"num_tokens": 64, up: 0.087, down: 0.045}])
    table = only(read_tables(tmp_path))
    found = dict(zip(table.shape["n"].tolist(), table.seconds.tolist(), strict=True))
    assert found == pytest.approx({2 * 28672 / 4: 87e-6, 8192: 45e-6})
    assert sorted(table.shape["k"].tolist()) == [28672 / 4, 8192]


def test_vidur_times_that_are_mostly_rounding_are_left_out(tmp_path: Path) -> None:
    norm = "time_stats.input_layernorm.median"
    vidur_mlp(tmp_path, [{"num_tokens": n, norm: t} for n, t in ((1, 0.006), (4096, 0.12))])
    table = only(read_tables(tmp_path))
    assert table.kind == "norm"
    assert table.shape["tokens"].tolist() == [4096]


def test_vidur_collectives_between_nodes_are_left_out(tmp_path: Path) -> None:
    place = tmp_path / "profiling/network/a100_dgx"
    place.mkdir(parents=True)
    row = {"time_stats.all_reduce.median": 0.05, "size": 2**20, "num_workers": 8}
    rows = [{**row, "devices_per_node": n} for n in (8, 4)]
    pl.DataFrame(rows).write_csv(place / "all_reduce.csv")
    table = only(read_tables(tmp_path))
    assert table.rows == 1
    assert table.shape["bytes"].tolist() == [2**20]


def llmservingsim(folder: Path, tp: int) -> None:
    place = folder / f"perf/RTX4090/meta-llama/Llama-3.1-8B/bf16/tp{tp}"
    place.mkdir(parents=True)
    (place / "dense.csv").write_text("layer,tokens,time_us\nqkv_proj,8,56.0\nlayernorm,8,2.0\n")
    (place / "per_sequence.csv").write_text(
        "layer,sequences,time_us\nlm_head,4,1100\nsampler,4,9\n"
    )
    attention = "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n"
    (place / "attention.csv").write_text(attention + "0,0,4,64,9\n256,0,0,0,15\n256,32,4,64,40\n")


@pytest.mark.parametrize("tp", [1, 2])
def test_llmservingsim_takes_widths_from_the_model_and_its_share(tmp_path: Path, tp: int) -> None:
    llmservingsim(tmp_path, tp)
    by_kind = {table.kind: table for table in read_tables(tmp_path)}
    sides = zip(by_kind["gemm"].shape["n"], by_kind["gemm"].shape["k"], strict=True)
    assert set(sides) == {(6144 / tp, 4096), (128256 / tp, 4096)}
    assert by_kind["norm"].shape["width"].tolist() == [4096]
    assert by_kind["generation_attention"].shape["heads"].tolist() == [32 / tp]
    assert by_kind["generation_attention"].seconds.tolist() == pytest.approx([9e-6])
    assert by_kind["context_attention"].shape["new"].tolist() == [256]
    assert by_kind["mixed_attention"].shape["context"].tolist() == [32]


def test_only_the_tables_of_one_device(tmp_path: Path) -> None:
    llmservingsim(tmp_path, 1)
    aiconfigurator(tmp_path, "gemm", "vllm", [product(1, 0.01)])
    assert {table.device for table in read_tables(tmp_path)} == {"rtx-4090", "h100-sxm"}
    found = read_tables(tmp_path, device_name="rtx-4090")
    assert {table.device for table in found} == {"rtx-4090"}


def test_no_tables_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no operator tables"):
        read_tables(tmp_path)
    with pytest.raises(BadInput, match="no folder"):
        read_tables(tmp_path / "absent")
