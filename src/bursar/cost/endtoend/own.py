"""Fits the calibration to somebody's own servers: `bursar calibrate --serving RESULTS`.

What ships is the prior. Each engine measured (each version, where it is
stated) gets a factor on its steps, from the times between
tokens, and then coefficients of the law from the times to the first token; both are drawn towards
what ships, the more so the fewer rows there are (a ridge in logarithms). With `ENOUGH` rows the
intervals become those of rows left out of the fit one by one; before that the shipped ones stay.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from bursar.cost.calibration import Calibration, EngineLaw, Intervals
from bursar.cost.endtoend.features import features
from bursar.cost.endtoend.law import Columns, ttft_with
from bursar.cost.endtoend.predict import latencies
from bursar.cost.endtoend.served import Served
from bursar.cost.tables import interval
from bursar.cost.work import Array
from bursar.errors import BadInput

ENOUGH = 10
"""Rows from which intervals are measured."""

TPOT_NOISE, TTFT_NOISE = 0.1, 0.35
"""Standard deviations of logarithms, of one measured row."""

STEP_SPREAD = 0.25
"""The same of servers around the steps that ship."""

SPREADS = {"first_seconds": 0.7, "prompt_factor": 0.4, "queue": 0.7, "transfer_seconds": 1.0}
"""And of those coefficients of the law that a few rows can tell apart."""


@dataclass(frozen=True, slots=True)
class Own:
    """One measured server: mean seconds to the first token and between tokens."""

    served: Served
    ttft_seconds: float
    tpot_seconds: float


@dataclass(frozen=True, slots=True)
class Errors:
    """Median |predicted / measured - 1| by what was known before, and by the fit to other rows."""

    rows: int
    before: dict[str, float]
    after: dict[str, float]


def calibrate(rows: Sequence[Own], known: Calibration) -> tuple[Calibration, Errors]:
    """`known`, fitted to `rows`; `after` is of rows left out one by one, so 1 row has none.

    Raises `BadInput` without a row.
    """
    if not rows:
        raise BadInput("no measured server; give one result file or row at least")
    before = [_ratios([row], known)[0] for row in rows]
    left_out = []
    for i in range(len(rows) if len(rows) > 1 else 0):
        rest = [*rows[:i], *rows[i + 1 :]]
        left_out.append(_ratios([rows[i]], _fitted(rest, known))[0])
    made = _fitted(rows, known)
    if len(rows) >= ENOUGH:
        made = replace(made, intervals=_intervals(np.array(left_out), made.intervals))
    return made, Errors(len(rows), _medians(before), _medians(left_out))


def _fitted(rows: Sequence[Own], known: Calibration) -> Calibration:
    law = dict(known.law)
    engines = {row.served.decode.place.engine.label: row.served.decode.place.engine for row in rows}
    for label, engine in sorted(engines.items()):
        own = [row for row in rows if row.served.decode.place.engine.label == label]
        at = known.of(engine)
        off = np.array([tpot for _, tpot in _ratios(own, known)])
        shift = len(off) * np.median(off) / (len(off) + (TPOT_NOISE / STEP_SPREAD) ** 2)
        law[label] = replace(at, step_factor=at.step_factor * float(np.exp(shift)))
        stepped = replace(known, law=dict(law))
        law[label] = _law(own, law[label], stepped)
    return replace(known, law=law)


def _law(rows: Sequence[Own], start: EngineLaw, known: Calibration) -> EngineLaw:
    columns = Columns.of([features(_by(row, known)) for row in rows])
    measured = np.log([row.ttft_seconds for row in rows])
    spreads = np.array(list(SPREADS.values()))

    def at(x: Array) -> EngineLaw:
        moved = {n: getattr(start, n) * float(np.exp(d)) for n, d in zip(SPREADS, x, strict=True)}
        return replace(start, **moved)

    def residuals(x: Array) -> Array:
        off = (measured - np.log(ttft_with(columns, asdict(at(x))))) / TTFT_NOISE
        return np.concatenate([off, x / spreads])

    found = least_squares(residuals, np.zeros(len(SPREADS)), loss="soft_l1", max_nfev=40)
    return at(found.x)


def _ratios(rows: Sequence[Own], known: Calibration) -> list[tuple[float, float]]:
    """log(measured / predicted) of (TTFT, TPOT)."""
    found = []
    for row in rows:
        ttft, tpot, _ = latencies(_by(row, known))
        off = np.log(row.ttft_seconds / ttft.item()), np.log(row.tpot_seconds / tpot.item())
        found.append((float(off[0]), float(off[1])))
    return found


def _by(row: Own, known: Calibration) -> Served:
    return row.served.elsewhere(lambda place: replace(place, calibration=known))


def _medians(ratios: Sequence[tuple[float, float]]) -> dict[str, float]:
    if not ratios:
        return {}
    errors = np.median(np.abs(np.exp(-np.array(ratios)) - 1.0), axis=0)
    return {"ttft": float(errors[0]), "tpot": float(errors[1])}


def _intervals(left_out: Array, shipped: Intervals) -> Intervals:
    """Those of the rows left out, whatever they rest on."""
    low_high = [interval([row[None] for row in column]) for column in left_out.T]
    ttft, tpot = ((float(np.exp(low)), float(np.exp(high))) for low, high in low_high)
    own = {"ttft": ttft, "tpot": tpot}
    return {
        tier: dict.fromkeys(modes, own) if tier != "nearest" else modes
        for tier, modes in shipped.items()
    }
