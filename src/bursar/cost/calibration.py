"""`Calibration`: what predictions rest on beside a datasheet, and how far off they were.

Measured operator tables, what servers add to the seconds of their steps, and intervals. The
coefficients that ship are in `coefficients.toml`, made by `endtoend/fit.py`.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from bursar.cost.tables import Engine, MeasuredTables, read_tables
from bursar.errors import BadInput


@dataclass(frozen=True, slots=True)
class EngineLaw:
    """What one engine's servers add to their steps: seconds, or factors; see `endtoend/law.py`.

    `step_factor`: measured steps over the sum of their operators; 1 unless fitted to somebody's
    own measurements.
    """

    first_seconds: float
    routed_seconds: float
    prompt_factor: float
    queue: float
    handling_seconds: float
    transfer_seconds: float = 0.0
    pool_queue: float = 0.0
    step_factor: float = 1.0


Law = Mapping[str, EngineLaw]
"""By engine ("vllm") or its version ("vllm 0.12.0"); "any" is for all others."""

Interval = tuple[float, float]
Intervals = Mapping[str, Mapping[str, Mapping[str, Interval]]]
"""tier, mode, metric -> (low, high) of measured over predicted, 80 of 100."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Law, intervals and tables; `shipped()` has no tables."""

    law: Law
    intervals: Intervals
    tables: MeasuredTables = field(default_factory=MeasuredTables)

    def of(self, engine: Engine) -> EngineLaw:
        """The coefficients of an engine: its version's, else its own, else any's."""
        labels = (engine.label, engine.name or "any", "any")
        return next(self.law[label] for label in labels if label in self.law)

    def written(self) -> str:
        """Law and intervals as TOML."""
        return "".join(_lines(self.law, self.intervals))


@cache
def shipped() -> Calibration:
    """What `endtoend/fit.py` made."""
    text = resources.files("bursar.cost").joinpath("coefficients.toml").read_text("utf-8")
    return _parsed(tomllib.loads(text))


def read_calibration(path: Path) -> Calibration:
    """A file that `bursar calibrate --serving` wrote. Raises `BadInput` when it is not one."""
    try:
        return _parsed(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path} can't be read as TOML: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadInput(
            f"{path} is no calibration; make one with `bursar calibrate --serving RESULTS`"
        ) from None


def calibration(tables: Path | None = None, coefficients: Path | None = None) -> Calibration:
    """What ships, or a file of coefficients, and a folder of measured tables beside it.

    Raises `BadInput` for files that can't be read.
    """
    known = shipped() if coefficients is None else read_calibration(coefficients)
    if tables is None:
        return known
    return replace(known, tables=MeasuredTables(read_tables(tables)))


def _parsed(found: dict[str, Any]) -> Calibration:
    law = {engine: EngineLaw(**numbers) for engine, numbers in found["law"].items()}
    intervals = {
        tier: {
            mode: {metric: (float(low), float(high)) for metric, (low, high) in both.items()}
            for mode, both in modes.items()
        }
        for tier, modes in found["interval"].items()
    }
    if "any" not in law or not {"ttft", "tpot"} <= set(intervals["fitted"]["aggregated"]):
        raise KeyError("any law, and intervals of fitted coefficients")
    return Calibration(law, intervals)


def _lines(law: Law, intervals: Intervals) -> Iterator[str]:
    for engine, coefficients in law.items():
        yield f'\n[law."{engine}"]\n'
        yield "".join(f"{name} = {value:.4g}\n" for name, value in asdict(coefficients).items())
    for tier, modes in intervals.items():
        for mode, metrics in modes.items():
            yield f"\n[interval.{tier}.{mode}]\n"
            yield "".join(f"{m} = [{low:.3g}, {high:.3g}]\n" for m, (low, high) in metrics.items())
