"""Where capacity comes from: on demand, spot instances, a hosted API of the same model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from bursar.catalog import ApiPrice, ModelSpec, api_prices
from bursar.cost import hosted_cost
from bursar.errors import BadInput
from bursar.fleet.candidates import Candidate
from bursar.fleet.kinds import Kinds

MARKETS = ("on-demand", "spot", "hosted")


@dataclass(frozen=True, slots=True)
class Spot:
    """What spot instances cost and how they fail.

    `price`: share of the rent on demand (in public price lists mostly 0.2 to 0.6).
    `interruptions_per_hour` of one instance; the default, one in 20 hours, is an assumption on the
    careful side (providers publish at most shares per month). `recovery_s`: until another instance
    has started and loaded the model, also assumed.
    """

    price: float = 0.4
    interruptions_per_hour: float = 0.05
    recovery_s: float = 600.0

    def __post_init__(self) -> None:
        if not 0 < self.price <= 1:
            raise BadInput(f"spot price = {self.price}; give a share of the rent, up to 1")
        if not 0 <= self.interruptions_per_hour < np.inf:
            raise BadInput(
                f"interruptions = {self.interruptions_per_hour}; give zero or more an hour"
            )

    @property
    def availability(self) -> float:
        """Share of the time that an instance is there, of running and recovering in turn."""
        return 1 / (1 + self.interruptions_per_hour * self.recovery_s / 3600)

    def working(self, count: int, share: float) -> int:
        """Of `count` instances, how many are there at least `share` of the time (independent)."""
        return int(binom.ppf(1 - share, count, self.availability))

    def offer(self, one: Candidate) -> Candidate:
        """The instance as a spot instance: cheaper, and half of what is in flight is done twice."""
        own = one.capacity
        rate = own.requests_per_second
        seconds = np.divide(own.batch, rate, out=np.zeros_like(rate), where=rate > 0)
        redone = self.interruptions_per_hour / 3600 * seconds / 2
        kept = replace(own, requests_per_second=rate / (1 + redone))
        return replace(
            one, usd_per_hour=self.price * one.usd_per_hour, capacity=kept, market="spot"
        )


@dataclass(frozen=True, slots=True)
class Hosted:
    """A hosted API of the model: paid by the token, no instances, latency not known."""

    price: ApiPrice

    def usd_per_hour(self, found: Kinds) -> NDArray[np.float64]:
        """(kinds,) dollars an hour for all requests of each kind; inf beyond the longest prompt."""
        each = [
            hosted_cost(self.price, prompt, out).usd
            for prompt, out in zip(found.tokens_in, found.tokens_out, strict=True)
        ]
        usd = np.array([np.inf if x is None else x for x in each])
        return 3600 * usd * found.requests_per_second


def hosted_for(model: ModelSpec, found: Kinds) -> Hosted:
    """The cheapest hosted API of the model for such traffic. Raises `BadInput` without any."""
    served = [Hosted(price) for price in api_prices().values() if price.serves == model.name]
    if not served:
        raise BadInput(
            f"the catalogue has no hosted price of {model.name}: leave out the market hosted"
        )
    return min(served, key=lambda one: float(one.usd_per_hour(found).sum()))


def crossover(instances: Iterable[tuple[float, float]], usd_per_request: float) -> float | None:
    """Requests a second from which on some instance is cheaper than paying by the request.

    `instances`: rent in dollars an hour, and the most requests a second that it carries. None when
    even full instances are dearer.
    """
    rates = ((rent / (3600 * usd_per_request), most) for rent, most in instances)
    return min((rate for rate, most in rates if rate <= most), default=None)
