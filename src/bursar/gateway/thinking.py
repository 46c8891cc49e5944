"""Strategies behind a chat: `strategy:model` and `auto`, on a loop of their own.

A strategy decides in plain Python, for milliseconds at a time; on the loop that answers everybody
else's requests it would hold them up. So it runs on a second one, and its calls to upstreams go
back to the first, where their connections live.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bursar.backends.base import Backend, Completion, Request
from bursar.budget import Budget
from bursar.errors import Infeasible
from bursar.gateway.ask import Ask
from bursar.gateway.bill import Charged
from bursar.gateway.bounds import prompt_bound
from bursar.gateway.models import Model
from bursar.gateway.reading import question_of, task_for
from bursar.gateway.upstream.base import Call, Tokens, UpstreamFailed
from bursar.gateway.upstream.local import last_line
from bursar.reason import STEP_SEARCHES
from bursar.reason import strategy as strategy_named
from bursar.reason.base import Picky, Round
from bursar.reason.models import equipped
from bursar.reason.purse import Purse
from bursar.usage import Usage
from bursar.workload.tasks.base import Question


@dataclass(frozen=True, slots=True)
class Thought:
    """A strategy's answer as a chat completion."""

    document: dict[str, Any]
    why: dict[str, Any]
    stopped: str


class Thinker:
    """Runs strategies. Use it from one event loop, and `close` it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="bursar-thinker", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the second loop; what runs on it is given up."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def think(
        self,
        ask: Ask,
        strategy: str,
        calls: Mapping[Model, Call],
        limits: Mapping[str, float],
        spent: list[Charged],
    ) -> Thought:
        """Spend at most `limits` on `ask`, with one call's body for each model.

        What it is charged for is in `spent` when this ends, however it does. Raises `BadInput`
        where the strategy can't work with the models, and an upstream's error or `Infeasible`
        where it got no answer.
        """
        home = asyncio.get_running_loop()
        ended = home.create_future()

        async def there() -> Thought:
            try:
                return await _think(ask, strategy, calls, dict(limits), spent, home)
            finally:
                home.call_soon_threadsafe(ended.set_result, None)

        thinking = asyncio.run_coroutine_threadsafe(there(), self._loop)
        try:
            return await asyncio.wrap_future(thinking)
        except asyncio.CancelledError:
            await ended  # its calls end, and are charged
            raise


async def _think(
    ask: Ask,
    strategy: str,
    calls: Mapping[Model, Call],
    limits: dict[str, float],
    spent: list[Charged],
    home: asyncio.AbstractEventLoop,
) -> Thought:
    local = all(model.backend for model in calls)
    prompt = last_line(ask.body["messages"]) if local else question_of(ask.body)
    room = max(call.body["max_tokens"] for call in calls.values())
    task = task_for(prompt, room, ask.extract)
    sources: dict[str, _Kept] = {}
    for model, call in calls.items():
        source = model.backend or _Chat(model, call, home)
        sources[source.name] = _Kept(source, model)
    budget = Budget(limits)
    warmth = ask.body.get("temperature")
    bench = equipped(
        Purse(budget, sources),
        {task.name: task},
        seed=int(ask.body.get("seed") or 0),
        temperature=0.7 if not warmth else float(warmth),
    )
    if any(isinstance(source.inner, _Chat) for source in sources.values()):
        # a chat is sent whole: it can't go on from a text, nor be asked for one step
        bench = replace(bench, revise={}, steps={}, judge={})
    question = Question(ask.request_id, task.name, prompt)
    how = strategy_named(strategy)
    if isinstance(how, Picky):
        how.check([question], bench)
    prices: list[Round] = []
    try:
        (answer,) = await how.solve([question], bench, prices.append)
    finally:
        spent += _charged(budget, sources)
    text, chosen = _text_of(answer.text, sources, task, question)
    stopped = (
        "" if answer.stopped in ("", "verified", "price", "sure", "enough") else answer.stopped
    )
    if strategy in STEP_SEARCHES:  # they buy pieces of texts: only the answer is whole
        text = answer.text or ""
    if answer.text is None and not text:
        stopped = "no answer"
    if chosen is None:
        for failure in bench.purse.failures:
            raise failure
        raise Infeasible(f"{ask.model}: the budget paid for no attempt; raise it")
    price = prices[-1].price if prices else None
    return Thought(
        _document(ask, text, spent),
        {
            "attempts": answer.attempts,
            "p_right": answer.p_right,
            "price": price,
            "verified": answer.verified,
            "answer": answer.text,
        },
        stopped,
    )


@dataclass(slots=True)
class _Kept:
    """A backend at its model's price, whose completions are kept: one is the text of the answer."""

    inner: Backend
    model: Model
    said: list[Completion] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.inner.name

    def upper_bound(self, request: Request) -> Usage:
        return self._priced(self.inner.upper_bound(request))

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        done = await self.inner.complete(requests)
        self.said += done
        return [replace(completion, usage=self._priced(completion.usage)) for completion in done]

    async def aclose(self) -> None:
        """The model outlives a request."""

    def _priced(self, usage: Usage) -> Usage:
        """With what its tokens cost here, where the backend itself has no price."""
        if usage.usd is not None or usage.tokens_in is None or usage.tokens_out is None:
            return usage
        tokens = Tokens(int(usage.tokens_in), int(usage.tokens_out))
        rated = next(iter(self.model.rates.values())).usage(tokens, 0.0)
        joules = rated.joules if usage.joules is None else usage.joules
        return replace(usage, usd=rated.usd, joules=joules, grams_co2e=rated.grams_co2e)


@dataclass(slots=True)
class _Chat:
    """A model behind upstreams as a backend: each request is the same chat, drawn again."""

    model: Model
    call: Call
    home: asyncio.AbstractEventLoop
    upstream: str = ""
    guessed: Counter[tuple[float | None, ...]] = field(default_factory=Counter)
    """Tokens in and out of calls that were counted here: the upstream did not say."""

    @property
    def name(self) -> str:
        return f"openai:{self.model.name}"

    def upper_bound(self, request: Request) -> Usage:
        at = self.model.at
        tokens_in = prompt_bound(
            self.call.path, self.call.body, self.model.count, at.tokens_per_image
        )
        seconds = max(0.0, self.call.deadline - time.monotonic())
        return self.model.upper(tokens_in, request.max_tokens, seconds)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        return list(await asyncio.gather(*(self._one(request) for request in requests)))

    async def _one(self, request: Request) -> Completion:
        body = {
            **self.call.body,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "n": 1,
            "stream": False,
        }
        if self.call.body.get("seed") is not None:
            body["seed"] = int(self.call.body["seed"]) + request.sample
        began = time.monotonic()
        call = replace(self.call, body=body, attempts=1)
        if request.seconds is not None:
            deadline = self.call.deadline
            call = replace(call, deadline=min(deadline, self.home.time() + request.seconds))
        there = asyncio.run_coroutine_threadsafe(self.model.upstream.complete(call), self.home)
        try:
            reply = await asyncio.wrap_future(there)
        except UpstreamFailed as failed:
            bound = self.upper_bound(request)
            usage = bound if failed.may_be_billed else Usage.zero()
            failed.usage = replace(usage, seconds=time.monotonic() - began)
            failed.estimated = failed.may_be_billed
            self.guessed[_tokens(usage)] += failed.may_be_billed
            raise
        self.upstream = reply.upstream
        choice = reply.document["choices"][0]
        text = choice["message"].get("content") or ""
        tokens = reply.tokens or Tokens(
            int(self.upper_bound(request).tokens_in or 0), request.max_tokens
        )
        usage = self.model.usage(tokens, time.monotonic() - began, reply.upstream)
        self.guessed[_tokens(usage)] += reply.tokens is None
        return Completion(
            text=text,
            usage=usage,
            stop_reason="length" if choice.get("finish_reason") == "length" else "stop",
            estimated=reply.tokens is None,
        )

    async def aclose(self) -> None:
        """The upstream outlives a request."""


def _text_of(
    answer: str | None, sources: Mapping[str, _Kept], task: Any, question: Question
) -> tuple[str, Completion | None]:
    """The text that states `answer`: of several the likeliest, else the first."""
    said = [completion for source in sources.values() for completion in source.said]
    said = [completion for completion in said if completion.stop_reason != "error"]
    stating = [c for c in said if answer is not None and task.extract(question, c.text) == answer]
    if not (candidates := stating or said):
        return "", None
    best = max(candidates, key=lambda c: float("-inf") if c.logprob is None else c.logprob)
    return best.text, best


def _charged(budget: Budget, sources: Mapping[str, _Kept]) -> list[Charged]:
    found = []
    for line in budget.lines:
        if line.what == "time":
            continue
        source = sources[line.what.partition(" ")[0]]
        inner, estimated = source.inner, bool(line.estimated)
        upstream = next(iter(source.model.rates))
        if isinstance(inner, _Chat):
            upstream, tokens = inner.upstream, _tokens(line.usage)
            if inner.guessed[tokens]:  # of calls with the same tokens any may be the one
                inner.guessed[tokens] -= 1
                estimated = True
        found.append(Charged(source.model.name, upstream, line.usage, estimated))
    return found


def _tokens(usage: Usage) -> tuple[float | None, ...]:
    return usage.tokens_in, usage.tokens_out


def _document(ask: Ask, text: str, calls: Sequence[Charged]) -> dict[str, Any]:
    total = Usage.total(call.usage for call in calls)
    tokens_in, tokens_out = int(total.tokens_in or 0), int(total.tokens_out or 0)
    return {
        "id": f"chatcmpl-{ask.request_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": ask.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
        },
    }
