"""Answers in pieces: how much they say, a whole one cut up, a stream as its client asked for it.

OpenAI ends a stream with the reason why each choice ended and then, where the client wants it, with
a chunk that has no choices but the usage. Upstreams differ; what leaves here does not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bursar.gateway.bill import Bill

_UNSAID = frozenset({"role", "logprobs", "finish_reason", "index", "id", "type"})
_UNSAID_WITHIN = frozenset({"id", "type"})


def said_bytes(document: dict[str, Any]) -> int:
    """Bytes of all that a reply or chunk says: text, reasoning, refusals and calls of tools."""
    return sum(
        _bytes_in(choice.get("delta") or choice.get("message") or choice, _UNSAID)
        for choice in document.get("choices") or ()
    )


def _bytes_in(value: Any, unsaid: frozenset[str]) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return sum(_bytes_in(v, _UNSAID_WITHIN) for k, v in value.items() if k not in unsaid)
    if isinstance(value, list):
        return sum(_bytes_in(item, _UNSAID_WITHIN) for item in value)
    return 0


def usage_of(bill: Bill) -> dict[str, int]:
    """What was charged, as OpenAI shows usage."""
    tokens_in, tokens_out = int(bill.spent.tokens_in or 0), int(bill.spent.tokens_out or 0)
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
    }


async def as_chunks(document: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    """A whole chat as the chunks of a stream."""
    head = {key: document[key] for key in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"
    for choice in document["choices"]:
        index = choice["index"]
        said = {"index": index, "delta": dict(choice["message"]), "finish_reason": None}
        yield {**head, "choices": [said]}
        end = {"index": index, "delta": {}, "finish_reason": choice["finish_reason"]}
        yield {**head, "choices": [end]}
    yield {**head, "choices": [], "usage": document["usage"]}


async def as_asked(
    chunks: AsyncIterator[dict[str, Any]], bill: Bill, *, wants_usage: bool
) -> AsyncIterator[dict[str, Any]]:
    """The chunks as OpenAI orders them; the last one has the bill, which is final by then.

    Chunks that end every choice of theirs wait for what comes after them.
    """
    waiting: list[dict[str, Any]] = []
    head: dict[str, Any] = {}
    usage: dict[str, Any] | None = None
    open_choices: set[int] = set()
    async for chunk in chunks:
        usage = chunk.get("usage") or usage
        head = head or {k: v for k, v in chunk.items() if k not in ("choices", "usage")}
        choices = chunk.get("choices")
        if not choices and set(chunk) <= {*head, "choices", "usage"} and head:
            continue  # its usage comes at the end, if at all
        chunk = {k: v for k, v in chunk.items() if k != "usage"}
        if wants_usage:
            chunk["usage"] = None
        ended = {c.get("index", 0) for c in choices or () if c.get("finish_reason")}
        open_choices |= {c.get("index", 0) for c in choices or ()}
        open_choices -= ended
        if choices and len(ended) < len(choices):
            for held in waiting:
                yield held
            waiting = []
            yield chunk
        else:
            waiting.append(chunk)
    if open_choices:  # it was cut by its budget
        text = head.get("object") == "text_completion"
        nothing: dict[str, Any] = {"text": ""} if text else {"delta": {}}
        cut = [
            {"index": index, **nothing, "finish_reason": "length"} for index in sorted(open_choices)
        ]
        waiting.append({**head, "choices": cut, **({"usage": None} if wants_usage else {})})
    if wants_usage or not waiting:
        last = {**head, "choices": []}
        waiting.append(last | ({"usage": usage or usage_of(bill)} if wants_usage else {}))
    for held in waiting[:-1]:
        yield held
    yield {**waiting[-1], "bursar": bill.to_dict()}
