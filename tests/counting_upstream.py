"""A model server that counts what it bills, streams included, as a thread of the test's process.

Tokens are words: a prompt's, and 8 for the template; an answer's, one for each piece that is made,
and one for its end. A client that hangs up stops it, and what was made until then is billed.
"""

import asyncio
import base64
import json
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TEMPLATE = 8


@dataclass
class Say:
    """How to answer one request.

    `calls` are (name, arguments). Between pieces it waits `pause_s`, before the first `first_s`.
    `status` above 400 refuses, for nothing. `cut` after so many pieces of a stream; `hang`: makes
    all of it and then says nothing.
    """

    text: str = "one two three"
    calls: tuple[tuple[str, dict], ...] = ()
    finish: str | None = None
    pause_s: float = 0.0
    first_s: float = 0.0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=lambda: {"message": "mock says no", "code": "no"})
    cut: int | None = None
    hang: bool = False
    usage: bool = True


@dataclass
class Made:
    """One request, and what it was billed."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    tokens_in: int = 0
    tokens_out: int = 0
    ended: bool = False
    """Whether the answer went out whole."""


def example(schema: dict[str, Any]) -> Any:
    """A value that fits a JSON schema."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object" | None:
            return {k: example(v) for k, v in schema.get("properties", {}).items()}
        case "array":
            return [example(schema.get("items", {}))]
        case "integer" | "number":
            return 42
        case "boolean":
            return True
    return "Paris"


def obliging(body: dict[str, Any]) -> Say:
    """Calls the first tool until its result is there, writes JSON when told to, else words."""
    messages = body.get("messages") or []
    tools = body.get("tools") or []
    if tools and body.get("tool_choice") != "none" and messages[-1]["role"] != "tool":
        function = tools[0]["function"]
        return Say("", ((function["name"], example(function.get("parameters", {}))),))
    if messages and messages[-1]["role"] == "tool":
        return Say(f"the tool said {messages[-1]['content']}")
    shape = body.get("response_format") or {}
    if shape.get("type") == "json_schema":
        return Say(json.dumps(example(shape["json_schema"]["schema"])))
    return Say("one two three four")


class CountingUpstream:
    """Serves between `with` and its end. `say` may be set anew at any time."""

    def __init__(self, say: Callable[[dict[str, Any]], Say] = obliging) -> None:
        self.say = say
        self.made: list[Made] = []
        self.open = 0
        self.base_url = ""
        self._up = threading.Event()

    def __enter__(self) -> "CountingUpstream":
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    @property
    def billed(self) -> tuple[int, int]:
        """(tokens in, tokens out) of all that was made, once nothing is under way."""
        before = time.monotonic() + 5
        while self.open and time.monotonic() < before:
            time.sleep(0.005)
        return sum(m.tokens_in for m in self.made), sum(m.tokens_out for m in self.made)

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/v1/{path:.*}", self._answer)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        self._up.set()
        await self._end.wait()
        await runner.cleanup()

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": []})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        made = Made(request.match_info["path"], await request.json(), dict(request.headers))
        self.open += 1
        self.made.append(made)
        try:
            say = self.say(made.body)
            if say.status >= 400:
                return web.json_response(
                    {"error": say.error}, status=say.status, headers=say.headers
                )
            await asyncio.sleep(say.first_s)
            if made.path == "embeddings":
                return web.json_response(_embeddings(made))
            return await self._generate(request, made, say)
        finally:
            self.open -= 1

    async def _generate(self, request: web.Request, made: Made, say: Say) -> web.StreamResponse:
        body = made.body
        chat = made.path == "chat/completions"
        prompts = ["chat"]
        if chat:
            made.tokens_in = TEMPLATE + _words(json.dumps(body["messages"]))
        else:
            given = body["prompt"]
            prompts = given if isinstance(given, list) else [given]
            made.tokens_in = sum(_words(prompt) for prompt in prompts)
        answers = len(prompts) * (body.get("n") or 1)
        most = body.get("max_tokens") or body.get("max_completion_tokens")
        assert most, "the gateway bounds every call"
        choices = [self._choice(say, most) for _ in range(answers)]
        if body.get("stream"):
            return await self._stream(request, made, say, choices, chat=chat)
        made.tokens_out = sum(len(pieces) + 1 for pieces, _ in choices)
        made.tokens_out = min(made.tokens_out, most * answers)
        await asyncio.sleep(say.pause_s * len(choices[0][0]))
        if say.hang:
            await asyncio.sleep(60)
        shown = []
        for index, (pieces, finish) in enumerate(choices):
            choice: dict[str, Any] = {"index": index, "finish_reason": finish, "logprobs": None}
            if body.get("logprobs"):
                choice["logprobs"] = _logprobs(pieces, chat=chat)
            text = "".join(pieces)
            if chat:
                message: dict[str, Any] = {"role": "assistant", "content": text or None}
                if say.calls:
                    message["tool_calls"] = [_call(i, *call) for i, call in enumerate(say.calls)]
                choice["message"] = message
            else:
                prompt = prompts[index // (body.get("n") or 1)]
                choice["text"] = (prompt if body.get("echo") else "") + text
            shown.append(choice)
        document = {**_head(made, "chat.completion" if chat else "text_completion")}
        document["choices"] = shown
        if say.usage:
            document["usage"] = _usage(made)
        made.ended = True
        return web.json_response(document)

    def _choice(self, say: Say, most: int) -> tuple[list[str], str]:
        """The pieces that there is room for, and why it ends; a call of a tool is one piece."""
        words = say.text.split(" ") if say.text else []
        pieces = [word if i == 0 else f" {word}" for i, word in enumerate(words)]
        if say.calls:
            return [], "tool_calls"
        cut = len(pieces) >= most
        return pieces[:most], say.finish or ("length" if cut else "stop")

    async def _stream(
        self, request: web.Request, made: Made, say: Say, choices: Any, *, chat: bool
    ) -> web.StreamResponse:
        out = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await out.prepare(request)
        head = _head(made, "chat.completion.chunk" if chat else "text_completion")

        async def send(index: int, delta: dict[str, Any] | str, finish: str | None = None) -> None:
            part = {"delta": delta} if chat else {"text": delta}
            choice = {"index": index, **part, "finish_reason": finish, "logprobs": None}
            if made.body.get("logprobs") and delta:
                text = delta["content"] if isinstance(delta, dict) else delta
                choice["logprobs"] = _logprobs([text], chat=chat)
            document = {**head, "choices": [choice], "usage": None}
            await out.write(b"data: " + json.dumps(document).encode() + b"\n\n")

        count = 0
        for index, (pieces, finish) in enumerate(choices):
            for i, (name, arguments) in enumerate(say.calls):
                whole = _call(i, name, arguments)
                text = whole["function"].pop("arguments")
                begun = {**whole, "function": {**whole["function"], "arguments": ""}}
                await send(index, {"role": "assistant", "tool_calls": [{"index": i, **begun}]})
                for half in (text[:4], text[4:]):
                    piece = {"index": i, "function": {"arguments": half}}
                    await send(index, {"tool_calls": [piece]})
            for piece in pieces:
                if say.cut == count:
                    assert request.transport is not None
                    request.transport.abort()
                    return out
                made.tokens_out += 1
                count += 1
                delta = {"content": piece} | ({"role": "assistant"} if count == 1 else {})
                await send(index, delta if chat else piece)
                await asyncio.sleep(say.pause_s)
            if finish != "length":
                made.tokens_out += 1
            await send(index, {} if chat else "", finish)
        if say.usage and (made.body.get("stream_options") or {}).get("include_usage"):
            last = {**head, "choices": [], "usage": _usage(made)}
            await out.write(b"data: " + json.dumps(last).encode() + b"\n\n")
        await out.write(b"data: [DONE]\n\n")
        made.ended = True
        return out


def _words(text: Any) -> int:
    return len(text) if isinstance(text, list) else len(str(text).split())


def _head(made: Made, kind: str) -> dict[str, Any]:
    return {"id": "mock-1", "object": kind, "created": 1, "model": made.body["model"]}


def _usage(made: Made) -> dict[str, int]:
    return {
        "prompt_tokens": made.tokens_in,
        "completion_tokens": made.tokens_out,
        "total_tokens": made.tokens_in + made.tokens_out,
    }


def _call(index: int, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": f"call_{index}", "type": "function", "function": function}


def _logprobs(pieces: list[str], *, chat: bool) -> dict[str, Any]:
    if chat:
        return {
            "content": [
                {"token": p, "logprob": -0.5, "bytes": None, "top_logprobs": []} for p in pieces
            ]
        }
    return {"tokens": pieces, "token_logprobs": [-0.5] * len(pieces)}


def _embeddings(made: Made) -> dict[str, Any]:
    given = made.body["input"]
    texts = given if isinstance(given, list) else [given]
    made.tokens_in = sum(_words(text) for text in texts)
    size = made.body.get("dimensions") or 4
    rows: list[Any] = [[float(i), *[0.5] * (size - 1)] for i in range(len(texts))]
    if made.body.get("encoding_format") == "base64":
        rows = [base64.b64encode(struct.pack(f"<{size}f", *row)).decode() for row in rows]
    made.ended = True
    return {
        "object": "list",
        "model": made.body["model"],
        "data": [{"object": "embedding", "index": i, "embedding": r} for i, r in enumerate(rows)],
        "usage": {"prompt_tokens": made.tokens_in, "total_tokens": made.tokens_in},
    }
