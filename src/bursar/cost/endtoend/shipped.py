"""Coefficients of the law and intervals as they ship: `coefficients.toml`, read and written."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources

from bursar.cost.endtoend.law import EngineLaw, Law

Interval = tuple[float, float]
Intervals = Mapping[str, Mapping[str, Mapping[str, Interval]]]
"""tier, mode, metric -> (low, high) of measured over predicted, 80 of 100."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A law and how far off it is."""

    law: Law
    intervals: Intervals


@cache
def shipped() -> Shipped:
    """What `fit.py` made."""
    text = resources.files("bursar.cost.endtoend").joinpath("coefficients.toml").read_text("utf-8")
    found = tomllib.loads(text)
    return Shipped(
        law={engine: EngineLaw(**numbers) for engine, numbers in found["law"].items()},
        intervals={
            tier: {
                mode: {metric: (low, high) for metric, (low, high) in both.items()}
                for mode, both in modes.items()
            }
            for tier, modes in found["interval"].items()
        },
    )


def written(law: Law, intervals: Intervals) -> Iterator[str]:
    """The same as TOML."""
    for engine, coefficients in law.items():
        yield f"\n[law.{engine}]\n"
        yield "".join(f"{name} = {value:.4g}\n" for name, value in asdict(coefficients).items())
    for tier, modes in intervals.items():
        for mode, metrics in modes.items():
            yield f"\n[interval.{tier}.{mode}]\n"
            yield "".join(f"{m} = [{low:.3g}, {high:.3g}]\n" for m, (low, high) in metrics.items())
