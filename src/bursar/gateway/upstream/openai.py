"""An OpenAI-compatible server as an upstream: its answers are checked, then passed on unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from bursar.backends.openai_wire import LimitField, read_usage
from bursar.backends.secret import Secret
from bursar.gateway.upstream.base import Call, Chunks, Path, Reply, Tokens, UpstreamFailed
from bursar.gateway.upstream.http import Server
from bursar.gateway.upstream.streaming import Streaming

_LIMITS = ("max_tokens", "max_completion_tokens")
_PROBE_S = 5.0


class OpenAIUpstream:
    """`model` on the server at `base_url`. Use it from one event loop, and `aclose` it.

    `limit_field` is the name under which the server wants the limit of new tokens; None: as the
    client wrote it. `key_header` carries the key, as "Bearer ..." only where it is "Authorization".
    `settings` go to `Server`.
    """

    most_billed = 1

    def __init__(
        self,
        name: str,
        model: str,
        base_url: str,
        *,
        key: Secret | None = None,
        key_header: str = "Authorization",
        headers: Mapping[str, str] | None = None,
        limit_field: LimitField | None = None,
        **settings: Any,
    ) -> None:
        self.name, self.model = name, model
        self._limit_field = limit_field
        sent = dict(headers or {})
        if key:
            bearer = key_header.lower() == "authorization"
            sent[key_header] = f"Bearer {key.reveal()}" if bearer else key.reveal()
        self._server = Server(name, base_url, key=key, headers=sent, **settings)

    def __repr__(self) -> str:
        return f"OpenAIUpstream({self.name!r}, {self.model!r}, {self._server.base_url!r})"

    async def aclose(self) -> None:
        await self._server.aclose()

    async def probe(self) -> None:
        """Asks for the list of models. A server that has none to show is there all the same."""
        try:
            await self._server.get("models", asyncio.get_running_loop().time() + _PROBE_S)
        except UpstreamFailed as failed:
            if failed.status not in (404, 405):
                raise

    async def complete(self, call: Call) -> Reply:
        """See `Upstream.complete`."""
        body = self._body(call)
        body.pop("stream", None)
        body.pop("stream_options", None)
        document = await self._server.post(call.path, body, call.deadline, sent_id(call))
        said = _check_whole(self._server, call.path, document)
        return Reply(document, read_tokens(document.get("usage"), said=said), self.name)

    def stream(self, call: Call) -> AbstractAsyncContextManager[Chunks]:
        """See `Upstream.stream`."""
        body = self._body(call)
        body["stream"] = True
        options = body.get("stream_options")
        options = options if isinstance(options, dict) else {}
        body["stream_options"] = {**options, "include_usage": True}
        reader = _ChunkReader(self._server)
        return Streaming(self._server, reader, call.path, body, call.deadline, sent_id(call))

    def _body(self, call: Call) -> dict[str, Any]:
        body = {**call.body, "model": self.model}
        if self._limit_field is not None and call.path != "embeddings":
            limits = [limit for field in _LIMITS if type(limit := body.pop(field, None)) is int]
            if limits:
                body[self._limit_field] = min(limits)
        return body


class _ChunkReader:
    """OpenAI's chunks, passed on as they are. See `Reader`."""

    def __init__(self, server: Server) -> None:
        self.done = False
        self.tokens: Tokens | None = None
        self._server = server
        self._open_choices: set[int] = set()
        self._begun = self._said = False

    def read(self, data: bytes) -> list[dict[str, Any]]:
        if data == b"[DONE]":
            self._open_choices.clear()
            self.end()
            return []
        chunk = self._server.read(data)
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            raise self._server.garbled("a chunk without choices")
        for choice in choices:
            if not isinstance(choice, dict) or not isinstance(index := choice.get("index", 0), int):
                raise self._server.garbled("a choice that is no object with an index")
            self._begun = True
            if choice.get("finish_reason"):
                self._open_choices.discard(index)
            else:
                self._open_choices.add(index)
            self._said = self._said or _says(choice)
        # some report after every token: before the end that is too little to be billed by
        if not self._open_choices and (usage := chunk.get("usage")) is not None:
            self.tokens = read_tokens(usage, said=self._said) or self.tokens
        return [chunk]

    def end(self) -> None:
        if self._open_choices or not self._begun:
            raise self._server.garbled("its stream was cut")
        self.done = True


def read_tokens(usage: object, *, said: bool) -> Tokens | None:
    """Reported usage; None when it can't be true."""
    if not isinstance(usage, dict):
        return None
    if not said:  # embeddings have no such count
        usage = {"completion_tokens": 0, **usage}
    tokens_in, tokens_out = read_usage(usage, said=said)
    if tokens_in is None or tokens_out is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    if type(cached) is not int or not 0 <= cached <= tokens_in:
        cached = 0
    return Tokens(tokens_in, tokens_out, cached)


def _check_whole(server: Server, path: Path, document: dict[str, Any]) -> bool:
    """Whether anything was said. Raises `UpstreamFailed` for what no client could read."""
    if path == "embeddings":
        rows = document.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise server.garbled("an answer without embeddings")
        return False
    choices = document.get("choices")
    part, kind = ("message", dict) if path == "chat/completions" else ("text", str)
    if not isinstance(choices, list) or not choices:
        raise server.garbled("an answer without choices")
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(choice.get(part), kind):
            raise server.garbled(f"a choice without a {part}")
    return any(map(_says, choices))


def _says(choice: dict[str, Any]) -> bool:
    """Whether a choice, whole or a piece, holds a token that somebody pays for."""
    if choice.get("text"):
        return True
    piece = choice.get("delta") or choice.get("message")
    return isinstance(piece, dict) and any(
        value for key, value in piece.items() if key not in ("role", "annotations", "audio")
    )


def sent_id(call: Call) -> dict[str, str]:
    """The header by which a server's log and ours can be compared."""
    return {"X-Request-Id": call.request_id} if call.request_id else {}
