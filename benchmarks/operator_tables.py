"""How well a table answers for rows it has not seen: `python benchmarks/operator_tables.py FOLDER`.

Hides a tenth of the rows of each table at random, then whole slices (a width, a head count, a
sequence length, a number of devices, a model's experts), and predicts them from the rest. Beside
it: tier (b), which knows the datasheet and the other rows' coefficients only. `FOLDER` holds tables
of any of the known formats. Prints one line per kind and slice; `--json FILE` writes them.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bursar.catalog import device
from bursar.cost.tables import KINDS, Interpolator, OperatorTable, fitted, interval, read_tables

SLICES: dict[str, dict[str, tuple[str, float]]] = {
    "gemm": {"k = 4096": ("k", 4096), "n = 8192": ("n", 8192)},
    "context_attention": {"prompts of 1024": ("new", 1024), "16 heads": ("heads", 16)},
    "generation_attention": {"length 1024": ("length", 1024), "16 heads": ("heads", 16)},
    "moe": {"hidden 4096 models": ("hidden", 4096), "512 tokens": ("tokens", 512)},
    "all_reduce": {"4 devices": ("devices", 4), "1 MiB": ("bytes", 2**20)},
}
MOST = 3000  # hidden rows of one table that are asked for


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    found: dict[tuple[str, str], list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for table in read_tables(chosen.folder):
        if table.kind == "gemm":  # the sides that served models have
            table = table.chosen((table.shape["n"] >= 256) & (table.shape["k"] >= 256))
        hidings = {"random tenth": rng.random(table.rows) < 0.1}
        for name, (axis, value) in SLICES.get(table.kind, {}).items():
            hidings[name] = table.shape[axis] == value
        for name, hidden in hidings.items():
            if hidden.any() and not hidden.all():
                pair = ratios(table, hidden, rng)
                found.setdefault((table.kind, name), []).append(pair)
    lines = [summary(*key, pairs) for key, pairs in sorted(found.items())]
    for line in lines:
        print(
            f"{line['kind']:22s}{line['hidden']:20s}{line['tables']:3d} tables  median "
            f"{line['median']:6.1%}  p90 {line['p90']:6.1%}  80 % of measured/predicted in "
            f"{line['low']:.2f}..{line['high']:.2f}   tier b: {line['fitted']:6.1%}"
        )
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")


def ratios(
    table: OperatorTable, hidden: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """log(measured / predicted) of hidden rows, by the table's rest and by tier (b)."""
    place = device(table.device)
    fit = fitted(place, table.kind, table.dtype, table.engine)

    def reference(shape: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        return fit.seconds(place, table.kind, table.dtype, shape)

    rest = Interpolator(table.chosen(~hidden), reference)
    asked = table.chosen(rng.permutation(np.flatnonzero(hidden))[:MOST])
    predicted = np.empty(asked.rows)
    for family, rows in families(asked):
        part = asked.chosen(rows)
        predicted[rows] = rest.seconds({**part.shape, **family})
    plain = fit.seconds(place, table.kind, table.dtype, asked.shape)
    return np.log(asked.seconds / predicted), np.log(asked.seconds / plain)


def families(table: OperatorTable) -> list[tuple[dict[str, float], NDArray[np.intp]]]:
    """What the rows of each family share, and which they are."""
    names = KINDS[table.kind].family
    if not names:
        return [({}, np.arange(table.rows))]
    columns = np.stack([table.shape[name] for name in names], axis=-1)
    members, which = np.unique(columns, axis=0, return_inverse=True)
    return [
        (dict(zip(names, map(float, member), strict=True)), np.flatnonzero(which.ravel() == i))
        for i, member in enumerate(members)
    ]


def summary(
    kind: str, hidden: str, pairs: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> dict[str, object]:
    """Each table counts the same."""
    ours, plain = ([pair[i] for pair in pairs] for i in (0, 1))
    errors = [np.abs(np.expm1(-r)) for r in ours]
    low, high = interval(ours)
    return {
        "kind": kind,
        "hidden": hidden,
        "tables": len(pairs),
        "median": round(float(np.mean([np.median(e) for e in errors])), 4),
        "p90": round(float(np.mean([np.quantile(e, 0.9) for e in errors])), 4),
        "low": round(float(np.exp(low)), 3),
        "high": round(float(np.exp(high)), 3),
        "fitted": round(float(np.mean([np.median(np.abs(np.expm1(-r))) for r in plain])), 4),
    }


if __name__ == "__main__":
    main()
