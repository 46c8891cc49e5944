"""Numbers as people read them. Unknown is an en dash, never 0."""

import re
from collections.abc import Iterator, Mapping, Sequence

from bursar.report.record import QuestionLine, ReceiptLine
from bursar.report.serving_record import HostedRecord, Instances
from bursar.units import format_amount

UNKNOWN = "–"


def share(value: float | None, digits: int = 1) -> str:
    """0.7831 -> "78.3 %"."""
    return UNKNOWN if value is None else f"{100 * value:.{digits}f} %"


def count(value: float | None) -> str:
    """59912 -> "59,912"; a fraction keeps four significant digits."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"


def short(value: float) -> str:
    """A tick label: 60000 -> "60k", 0.002 -> "0.002"."""
    for factor, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{letter}"
    return f"{value:.4g}"


def dollars(value: float | None) -> str:
    """Dollars with as many digits as it takes to see them: 0.00213 -> "0.00213"."""
    if value is None:
        return UNKNOWN
    return f"{value:,.2f}" if value >= 1 or value == 0 else f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """0.0257 -> "25.7 ms", 2.3 -> "2.3 s", 5400 -> "90 min"."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0.9995:
        return f"{1000 * seconds:.3g} ms"
    factor, name = time_unit(seconds)
    return f"{seconds / factor:.4g} {name}" if name != "s" else f"{seconds:.3g} s"


def time_unit(seconds: float) -> tuple[float, str]:
    """The unit in which such a time is shown, and its seconds: (60, "min")."""
    return (1.0, "s") if seconds < 600 else (60.0, "min") if seconds < 10800 else (3600.0, "h")


def fleet_words(fleet: Sequence[Instances], hosted: HostedRecord | None = None) -> str:
    """Such as "2 x l4 tp2 fp8 + 1 x spot l40s bf16 + 5.0 % at groq/llama-3.1-8b-instant"."""
    shown = [" ".join((*_kind(part), *_degrees(part), part.dtype)) for part in fleet]
    if hosted is not None:
        shown.append(f"{share(hosted.share)} at {hosted.name}")
    return " + ".join(shown)


def _kind(part: Instances) -> Iterator[str]:
    yield f"{part.replicas} x"
    if part.market != "on-demand":
        yield part.market
    yield part.device


def _degrees(part: Instances) -> Iterator[str]:
    for name, degree in (("tp", part.tp), ("pp", part.pp), ("dp", part.dp)):
        if degree > 1:
            yield f"{name}{degree}"


ONE_MORE = {
    "usd_per_hour": "dollar an hour",
    "watts": "watt",
    "gpus": "GPU",
}
"""What a fleet's budget is made of -> one of it."""


def fleet_budget(limits: Mapping[str, float]) -> str:
    """{"usd_per_hour": 20, "watts": 5000} -> "20.00 USD/h, 5 kW"."""
    shown = {
        "usd_per_hour": lambda x: f"{dollars(x)} USD/h",
        "watts": lambda x: f"{short(x)}W",
        "gpus": lambda x: f"{count(x)} GPUs",
    }
    return ", ".join(shown[name](limit) for name, limit in limits.items())


def amounts(values: Mapping[str, float | None]) -> str:
    """{"tokens": 60000, "usd": 2} -> "60k tokens, 2.00 USD"."""
    return ", ".join(format_amount(name, value) for name, value in values.items()) or UNKNOWN


def unit(resource: str) -> str:
    """The unit of a resource as people write it: "tokens", "USD", "s"."""
    return format_amount(resource, 1.0).split()[-1]


def price_unit(resource: str) -> tuple[float, str]:
    """How a price is shown: the number of units it is per, and their name.

    A single token or FLOP buys too little to read, so prices are per thousand or per 1e12.
    """
    if resource in ("tokens", "tokens_in", "tokens_out"):
        return 1e3, f"1k {resource}"
    if resource in ("flops", "bytes_moved"):
        return 1e12, format_amount(resource, 1e12)
    return 1.0, f"1 {unit(resource)}"


def price_number(value: float | None, resource: str) -> str:
    """2e-05 right answers per token -> "0.02", the right answers that `price_unit` buys."""
    return UNKNOWN if value is None else f"{value * price_unit(resource)[0]:.3g}"


def price(value: float | None, resource: str) -> str:
    """2e-05 right answers per token -> "0.02 right answers per 1k tokens"."""
    if value is None:
        return "unknown"
    return f"{price_number(value, resource)} right answers per {price_unit(resource)[1]}"


def worth(gain: float, cost: float, resource: str) -> str:
    """What a spend was to buy per `price_unit`: (2.0 right answers, 4000 tokens) -> "0.5"."""
    return price_number(gain / cost, resource) if cost > 0 else UNKNOWN


def why(line: QuestionLine, resource: str) -> str:
    """Why no more was spent on a question: what was left to buy, and what the price asked."""
    if line.next is None:
        return line.stopped
    arm, attempts, cost = line.next.arm, line.next.attempts, line.next.cost
    what = f"one more by {arm}" if attempts == 1 else f"{attempts} more by {arm}"
    asked = 100 * line.next.asked * cost
    gain = f"+{100 * line.next.gain:.2g} points for {format_amount(resource, cost)}"
    return f"{line.stopped}: {what} would buy {gain}; the price asks {asked:.2g}"


def difference(predicted: float | None, measured: float | None) -> str:
    """How far a measurement is from its prediction: (100, 88) -> "−12 %"."""
    if predicted is None or measured is None or predicted == 0:
        return UNKNOWN
    relative = round(100 * (measured / predicted - 1))
    return f"{'−' if relative < 0 else '+' if relative else ''}{abs(relative)} %"


def receipt_cells(line: ReceiptLine) -> tuple[str, ...]:
    """Calls, tokens in and out, dollars, measured, predicted, off by."""
    return (
        count(line.calls),
        count(line.tokens_in),
        count(line.tokens_out),
        dollars(line.usd),
        count(line.measured),
        count(line.predicted),
        difference(line.predicted, line.measured),
    )


def clipped(text: str | None, most: int = 160) -> str:
    """An answer that fits a table cell."""
    if text is None:
        return UNKNOWN
    return text if len(text) <= most else text[: most - 1] + "…"


def counted_order(name: str) -> list[str | int]:
    """A sorting key in which "chain 10" comes after "chain 9"."""
    # Text and digits alternate in the split, so that like is always compared with like.
    return [int(p) if i % 2 else p for i, p in enumerate(re.split(r"([0-9]+)", name))]


def outcome(correct: bool | None) -> str:
    """right, wrong or unknown."""
    return "unknown" if correct is None else "right" if correct else "wrong"


MOST_CLASSES = 20
"""Of tenants or priorities, that a table has room for."""

LATENCIES = {
    "ttft_s": "to the first token",
    "tpot_s": "between tokens",
    "e2e_s": "to the last token",
}


def seconds(value: float | None) -> str:
    """A duration in seconds, for a table that says so."""
    return "-" if value is None else f"{value:.3f}" if value < 100 else f"{value:,.0f}"
