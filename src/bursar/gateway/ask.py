"""A request, read and checked: who asks which model for what, and within which budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from bursar.errors import BadInput
from bursar.gateway.bill import Bill
from bursar.gateway.nesting import too_deep
from bursar.gateway.principal import Principal
from bursar.gateway.seen.traces import UNTRACED_REQUEST, Trace
from bursar.gateway.upstream.base import Path
from bursar.limits import limit_grains
from bursar.units import from_grains

BUDGET_HEADER = "x-bursar-budget"
_OURS = ("budget", "bursar")
"""Fields of a body that are for the gateway and not for an upstream."""
EFFORTS = {"none": 0.0, "minimal": 0.25, "low": 0.5, "medium": 1.0, "high": 2.0, "xhigh": 4.0}
"""`reasoning_effort` -> what a strategy may spend, relative to its default budget."""
_LIMITED = (
    *("tokens", "tokens_in", "tokens_out", "usd", "seconds"),
    *("joules", "grams_co2e", "requests"),
)
"""What a request's own budget may limit."""


@dataclass(slots=True)
class Ask:
    """One request. `body` is for the upstream: the gateway's own fields are taken out of it.

    `began` is on the event loop's clock. `limits` is its budget, resource -> amount; empty: only
    what its `max_tokens` bounds.
    """

    request_id: str
    principal: Principal
    path: Path
    body: dict[str, Any]
    model: str
    began: float
    limits: Mapping[str, float] = field(default_factory=dict)
    user: str | None = None
    streamed: bool = False
    wants_usage: bool = False
    """Whether the client asked for a last chunk with the usage."""
    extract: str = ""
    """How a strategy is to read the answer out of a text; empty: by its look."""
    effort: str = "medium"
    """A key of `EFFORTS`."""
    bill: Bill | None = None
    """Once something is held for it."""
    queued_s: float = 0.0
    """How long its calls waited for their turn, in all."""
    trace: Trace = UNTRACED_REQUEST

    def waited(self, seconds: float) -> None:
        """A call of it has waited for its turn."""
        self.queued_s += seconds

    @property
    def account(self) -> str:
        """The account to charge."""
        return self.principal.account_of(self.user)


def read_body(content: bytes) -> dict[str, Any]:
    """The JSON object of a request's body."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is no JSON ({error}); send one JSON object") from None
    if not isinstance(body, dict):
        raise BadInput(f"the body is a JSON {type(body).__name__}; send one JSON object")
    if too_deep(content, body):
        raise BadInput("the body is nested too deeply; send a flatter one")
    return body


def read_ask(
    path: Path,
    body: dict[str, Any],
    budget: str | None,
    *,
    request_id: str,
    principal: Principal,
    began: float,
    default_budget: str = "",
    trace: Trace = UNTRACED_REQUEST,
) -> Ask:
    """Check what every request has. `budget` is the header's; it and the body's must agree."""
    model = body.get("model")
    if not isinstance(model, str) or not model or len(model) > 300:
        raise BadInput("model must be the name of a model, such as one that /v1/models lists")
    user = body.get("user")
    if user is not None and not isinstance(user, str):
        raise BadInput("user must be text")
    options = body.get("bursar") or {}
    if not isinstance(options, dict) or not set(options) <= {"budget", "extract"}:
        raise BadInput('bursar must be an object with "budget" or "extract"')
    given = [b for b in (budget, body.get("budget"), options.get("budget")) if b is not None]
    streamed = _flag(body, "stream")
    wants = body.get("stream_options")
    return Ask(
        request_id,
        principal,
        path,
        {name: value for name, value in body.items() if name not in _OURS},
        model,
        began,
        limits=_limits(given, default_budget),
        user=user,
        streamed=streamed,
        wants_usage=streamed and isinstance(wants, dict) and wants.get("include_usage") is True,
        extract=str(options.get("extract") or ""),
        effort=_effort(body),
        trace=trace,
    )


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadInput(f"{name} is {value!r}: it must be true or false")
    return bool(value)


def _effort(body: Mapping[str, Any]) -> str:
    effort = body.get("reasoning_effort")
    if effort is None:
        return "medium"
    if not isinstance(effort, str) or effort not in EFFORTS:
        raise BadInput(
            f"reasoning_effort is {str(effort)[:40]!r}: it must be one of {', '.join(EFFORTS)}"
        )
    return effort


def _limits(given: list[Any], default: str) -> dict[str, float]:
    if any(not isinstance(budget, str) for budget in given):
        raise BadInput('a budget must be text, such as "2000 tokens, 0.01 USD, 5 s"')
    if len(set(given)) > 1:
        raise BadInput(f"two budgets, {given[0]!r} and {given[1]!r}: give one")
    text = given[0] if given else default
    if not text:
        return {}
    try:
        limits = limit_grains(text)
    except BadInput as error:
        raise BadInput(f"budget {text[:80]!r}: {error}") from None
    for name in limits:
        if name not in _LIMITED:
            raise BadInput(
                f"budget {text[:80]!r}: one request can't be limited in {name}; limit one of "
                f"{', '.join(_LIMITED)}, for all of the request"
            )
    return {name: from_grains(name, grains) for name, grains in limits.items()}
