"""`Usage`: an amount of resources, predicted or measured. Unknown is None, never 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from operator import attrgetter

from bursar import units
from bursar.errors import BadInput
from bursar.units import RESOURCES


@dataclass(frozen=True, slots=True)
class Usage:
    """An amount of each resource, in the unit of its name; None where it is not known.

    Predicted and measured spend share this type, so a calibration error is a subtraction.
    A sum with an unknown is unknown: what one part hides, the total can't tell.
    """

    tokens_in: float | None = None
    tokens_out: float | None = None
    flops: float | None = None
    bytes_moved: float | None = None
    seconds: float | None = None
    joules: float | None = None
    usd: float | None = None
    tool_calls: float | None = None
    grams_co2e: float | None = None
    requests: float | None = None

    @classmethod
    def zero(cls) -> Usage:
        """Nothing of anything: the start of a sum."""
        return _ZERO

    @classmethod
    def total(cls, parts: Iterable[Usage]) -> Usage:
        """The sum of `parts`; zero when there are none."""
        columns = zip(*map(_row, parts), strict=True)
        sums = [None if None in column else sum(column, 0.0) for column in columns]
        return cls(*sums) if sums else _ZERO

    @classmethod
    def from_dict(cls, amounts: Mapping[str, float | None]) -> Usage:
        """From stored keys; raises `BadInput` on a key that is not a resource."""
        if unknown := set(amounts) - set(RESOURCES):
            raise BadInput(f"{sorted(unknown)} are not resources; use {', '.join(RESOURCES)}")
        return cls(**amounts)

    @property
    def tokens(self) -> float | None:
        """Input and output tokens together."""
        if self.tokens_in is None or self.tokens_out is None:
            return None
        return self.tokens_in + self.tokens_out

    def get(self, resource: str) -> float | None:
        """The amount of one limitable resource (`tokens` included)."""
        return getattr(self, resource)  # type: ignore[no-any-return]

    def known(self) -> dict[str, float]:
        """Only what is known, as a dict."""
        return {k: v for k, v in self.to_dict().items() if v is not None}

    def to_dict(self) -> dict[str, float | None]:
        """All resources, unknown as None: the JSON form."""
        return asdict(self)

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(_plus(a, b) for a, b in zip(_row(self), _row(other), strict=True)))

    def __sub__(self, other: Usage) -> Usage:
        return self + other * -1.0

    def __mul__(self, factor: float) -> Usage:
        return Usage(*(None if a is None else a * factor for a in _row(self)))

    __rmul__ = __mul__


def _plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


_NAMES = tuple(f.name for f in fields(Usage))
_UNKNOWN = tuple(name + "?" for name in _NAMES)
_row: Callable[[Usage], tuple[float | None, ...]] = attrgetter(*_NAMES)
assert _NAMES == RESOURCES
_ZERO = Usage(*(0.0 for _ in RESOURCES))


Grains = dict[str, int]
"""An amount in whole grains (`units.GRAINS`); key ``"usd?"`` counts parts whose usd is unknown.

An absent key is zero. Sums and differences are exact, and an unknown part can be taken out again.
"""


def grains_of(usage: Usage) -> Grains:
    """`usage` in whole grains, exact from there on; raises `BadInput` on a negative or infinite."""
    grains: Grains = {}
    for name, unknown, amount in zip(_NAMES, _UNKNOWN, _row(usage), strict=True):
        if amount is None:
            grains[unknown] = 1
        elif amount:
            grains[name] = units.to_grains(name, amount)
    return grains


def usage_of(grains: Mapping[str, int]) -> Usage:
    """The `Usage` of a sum of grains: None where some part is unknown."""
    return Usage(
        *(
            None if grains.get(name + "?") else units.from_grains(name, grains.get(name, 0))
            for name in _NAMES
        )
    )


def add_grains(total: Grains, part: Mapping[str, int], sign: int = 1) -> None:
    """``total += sign * part``, in place; what becomes zero is dropped."""
    for name, grains in part.items():
        if left := total.get(name, 0) + sign * grains:
            total[name] = left
        else:
            total.pop(name, None)
