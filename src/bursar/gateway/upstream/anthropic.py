"""Anthropic's Messages API as an upstream: its messages and events become OpenAI's.

Thoughts come as `reasoning_content`, and whole, with their signatures, as `thinking_blocks`: a
client that sends these back with the message lets the model go on thinking after a tool.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson

from bursar.backends.secret import Secret
from bursar.errors import BadInput
from bursar.gateway.upstream.anthropic_wire import Thinking, to_messages
from bursar.gateway.upstream.base import Call, Chunks, Reply, Tokens, UpstreamFailed
from bursar.gateway.upstream.http import Server
from bursar.gateway.upstream.openai import read_tokens, sent_id
from bursar.gateway.upstream.streaming import Streaming

_VERSION = "2023-06-01"
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_PROBE_S = 5.0


class AnthropicUpstream:
    """`model` behind Anthropic's API. Use it from one event loop, and `aclose` it.

    `thinking` says how the model is told to think. `settings` go to `Server`.
    """

    most_billed = 1

    def __init__(
        self,
        name: str,
        model: str,
        base_url: str = "https://api.anthropic.com/v1",
        *,
        key: Secret | None = None,
        headers: Mapping[str, str] | None = None,
        thinking: Thinking = "budget",
        **settings: Any,
    ) -> None:
        self.name, self.model = name, model
        self._thinking: Thinking = thinking
        sent = {"anthropic-version": _VERSION, **(headers or {})}
        if key:
            sent["x-api-key"] = key.reveal()
        self._server = Server(name, base_url, key=key, headers=sent, **settings)

    def __repr__(self) -> str:
        return f"AnthropicUpstream({self.name!r}, {self.model!r}, {self._server.base_url!r})"

    async def aclose(self) -> None:
        await self._server.aclose()

    async def probe(self) -> None:
        """Asks for the list of models."""
        await self._server.get("models", asyncio.get_running_loop().time() + _PROBE_S)

    async def complete(self, call: Call) -> Reply:
        """See `Upstream.complete`."""
        body = self._body(call)
        message = await self._server.post("messages", body, call.deadline, sent_id(call))
        try:
            document = _completion(message)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._server.garbled("an answer that is no message") from None
        return Reply(document, _tokens(message.get("usage")), self.name)

    def stream(self, call: Call) -> AbstractAsyncContextManager[Chunks]:
        """See `Upstream.stream`."""
        body = self._body(call)
        body["stream"] = True
        reader = _EventReader(self._server)
        return Streaming(self._server, reader, "messages", body, call.deadline, sent_id(call))

    def _body(self, call: Call) -> dict[str, Any]:
        try:
            if call.path != "chat/completions":
                raise BadInput(f"{call.path}: Anthropic's models are served by chat/completions")
            return to_messages(call.body, self.model, self._thinking)
        except BadInput as error:
            raise UpstreamFailed(
                f"{self.name}: {error}",
                status=400,
                may_be_billed=False,
                repeatable=False,
                document={"error": {"message": str(error), "type": "invalid_request_error"}},
            ) from None


def _completion(message: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's document of a whole message. Raises what the wrong shape of a document raises."""
    texts: list[str] = []
    thoughts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for block in message["content"]:
        if block["type"] == "text":
            texts.append(block["text"])
        elif block["type"] in ("thinking", "redacted_thinking"):
            thoughts.append(block)
        elif block["type"] == "tool_use":
            function = {"name": block["name"], "arguments": orjson.dumps(block["input"]).decode()}
            calls.append({"id": block["id"], "type": "function", "function": function})
    said: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts or not calls else None,
        "refusal": None,
    }
    if calls:
        said["tool_calls"] = calls
    if thoughts:
        said["reasoning_content"] = "".join(block.get("thinking", "") for block in thoughts)
        said["thinking_blocks"] = thoughts
    finish = _FINISH.get(message["stop_reason"], "stop")
    return {
        "id": message["id"],
        "object": "chat.completion",
        "created": int(time.time()),
        "model": message["model"],
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": finish}],
        "usage": _usage(message.get("usage")),
    }


def _usage(usage: object) -> dict[str, Any] | None:
    """OpenAI's usage, whose prompt tokens are all; None where there is nothing to add up."""
    if not isinstance(usage, dict):
        return None
    read, written = (usage.get(f"cache_{what}_input_tokens") or 0 for what in ("read", "creation"))
    counts = [usage.get("input_tokens"), usage.get("output_tokens"), read, written]
    if not all(type(count) is int and count >= 0 for count in counts):
        return None
    tokens_in, tokens_out = usage["input_tokens"] + read + written, usage["output_tokens"]
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": {"cached_tokens": read, "cache_creation_tokens": written},
    }


def _tokens(usage: object) -> Tokens | None:
    # even an empty answer has a token, its end
    tokens = read_tokens(read := _usage(usage), said=True)
    if tokens is None or read is None:
        return None
    written = read["prompt_tokens_details"]["cache_creation_tokens"]
    return Tokens(tokens.tokens_in, tokens.tokens_out, tokens.cached, written)


class _EventReader:
    """The events of a streamed message as chunks. See `Reader`."""

    def __init__(self, server: Server) -> None:
        self.done = False
        self.tokens: Tokens | None = None
        self._server = server
        self._head: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        """Blocks that have begun, by their number; a call's also has its place among calls."""
        self._calls = 0

    def read(self, data: bytes) -> list[dict[str, Any]]:
        event = self._server.read(data)
        try:
            kind = event["type"]
            if kind == "message_start":
                return self._begin(event["message"])
            if not self._head and kind not in ("ping", "error"):
                raise KeyError(kind)
            if kind == "content_block_start":
                return self._begin_block(event["index"], event["content_block"])
            if kind == "content_block_delta":
                return self._go_on(self._blocks[event["index"]], event["delta"])
            if kind == "content_block_stop":
                return self._end_block(self._blocks[event["index"]])
            if kind == "message_delta":
                return self._finish(event)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._server.garbled("an event of a wrong shape") from None
        if kind == "message_stop":
            return self._last()
        return []  # pings, and what the API may add

    def end(self) -> None:
        raise self._server.garbled("its stream was cut")

    def _begin(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        self._head = {
            "id": message["id"],
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": message["model"],
        }
        self._usage = {**(message.get("usage") or {}), "output_tokens": None}  # more will follow
        return [self._chunk({"role": "assistant", "content": ""})]

    def _begin_block(self, number: int, block: dict[str, Any]) -> list[dict[str, Any]]:
        self._blocks[number] = block = dict(block)
        if block["type"] == "text":
            return [self._chunk({"content": block["text"]})] if block["text"] else []
        if block["type"] == "tool_use":
            block["place"], block["json"] = self._calls, False
            self._calls += 1
            function = {"name": block["name"], "arguments": ""}
            call = {"index": block["place"], "id": block["id"], "type": "function"}
            return [self._chunk({"tool_calls": [{**call, "function": function}]})]
        return []

    def _go_on(self, block: dict[str, Any], delta: dict[str, Any]) -> list[dict[str, Any]]:
        kind = delta["type"]
        if kind == "text_delta":
            return [self._chunk({"content": delta["text"]})]
        if kind == "input_json_delta" and block["type"] == "tool_use":
            block["json"] = block["json"] or bool(delta["partial_json"])
            return [self._arguments(block, delta["partial_json"])]
        if kind == "thinking_delta":
            block["thinking"] = block.get("thinking", "") + delta["thinking"]
            return [self._chunk({"reasoning_content": delta["thinking"]})]
        if kind == "signature_delta":
            block["signature"] = block.get("signature", "") + delta["signature"]
        return []

    def _end_block(self, block: dict[str, Any]) -> list[dict[str, Any]]:
        if block["type"] in ("thinking", "redacted_thinking"):
            return [self._chunk({"thinking_blocks": [block]})]
        if block["type"] == "tool_use" and not block["json"]:
            return [self._arguments(block, "{}")]  # no arguments are an empty object
        return []

    def _finish(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        # the counts are those of the whole message so far
        self._usage.update({k: v for k, v in (event.get("usage") or {}).items() if v is not None})
        reason = event["delta"].get("stop_reason")
        if reason is None:
            return []
        self.tokens = _tokens(self._usage)
        return [self._chunk({}, finish=_FINISH.get(reason, "stop"))]

    def _last(self) -> list[dict[str, Any]]:
        self.done = True
        return [{**self._head, "choices": [], "usage": _usage(self._usage)}]

    def _arguments(self, block: dict[str, Any], piece: str) -> dict[str, Any]:
        call = {"index": block["place"], "function": {"arguments": piece}}
        return self._chunk({"tool_calls": [call]})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**self._head, "choices": [choice]}
