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
from dataclasses import dataclass, replace
from typing import Any

from bursar.errors import Infeasible
from bursar.gateway.ask import Ask
from bursar.gateway.assemble import Assembled
from bursar.gateway.bill import Bill, Charged
from bursar.gateway.models import Model
from bursar.gateway.pieces import as_chunks, said_bytes, usage_of
from bursar.gateway.placing import Placed, Placing, Prepared
from bursar.gateway.seen.traces import CallTrace
from bursar.gateway.thinking import Thinker
from bursar.gateway.upstream.base import Attempt, Call, Tokens, UpstreamFailed
from bursar.usage import Usage


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


@dataclass(slots=True)
class Desk:
    """Serves requests: what `placing` has decided and held is called, and settled."""

    placing: Placing
    thinker: Thinker
    stopwatch: Callable[[], float] = time.perf_counter

    @property
    def models(self) -> Mapping[str, Model]:
        """What may be asked for, by name."""
        return self.placing.models

    async def whole(self, ask: Ask) -> Answer:
        """The whole answer. Raises bursar's errors; whatever was spent is booked all the same."""
        placed = await self.placing.place(ask)
        if placed.strategy:
            return await self._think(ask, placed)
        (prepared,), bill = placed.prepared, placed.bill
        if "seconds" in ask.limits and prepared.tokens_out:
            # what has come by then is worth having: ask for it in pieces
            async with self._streaming(ask, prepared, bill) as streaming:
                folded = Assembled(ask.path)
                async for chunk in streaming.chunks:
                    folded.add(chunk)
                return _answer(folded.document(), streaming.bill)
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
        placed = await self.placing.place(ask)
        if placed.strategy:
            answer = await self._think(ask, placed)
            yield Streaming(as_chunks(answer.document), answer.bill)
            return
        async with self._streaming(ask, placed.prepared[0], placed.bill) as streaming:
            yield streaming

    @asynccontextmanager
    async def _streaming(
        self, ask: Ask, prepared: Prepared, bill: Bill
    ) -> AsyncIterator[Streaming]:
        model = prepared.model
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
        self, bill: Bill, prepared: Prepared, seen: _Seen, cut: UpstreamFailed, began: float
    ) -> None:
        """A stream that broke off is charged for what it said, and if that is nothing, as a call
        that failed."""
        if seen.text_bytes:
            await self._settle(bill, self._streamed(prepared, seen, began))
        else:
            await self._settle_failed(bill, prepared, cut, self.stopwatch() - began)

    async def _failed(
        self, ask: Ask, bill: Bill, prepared: Prepared, ended: BaseException, began: float
    ) -> BaseException:
        """Settles a call that came to nothing; what to raise of it."""
        await self._settle_failed(bill, prepared, ended, self.stopwatch() - began)
        return self._meant(ask, prepared, ended)

    def _meant(self, ask: Ask, prepared: Prepared, ended: BaseException) -> BaseException:
        """A failure because of the deadline, as what it is."""
        if isinstance(ended, UpstreamFailed) and not ended.status:
            if self._out_of_time(ask, prepared):
                return Infeasible(
                    f"the {ask.limits['seconds']:g} s of this request's budget ended before any of "
                    "the answer came; allow more"
                )
            if self.placing.clock() >= prepared.call.deadline:
                ended.status = 504
        return ended

    def _out_of_time(self, ask: Ask, prepared: Prepared) -> bool:
        return "seconds" in ask.limits and self.placing.clock() >= prepared.call.deadline

    def _streamed(self, prepared: Prepared, seen: _Seen, began: float) -> list[Charged]:
        tokens = seen.tokens or self._counted(prepared, seen.text_bytes)
        model = prepared.model
        usage = model.usage(tokens, self.stopwatch() - began, seen.upstream)
        charged = Charged(model.name, seen.upstream, usage, seen.tokens is None)
        return [*self._beside(prepared, seen.others), charged]

    def _beside(self, prepared: Prepared, others: Sequence[Attempt]) -> list[Charged]:
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

    async def _think(self, ask: Ask, placed: Placed) -> Answer:
        """A strategy's answer: one hold covers all that it buys."""
        bill, plain = placed.bill, placed.plain
        assert plain is not None
        began = self.stopwatch()
        spent: list[Charged] = []
        calls = {prepared.model: prepared.call for prepared in placed.prepared}
        try:
            thought = await self.thinker.think(plain, placed.strategy, calls, placed.limits, spent)
        finally:
            ask.queued_s += plain.queued_s
            await self._settle(bill, spent, seconds=self.stopwatch() - began)
        bill.why, bill.stopped = thought.why, thought.stopped
        return Answer(thought.document, bill)

    def _counted(self, prepared: Prepared, text_bytes: int) -> Tokens:
        """Our own count, from above; one more for the end of text, which no text shows."""
        said = min(text_bytes + 1, prepared.tokens_out) if prepared.tokens_out else 0
        return Tokens(prepared.tokens_in, said)

    @contextmanager
    def _traced(self, ask: Ask, prepared: Prepared) -> Iterator[tuple[Call, CallTrace]]:
        """The call with the headers of its trace."""
        at = prepared.model.at
        with ask.trace.call(ask.path, at.name, "", at.upstreams[0].url) as traced:
            call = prepared.call
            yield replace(call, headers=traced.headers) if traced.headers else call, traced

    async def _settle_failed(
        self, bill: Bill, prepared: Prepared, ended: BaseException, seconds: float
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
        settling = self.placing.ledger.asettle({bill.hold: total}, durable=True)
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


def _answer(document: dict[str, Any], bill: Bill) -> Answer:
    """With the usage as it was charged, where the upstream said none."""
    if not document.get("usage"):
        document = {**document, "usage": usage_of(bill)}
    return Answer(document, bill)
