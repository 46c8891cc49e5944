"""The OpenAI wire format: what is sent, and what may be believed of what comes back."""

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bursar.backends.base import Request
from bursar.backends.draws import whole_number

Api = Literal["chat", "completions"]
LimitField = Literal["max_tokens", "max_completion_tokens"]

_MOST_TOKENS = 10**9
"""In one call; a server that reports more reports nonsense."""


class Garbled(Exception):
    """A reply with status 200 that is not a completion."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A completion as the server told it. Token counts are None when it told none worth believing.

    `seen` is all the text that came, hidden reasoning included.
    """

    text: str
    seen: str
    stop_reason: str
    tokens_in: int | None
    tokens_out: int | None
    logprobs: NDArray[np.float32] | None
    meta: dict[str, str]


def request_path(api: Api) -> str:
    return "chat/completions" if api == "chat" else "completions"


def request_body(
    request: Request, model: str, *, api: Api, limit_field: LimitField, logprobs: bool
) -> dict[str, Any]:
    """The JSON to send. The limit on new tokens is always there."""
    body: dict[str, Any] = {
        "model": model,
        limit_field: request.max_tokens,
        "temperature": request.temperature,
        # 31 bits: some servers keep the seed in a signed 32-bit integer
        "seed": whole_number(request.seed, request.question_id, request.sample) >> 32,
    }
    if request.effort is not None:
        body["reasoning_effort"] = request.effort
    if request.stop:
        body["stop"] = list(request.stop)
    if api == "chat":
        body["messages"] = [{"role": "user", "content": request.prompt}]
        if logprobs:
            body["logprobs"] = True
    else:
        body["prompt"] = request.prompt + request.prefix
        if logprobs:
            body["logprobs"] = 1
    return body


def read_reply(content: bytes) -> Reply:
    """Raises `Garbled` when no completion can be read."""
    try:
        document = json.loads(content)
        choice = document["choices"][0]
        message = choice.get("message")
        text = (choice.get("text") if message is None else message.get("content")) or ""
        hidden = "" if message is None else message.get("reasoning_content") or ""
        if not isinstance(text, str) or not isinstance(hidden, str):
            raise TypeError("text is not a string")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Garbled(f"{type(error).__name__}: {error}") from None
    tokens_in, tokens_out = read_usage(document.get("usage"), said=bool(text + hidden))
    return Reply(
        text=text,
        seen=text + hidden,
        stop_reason="length" if choice.get("finish_reason") == "length" else "stop",
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        logprobs=_logprobs(choice.get("logprobs")),
        meta={k: str(document[k]) for k in ("id", "model") if document.get(k)},
    )


def read_error(content: bytes) -> str:
    """The server's own words, shortened."""
    try:
        document = json.loads(content)
        error = document.get("error", document)
        said = error.get("message") if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        said = content.decode("utf-8", "replace")
    return " ".join(str(said).split())[:200]


def read_usage(usage: object, *, said: bool) -> tuple[int | None, int | None]:
    """(tokens in, tokens out), or None for both: a count that can't be true is no count."""
    if not isinstance(usage, dict):
        return None, None
    tokens_in = _count(usage.get("prompt_tokens"), least=1)
    tokens_out = _count(usage.get("completion_tokens"), least=1 if said else 0)
    return (None, None) if tokens_in is None or tokens_out is None else (tokens_in, tokens_out)


def _count(value: object, *, least: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST_TOKENS:
        return None
    return value


def _logprobs(found: object) -> NDArray[np.float32] | None:
    if not isinstance(found, dict):
        return None
    content = found.get("content")
    values = (
        [token.get("logprob") for token in content]
        if isinstance(content, list) and all(isinstance(t, dict) for t in content)
        else found.get("token_logprobs")
    )
    if not isinstance(values, list) or not all(isinstance(v, int | float) for v in values):
        return None
    return np.array(values, dtype=np.float32)
