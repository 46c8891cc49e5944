"""Resources, their units, and the text people write them in.

One resource has one unit inside bursar: tokens, FLOPs, bytes, seconds, joules, dollars, tool
calls, grams of CO2e, requests to models. Text such as ``"200k tokens"``, ``"1.5 min"``, ``"5 kJ"``
is turned into it here.
"""

import math
import re

from bursar.errors import BadInput

RESOURCES = (
    "tokens_in",
    "tokens_out",
    "flops",
    "bytes_moved",
    "seconds",
    "joules",
    "usd",
    "tool_calls",
    "grams_co2e",
    "requests",
)
"""What is measured: the fields of `Usage`."""

LIMITABLE = ("tokens", *RESOURCES)
"""What can be limited: every resource, and ``tokens`` = ``tokens_in + tokens_out``."""

_PREFIX = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12, "p": 1e15, "e": 1e18}

# unit word (lower case) -> (resource, factor to our unit)
_UNITS: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("token", "tokens", "tok", "toks"), ("tokens", 1.0)),
    **dict.fromkeys(("tokens_in", "token_in", "input_tokens"), ("tokens_in", 1.0)),
    **dict.fromkeys(("tokens_out", "token_out", "output_tokens"), ("tokens_out", 1.0)),
    **{f"{p}flop{s}": ("flops", f) for p, f in _PREFIX.items() if p != "b" for s in ("", "s")},
    **{f"{p}b": ("bytes_moved", f) for p, f in _PREFIX.items() if p not in ("b", "")},
    **{f"{p}ib": ("bytes_moved", 1024.0**i) for i, p in enumerate("kmgtpe", start=1)},
    **dict.fromkeys(("byte", "bytes", "bytes_moved"), ("bytes_moved", 1.0)),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), ("seconds", 1.0)),
    "ms": ("seconds", 1e-3),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), ("seconds", 60.0)),
    **dict.fromkeys(("h", "hr", "hour", "hours"), ("seconds", 3600.0)),
    **dict.fromkeys(("day", "days"), ("seconds", 86400.0)),
    **dict.fromkeys(("j", "joule", "joules"), ("joules", 1.0)),
    "kj": ("joules", 1e3),
    "mj": ("joules", 1e6),
    "wh": ("joules", 3600.0),
    "kwh": ("joules", 3.6e6),
    **dict.fromkeys(("usd", "$", "dollar", "dollars"), ("usd", 1.0)),
    **dict.fromkeys(("cent", "cents"), ("usd", 0.01)),
    **dict.fromkeys(("call", "calls", "tool_call", "tool_calls"), ("tool_calls", 1.0)),
    **dict.fromkeys(("request", "requests", "req", "reqs"), ("requests", 1.0)),
    **dict.fromkeys(("gco2e", "gco2", "grams_co2e"), ("grams_co2e", 1.0)),
    **dict.fromkeys(("kgco2e", "kgco2"), ("grams_co2e", 1e3)),
}

_COUNTED = ("tokens", "tokens_in", "tokens_out", "tool_calls", "flops", "requests")
_AMOUNT = re.compile(
    r"\s*(?P<dollar>\$)?\s*(?P<number>[+-]?(?:\d[\d_]*)?\.?\d+(?:e[+-]?\d+)?)"
    r"\s*(?P<prefix>[kmbgtp])?\s*(?P<unit>[a-z_$][a-z_0-9]*|\$)?\s*",
    re.IGNORECASE,
)
REMEDY = 'write for example "200k tokens", "2 USD", "30 s", "5 kJ", "1e15 flops" or "100 gCO2e"'

NO_PERIODS = "only an account of a ledger has those; give a limit for all of it, such as '2 USD'"


def parse_amount(text: str) -> tuple[str, float]:
    """One amount such as ``"200k tokens"`` -> ``("tokens", 200000.0)``.

    Raises `BadInput` when the number or unit can't be read, or the amount is not finite and >= 0.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise BadInput(f"can't read the amount {text.strip()!r}: {REMEDY}")
    unit = "$" if match["dollar"] else (match["unit"] or "").lower()
    prefix = (match["prefix"] or "").lower()
    if unit not in _UNITS and prefix + unit in _UNITS:  # "5 kJ", "3 ms": the k belongs to the unit
        unit, prefix = prefix + unit, ""
    if prefix + unit in _UNITS and prefix and not match["dollar"]:
        resource, factor = _UNITS[prefix + unit]
        if _UNITS.get(unit, ("", 0.0))[0] not in _COUNTED:
            unit, prefix = prefix + unit, ""
    if unit not in _UNITS:
        word = text[match.end("number") :].split()[-1:]  # whole: the p of "parsecs" is no prefix
        said = f"unknown unit {word[0]!r}" if unit else "no unit"
        raise BadInput(f"{said} in {text.strip()!r}: {REMEDY}")
    resource, factor = _UNITS[unit]
    amount = float(match["number"].replace("_", "")) * _PREFIX[prefix] * factor
    if not 0 <= amount < float("inf"):
        raise BadInput(f"{text.strip()!r} must be a finite amount, zero or more")
    return resource, amount


def parse_amounts(text: str) -> dict[str, float]:
    """Comma-joined amounts, ``"200k tokens, 2 USD"`` -> ``{"tokens": 200000.0, "usd": 2.0}``.

    Raises `BadInput` on an empty text or a resource named twice.
    """
    amounts: dict[str, float] = {}
    for part in text.split(","):
        if not part.strip():
            raise BadInput(f"an empty amount in {text!r}: {REMEDY}")
        if " per " in part:
            raise BadInput(f"{part.strip()!r} is a limit per period: {NO_PERIODS}")
        resource, amount = parse_amount(part)
        if resource in amounts:
            raise BadInput(f"{resource} is limited twice in {text!r}: name it once")
        amounts[resource] = amount
    return amounts


_SHOWN = {
    "seconds": "s",
    "joules": "J",
    "usd": "USD",
    "tool_calls": "calls",
    "grams_co2e": "gCO2e",
    "bytes_moved": "bytes",
}


def format_amount(resource: str, amount: float | None) -> str:
    """An amount for people: ``format_amount("tokens", 200000)`` -> ``"200k tokens"``."""
    unit = _SHOWN.get(resource, resource)
    if amount is None:
        return f"unknown {unit}"
    if resource == "usd":
        return f"{amount:.2f} {unit}" if amount >= 1 else f"{amount:.4g} {unit}"
    for factor, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(amount) >= factor and resource not in ("seconds", "joules"):
            return f"{amount / factor:.4g}{prefix} {unit}"
    return f"{amount:.4g} {unit}"


GRAINS: dict[str, int] = {
    **dict.fromkeys(("tokens", "tokens_in", "tokens_out"), 1),
    **dict.fromkeys(("flops", "bytes_moved", "tool_calls", "requests"), 1),
    **dict.fromkeys(("seconds", "joules", "grams_co2e"), 10**9),
    "usd": 10**12,
}
"""Grains in one unit. Spending is added and compared in whole grains, so that no sum drifts."""

_NOISE = 1e-6
"""A count this little above a whole number is that number (0.1 * 3 * 10 = 3.0000000000000004)."""


def to_grains(resource: str, amount: float, *, limit: bool = False) -> int:
    """`amount` in whole grains: counts rounded up (a `limit`: down), the rest to the nearest.

    Raises `BadInput` unless `amount` is finite and zero or more.
    """
    if not 0 <= amount < float("inf"):
        raise BadInput(f"{resource} is {amount!r}; it must be a finite amount, zero or more")
    grains = GRAINS[resource]
    if grains > 1:
        return round(float(amount) * grains)
    return math.floor(amount + _NOISE) if limit else math.ceil(amount - _NOISE)


def from_grains(resource: str, grains: int) -> float:
    """Whole grains as an amount: the float nearest to the exact quotient."""
    return grains / GRAINS[resource]
