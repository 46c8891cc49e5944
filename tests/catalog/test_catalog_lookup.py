"""Finding entries by name, and what is said when there is none."""

from collections.abc import Callable

import pytest

from bursar import catalog
from bursar.catalog.devices import Device
from bursar.errors import BadInput


def test_names_are_found_whatever_their_case_alias_or_organisation() -> None:
    assert catalog.device("H100_SXM").name == catalog.device("h100").name == "h100-sxm"
    assert catalog.model("meta-llama/Llama-3.1-8B-Instruct").name == "llama-3.1-8b"
    assert catalog.model("Qwen/Qwen3-8B").name == "qwen3-8b"
    assert catalog.api_price("openai/gpt-4o-mini").usd_per_mtok_in == 0.15
    assert catalog.grid("DE").country == catalog.grid("germany").country == "Germany"


@pytest.mark.parametrize(
    ("find", "name", "hint"),
    [
        (catalog.device, "h10-sxm", "h100-sxm"),
        (catalog.model, "lama-3.1-8b", "llama-3.1-8b"),
        (catalog.api_price, "gpt-4o-minni", "gpt-4o-mini"),
        (catalog.grid, "Germny", "germany"),
    ],
)
def test_an_unknown_name_gets_close_matches(
    find: Callable[[str], object], name: str, hint: str
) -> None:
    with pytest.raises(BadInput, match=hint):
        find(name)


def test_units_are_read_to_si() -> None:
    h100 = catalog.device("h100-sxm")
    assert h100.memory_bytes == 80 * 2**30
    assert h100.memory_bytes_per_second == 3.35e12
    assert h100.peak_flops["bf16"] == pytest.approx(989.4e12)


def test_a_device_computes_in_the_next_type_that_it_has() -> None:
    a100 = catalog.device("a100-sxm-80gb")
    assert a100.flops_per_second("fp8") == a100.peak_flops["bf16"]  # no FP8 before Hopper
    assert a100.flops_per_second("int8") == 2 * a100.peak_flops["bf16"]
    t4 = catalog.device("t4")
    assert t4.flops_per_second("bf16") == t4.peak_flops["fp16"]
    with pytest.raises(BadInput, match="unknown data type"):
        a100.flops_per_second("fp3")
    with pytest.raises(BadInput, match="computes in"):
        catalog.device("stm32h743").flops_per_second("fp64")


def test_entries_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        catalog.device("h100").tdp_watts = 1.0  # type: ignore[misc]


def test_rows_are_plain_data_for_a_table() -> None:
    (row,) = catalog.rows("models", "llama-3.1-8b")
    assert row["parameters"] == 8_029_995_008
    assert row["kv_bytes_per_token"] == 128 * 1024
    assert len(catalog.rows("devices")) == len(catalog.devices())
    with pytest.raises(BadInput, match="use one of devices, models, prices, grids"):
        catalog.rows("cars")


@pytest.mark.parametrize("table", catalog.TABLES)
def test_summaries_are_rectangular_and_readable(table: str) -> None:
    heads, lines = catalog.summary(table)
    assert len(lines) == len(catalog.TABLES[table]())
    assert all(len(line) == len(heads) for line in lines)
    assert not any("e+" in cell for line in lines for cell in line)


def test_the_datasheet_is_the_provenance_unless_a_number_has_its_own() -> None:
    h100: Device = catalog.device("h100-sxm")
    assert "datasheet" in str(h100.provenance("memory_bytes").source)
    assert "EC2" in str(h100.provenance("usd_per_hour").source)
    assert h100.provenance("idle_watts").estimate is not None
