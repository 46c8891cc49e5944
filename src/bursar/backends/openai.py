"""OpenAI-compatible servers: bounded before it is sent, counted to the last token.

A completion is charged the usage that the server reports, even above the bound; without a
believable report, our own count from above, and `estimated`. A request whose answer was lost is
charged its upper bound, and `estimated`: unknown spend must not be lost. `sender` has the table of
which those are. Only free failures are repeated, so the bound is that of one attempt.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import httpx

from bursar.backends.base import Completion, Request, note_spent
from bursar.backends.effort import MODES
from bursar.backends.openai_wire import (
    Api,
    Garbled,
    LimitField,
    Reply,
    read_reply,
    request_body,
    request_path,
)
from bursar.backends.secret import Secret, read_key
from bursar.backends.sender import Patience, Posted, Sender
from bursar.backends.token_price import TokenPrice, listed_price
from bursar.errors import BackendError, BadInput
from bursar.usage import Usage

_SECONDS_TO_GIVE_UP = 1.0


class OpenAIBackend:
    """One model on one server. Use it from one event loop, and `aclose` it.

    `/chat/completions` unless `api` is "completions" or a request continues a prefix.
    `count_tokens` is the model's own tokenizer when there is one; without it a text has at most as
    many tokens as UTF-8 bytes (true of byte-level BPE and of SentencePiece with byte fallback).
    `template_tokens` covers what a chat template adds. `price` None means dollars are unknown.
    `transport` replaces the network (`httpx.MockTransport`). `timing` goes to the `Sender`: clock,
    sleep, rng.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        key: Secret | None = None,
        price: TokenPrice | None = None,
        api: Api = "chat",
        limit_field: LimitField = "max_tokens",
        logprobs: bool = False,
        count_tokens: Callable[[str], int] | None = None,
        template_tokens: int = 128,
        concurrency: int = 16,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        patience: Patience | None = None,
        bills_errors: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
        **timing: Any,
    ) -> None:
        self.name = f"openai:{model}"
        self.model, self.api, self.price = model, api, price
        self._limit_field, self._logprobs = limit_field, logprobs
        self._count_tokens, self._template_tokens = count_tokens, template_tokens
        self._sender = Sender(
            base_url,
            key=key,
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            patience=patience or Patience(),
            bills_errors=bills_errors,
            transport=transport,
            **timing,
        )
        self.base_url = self._sender.base_url

    def __repr__(self) -> str:
        return f"OpenAIBackend({self.model!r}, {self.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._sender.aclose()

    def upper_bound(self, request: Request) -> Usage:
        """The most one charged attempt can use; dollars None when the price is not known."""
        self._check_effort(request)
        seconds = self._sender.patience.total_s + _SECONDS_TO_GIVE_UP
        return self._usage(self._tokens_in(request), request.max_tokens, seconds)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order, `concurrency` of them at a time.

        A request that fails while others succeed comes back with `stop_reason` "error", the reason
        in `meta["error"]` and its charge in `usage`. When all fail, raises `BackendError` with the
        charge of all. When cancelled, the `CancelledError` carries the charge (`spent_by`).
        """
        for request in requests:
            if request.max_tokens < 1:
                raise BadInput(f"max_tokens is {request.max_tokens}; a server needs at least 1")
            self._check_effort(request)
            self._sender.check(self._tokens_in(request) + request.max_tokens)
        tasks = [asyncio.create_task(self._complete(request)) for request in requests]
        try:
            done = list(await asyncio.gather(*tasks))
        except BaseException as ended:
            note_spent(ended, await _spent_when_stopped(tasks))
            raise
        failed = [completion for completion in done if completion.stop_reason == "error"]
        if done and len(failed) == len(done):
            raise BackendError(
                f"{self.name}: {failed[0].meta['error']}"
                + (f" (and {len(failed) - 1} more failed)" if len(failed) > 1 else ""),
                usage=Usage.total(completion.usage for completion in failed),
                estimated=any(completion.estimated for completion in failed),
            )
        return done

    async def _complete(self, request: Request) -> Completion:
        """Never raises for what a server does: a failure is a completion with a charge."""
        api: Api = self._api(request)
        posted = await self._sender.post(
            request_path(api),
            request_body(
                request,
                self.model,
                api=api,
                limit_field=self._limit_field,
                logprobs=self._logprobs,
            ),
            self._tokens_in(request) + request.max_tokens,
        )
        if posted.content is None:
            return self._failed(request, posted)
        try:
            return self._read(request, read_reply(posted.content), posted.seconds)
        except Garbled as garbled:
            posted.why = f"unreadable reply ({garbled})"
            return self._failed(request, posted)

    def _read(self, request: Request, reply: Reply, seconds: float) -> Completion:
        tokens_in, tokens_out = reply.tokens_in, reply.tokens_out
        reported = tokens_in is not None and tokens_out is not None
        if tokens_in is None or tokens_out is None:
            # never below the truth; one more for the end of text, which no text shows
            said = self._count(reply.seen) if reply.logprobs is None else len(reply.logprobs)
            tokens_in, tokens_out = self._tokens_in(request), min(said + 1, request.max_tokens)
        return Completion(
            text=reply.text,
            usage=self._usage(tokens_in, tokens_out, seconds),
            stop_reason=reply.stop_reason,
            logprobs=reply.logprobs,
            estimated=not reported,
            meta=reply.meta,
        )

    def _failed(self, request: Request, posted: Posted) -> Completion:
        charged = self.upper_bound(request) if posted.may_be_billed else Usage.zero()
        note = "; charged at its upper bound, as it may have been generated"
        return Completion(
            text="",
            usage=replace(charged, seconds=posted.seconds),
            stop_reason="error",
            estimated=posted.may_be_billed,
            meta={"error": posted.why + (note if posted.may_be_billed else "")},
        )

    def _usage(self, tokens_in: float, tokens_out: float, seconds: float) -> Usage:
        usd = None if self.price is None else self.price.usd(tokens_in, tokens_out)
        return Usage(tokens_in=tokens_in, tokens_out=tokens_out, seconds=seconds, usd=usd)

    def _tokens_in(self, request: Request) -> int:
        template = self._template_tokens if self._api(request) == "chat" else 1
        return self._count(request.prompt) + self._count(request.prefix) + template

    def _count(self, text: str) -> int:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise BadInput(
                f"{self.name}: character {error.start} of a prompt is half a surrogate pair, which "
                "can't be sent; mend the text"
            ) from None
        return self._count_tokens(text) if self._count_tokens else size

    def _check_effort(self, request: Request) -> None:
        if request.effort is None:
            return
        if request.effort not in MODES:
            raise BadInput(f"{self.name}: effort {request.effort}; servers take {', '.join(MODES)}")
        if self._api(request) != "chat":
            raise BadInput(
                f"{self.name}: effort {request.effort}; only the chat API takes one, and only "
                "without a prefix to go on from"
            )

    def _api(self, request: Request) -> Api:
        return "completions" if request.prefix else self.api


async def _spent_when_stopped(tasks: Sequence[asyncio.Task[Completion]]) -> Usage:
    """Ends `tasks`; what they had spent. One that had not begun is free."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    ended = [t for t in tasks if not t.cancelled() and t.exception() is None]
    return Usage.total(task.result().usage for task in ended)


def open_openai(
    rest: str,
    *,
    key_variable: str = "OPENAI_API_KEY",
    key_file: str | None = None,
    price: TokenPrice | None = None,
    **options: Any,
) -> OpenAIBackend:
    """From "MODEL@BASE_URL", with the key of the environment and the price of the catalogue.

    Raises `BadInput` for a text of another form.
    """
    model, at, address = rest.partition("@http")
    if not model or not at:
        raise BadInput(
            "openai: write openai:MODEL@BASE_URL, as openai:my-model@http://localhost:8000/v1"
        )
    return OpenAIBackend(
        model,
        f"http{address}",
        key=read_key(key_variable, file=key_file),
        price=price or listed_price(model),
        **options,
    )
