"""Placing a request: which model or strategy serves it, the most it can use, and its hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bursar.errors import BadInput, BudgetExceeded, Unbounded
from bursar.gateway.afford import affordable, binding, strategy_bound, strategy_limits
from bursar.gateway.ask import EFFORTS, Ask
from bursar.gateway.bill import Bill
from bursar.gateway.bounds import (
    asked_output,
    outputs,
    prompt_bound,
    refuse_unbounded,
    with_output,
)
from bursar.gateway.config import Requests
from bursar.gateway.errors import Refused
from bursar.gateway.models import Model
from bursar.gateway.near import Near
from bursar.gateway.routes import Route
from bursar.gateway.tenants.end_users import EndUsers
from bursar.gateway.tenants.policy import Decision
from bursar.gateway.upstream.base import Call, Tokens, Who
from bursar.ledger import Ledger
from bursar.reason import STRATEGIES
from bursar.usage import Usage

_ONE_TEXT = ("tools", "functions", "logprobs", "top_logprobs")
"""Fields of a chat that a strategy, whose answer is one text that several calls agree on, lacks."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a request's `model` means: a model, or a strategy over some."""

    models: tuple[Model, ...]
    strategy: str = ""
    why: str = ""
    """What a router says of its choice."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call with bounded output, and the most it can use."""

    model: Model
    call: Call
    tokens_in: int
    tokens_out: int
    upper: Usage
    """Of all the attempts that may be billed."""
    one: Usage
    """Of one attempt."""
    notes: list[str] = field(default_factory=list)

    @property
    def most(self) -> Tokens:
        return Tokens(self.tokens_in, self.tokens_out)


@dataclass(frozen=True, slots=True)
class Placed:
    """A request whose bound is held: the call to make, or the strategy and all it may ask."""

    strategy: str
    prepared: list[Prepared]
    bill: Bill
    limits: Mapping[str, float] = field(default_factory=dict)
    """Of the strategy."""
    plain: Ask | None = None
    """What the strategy is to answer: the request without what is said to the strategy."""


@dataclass(slots=True)
class Placing:
    """Decides and holds; serves from `models`, books in `ledger`."""

    ledger: Ledger
    models: Mapping[str, Model]
    settings: Requests
    routes: Mapping[str, Route] = field(default_factory=dict)
    near: Near | None = None
    """What to do near a limit; None: only the ledger's limits hold."""
    users: EndUsers | None = None
    """Who sees that end users have the limits that their key gives them."""
    clock: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)
    """The event loop's, on which deadlines are; it may tick by the millisecond."""

    async def place(self, ask: Ask) -> Placed:
        """Decide what serves `ask`, and hold the most that it can use.

        The policy near a limit looks at what was true a moment ago: where the ledger refuses, it
        looks again before that is the answer.
        """
        try:
            return await self._placed(ask)
        except BudgetExceeded:
            if self.near is None or not await self.near.look_again(ask.account):
                raise
            return await self._placed(ask)

    async def _placed(self, ask: Ask) -> Placed:
        target, way = await self._way(ask)
        notes = [why for why in (target.why, way.why) if why]
        if not target.strategy:
            prepared = self._prepare(ask, target.models[0])
            notes += prepared.notes
            bill = await self._hold(ask, prepared.upper, prepared.model.name, notes)
            return Placed("", [prepared], bill)
        plain = replace(ask, body={k: v for k, v in ask.body.items() if k != "reasoning_effort"})
        limits = self._strategy_limits(ask, target.models, way.scale)
        upper = strategy_bound(limits, target.models, self.settings.timeout_s)
        prepared_each = self._prepare_each(plain, target.models)
        bill = await self._hold(ask, upper, ask.model, notes)
        bill.strategy = target.strategy
        return Placed(target.strategy, prepared_each, bill, limits, plain)

    def target(self, ask: Ask) -> Target:
        """The model or strategy that `ask` names. Raises `Refused` (404, 403) or `BadInput`."""
        if route := self.routes.get(ask.model):
            model, why = route.choose(
                ask.body, lambda m: self._prepare(ask, m).upper, ask.principal.may_use
            )
            return Target((model,), why=why)
        found = self._named(ask.model)
        if found.strategy == "auto" and any(ask.body.get(name) for name in _ONE_TEXT):
            found = Target(found.models[:1])  # an agent's turn: one call, as if it was named
        for model in found.models:
            if not ask.principal.may_use(model.name):
                raise Refused(
                    f"this key may not use {model.name}; ask for one of "
                    f"{', '.join(m for m in self.models if ask.principal.may_use(m)) or 'none'}",
                    status=403,
                    code="permission_denied",
                )
        if found.strategy:
            _check_thinkable(ask)
        return found

    async def _way(self, ask: Ask) -> tuple[Target, Decision]:
        """What serves `ask`: what it names or, near a limit, what the policy puts in its place."""
        target = self.target(ask)
        if self.near is None:
            return target, Decision(target.models[0].name)

        def upper(name: str, scale: float) -> Usage:
            models = (self.models[name],) if name in self.models else target.models
            if not target.strategy:
                return self._prepare(ask, models[0]).upper
            limits = self._strategy_limits(ask, models, scale)
            return strategy_bound(limits, models, self.settings.timeout_s)

        named = target.models[0].name if len(target.models) == 1 else ask.model
        way = await self.near.way(ask, named, upper, divisible=bool(target.strategy))
        if way.model != named:
            target = replace(target, models=(self.models[way.model],))
        return target, way

    def _strategy_limits(
        self, ask: Ask, models: Sequence[Model], scale: float = 1.0
    ) -> dict[str, float]:
        """The budget of a strategy: the request's own, or some calls at their bound."""
        prepared = self._prepare_each(ask, models)
        calls = max(1, round(self.settings.strategy_calls * EFFORTS[ask.effort] * scale))
        most = calls * max(p.tokens_in + p.tokens_out for p in prepared)
        asked = {name: amount * scale for name, amount in ask.limits.items()}
        return strategy_limits(asked or {"requests": float(calls)}, models, most)

    def _prepare_each(self, ask: Ask, models: Sequence[Model]) -> list[Prepared]:
        """One call to each of the models of which the budget covers one; raises when it is none."""
        prepared, refused = list[Prepared](), None
        for model in models:
            try:
                prepared.append(self._prepare(ask, model))
            except (BudgetExceeded, Unbounded) as error:
                refused = error
        if refused and not prepared:
            raise refused
        return prepared

    def _named(self, name: str) -> Target:
        if name in self.models:
            return Target((self.models[name],))
        if name == "auto":
            names = self.settings.auto or tuple(self.models)[:1]
            return Target(tuple(self.models[n] for n in names), "auto")
        strategy, _, rest = name.partition(":")
        if strategy in STRATEGIES and rest in self.models:
            return Target((self.models[rest],), strategy)
        known = ", ".join([*self.models, *self.routes, "auto"][:12])
        raise Refused(
            f"there is no model {name[:80]!r}; ask for one of {known}, or strategy:model with a "
            "strategy such as self_consistency",
            status=404,
            code="model_not_found",
        )

    def _prepare(self, ask: Ask, model: Model) -> Prepared:
        """Bound the output by what was asked, by the model, and by the request's own budget."""
        at, notes = model.at, list[str]()
        timeout = min(self.settings.timeout_s, ask.limits.get("seconds", float("inf")))
        refuse_unbounded(ask.body)
        tokens_in = prompt_bound(ask.path, ask.body, model.count, at.tokens_per_image)
        answers = outputs(ask.path, ask.body)
        each = 0
        if answers:
            asked = asked_output(ask.body, at.max_output_tokens)
            each = min(at.default_output_tokens, at.max_output_tokens) if asked is None else asked
        times = model.upstream.most_billed
        if ask.limits:
            covered = affordable(model, tokens_in, each * answers, timeout, times, ask.limits)
            if covered < 0 or (each and covered < answers):
                raise BudgetExceeded(
                    "request",
                    *binding(model, tokens_in, answers, timeout, times, ask.limits),
                )
            if answers and covered // answers < each:
                each = covered // answers
                notes.append(f"max_tokens lowered to {each}, which the budget covers")
        body = with_output(ask.body, each) if answers else ask.body
        one, upper = (model.upper(tokens_in, each * answers, timeout, n) for n in (1, times))
        who = Who(
            ask.principal.tenant,
            ask.principal.weight,
            ask.principal.priority,
            cost=tokens_in + each * answers,
            worth=_worth(ask, upper),
            waited=ask.waited,
        )
        deadline = self.clock() + timeout
        call = Call(ask.path, body, deadline, ask.request_id, times, who=who)
        return Prepared(model, call, tokens_in, each * answers, upper, one, notes)

    async def _hold(self, ask: Ask, upper: Usage, model: str, notes: list[str]) -> Bill:
        what = f"{ask.path} {model} {ask.request_id}"
        upper = replace(upper, requests=1.0)  # the client's one, however many calls it takes
        with ask.trace.step("hold"):
            if self.users and not self.users.ready(ask.principal, ask.account):
                await asyncio.to_thread(self.users.tell, ask.principal, ask.account)
            hold = await self.ledger.areserve(ask.account, upper, what)
        ask.bill = Bill(ask.request_id, ask.account, hold, upper, ask.limits, notes=notes)
        return ask.bill


def _check_thinkable(ask: Ask) -> None:
    """Raises `BadInput` unless a strategy can answer this."""
    if ask.path != "chat/completions":
        raise BadInput(f"{ask.model} answers chats only; use /v1/chat/completions or /v1/responses")
    lacking = [name for name in _ONE_TEXT if ask.body.get(name)]
    if ask.body.get("n") not in (None, 1):
        lacking.append("n")
    if lacking:
        raise BadInput(
            f"{lacking[0]} can't be had from {ask.model}, whose answer is one text that several "
            "calls agree on; name a model without a strategy"
        )
    for name, kinds in (("seed", int), ("temperature", (int, float))):
        value = ask.body.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
            raise BadInput(f"{name} is {str(value)[:40]!r}: it must be a number")


def _worth(ask: Ask, upper: Usage) -> float:
    """What a request would pay, in times of what it costs at most; 1 where it does not say."""
    offers = ((ask.limits.get(name), upper.get(name)) for name in ("usd", "tokens"))
    return max([1.0, *(offer / cost for offer, cost in offers if offer and cost)])
