"""The desk: between a checked request and its answer. Hold the most it can use, call, settle.

Nothing is sent before its hold is in the ledger, and no answer leaves before its bill is. However a
call ends, its hold is closed: with what the upstream reported, with our own count from above where
it reported nothing, with nothing where it can't have been billed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bursar.errors import BadInput, BudgetExceeded, Infeasible, Unbounded
from bursar.gateway.afford import affordable, binding, strategy_bound, strategy_limits
from bursar.gateway.ask import EFFORTS, Ask
from bursar.gateway.assemble import Assembled
from bursar.gateway.bill import Bill, Charged
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
from bursar.gateway.pieces import as_chunks, said_bytes, usage_of
from bursar.gateway.seen.traces import CallTrace
from bursar.gateway.tenants.end_users import EndUsers
from bursar.gateway.tenants.policy import Decision
from bursar.gateway.thinking import Thinker
from bursar.gateway.upstream.base import Attempt, Call, Tokens, UpstreamFailed, Who
from bursar.ledger import Ledger
from bursar.reason import STRATEGIES
from bursar.usage import Usage

_ONE_TEXT = ("tools", "functions", "logprobs", "top_logprobs")
"""Fields of a chat that a strategy, whose answer is one text that several calls agree on, lacks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer in OpenAI's shape, and its bill."""

    document: dict[str, Any]
    bill: Bill


@dataclass(slots=True)
class Streaming:
    """An answer as it is made. `bill` is final when the chunks have ended."""

    chunks: AsyncIterator[dict[str, Any]]
    bill: Bill


@dataclass(frozen=True, slots=True)
class Target:
    """What a request's `model` means: a model, or a strategy over some."""

    models: tuple[Model, ...]
    strategy: str = ""


@dataclass(frozen=True, slots=True)
class _Prepared:
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


@dataclass(slots=True)
class Desk:
    """Serves requests from `models`, booked in `ledger`."""

    ledger: Ledger
    models: Mapping[str, Model]
    settings: Requests
    thinker: Thinker
    near: Near | None = None
    """What to do near a limit; None: only the ledger's limits hold."""
    users: EndUsers | None = None
    """Who sees that end users have the limits that their key gives them."""
    clock: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)
    """The event loop's, on which deadlines are; it may tick by the millisecond."""
    stopwatch: Callable[[], float] = time.perf_counter

    def target(self, ask: Ask) -> Target:
        """The model or strategy that `ask` names. Raises `Refused` (404, 403) or `BadInput`."""
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

    async def whole(self, ask: Ask) -> Answer:
        """The whole answer. Raises bursar's errors; whatever was spent is booked all the same."""
        target, way = await self._way(ask)
        if target.strategy:
            return await self._think(ask, target, way)
        prepared = self._prepare(ask, target.models[0])
        prepared.notes.extend(filter(None, [way.why]))
        if "seconds" in ask.limits and prepared.tokens_out:
            # what has come by then is worth having: ask for it in pieces
            async with self._streaming(ask, prepared) as streaming:
                folded = Assembled(ask.path)
                async for chunk in streaming.chunks:
                    folded.add(chunk)
                return _answer(folded.document(), streaming.bill)
        bill = await self._hold(ask, prepared.upper, prepared.model.name, prepared.notes)
        began = self.stopwatch()
        try:
            with self._traced(ask, prepared) as (call, traced):
                reply = await prepared.model.upstream.complete(call)
                traced.answered(str(reply.document.get("model", "")), reply.tokens, None)
        except BaseException as ended:
            raise await self._failed(ask, bill, prepared, ended, began) from None
        tokens, estimated = reply.tokens, False
        if tokens is None:
            tokens, estimated = self._counted(prepared, said_bytes(reply.document)), True
        usage = prepared.model.usage(tokens, self.stopwatch() - began, reply.upstream)
        charged = Charged(prepared.model.name, reply.upstream, usage, estimated)
        await self._settle(bill, [*self._beside(prepared, reply.others), charged])
        return _answer(reply.document, bill)

    @asynccontextmanager
    async def stream(self, ask: Ask) -> AsyncIterator[Streaming]:
        """The answer as it is made. Left early, it stops the upstream and settles what was made."""
        target, way = await self._way(ask)
        if target.strategy:
            answer = await self._think(ask, target, way)
            yield Streaming(as_chunks(answer.document), answer.bill)
            return
        prepared = self._prepare(ask, target.models[0])
        prepared.notes.extend(filter(None, [way.why]))
        async with self._streaming(ask, prepared) as streaming:
            yield streaming

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
            target = Target((self.models[way.model],), target.strategy)
        return target, way

    @asynccontextmanager
    async def _streaming(self, ask: Ask, prepared: _Prepared) -> AsyncIterator[Streaming]:
        model = prepared.model
        bill = await self._hold(ask, prepared.upper, model.name, prepared.notes)
        seen = _Seen()
        began = self.stopwatch()
        try:
            async with AsyncExitStack() as opened:
                call, traced = opened.enter_context(self._traced(ask, prepared))
                chunks = await opened.enter_async_context(model.upstream.stream(call))
                first_s = self.stopwatch() - began
                seen.upstream, seen.others = chunks.upstream, chunks.others

                async def passed() -> AsyncIterator[dict[str, Any]]:
                    try:
                        async for chunk in chunks:
                            seen.note(chunk)
                            yield chunk
                    except UpstreamFailed as cut:
                        seen.tokens, seen.others = chunks.tokens, chunks.others
                        if not self._out_of_time(ask, prepared) or not seen.text_bytes:
                            await self._settle_cut(bill, prepared, seen, cut, began)
                            raise self._meant(ask, prepared, cut) from None
                        bill.stopped = "seconds"
                    seen.tokens, seen.others = chunks.tokens, chunks.others
                    traced.answered(seen.model, seen.tokens, first_s)
                    await self._settle(bill, self._streamed(prepared, seen, began))

                yield Streaming(passed(), bill)
        except BaseException as ended:
            if bill.closed:
                raise
            if not seen.begun:
                raise await self._failed(ask, bill, prepared, ended, began) from None
            await self._settle(bill, self._streamed(prepared, seen, began))
            raise
        if not bill.closed:  # whoever listened left before the end
            await self._settle(bill, self._streamed(prepared, seen, began))

    async def _settle_cut(
        self, bill: Bill, prepared: _Prepared, seen: _Seen, cut: UpstreamFailed, began: float
    ) -> None:
        """A stream that broke off is charged for what it said, and if that is nothing, as a call
        that failed."""
        if seen.text_bytes:
            await self._settle(bill, self._streamed(prepared, seen, began))
        else:
            await self._settle_failed(bill, prepared, cut, self.stopwatch() - began)

    async def _failed(
        self, ask: Ask, bill: Bill, prepared: _Prepared, ended: BaseException, began: float
    ) -> BaseException:
        """Settles a call that came to nothing; what to raise of it."""
        await self._settle_failed(bill, prepared, ended, self.stopwatch() - began)
        return self._meant(ask, prepared, ended)

    def _meant(self, ask: Ask, prepared: _Prepared, ended: BaseException) -> BaseException:
        """A failure because of the deadline, as what it is."""
        if isinstance(ended, UpstreamFailed) and not ended.status:
            if self._out_of_time(ask, prepared):
                return Infeasible(
                    f"the {ask.limits['seconds']:g} s of this request's budget ended before any of "
                    "the answer came; allow more"
                )
            if self.clock() >= prepared.call.deadline:
                ended.status = 504
        return ended

    def _out_of_time(self, ask: Ask, prepared: _Prepared) -> bool:
        return "seconds" in ask.limits and self.clock() >= prepared.call.deadline

    def _streamed(self, prepared: _Prepared, seen: _Seen, began: float) -> list[Charged]:
        tokens = seen.tokens or self._counted(prepared, seen.text_bytes)
        model = prepared.model
        usage = model.usage(tokens, self.stopwatch() - began, seen.upstream)
        charged = Charged(model.name, seen.upstream, usage, seen.tokens is None)
        return [*self._beside(prepared, seen.others), charged]

    def _beside(self, prepared: _Prepared, others: Sequence[Attempt]) -> list[Charged]:
        """Attempts beside the one that answered: what was reported of them, or their bound."""
        return [
            Charged(
                prepared.model.name,
                attempt.upstream,
                prepared.model.usage(attempt.tokens or prepared.most, 0.0, attempt.upstream),
                attempt.tokens is None,
            )
            for attempt in others
        ]

    def _strategy_limits(
        self, ask: Ask, models: Sequence[Model], scale: float = 1.0
    ) -> dict[str, float]:
        """The budget of a strategy: the request's own, or some calls at their bound."""
        prepared = self._prepare_each(ask, models)
        calls = max(1, round(self.settings.strategy_calls * EFFORTS[ask.effort] * scale))
        most = calls * max(p.tokens_in + p.tokens_out for p in prepared)
        asked = {name: amount * scale for name, amount in ask.limits.items()}
        return strategy_limits(asked or {"requests": float(calls)}, models, most)

    async def _think(self, ask: Ask, target: Target, way: Decision) -> Answer:
        """A strategy's answer: one hold covers all that it buys."""
        plain = replace(ask, body={k: v for k, v in ask.body.items() if k != "reasoning_effort"})
        prepared = self._prepare_each(plain, target.models)
        limits = self._strategy_limits(ask, target.models, way.scale)
        upper = strategy_bound(limits, target.models, self.settings.timeout_s)
        bill = await self._hold(ask, upper, ask.model, [way.why] if way.why else [])
        bill.strategy = target.strategy
        began = self.stopwatch()
        spent: list[Charged] = []
        try:
            thought = await self.thinker.think(
                plain, target.strategy, {p.model: p.call for p in prepared}, limits, spent
            )
        finally:
            ask.queued_s += plain.queued_s
            await self._settle(bill, spent, seconds=self.stopwatch() - began)
        bill.why, bill.stopped = thought.why, thought.stopped
        return Answer(thought.document, bill)

    def _prepare_each(self, ask: Ask, models: Sequence[Model]) -> list[_Prepared]:
        """One call to each of the models of which the budget covers one; raises when it is none."""
        prepared, refused = list[_Prepared](), None
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
        known = ", ".join([*self.models, "auto"][:12])
        raise Refused(
            f"there is no model {name[:80]!r}; ask for one of {known}, or strategy:model with a "
            "strategy such as self_consistency",
            status=404,
            code="model_not_found",
        )

    def _prepare(self, ask: Ask, model: Model) -> _Prepared:
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
        return _Prepared(model, call, tokens_in, each * answers, upper, one, notes)

    def _counted(self, prepared: _Prepared, text_bytes: int) -> Tokens:
        """Our own count, from above; one more for the end of text, which no text shows."""
        said = min(text_bytes + 1, prepared.tokens_out) if prepared.tokens_out else 0
        return Tokens(prepared.tokens_in, said)

    @contextmanager
    def _traced(self, ask: Ask, prepared: _Prepared) -> Iterator[tuple[Call, CallTrace]]:
        """The call with the headers of its trace."""
        at = prepared.model.at
        with ask.trace.call(ask.path, at.name, "", at.upstreams[0].url) as traced:
            call = prepared.call
            yield replace(call, headers=traced.headers) if traced.headers else call, traced

    async def _hold(self, ask: Ask, upper: Usage, model: str, notes: list[str]) -> Bill:
        what = f"{ask.path} {model} {ask.request_id}"
        upper = replace(upper, requests=1.0)  # the client's one, however many calls it takes
        with ask.trace.step("hold"):
            if self.users and not self.users.ready(ask.principal, ask.account):
                await asyncio.to_thread(self.users.tell, ask.principal, ask.account)
            hold = await self.ledger.areserve(ask.account, upper, what)
        ask.bill = Bill(ask.request_id, ask.account, hold, upper, ask.limits, notes=notes)
        return ask.bill

    async def _settle_failed(
        self, bill: Bill, prepared: _Prepared, ended: BaseException, seconds: float
    ) -> None:
        """Close the hold of a call that came to nothing: free where it can't have been billed."""
        model = prepared.model
        if isinstance(ended, UpstreamFailed):
            used = prepared.one if ended.may_be_billed else Usage.zero()
            calls = self._beside(prepared, ended.others)
        else:  # cancelled, or a bug: nobody says how many attempts there were
            used, calls = prepared.upper, []
        billed = bool(used.tokens)
        calls.append(Charged(model.name, "", replace(used, seconds=seconds), billed))
        await self._settle(bill, calls)

    async def _settle(
        self, bill: Bill, calls: list[Charged], *, seconds: float | None = None
    ) -> None:
        """Close the hold with the sum of `calls`; `seconds` is wall time where they overlapped.

        Once called it goes through, and the bill with it, also when the caller is cancelled.
        """
        total = replace(Usage.total(call.usage for call in calls), requests=1.0)
        if seconds is not None:
            total = replace(total, seconds=seconds)
        bill.closed, bill.calls = True, calls
        bill.estimated = any(call.estimated for call in calls)
        settling = self.ledger.asettle({bill.hold: total}, durable=True)
        try:
            (bill.spent,) = await asyncio.shield(settling)
        except asyncio.CancelledError:
            (bill.spent,) = await settling
            raise


@dataclass(slots=True)
class _Seen:
    """What of a stream has passed."""

    begun: bool = False
    text_bytes: int = 0
    tokens: Tokens | None = None
    others: tuple[Attempt, ...] = ()
    upstream: str = ""
    model: str = ""

    def note(self, chunk: dict[str, Any]) -> None:
        self.begun = True
        self.text_bytes += said_bytes(chunk)
        self.model = self.model or str(chunk.get("model", ""))


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


def _answer(document: dict[str, Any], bill: Bill) -> Answer:
    """With the usage as it was charged, where the upstream said none."""
    if not document.get("usage"):
        document = {**document, "usage": usage_of(bill)}
    return Answer(document, bill)


def _worth(ask: Ask, upper: Usage) -> float:
    """What a request would pay, in times of what it costs at most; 1 where it does not say."""
    offers = ((ask.limits.get(name), upper.get(name)) for name in ("usd", "tokens"))
    return max([1.0, *(offer / cost for offer, cost in offers if offer and cost)])
