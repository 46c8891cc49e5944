"""What the columns of a published file stand for, and what bad ones are answered with."""

from pathlib import Path

import pytest

from bursar.cost.endtoend import Measured, read_measured
from bursar.errors import BadInput

HEAD = (
    "id,silicon_data_source,backend,backend_version,model_path,system,precision,mode,isl,osl,"
    "gemm_quant_mode,batch_size,tp_size,pp_size,attention_dp_size,moe_tp_size,moe_ep_size,"
    "decode_batch_size,decode_num_workers,decode_tp_size,decode_attention_dp_size,"
    "prefill_num_workers,prefill_tp_size,silicon_ttft_ms,silicon_tpot_ms"
)
ROW = {
    "id": "a",
    "backend": "vllm",
    "model_path": "MiniMaxAI/MiniMax-M2.5",
    "system": "h200_sxm",
    "precision": "fp8",
    "mode": "agg",
    "isl": "1024",
    "osl": "512",
    "batch_size": "16",
    "silicon_ttft_ms": "100",
    "silicon_tpot_ms": "10",
}


def read(folder: Path, head: str = HEAD, **cells: str) -> Measured:
    row = ROW | cells
    path = folder / "measured.csv"
    path.write_text(f"{head}\n{','.join(row.get(name, '') for name in head.split(','))}\n")
    return read_measured(path)[0]


@pytest.mark.parametrize(
    ("cells", "tp", "dp"),
    [
        (("4", "1", "4", "1"), 4, 1),
        (("8", "1", "1", "8"), 8, 1),
        (("64", "1", "8", "8"), 8, 1),  # n x n attention beside n by n experts: n devices
        (("1", "16", "4", "4"), 1, 4),
        (("4", "4", "1", "16"), 1, 4),
        (("2", "", "4", "1"), 2, 2),  # more devices with experts than with attention
        (("1", "8", "1", "8"), 1, 8),
        (("4", "1", "0", "0"), 4, 1),
    ],
)
def test_devices_of_a_server(
    tmp_path: Path, cells: tuple[str, str, str, str], tp: int, dp: int
) -> None:
    names = ("tp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
    place = read(tmp_path, **dict(zip(names, cells, strict=True))).served.decode.place
    assert (place.tp, place.dp) == (tp, dp)


def test_requests_in_flight_are_those_stated_else_a_batch_on_each_rank(tmp_path: Path) -> None:
    sizes = {"tp_size": "1", "attention_dp_size": "8", "moe_tp_size": "1", "moe_ep_size": "8"}
    assert read(tmp_path, **sizes).served.in_flight == 16 * 8
    stated = read(tmp_path, silicon_data_source="x; silicon_concurrency=100; y", **sizes)
    assert stated.served.in_flight == 100
    fleet = {"mode": "disagg", "decode_num_workers": "3", "decode_batch_size": "4"}
    assert read(tmp_path, **fleet, decode_tp_size="8").served.in_flight == 3 * 4


def test_a_fleet_of_unknown_size_is_unstated(tmp_path: Path) -> None:
    fleet = {"mode": "disagg", "decode_tp_size": "8", "prefill_tp_size": "4"}
    assert read(tmp_path, **fleet).served.mode == "unstated"
    assert read(tmp_path, **fleet, decode_num_workers="2").served.mode == "disaggregated"
    assert read(tmp_path, tp_size="72", moe_tp_size="72").served.mode == "unstated"
    assert read(tmp_path, tp_size="8", moe_tp_size="8").served.mode == "aggregated"


def test_an_unknown_model_is_answered_as_one_of_its_size(tmp_path: Path) -> None:
    row = read(tmp_path, model_path="someone/Novel-29B-A3B-Instruct")
    model = row.served.decode.place.model
    assert 25e9 < model.parameters < 35e9
    assert model.active_parameters < 5e9
    assert any("Novel-29B" in note and model.name in note for note in row.notes)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("nvidia/Llama-3.1-8B-Instruct-FP8", "llama-3.1-8b"),
        ("meta-llama/Llama-2-7b-hf", "llama-2-7b"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507-FP8", "qwen3-30b-a3b"),
        ("deepseek-ai/DeepSeek-R1-0528-FP4-v2", "deepseek-v3"),
        ("nvidia/DeepSeek-V3.1-NVFP4", "deepseek-v3"),
    ],
)
def test_how_a_model_was_trained_or_stored_does_not_make_it_unknown(
    tmp_path: Path, name: str, known: str
) -> None:
    row = read(tmp_path, model_path=name)
    assert row.served.decode.place.model.name == known
    assert not row.notes


def test_a_config_json_makes_any_model_known(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        '{"model_type": "llama", "hidden_size": 1024, "intermediate_size": 4096,'
        '"num_hidden_layers": 3, "num_attention_heads": 8, "vocab_size": 1000}'
    )
    row = read(tmp_path, model_path=str(config))
    assert row.served.decode.place.model.layers == 3
    assert not row.notes


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"isl": "-5"}, "line 2: isl"),
        ({"osl": "many"}, "line 2: osl"),
        ({"silicon_tpot_ms": "0"}, "line 2: silicon_tpot_ms"),
        ({"precision": "fp3"}, "'fp3'; use one of"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, cells: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read(tmp_path, **cells)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    head = HEAD.replace("model_path,", "").replace(",silicon_tpot_ms", "")
    with pytest.raises(BadInput, match="has no column model_path, silicon_tpot_ms"):
        read(tmp_path, head=head)
    with pytest.raises(BadInput, match="can't be read"):
        read_measured(tmp_path / "nowhere.csv")
