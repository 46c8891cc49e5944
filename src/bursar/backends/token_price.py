"""What a hosted model charges for its tokens."""

from dataclasses import dataclass

from bursar.catalog.prices import api_price
from bursar.errors import BadInput


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """Dollars per million tokens. Zero is a price; where none is known there is no `TokenPrice`.

    `up_to_tokens_in` is the longest prompt for which it holds: a longer one has an unknown price.
    """

    usd_per_mtok_in: float
    usd_per_mtok_out: float
    up_to_tokens_in: float | None = None

    def __post_init__(self) -> None:
        for value in (self.usd_per_mtok_in, self.usd_per_mtok_out):
            if not 0 <= value < float("inf"):
                raise BadInput(f"price {value!r}: must be dollars per million tokens, zero or more")

    def usd(self, tokens_in: float, tokens_out: float) -> float | None:
        """Dollars of one call with that many tokens, without discounts for cached ones."""
        if self.up_to_tokens_in is not None and tokens_in > self.up_to_tokens_in:
            return None
        return (tokens_in * self.usd_per_mtok_in + tokens_out * self.usd_per_mtok_out) / 1e6


def listed_price(model: str) -> TokenPrice | None:
    """The catalogue's list price of a hosted model, whoever serves it; None when it has none."""
    try:
        entry = api_price(model)
    except BadInput:
        return None
    return TokenPrice(entry.usd_per_mtok_in, entry.usd_per_mtok_out, entry.up_to_tokens_in)
