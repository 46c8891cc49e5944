"""A backend in this process as an upstream: the built-in model, a simulated one, a recording.

With it the gateway works at once and offline. Answers are made whole and then cut into chunks of a
token each, because the engine runs the calls that wait together in one go. A call that is cancelled
or late gives up its answer; the run that makes it goes on for the others in it.

Followed: max_tokens, temperature, seed, stop, n, logprobs (of the tokens said), reasoning_effort
where the model has a dial. Refused with status 400, by name: tools, a response_format other than
text, top_p below 1, penalties, logit_bias, and what else the engine has no means for.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from random import Random
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bursar.backends import Backend, Completion, Request, open_backend
from bursar.errors import BackendError, BadInput, Exhausted
from bursar.gateway.upstream.base import Attempt, Call, Chunks, Reply, Tokens, UpstreamFailed

_MOST_SAMPLES = 128
_FIELDS = frozenset(
    {"model", "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "seed"}
    | {"stop", "n", "logprobs", "stream", "stream_options", "reasoning_effort"}
    # of no consequence here
    | {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"}
    | {"parallel_tool_calls", "verbosity", "input", "encoding_format"}
)
_PLAIN: dict[str, tuple[Any, ...]] = {
    "top_p": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("auto", "none"),
    "modalities": (["text"],),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
}
"""Fields that change nothing with these values, and can't be followed with others."""

Prompt = Callable[[Sequence[Mapping[str, Any]]], str]
"""Of the messages of a chat."""


@runtime_checkable
class Embedder(Protocol):
    """A backend that has final hidden states to show."""

    async def embed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[int]]: ...


@runtime_checkable
class Cutter(Protocol):
    """A backend that knows its tokens. Raises `BadInput` for a text it would never say."""

    def pieces(self, text: str) -> list[str]: ...


def last_line(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the built-in models are asked: the user's last message, as a line of its own."""
    asked = [message for message in messages if message.get("role") == "user"]
    if not asked:
        raise BadInput("messages: there is none of the user")
    return text_of(asked[-1]).strip() + "\n"


def whole_conversation(messages: Sequence[Mapping[str, Any]]) -> str:
    """All that was said, message after message."""
    return "\n\n".join(map(text_of, messages))


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message. Raises `BadInput` for one with other parts."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
    else:
        parts = [content]
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) != len(parts):
        raise BadInput("messages: a built-in model reads text only")
    return "".join(texts)


def open_local(name: str, spec: str, **options: Any) -> LocalUpstream:
    """The backend that `spec` names, such as "tiny-1m". Raises `BadInput` for an unknown one."""
    built_in = spec.startswith(("tiny-", "speculative:"))
    backend = open_backend(spec)
    return LocalUpstream(
        name, backend, prompt=last_line if built_in else whole_conversation, **options
    )


class LocalUpstream:
    """`backend` as an upstream called `name`. `rng` draws the seeds that clients leave open."""

    most_billed = 1

    def __init__(
        self,
        name: str,
        backend: Backend,
        *,
        prompt: Prompt = whole_conversation,
        rng: Random | None = None,
    ) -> None:
        self.name, self._backend, self._prompt = name, backend, prompt
        self._rng = rng or Random()

    def __repr__(self) -> str:
        return f"LocalUpstream({self.name!r}, {self._backend.name!r})"

    async def aclose(self) -> None:
        await self._backend.aclose()

    async def probe(self) -> None:
        """It is always there."""

    async def complete(self, call: Call) -> Reply:
        """See `Upstream.complete`."""
        try:
            _check_fields(call.body)
            async with asyncio.timeout_at(call.deadline):
                if call.path == "embeddings":
                    return await self._embeddings(call)
                requests, samples = self._requests(call)
                completions = await self._backend.complete(requests)
        except TimeoutError:
            raise self._failed("no answer before the request's deadline") from None
        except BadInput as error:
            raise self._refused(error) from None
        except BackendError as error:
            free = isinstance(error, Exhausted)
            raise self._failed(str(error), free=free) from None
        if any(completion.stop_reason == "error" for completion in completions):
            raise self._failed("a part of the answer failed")
        return self._reply(call, completions, samples)

    def stream(self, call: Call) -> AbstractAsyncContextManager[Chunks]:
        """See `Upstream.stream`."""
        return _Streaming(self, call)

    def cut(self, text: str) -> list[str]:
        """`text` in tokens, or in words where its tokens are not known."""
        if isinstance(self._backend, Cutter):
            try:
                return self._backend.pieces(text)
            except BadInput:
                pass
        return re.findall(r"\s*\S+|\s+$", text)

    def _requests(self, call: Call) -> tuple[list[Request], int]:
        """Those that a call means, prompt by prompt, and how many there are of each."""
        body = call.body
        if call.path == "chat/completions":
            messages = body.get("messages")
            if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
                raise BadInput("messages: must be a list of messages")
            prompts = [self._prompt(messages)]
        else:
            prompts = _texts(body.get("prompt"), "prompt")
        limits = [body[f] for f in ("max_tokens", "max_completion_tokens") if body.get(f)]
        samples = body.get("n") or 1
        temperature = 1.0 if (given := body.get("temperature")) is None else given
        stop = body.get("stop")
        seed = self._rng.getrandbits(31) if body.get("seed") is None else body["seed"]
        if not limits or not all(type(n) is int for n in (*limits, samples, seed)):
            raise BadInput("max_completion_tokens, n and seed: must be whole numbers")
        if not 1 <= samples * len(prompts) <= _MOST_SAMPLES:
            raise BadInput(f"n = {samples}: of 1 to {_MOST_SAMPLES} answers in one call")
        effort = body.get("reasoning_effort")
        if not isinstance(effort, str | None):
            raise BadInput(f"reasoning_effort = {effort!r}: must be a word")
        if not isinstance(temperature, int | float):
            raise BadInput(f"temperature = {temperature!r}: must be a number")
        requests = [
            Request(
                prompt,
                min(limits),
                sample=sample,
                temperature=float(temperature),
                stop=tuple(_texts(stop, "stop")) if stop else (),
                seed=seed,
                effort=None if effort == "none" else effort,
            )
            for prompt in prompts
            for sample in range(samples)
        ]
        return requests, samples

    def _reply(self, call: Call, completions: Sequence[Completion], samples: int) -> Reply:
        chat = call.path == "chat/completions"
        choices: list[dict[str, Any]] = []
        for index, completion in enumerate(completions):
            finish = "length" if completion.stop_reason == "length" else "stop"
            choice: dict[str, Any] = {"index": index, "finish_reason": finish, "logprobs": None}
            if chat:
                choice["message"] = {"role": "assistant", "content": completion.text}
            else:
                choice["text"] = completion.text
            if call.body.get("logprobs"):
                choice["logprobs"] = self._logprobs(completion, chat=chat)
            choices.append(choice)
        # one prompt is billed once, however many answers it gets
        tokens = _sum(
            [c.usage.tokens_in for c in completions[::samples]],
            [c.usage.tokens_out for c in completions],
        )
        kind = ("chatcmpl", "chat.completion") if chat else ("cmpl", "text_completion")
        document = {
            "id": f"{kind[0]}-{call.request_id or self._rng.getrandbits(64)}",
            "object": kind[1],
            "created": int(time.time()),
            "model": self._backend.name,
            "choices": choices,
        }
        return Reply({**document, "usage": _usage(tokens)}, tokens, self.name)

    def _logprobs(self, completion: Completion, *, chat: bool) -> dict[str, Any] | None:
        """Of the tokens in the text, which leaves out the one that ended it."""
        pieces = self.cut(completion.text)
        if completion.logprobs is None or len(completion.logprobs) < len(pieces):
            return None
        values = completion.logprobs[: len(pieces)].tolist()
        if chat:
            pairs = zip(pieces, values, strict=True)
            return {
                "content": [
                    {"token": t, "logprob": v, "bytes": list(t.encode()), "top_logprobs": []}
                    for t, v in pairs
                ]
            }
        offsets = np.cumsum([0, *map(len, pieces)])[:-1].tolist()
        found = {"tokens": pieces, "token_logprobs": values, "text_offset": offsets}
        return {**found, "top_logprobs": None}

    async def _embeddings(self, call: Call) -> Reply:
        if not isinstance(self._backend, Embedder):
            raise BadInput(f"{self._backend.name} has no embeddings; use another model")
        form = call.body.get("encoding_format") or "float"
        if form not in ("float", "base64"):
            raise BadInput(f"encoding_format = {form!r}: must be float or base64")
        vectors, counts = await self._backend.embed(_texts(call.body.get("input"), "input"))
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": vector.tolist()
                if form == "float"
                else base64.b64encode(vector.astype("<f4").tobytes()).decode(),
            }
            for index, vector in enumerate(vectors)
        ]
        used = sum(counts)
        usage = {"prompt_tokens": used, "total_tokens": used}
        document = {"object": "list", "model": self._backend.name, "data": data, "usage": usage}
        return Reply(document, Tokens(used, 0), self.name)

    def _failed(self, why: str, *, free: bool = False) -> UpstreamFailed:
        return UpstreamFailed(f"{self.name}: {why}", may_be_billed=not free, repeatable=False)

    def _refused(self, error: BadInput) -> UpstreamFailed:
        return UpstreamFailed(
            f"{self.name}: {error}",
            status=400,
            may_be_billed=False,
            repeatable=False,
            document={"error": {"message": str(error), "type": "invalid_request_error"}},
        )


class _Streaming:
    """A whole answer, handed out token by token."""

    def __init__(self, upstream: LocalUpstream, call: Call) -> None:
        self.upstream = upstream.name
        self.tokens: Tokens | None = None
        self.others: tuple[Attempt, ...] = ()
        self._local, self._call = upstream, call
        self._document: dict[str, Any] = {}
        self._used: Tokens | None = None

    async def __aenter__(self) -> Self:
        reply = await self._local.complete(self._call)
        self._document, self._used = reply.document, reply.tokens
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # made whole, so that it is used whole, read or not
        self.tokens = self._used

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        chat = self._call.path == "chat/completions"
        head = {key: self._document[key] for key in ("id", "created", "model")}
        head["object"] = "chat.completion.chunk" if chat else "text_completion"
        for choice in self._document["choices"]:
            pieces = self._local.cut(choice["message"]["content"] if chat else choice["text"])
            logprobs = _by_token(choice["logprobs"], len(pieces), chat=chat)
            for place, piece in enumerate(pieces or [""]):
                said: dict[str, Any] = {"index": choice["index"], "finish_reason": None}
                if chat:
                    said["delta"] = {"content": piece}
                    if not place:
                        said["delta"] = {"role": "assistant", "content": piece}
                else:
                    said["text"] = piece
                yield {**head, "choices": [{**said, "logprobs": logprobs[place]}]}
            last = ("delta", {}) if chat else ("text", "")
            end = {"index": choice["index"], "finish_reason": choice["finish_reason"]}
            yield {**head, "choices": [{**end, last[0]: last[1], "logprobs": None}]}
        self.tokens = self._used
        yield {**head, "choices": [], "usage": self._document["usage"]}


def _by_token(logprobs: dict[str, Any] | None, count: int, *, chat: bool) -> list[Any]:
    if logprobs is None or not count:
        return [None] * max(1, count)
    if chat:
        return [{"content": [token]} for token in logprobs["content"]]
    lists = {key: value for key, value in logprobs.items() if value is not None}
    return [{key: [value[i]] for key, value in lists.items()} for i in range(count)]


def _check_fields(body: Mapping[str, Any]) -> None:
    for field, value in body.items():
        if field in _FIELDS or value is None or value in _PLAIN.get(field, ()):
            continue
        raise BadInput(f"{field}: a built-in model can't follow it; leave it out")


def _texts(given: object, field: str) -> list[str]:
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, list) or not found or not all(isinstance(t, str) for t in found):
        raise BadInput(f"{field}: must be a text or a list of texts")
    return found


def _sum(tokens_in: Sequence[float | None], tokens_out: Sequence[float | None]) -> Tokens | None:
    if None in tokens_in or None in tokens_out:
        return None
    return Tokens(int(sum(filter(None, tokens_in))), int(sum(filter(None, tokens_out))))


def _usage(tokens: Tokens | None) -> dict[str, int] | None:
    if tokens is None:
        return None
    total = tokens.tokens_in + tokens.tokens_out
    return {
        "prompt_tokens": tokens.tokens_in,
        "completion_tokens": tokens.tokens_out,
        "total_tokens": total,
    }
