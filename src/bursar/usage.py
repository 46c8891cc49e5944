"""`Usage`: an amount of resources, predicted or measured. Unknown is None, never 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields

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

    @classmethod
    def zero(cls) -> Usage:
        """Nothing of anything: the start of a sum."""
        return _ZERO

    @classmethod
    def total(cls, parts: Iterable[Usage]) -> Usage:
        """The sum of `parts`; zero when there are none."""
        total = _ZERO
        for part in parts:
            total = total + part
        return total

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


def _row(usage: Usage) -> tuple[float | None, ...]:
    return tuple(getattr(usage, name) for name in _NAMES)


def _plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


_NAMES = tuple(f.name for f in fields(Usage))
assert _NAMES == RESOURCES
_ZERO = Usage(*(0.0 for _ in RESOURCES))
