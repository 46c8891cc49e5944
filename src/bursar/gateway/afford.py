"""What a request's own budget covers, and the most that a strategy can use of each resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bursar.errors import Unbounded
from bursar.gateway.models import Model
from bursar.usage import Usage

_MILLION = ((1_000_000, 0), (0, 1_000_000))
"""A million tokens in, a million out."""


def affordable(
    model: Model, tokens_in: int, most: int, seconds: float, times: int, limits: Mapping[str, float]
) -> int:
    """The most output tokens, up to `most`, that `limits` cover; -1 when not even the prompt.

    Raises `Unbounded` for a limit on what nobody knows of this model.
    """

    for name in limits:
        if model.upper(0, 0, 0.0).get(name) is None:
            raise Unbounded(
                "request", name, f"what {model.name} uses of it is not known; limit another"
            )

    def fits(tokens_out: int) -> bool:
        upper = model.upper(tokens_in, tokens_out, seconds, times)
        used = ((upper.get(name), amount) for name, amount in limits.items() if name != "seconds")
        return all((use or 0.0) <= amount for use, amount in used)

    if not fits(0):
        return -1
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def binding(
    model: Model,
    tokens_in: int,
    answers: int,
    seconds: float,
    times: int,
    limits: Mapping[str, float],
) -> tuple[str, float, float, float]:
    """Which limit of a request's budget does not cover one token of an answer, and by how much."""
    upper = model.upper(tokens_in, answers, seconds, times)
    for name, amount in limits.items():
        use = upper.get(name)
        if name != "seconds" and use is not None and use > amount:
            return name, amount, 0.0, use
    return next(iter(limits)), 0.0, 0.0, 0.0


def strategy_bound(limits: Mapping[str, float], models: Sequence[Model], seconds: float) -> Usage:
    """A strategy's budget, which names tokens, as the upper bound of its hold.

    Its tokens are held as output: nobody knows beforehand how many will be input, and in no split
    do they use more of any other resource than the dearer of all input and all output.
    """
    tokens = int(limits["tokens"])
    bounds = [model.upper(*split, 0.0) for model in models for split in ((tokens, 0), (0, tokens))]

    def most(resource: str) -> float | None:
        found = [bound.get(resource) for bound in bounds]
        known = [amount for amount in found if amount is not None]
        own = limits.get(resource)
        if len(known) < len(found):
            return own
        return max(known) if own is None else min(own, max(known))

    return Usage(
        tokens_in=0.0,
        tokens_out=float(tokens),
        seconds=min(limits.get("seconds", seconds), seconds),
        joules=most("joules"),
        usd=most("usd"),
        tool_calls=0.0,
        grams_co2e=most("grams_co2e"),
    )


def strategy_limits(
    limits: Mapping[str, float], models: Sequence[Model], otherwise: int
) -> dict[str, float]:
    """A strategy's budget with a limit on tokens: what its dollars buy at most, or `otherwise`."""
    if "tokens" in limits:
        return dict(limits)
    tokens = otherwise
    if "usd" in limits:
        usds = [model.upper(*split, 0.0).usd for model in models for split in _MILLION]
        if least := min((usd for usd in usds if usd), default=None):
            tokens = max(1, int(limits["usd"] * 1e6 / least))
    return {**limits, "tokens": float(tokens)}
