"""Fits the law of TTFT and calibrates all intervals on measured servers.

    python -m bursar.cost.endtoend.fit MEASURED.csv [--tables FOLDER] [--out coefficients.toml]

Groups are pairs of (model, device), each with the same weight, however many rows it has. Intervals
come from groups that were left out of the fit, separately by tier and mode.
"""

import argparse
import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from bursar.cost.calibration import Calibration, EngineLaw, Interval, Intervals, Law, shipped
from bursar.cost.deployment import Deployment
from bursar.cost.endtoend.features import Features, features
from bursar.cost.endtoend.law import Columns, tpot_seconds, ttft_seconds, ttft_with
from bursar.cost.endtoend.measured import Measured, read_measured
from bursar.cost.endtoend.named import another_model
from bursar.cost.tables import MeasuredTables, interval, read_tables
from bursar.cost.work import Array

ENGINES = ("vllm", "sglang", "trtllm")
METRICS = ("ttft", "tpot")
TIERS = ("table", "fitted", "nearest")
MODES = ("aggregated", "disaggregated", "unstated")
MANY = 10
"""Rows that make a group count in full."""

FEW_GROUPS = 4
"""With fewer groups of one tier, both tiers share an interval."""

_START = {  # value, and how far off by a factor of e it may be, before any data
    "first_seconds": (0.12, 0.7),
    "routed_seconds": (0.03, 0.8),
    "prompt_factor": (1.2, 0.4),
    "queue": (0.06, 0.7),
    "handling_seconds": (0.01, 0.8),
    "transfer_seconds": (0.1, 1.0),
    "pool_queue": (0.2, 0.7),
}
_FAR = 0.35
"""Residuals of log TTFT beyond this count by their size, not its square."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, fit, calibrate; write the coefficients where `--out` says."""
    parser = argparse.ArgumentParser(prog="python -m bursar.cost.endtoend.fit")
    parser.add_argument("measured", type=Path)
    parser.add_argument("--tables", type=Path, help="folder of operator tables")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args(arguments)
    sample = Sample.of(priced(read_measured(chosen.measured), chosen.tables))
    law = fit(sample, np.ones(len(sample.group), dtype=bool))
    intervals = calibrate(sample, left_out(sample, dict(laws_without(sample))))
    tables = f" --tables {chosen.tables}" if chosen.tables else ""
    head = (
        "# What served models add to the seconds of their steps; see law.py and fit.py.\n"
        "# Fitted to published measurements of AIConfigurator (Apache-2.0).\n"
        f"# {datetime.date.today()}: "
        f"`python -m bursar.cost.endtoend.fit {chosen.measured}{tables}`\n"
    )
    text = head + Calibration(law, intervals).written()
    if chosen.out is None:
        print(text)
    else:
        chosen.out.write_text(text, encoding="utf-8")


def priced(rows: Sequence[Measured], tables: Path | None) -> Iterator[tuple[Measured, Features]]:
    """All rows by fitted coefficients, then as if their models were not known; with `tables`, all
    rows by these. What another model or device already stands in for stays in its own tier."""
    for row in rows:
        load = features(row.served)
        yield row, replace(load, tier="nearest") if row.notes else load
    for row in rows:
        yield row, mistaken(row)
    if tables is not None:
        known = replace(shipped(), tables=MeasuredTables(read_tables(tables)))
        for row in rows:
            load = features(row.served.elsewhere(lambda place: replace(place, calibration=known)))
            yield row, replace(load, tier="nearest") if row.notes else load


def mistaken(row: Measured) -> Features:
    """The row priced as if its model were not in the catalogue, with what would stand in for it."""

    def other(place: Deployment) -> Deployment:
        return replace(place, model=another_model(place.model))

    return replace(features(row.served.elsewhere(other)), tier="nearest")


@dataclass(frozen=True)
class Sample:
    """Measured rows with their features. `group`: model and device."""

    loads: Columns
    group: NDArray[np.str_]
    ttft: Array
    tpot: Array

    @classmethod
    def of(cls, priced: Iterable[tuple[Measured, Features]]) -> "Sample":
        """Rows with their features."""
        rows, loads = zip(*priced, strict=True)
        return cls(
            Columns.of(loads),
            np.array([row.group for row in rows]),
            np.array([row.ttft_seconds for row in rows]),
            np.array([row.tpot_seconds for row in rows]),
        )

    @property
    def names(self) -> list[str]:
        """The groups."""
        return sorted(set(self.group.tolist()))

    def ratios(self, law: Law) -> dict[str, Array]:
        """log(measured / predicted) by metric."""
        return {
            "ttft": np.log(self.ttft / ttft_seconds(self.loads, law)),
            "tpot": np.log(self.tpot / tpot_seconds(self.loads)),
        }


def fit(sample: Sample, keep: NDArray[np.bool_]) -> Law:
    """The law from the rows to `keep`; engines share a middle from which each departs little.

    Rows priced as another model are left out.
    """
    keep = keep & (sample.loads.tier != "nearest")
    names = list(_START)
    start = np.log([value for value, _ in _START.values()])
    spread = np.array([deviation for _, deviation in _START.values()])
    which = np.array([ENGINES.index(e) if e in ENGINES else -1 for e in sample.loads.engine])
    weights = _weights(sample, keep)
    measured = np.log(sample.ttft[keep])

    def each(x: Array) -> Array:
        middle, departures = x[: len(names)], x[len(names) :].reshape(len(ENGINES), -1)
        return np.asarray(np.exp(np.vstack([middle + departures, middle])))

    def residuals(x: Array) -> Array:
        at = dict(zip(names, each(x)[which].T, strict=True))
        off = (measured - np.log(ttft_with(sample.loads, at)[keep])) / _FAR
        bent = np.sign(off) * np.sqrt(2.0 * (np.sqrt(1.0 + off**2) - 1.0))
        middle = (x[: len(names)] - start) / spread / 2.0
        return np.concatenate([weights * bent, middle, x[len(names) :] / np.tile(spread, 3)])

    found = least_squares(residuals, np.concatenate([start, np.zeros(3 * len(names))]), max_nfev=40)
    rows = zip((*ENGINES, "any"), each(found.x), strict=True)
    return {engine: EngineLaw(*map(float, values)) for engine, values in rows}


def _weights(sample: Sample, keep: NDArray[np.bool_]) -> Array:
    """Square roots of what a row counts: a group's rows of one mode are one observation, if there
    are `MANY`; fleets, of which less is known, count a quarter."""
    keys = list(zip(sample.group[keep], sample.loads.mode[keep], strict=True))
    many = Counter(keys)
    stated = np.where(sample.loads.mode[keep] == "aggregated", 1.0, 0.5)
    return np.asarray(stated / np.sqrt([max(MANY, many[key]) for key in keys]))


def left_out(sample: Sample, laws: dict[str, Law]) -> dict[str, Array]:
    """log(measured / predicted), each group by the law that was fitted without it."""
    found = {metric: np.zeros(len(sample.group)) for metric in METRICS}
    for name in sample.names:
        own = sample.group == name
        for metric, ratios in sample.ratios(laws[name]).items():
            found[metric][own] = ratios[own]
    return found


def laws_without(sample: Sample) -> Iterator[tuple[str, Law]]:
    """Each group's name with the law from all others."""
    for name in sample.names:
        yield name, fit(sample, sample.group != name)


def calibrate(sample: Sample, ratios: dict[str, Array], without: str = "") -> Intervals:
    """Intervals by tier, mode and metric from left-out groups, the group `without` passed over."""
    found: dict[str, dict[str, dict[str, Interval]]] = {}
    for tier in TIERS:
        for mode in MODES:
            usable = (sample.loads.mode == mode) & (sample.group != without)
            own = usable & (sample.loads.tier == tier)
            chosen = own if len(set(sample.group[own])) >= FEW_GROUPS else usable
            if np.any(chosen):
                found.setdefault(tier, {})[mode] = _both(sample, ratios, chosen)
    return found


def _both(
    sample: Sample, ratios: dict[str, Array], chosen: NDArray[np.bool_]
) -> dict[str, Interval]:
    names = sorted(set(sample.group[chosen]))
    bounds = {
        metric: interval([ratios[metric][chosen & (sample.group == name)] for name in names])
        for metric in METRICS
    }
    return {m: (float(np.exp(low)), float(np.exp(high))) for m, (low, high) in bounds.items()}


if __name__ == "__main__":
    main()
