"""Fits tier (b) to measured tables: `python -m bursar.cost.tables.fit FOLDER... [--out FILE.toml]`.

Prints, for every kind, data type and engine, the median error on a device that was left out, beside
the plain roofline's, and the share of its points inside an 80 % interval calibrated on the others.
"""

import argparse
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from bursar.catalog import device
from bursar.cost.deployment import MEASURED
from bursar.cost.tables.conformal import inside, interval
from bursar.cost.tables.efficiency import OperatorFit, cold, group
from bursar.cost.tables.operator import KINDS, OperatorTable
from bursar.cost.tables.read import read_tables
from bursar.cost.work import Array

ROWS = 600  # of each table, drawn at random: each device and engine counts the same
LARGEST, SMALLEST = 60_000, 256  # sides of a weight matrix as served models have them
HEAD = """\
# Tier (b) of step cost: coefficients per kind of operator, data type or link, and engine.
# Fitted to tables of AIConfigurator (Apache-2.0), Vidur and LLMServingSim (MIT).
"""

_BOUNDS = {
    "launch_seconds": (1e-7, 2e-4, 5e-6),  # least, most, start
    "compute": (0.02, 1.0, 0.5),
    "memory": (0.02, 1.0, 0.6),
    "link": (0.02, 1.0, 0.4),
    "sharpness": (1.0, 8.0, 2.0),
    "growth": (0.0, 4.0, 0.2),
    "imbalance": (0.0, 3.0, 0.2),
    "tile": (0.0, 64.0, 4.0),
}
_ROOFLINE = ("launch_seconds", "compute", "memory", "sharpness")
_CACHED = 8.0  # what a pointwise operator reads was just written: it may come from the cache


@dataclass(frozen=True)
class LeftOut:
    """One group fitted without each device in turn; ratios are log(measured / predicted)."""

    name: tuple[str, str, str]
    ratios: dict[str, Array]
    roofline: dict[str, float]

    def line(self) -> str:
        """One line for people."""
        errors = {d: float(np.median(np.abs(np.expm1(-r)))) for d, r in self.ratios.items()}
        covered = self.covered()
        parts = ", ".join(f"{d} {e:.0%} ({self.roofline[d]:.0%})" for d, e in errors.items())
        ours, plain = np.mean(list(errors.values())), np.mean(list(self.roofline.values()))
        share = "-" if covered is None else f"{covered:.0%}"
        return f"{' '.join(self.name):38s} {ours:5.0%} ({plain:5.0%})  inside {share:>4s}  {parts}"

    def covered(self) -> float | None:
        """Share of a device's points inside the interval from the other devices."""
        if len(self.ratios) < 3:
            return None
        shares = []
        for left, own in self.ratios.items():
            others = [ratios for name, ratios in self.ratios.items() if name != left]
            shares.append(inside(own, interval(others)))
        return float(np.mean(shares))


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, fit, print; write the coefficients where `--out` says."""
    parser = argparse.ArgumentParser(prog="python -m bursar.cost.tables.fit")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    print("kind, data type or link, engine: median error on a device left out (plain roofline)")
    tables = [
        sample
        for folder in chosen.folders
        for table in read_tables(folder)
        if (sample := served(table, rng)) is not None
    ]
    fits: dict[tuple[str, str, str], OperatorFit] = {}
    for name, group_tables in groups(tables):
        left_out = leave_one_out(name, group_tables)
        low, high = interval(list(left_out.ratios.values())) if left_out.ratios else (-0.7, 0.7)
        fits[name] = replace(
            fit(group_tables), low=round(float(np.exp(low)), 3), high=round(float(np.exp(high)), 3)
        )
        if left_out.ratios:
            print(left_out.line(), flush=True)
    if chosen.out is not None:
        command = f"python -m bursar.cost.tables.fit {' '.join(map(str, chosen.folders))}"
        made = f"# {datetime.date.today()}, {len(tables)} tables: `{command}`\n"
        chosen.out.write_text(HEAD + made + "".join(_toml(fits)), encoding="utf-8")


def served(table: OperatorTable, rng: np.random.Generator) -> OperatorTable | None:
    """Rows of shapes that models are served with, `ROWS` at most; None if there are none."""
    keep = np.ones(table.rows, dtype=bool)
    if table.kind == "gemm":
        sides = np.stack([table.shape["n"], table.shape["k"]])
        keep = np.all((sides >= SMALLEST) & (sides <= LARGEST), axis=0)
    rows = np.flatnonzero(keep)
    return table.chosen(rng.permutation(rows)[:ROWS]) if rows.size else None


def groups(
    tables: Sequence[OperatorTable],
) -> Iterator[tuple[tuple[str, str, str], list[OperatorTable]]]:
    """Tables by (kind, data type or link, engine), then over engines, then over data types."""
    found: dict[tuple[str, str, str], list[OperatorTable]] = {}
    for table in tables:
        which = group(device(table.device), table.kind, table.dtype)
        for name in ((which, table.engine), (which, "any"), ("any", "any")):
            found.setdefault((table.kind, *name), []).append(table)
    yield from sorted(found.items())


def leave_one_out(name: tuple[str, str, str], tables: Sequence[OperatorTable]) -> LeftOut:
    """Every device predicted by coefficients from the others; empty with a single device."""
    ratios, roofline = {}, {}
    for left in sorted({table.device for table in tables}):
        others = [table for table in tables if table.device != left]
        own = [table for table in tables if table.device == left]
        if not others:
            continue
        coefficients = fit(others)
        ratios[left] = np.concatenate([_ratios(coefficients, table) for table in own])
        plain = np.concatenate([_ratios(_plain(table.kind), table) for table in own])
        roofline[left] = float(np.median(np.abs(np.expm1(-plain))))
    return LeftOut(name, ratios, roofline)


def fit(tables: Sequence[OperatorTable]) -> OperatorFit:
    """Least squares of log(measured / predicted), robust to rows that follow no law."""
    free = _free(tables[0].kind)
    pointwise = "width" in KINDS[tables[0].kind].axes
    bounds = {**_BOUNDS, "memory": (0.02, _CACHED, 1.0)} if pointwise else _BOUNDS
    least, most, start = np.array([bounds[name] for name in free]).T
    start_at = (start - least) / (most - least)

    def at(x: Array) -> OperatorFit:
        values = map(float, least + x * (most - least))
        return OperatorFit(**{"launch_seconds": 0.0, **dict(zip(free, values, strict=True))})

    def residuals(x: Array) -> Array:
        return np.concatenate([_ratios(at(x), table) for table in tables])

    found = least_squares(
        residuals, start_at, bounds=(0.0, 1.0), loss="soft_l1", f_scale=0.2, x_scale=0.05
    )
    return at(found.x)


def _free(kind: str) -> tuple[str, ...]:
    if "devices" in KINDS[kind].axes:
        return ("launch_seconds", "growth", "link")
    if "width" in KINDS[kind].axes:
        return ("launch_seconds", "memory", "sharpness")
    return (*_ROOFLINE, "imbalance", "tile") if kind == "moe" else _ROOFLINE


def _plain(kind: str) -> OperatorFit:
    """Tier (c) for one operator: its time per layer is shared by about eight launches."""
    collective = "devices" in KINDS[kind].axes
    launch = MEASURED.seconds_per_collective if collective else MEASURED.seconds_per_layer / 8
    return OperatorFit(
        launch, MEASURED.compute, MEASURED.memory, MEASURED.link, sharpness=_BOUNDS["sharpness"][1]
    )


def _ratios(coefficients: OperatorFit, table: OperatorTable) -> Array:
    place = device(table.device)
    measured = cold(place, table.kind, table.dtype, table.shape, table.seconds)
    predicted = coefficients.seconds(place, table.kind, table.dtype, table.shape)
    return np.asarray(np.log(measured / predicted))


def _toml(fits: dict[tuple[str, str, str], OperatorFit]) -> Iterator[str]:
    for name, coefficients in fits.items():
        kept = (*_free(name[0]), "low", "high")
        numbers = ((f.name, getattr(coefficients, f.name)) for f in fields(coefficients))
        yield f"\n[{'.'.join(name)}]\n"
        yield "".join(f"{key} = {value:.4g}\n" for key, value in numbers if key in kept)


if __name__ == "__main__":
    main()
