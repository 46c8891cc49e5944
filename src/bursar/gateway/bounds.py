"""The most that a call can use, known before it is sent.

A byte-level tokenizer makes at most one token of each byte, and so does SentencePiece with byte
fallback: bytes of UTF-8 are a proven bound where no tokenizer is at hand. What a chat template adds
for each message and tool is covered by constants on the large side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from bursar.errors import BadInput

CountTokens = Callable[[str], int]

_MESSAGE_TOKENS = 16
"""A role and the marks around a message."""
_TEMPLATE_TOKENS = 128
"""What a template says by itself: its head, the date, how to call tools."""
_TOOL_TOKENS = 64
"""Around one tool's schema, beside the schema itself."""


_LIMIT_FIELDS = ("max_completion_tokens", "max_tokens")
_UNBOUNDED = ("prediction", "web_search_options", "audio")
"""Fields whose cost `max_tokens` does not bound."""
_TIERS = ("auto", "default", "flex")


def utf8_bytes(text: str) -> int:
    """Bytes of a text; lone surrogates, which JSON can carry, count as they will be replaced."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def prompt_bound(
    path: str,
    body: dict[str, Any],
    count: CountTokens = utf8_bytes,
    tokens_per_image: int | None = None,
) -> int:
    """The most input tokens of one call. Raises `BadInput` for what nothing bounds."""
    if path == "chat/completions":
        return _chat(body, count, tokens_per_image)
    given = body.get("input" if path == "embeddings" else "prompt")
    return _texts(given, count)


def outputs(path: str, body: dict[str, Any]) -> int:
    """How many answers a call asks for."""
    if path == "embeddings":
        return 0
    wanted = [_whole(body, "n", 1)]
    if path == "completions":
        wanted.append(_whole(body, "best_of", 1))
        return max(wanted) * _prompts(body.get("prompt"))
    return wanted[0]


def with_output(body: dict[str, Any], each: int) -> dict[str, Any]:
    """The body with each answer bounded to `each` tokens, under one name."""
    return {k: v for k, v in body.items() if k not in _LIMIT_FIELDS} | {"max_tokens": each}


def asked_output(body: dict[str, Any], most: int) -> int | None:
    """The most tokens of one answer, as the client asked; None when it did not. At most `most`."""
    given = {f: body[f] for f in _LIMIT_FIELDS if body.get(f) is not None}
    for name, value in given.items():
        least = 0 if body.get("echo") else 1  # an echo alone is worth having
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise BadInput(
                f"{name} is {str(value)[:40]!r}: it must be a whole number from 1 to {most}"
            )
    if len(set(given.values())) > 1:
        said = " and ".join(f"{name} {value}" for name, value in given.items())
        raise BadInput(f"{said} differ: give one of them")
    return min(most, *given.values()) if given else None


def refuse_unbounded(body: dict[str, Any]) -> None:
    """Raises `BadInput` for what an upstream would bill beside the tokens that are bounded."""
    found = [name for name in _UNBOUNDED if body.get(name) is not None]
    if body.get("modalities") not in (None, ["text"]):
        found.append("modalities")
    if found:
        raise BadInput(f"{found[0]} costs what max_tokens does not bound; leave it out")
    if body.get("service_tier") not in (None, *_TIERS):
        raise BadInput(
            f"service_tier is {str(body['service_tier'])[:40]!r}: its price is not known here; use "
            f"one of {', '.join(_TIERS)}, or leave it out"
        )


def _prompts(given: Any) -> int:
    """How many prompts a completion has: a list of tokens is one."""
    return len(given) if isinstance(given, list) and not _are_tokens(given) else 1


def _are_tokens(given: list[Any]) -> bool:
    return all(isinstance(token, int) and not isinstance(token, bool) for token in given)


def _whole(body: dict[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 128:
        raise BadInput(f"{name} is {value!r}: it must be a whole number from 1 to 128")
    return value


def _chat(body: dict[str, Any], count: CountTokens, tokens_per_image: int | None) -> int:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadInput("messages must be a list of at least one message")
    total = _TEMPLATE_TOKENS
    for message in messages:
        if not isinstance(message, dict):
            raise BadInput(f"messages: {str(message)[:40]!r} is no message; use an object")
        total += _MESSAGE_TOKENS + _content(message.get("content"), count, tokens_per_image)
        for name, value in message.items():
            if name not in ("content", "role"):  # names, tool calls, ids: all may be shown
                total += count(name) + _anything(value, count)
    for name in ("tools", "functions"):
        tools = body.get(name) or ()
        if not isinstance(tools, list | tuple):
            raise BadInput(f"{name} must be a list")
        total += sum(_TOOL_TOKENS + _anything(tool, count) for tool in tools)
    if shape := body.get("response_format"):
        total += _TOOL_TOKENS + _anything(shape, count)
    return total


def _content(content: Any, count: CountTokens, tokens_per_image: int | None) -> int:
    if content is None:
        return 0
    if isinstance(content, str):
        return count(content)
    if not isinstance(content, list):
        raise BadInput("a message's content must be text or a list of parts")
    total = 0
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "refusal"):
            total += count(str(part.get(kind, "")))
        elif kind == "image_url" and tokens_per_image is not None:
            total += tokens_per_image
        else:
            raise BadInput(
                f"a message's content has a part of type {kind!r}, whose tokens nothing bounds for "
                "this model; send text" + (", or images" if tokens_per_image else "")
            )
    return total


def _anything(value: Any, count: CountTokens) -> int:
    """A value as a template may print it: escaped and indented JSON is at most this long."""
    if value is None:
        return 0
    try:
        return 2 * count(orjson.dumps(value).decode())
    except orjson.JSONEncodeError:
        raise BadInput("the body is nested too deep; at most 200 levels") from None


def _texts(given: Any, count: CountTokens) -> int:
    if isinstance(given, str):
        return count(given) + 1
    if isinstance(given, list) and given:
        if _are_tokens(given):
            return len(given) + 1
        return sum(_texts(text, count) for text in given)
    raise BadInput("the input must be text, tokens, or a list of them, and not empty")
