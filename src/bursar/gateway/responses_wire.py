"""OpenAI's Responses API in terms of a chat: a request to a chat's body, a chat's answer back.

Text, images by URL where the model takes them, and tools that are functions. Nothing is kept here:
`store` may be given and changes nothing, and who goes on with an earlier answer sends it again.
"""

from __future__ import annotations

from typing import Any

from bursar.errors import BadInput

_PASSED = frozenset(
    {"model", "temperature", "top_p", "stream", "user", "metadata", "parallel_tool_calls"}
    | {"service_tier", "safety_identifier", "prompt_cache_key", "top_logprobs", "budget", "bursar"}
    | {"seed", "stop"}
)
_READ = frozenset(
    {"input", "instructions", "tools", "tool_choice", "text", "max_output_tokens", "reasoning"}
)
_NOTHING = frozenset({"store", "include", "truncation", "background", "prompt_cache_retention"})
"""Of no consequence here, with the values that are let through."""
_ROLES = frozenset({"user", "assistant", "system", "developer"})
_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text"})


def chat_body(body: dict[str, Any]) -> dict[str, Any]:
    """A chat's body that asks the same. Raises `BadInput` for what can't be asked here."""
    _check_fields(body)
    chat = {name: body[name] for name in _PASSED & body.keys() if body[name] is not None}
    messages: list[dict[str, Any]] = []
    if (instructions := body.get("instructions")) is not None:
        if not isinstance(instructions, str):
            raise BadInput("instructions must be text")
        messages.append({"role": "system", "content": instructions})
    chat["messages"] = messages + _messages(body.get("input"))
    if body.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    if body.get("tools"):
        chat["tools"] = _tools(body["tools"])
        if body.get("tool_choice") is not None:
            chat["tool_choice"] = _tool_choice(body["tool_choice"])
    reasoning = _object(body, "reasoning")
    if reasoning.get("effort") is not None:
        chat["reasoning_effort"] = reasoning["effort"]
    text = _object(body, "text")
    if text.get("verbosity") is not None:
        chat["verbosity"] = text["verbosity"]
    shape = text.get("format") or {}
    if not isinstance(shape, dict):
        raise BadInput("text.format must be an object")
    if shape.get("type") == "json_schema":
        schema = {k: v for k, v in shape.items() if k != "type"}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif shape.get("type") == "json_object":
        chat["response_format"] = shape
    include = body.get("include") or []
    if not isinstance(include, list):
        raise BadInput("include must be a list")
    if "message.output_text.logprobs" in include or body.get("top_logprobs"):
        chat["logprobs"] = True
    return chat


def echoed(body: dict[str, Any]) -> dict[str, Any]:
    """What a response says of its request."""
    text = body.get("text") or {}
    reasoning = body.get("reasoning") or {}
    return {
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": None},
        "store": False,
        "temperature": body.get("temperature"),
        "text": {**text, "format": text.get("format") or {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p"),
        "truncation": "disabled",
        "user": body.get("user"),
    }


def usage_shown(usage: dict[str, Any]) -> dict[str, Any]:
    """A chat's usage under the names of a response."""
    read = usage.get("prompt_tokens_details") or {}
    said = usage.get("completion_tokens_details") or {}
    tokens_in, tokens_out = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    return {
        "input_tokens": tokens_in,
        "input_tokens_details": {
            "cached_tokens": read.get("cached_tokens") or 0,
            "cache_write_tokens": read.get("cache_write_tokens") or 0,
        },
        "output_tokens": tokens_out,
        "output_tokens_details": {"reasoning_tokens": said.get("reasoning_tokens") or 0},
        "total_tokens": tokens_in + tokens_out,
    }


def _check_fields(body: dict[str, Any]) -> None:
    if body.get("previous_response_id") is not None or body.get("conversation") is not None:
        raise BadInput(
            "previous_response_id and conversation need answers that are kept, and none are kept "
            "here; send the earlier items again in input"
        )
    if body.get("background"):
        raise BadInput("background answers are not kept here; leave background out, or stream")
    known = _PASSED | _READ | _NOTHING | {"previous_response_id", "conversation", "stream_options"}
    unknown = sorted(name for name in body.keys() - known if body[name] is not None)
    if unknown:
        raise BadInput(f"{unknown[0][:40]!r} is not followed here; leave it out")


def _messages(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise BadInput("input must be text, or a list of at least one item")
    messages: list[dict[str, Any]] = []
    for item in given:
        if not isinstance(item, dict):
            raise BadInput(f"input: {str(item)[:40]!r} is no item; use an object")
        match item.get("type", "message"):
            case "message":
                messages.append(_message(item))
            case "function_call":
                call = {
                    "id": _text(item, "call_id"),
                    "type": "function",
                    "function": {"name": _text(item, "name"), "arguments": item.get("arguments")},
                }
                if not isinstance(call["function"]["arguments"], str):  # type: ignore[index]
                    raise BadInput("input: a function_call's arguments must be text")
                _caller(messages).setdefault("tool_calls", []).append(call)
            case "function_call_output":
                output = item.get("output")
                content = output if isinstance(output, str) else _content(output)
                called = {"role": "tool", "tool_call_id": _text(item, "call_id")}
                messages.append({**called, "content": content})
            case "reasoning":
                continue  # an earlier turn's: chats are not sent it back
            case kind:
                raise BadInput(
                    f"input: items of type {str(kind)[:40]!r} can't be sent here; use message, "
                    "function_call, function_call_output"
                )
    return messages


def _caller(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The message whose calls come next: several in a row are of one turn."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    return messages[-1]


def _message(item: dict[str, Any]) -> dict[str, Any]:
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise BadInput(f"input: role is {str(role)[:40]!r}: use one of {', '.join(sorted(_ROLES))}")
    content = item.get("content")
    return {"role": role, "content": content if isinstance(content, str) else _content(content)}


def _content(content: Any) -> str | list[dict[str, Any]]:
    """Parts as a chat has them; a single text is just that, which every server understands."""
    if not isinstance(content, list):
        raise BadInput("input: an item's content must be text or a list of parts")
    parts: list[dict[str, Any]] = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(kind, str) and kind in _TEXTS:
            parts.append({"type": "text", "text": _text(part, "text")})
        elif kind == "refusal":
            parts.append({"type": "text", "text": _text(part, "refusal")})
        elif kind == "input_image" and part.get("image_url"):
            detail = {"detail": part["detail"]} if part.get("detail") else {}
            parts.append({"type": "image_url", "image_url": {"url": part["image_url"], **detail}})
        else:
            raise BadInput(
                f"input: a part of type {str(kind)[:40]!r} can't be sent here; send text"
            )
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _tools(given: Any) -> list[dict[str, Any]]:
    if not isinstance(given, list):
        raise BadInput("tools must be a list")
    tools = []
    for tool in given:
        if not isinstance(tool, dict) or tool.get("type") != "function":
            kind = tool.get("type") if isinstance(tool, dict) else tool
            raise BadInput(f"tools: type {str(kind)[:40]!r} is not offered here; use function")
        function = {"name": _text(tool, "name")}
        more = ("description", "parameters", "strict")
        function |= {k: tool[k] for k in more if tool.get(k) is not None}
        tools.append({"type": "function", "function": function})
    return tools


def _tool_choice(given: Any) -> Any:
    if isinstance(given, str):
        return given
    if isinstance(given, dict) and given.get("type") == "function":
        return {"type": "function", "function": {"name": _text(given, "name")}}
    raise BadInput('tool_choice must be "auto", "none", "required" or a function by name')


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise BadInput(f"{name} must be an object")
    return value


def _text(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str):
        raise BadInput(f"{name} of {str(item.get('type'))[:40]!r} must be text")
    return value
