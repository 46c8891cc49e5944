"""The data of the catalogue: complete, sourced, plausible."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from bursar import catalog
from bursar.catalog.devices import Device
from bursar.catalog.entry import Entry, Provenance
from bursar.catalog.tables import TABLES

ENTRIES = [(table, entry) for table, read in TABLES.items() for entry in read().values()]
DATE = re.compile(r"(19|20)\d\d(-(0[1-9]|1[0-2])(-\d\d)?)?")


def numbers(entry: Entry) -> list[str]:
    """Fields of an entry that hold numbers."""

    def holds_number(value: Any) -> bool:
        if isinstance(value, dict):
            return any(holds_number(v) for v in value.values())
        return isinstance(value, int | float) and not isinstance(value, bool)

    return [name for name, value in entry.row().items() if holds_number(value)]


@pytest.mark.parametrize(("table", "entry"), ENTRIES, ids=lambda x: getattr(x, "name", x))
def test_every_number_has_a_source_and_a_date_or_a_reasoned_estimate(
    table: str, entry: Entry
) -> None:
    found = numbers(entry)
    assert found, f"{table} {entry.name} holds no number"
    for field in found:
        where = entry.provenance(field)
        if where.estimate is not None:
            assert len(where.estimate) > 10
        else:
            assert where.source is not None
            assert len(where.source) > 5
            assert where.date is not None
            assert DATE.fullmatch(where.date)
            assert where.date <= "2026-12"


def test_the_catalogue_is_as_large_as_promised() -> None:
    assert len(catalog.devices()) >= 45
    assert len(catalog.models()) >= 35
    assert len(catalog.grids()) >= 30
    assert len(catalog.api_prices()) >= 30
    kinds = {device.kind for device in catalog.devices().values()}
    assert kinds == {"gpu", "tpu", "accelerator", "cpu", "edge", "phone", "fpga", "pim", "mcu"}


@pytest.mark.parametrize("device", catalog.devices().values(), ids=lambda d: d.name)
def test_a_narrower_type_is_never_slower(device: Device) -> None:
    peak = device.peak_flops
    for wide, narrow in (("fp64", "fp32"), ("fp32", "bf16"), ("bf16", "fp8"), ("fp8", "fp4")):
        if wide in peak and narrow in peak:
            assert peak[narrow] >= peak[wide]
    assert device.memory_bytes_per_second is not None


def test_no_name_or_alias_is_used_twice() -> None:
    for table, read in TABLES.items():
        names = [name.lower() for e in read().values() for name in (e.name, *e.aliases)]
        assert len(names) == len(set(names)), table


def test_a_number_needs_a_source_and_date_or_an_estimate() -> None:
    with pytest.raises(ValidationError, match="source and its date"):
        Provenance(source="a datasheet")
    with pytest.raises(ValidationError, match="source and its date"):
        Provenance(source="a datasheet", date="2024", estimate="and a guess")


def test_idle_power_and_rent_are_never_covered_by_the_datasheet() -> None:
    raw = {"name": "x", "source": "a datasheet", "date": "2024", "full_name": "X", "vendor": "V"}
    raw |= {"kind": "gpu", "peak_flops": {"bf16": "1 TFLOP"}, "usd_per_hour": 1.0}
    with pytest.raises(ValidationError, match="usd_per_hour needs its own"):
        Device.model_validate(raw)
