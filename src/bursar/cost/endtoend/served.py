"""What is served and how: the replicas, what they run on, and the load they are measured under."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bursar.cost.deployment import Deployment
from bursar.cost.work import Array
from bursar.errors import BadInput

Sizes = float | Array


@dataclass(frozen=True, slots=True)
class Pool:
    """`workers` equal replicas of one deployment; None = not known how many, nor how wide."""

    place: Deployment
    workers: int | None = 1


@dataclass(frozen=True, slots=True)
class Served:
    """A server under closed-loop load: `in_flight` users, each with one request at a time.

    `decode` runs everything, or only decoding where prompts have a pool of their own, `prefill`.
    Prompts have `tokens_in` tokens, of which `cached_in` are in the cache already; answers have
    `tokens_out`. The four sizes may be arrays that broadcast: many loads of one server.
    """

    decode: Pool
    in_flight: Sizes
    tokens_in: Sizes
    tokens_out: Sizes
    prefill: Pool | None = None
    cached_in: Sizes = 0

    def __post_init__(self) -> None:
        prompt, answer, cached, users = (
            np.asarray(x) for x in (self.tokens_in, self.tokens_out, self.cached_in, self.in_flight)
        )
        if np.any(prompt < 1) or np.any(answer < 2):
            raise BadInput(
                f"{self.tokens_in} tokens in, {self.tokens_out} out; give at least 1 in and 2 out, "
                "there is no time between tokens otherwise"
            )
        if np.any(cached < 0) or np.any(cached >= prompt):
            raise BadInput(
                f"{self.cached_in} of {self.tokens_in} input tokens cached; "
                "one at least must be new"
            )
        if not np.all(users >= 1):
            raise BadInput(f"{self.in_flight} requests in flight; must be 1 or more")

    def elsewhere(self, change: Callable[[Deployment], Deployment]) -> "Served":
        """The same load on changed deployments."""

        def changed(pool: Pool) -> Pool:
            return replace(pool, place=change(pool.place))

        prefill = None if self.prefill is None else changed(self.prefill)
        return replace(self, decode=changed(self.decode), prefill=prefill)

    @property
    def engine(self) -> str:
        """The server's name, or "any"."""
        return self.decode.place.engine.name or "any"

    @property
    def mode(self) -> str:
        """aggregated, disaggregated, or unstated: over an unknown number of workers."""
        if self.decode.workers is None:
            return "unstated"
        return "aggregated" if self.prefill is None else "disaggregated"
