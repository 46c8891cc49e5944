"""What the tables are good for, on recorded data: rows left out of them, and servers."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bursar.catalog import device, model
from bursar.cost import MEASURED, Deployment, step_arrays
from bursar.cost.calibration import shipped
from bursar.cost.tables import (
    Engine,
    Interpolator,
    MeasuredTables,
    OperatorTable,
    fitted,
    read_tables,
)

DATA = Path(__file__).parents[3] / "../shared/data/serving"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DATA.exists(), reason="the recorded data is not here"),
]
H100 = device("h100-sxm")


@pytest.fixture(scope="module")
def tables() -> tuple[OperatorTable, ...]:
    return read_tables(DATA / "aiconfigurator", device_name=H100.name)


@pytest.mark.parametrize(("engine", "dtype"), [("trtllm", "bf16"), ("vllm", "fp8")])
def test_a_width_left_out_of_a_table_is_within_a_tenth(
    tables: tuple[OperatorTable, ...], engine: str, dtype: str
) -> None:
    (table,) = (t for t in tables if (t.kind, t.engine, t.dtype) == ("gemm", engine, dtype))
    table = table.chosen((table.shape["n"] >= 512) & (table.shape["k"] >= 512))
    hidden, fit = table.shape["k"] == 4096, fitted(H100, "gemm", dtype, engine)
    rest = Interpolator(
        table.chosen(~hidden), lambda shape: fit.seconds(H100, "gemm", dtype, shape)
    )
    asked = table.chosen(hidden)
    error = np.abs(rest.seconds(asked.shape) / asked.seconds - 1.0)
    assert np.median(error) < 0.04
    assert np.quantile(error, 0.9) < 0.12


def test_steps_of_servers_are_closer_than_by_the_roofline(
    tables: tuple[OperatorTable, ...],
) -> None:
    """Long answers: 8 prompts of 1,024 tokens against 8,192 steps are lost in the noise."""
    spec, known = model("llama-3.1-70b"), replace(shipped(), tables=MeasuredTables(tables))
    errors: list[tuple[float, float]] = []
    with (DATA / "measured_end_to_end.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            wanted = (row["model_path"].split("/")[1], row["system"], row["osl"], row["mode"])
            if wanted != ("Llama-3.1-70B", "h100_sxm", "8192", "agg"):
                continue
            place = Deployment(
                spec,
                H100,
                tp=int(row["tp_size"]),
                dtype="fp8",
                engine=Engine("vllm"),
                calibration=known,
            )
            batch, length = int(row["batch_size"]), int(row["isl"]) + 4096
            seconds = float(row["silicon_tpot_ms"]) / 1e3
            found = step_arrays(place, 1, length, batch)
            roofline = step_arrays(replace(place, efficiency=MEASURED), 1, length, batch)
            errors.append(
                (
                    abs(float(found.seconds) / seconds - 1),
                    abs(float(roofline.seconds) / seconds - 1),
                )
            )
    ours, plain = np.median(np.array(errors), axis=0)
    assert len(errors) >= 10
    assert ours < 0.10
    assert ours < plain
