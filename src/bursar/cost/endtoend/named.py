"""Models and devices by the names that benchmark files use: in the catalogue, or the nearest."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from math import log
from typing import Generic, TypeVar

from bursar import catalog
from bursar.catalog import Device, ModelSpec
from bursar.catalog.entry import normal
from bursar.errors import BadInput

T = TypeVar("T")

_SAME_SHAPE = re.compile(
    r"hf|instruct|chat|it|base|thinking|\d{4}|dynamic|block|"
    r"nvfp4|mxfp4|fp8|fp4|int8|int4|awq|gptq|w\d+a\d+|bf16"
)
"""Parts of a name that say how a model was trained or stored, and do not change its shape."""

_VERSION = re.compile(r"v\d+(\.\d+)?")

_SIZE = re.compile(r"(?:(\d+)x)?(\d+(?:\.\d+)?)b(?![a-z0-9])")
_ACTIVE = re.compile(r"(?:(\d+)x)?a(\d+(?:\.\d+)?)b(?![a-z0-9])")


@dataclass(frozen=True, slots=True)
class Named(Generic[T]):
    """What a name stands for. `note` is empty, or says what was taken in its place."""

    found: T
    note: str = ""


@cache
def named_model(name: str) -> Named[ModelSpec]:
    """A name of the catalogue, a `config.json`'s path, or the nearest.

    What does not change a model's shape ("-Instruct", "-FP8") may be part of the name. The nearest
    has the nearest number of parameters stated in the name ("30B-A3B"), all and active alike; among
    equals, and without a number, the most similar name.
    """
    parts = normal(name).rsplit("/", 1)[-1].split("-")
    kept = [part for part in parts if not _SAME_SHAPE.fullmatch(part)]
    plain = "-".join(kept)
    unnumbered = "-".join([part for part in kept if not _VERSION.fullmatch(part)])
    for candidate in (name, plain, unnumbered):
        try:
            return Named(catalog.model(candidate))
        except BadInput:
            continue
    nearest = _nearest(plain)
    return Named(nearest, f"unknown model {name!r}, answered as {nearest.name}")


@cache
def another_model(spec: ModelSpec) -> ModelSpec:
    """What would stand in for a model of the catalogue if it were not there."""
    return _nearest(spec.name, but=spec)


def _nearest(wanted: str, but: ModelSpec | None = None) -> ModelSpec:
    total, active = _stated(_SIZE, wanted), _stated(_ACTIVE, wanted)
    if but is not None:
        total, active = float(but.parameters), float(but.active_parameters)
    specs = [spec for entry in catalog.models().values() if (spec := entry.spec) != but]

    def distance(spec: ModelSpec) -> tuple[float, float]:
        apart = 0.0
        for number, its in ((total, spec.parameters), (active or total, spec.active_parameters)):
            apart += abs(log(number / its)) if number else 0.0
        return round(apart, 1), -_alike(wanted, spec.name)

    return min(specs, key=distance)


@cache
def named_device(name: str) -> Named[Device]:
    """A device of the catalogue, or the one with the most similar name."""
    try:
        return Named(catalog.device(name))
    except BadInput:
        nearest = catalog.device(_closest(normal(name), catalog.devices()))
        return Named(nearest, f"unknown device {name!r}, answered as {nearest.name}")


def _closest(name: str, known: Iterable[str]) -> str:
    return max(known, key=lambda other: _alike(name, other))


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def _stated(pattern: re.Pattern[str], name: str) -> float | None:
    found = pattern.search(name)
    return float(found[1] or 1) * float(found[2]) * 1e9 if found else None
