"""OpenAI's chat bodies in the words of Anthropic's Messages API.

Refused with status 400, as no honest answer can be given: n above 1, logprobs, logit_bias,
penalties, temperature above 1, audio, response_format json_object, functions of the old kind, web
search. Left out, as the answer stays one that was asked for: seed, store, metadata, service_tier,
verbosity, prediction, prompt_cache_key, strict of a tool, the names of messages, and a temperature,
top_p or top_k beside thinking, which knows only the default. Nothing is asked to be cached: writing
to the cache costs more than the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson

from bursar.errors import BadInput

Thinking = Literal["budget", "adaptive"]
"""How a model is told to think: by a number of tokens (up to 4.5), or by an effort (from 4.6)."""

_SHARES = {"minimal": 0.0, "none": 0.0, "low": 0.2, "medium": 0.5, "high": 0.8, "xhigh": 0.95}
"""Effort -> share of the limit on new tokens that may go into thinking."""
_LEAST_THINKING = 1024
_THOUGHTS = ("thinking", "redacted_thinking")
_LEFT_OUT = frozenset(
    {"model", "messages", "stream", "stream_options", "n", "logprobs", "stop", "user", "seed"}
    | {"max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "reasoning_effort"}
    | {"tools", "tool_choice", "parallel_tool_calls", "response_format", "safety_identifier"}
    | {"store", "metadata", "service_tier", "verbosity", "prediction"}
    | {"prompt_cache_key", "prompt_cache_retention"}
)
"""Fields that are read elsewhere here, or need not be."""
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "modalities": (["text"],),
}
"""Fields that mean nothing with these values, and can't be followed with others."""


def to_messages(body: Mapping[str, Any], model: str, thinking: Thinking) -> dict[str, Any]:
    """The body for /v1/messages. Raises `BadInput` for what can't be translated, naming it."""
    for field, value in body.items():
        if field not in _LEFT_OUT and value is not None and value not in _HARMLESS.get(field, ()):
            raise BadInput(f"{field}: Anthropic's models have no such setting; leave it out")
    for field, plain in (("n", 1), ("logprobs", False)):
        if body.get(field) not in (None, plain):
            raise BadInput(f"{field} = {body[field]}: Anthropic's models give one answer, without")
    limits = [body[f] for f in ("max_tokens", "max_completion_tokens") if body.get(f) is not None]
    if not limits or not all(type(limit) is int and limit > 0 for limit in limits):
        raise BadInput(f"max_completion_tokens = {limits}: must be a whole number above 0")
    system, messages = _conversation(body.get("messages"))
    sent: dict[str, Any] = {"model": model, "max_tokens": min(limits), "messages": messages}
    if system:
        sent["system"] = system
    _add_tools(body, sent)
    _add_format(body, sent)
    _add_thinking(body, sent, thinking)
    _add_sampling(body, sent)
    if isinstance(user := body.get("user") or body.get("safety_identifier"), str):
        sent["metadata"] = {"user_id": user}
    return sent


def _conversation(messages: object) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(system blocks, messages). Neighbours of one role are one message."""
    system: list[dict[str, Any]] = []
    turns: list[dict[str, Any]] = []
    for place, message in enumerate(_objects(messages, "messages")):
        role, where = message.get("role"), f"messages[{place}]"
        if role in ("system", "developer"):
            system += _blocks(message.get("content"), where, {"text": _text})
            continue
        read = _ROLES.get(role) if isinstance(role, str) else None
        if read is None:
            raise BadInput(f"{where}.role = {role!r}: must be one of {', '.join(_ROLES)}, system")
        blocks, role = read(message, where), "assistant" if role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return system, turns


def _user(message: dict[str, Any], where: str) -> list[dict[str, Any]]:
    kinds = {"text": _text, "image_url": _image, "file": _file}
    return _blocks(message.get("content"), where, kinds)


def _assistant(message: dict[str, Any], where: str) -> list[dict[str, Any]]:
    # thoughts of an earlier reply, as `from_message` gave them: tools need them back
    blocks = list(_objects(message.get("thinking_blocks") or [], f"{where}.thinking_blocks"))
    if any(block.get("type") not in _THOUGHTS for block in blocks):
        raise BadInput(f"{where}.thinking_blocks: must be as they came in a reply")
    if message.get("content") is not None:
        blocks += _blocks(message["content"], where, {"text": _text, "refusal": _refusal})
    for call in _objects(message.get("tool_calls") or [], f"{where}.tool_calls"):
        function = call.get("function")
        if not isinstance(function, dict):
            raise BadInput(f"{where}.tool_calls: only calls of functions can be translated")
        blocks.append(
            {
                "type": "tool_use",
                "id": call.get("id"),
                "name": function.get("name"),
                "input": _arguments(function.get("arguments"), where),
            }
        )
    return blocks


def _tool(message: dict[str, Any], where: str) -> list[dict[str, Any]]:
    content = _blocks(message.get("content"), where, {"text": _text, "image_url": _image})
    return [{"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": content}]


_ROLES = {"user": _user, "assistant": _assistant, "tool": _tool}

_Reader = Callable[[dict[str, Any], str], dict[str, Any]]


def _blocks(content: object, where: str, kinds: Mapping[str, _Reader]) -> list[dict[str, Any]]:
    """Content blocks of a text or of parts; empty texts are left out, as they are refused."""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    blocks = []
    for part in _objects(content, f"{where}.content"):
        kind = part.get("type")
        if not isinstance(kind, str) or kind not in kinds:
            raise BadInput(f"{where}.content: a part of type {kind!r} can't be translated")
        block = kinds[kind](part, where)
        if block.get("text") != "":
            blocks.append(block)
    return blocks


def _text(part: dict[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(part.get("text"), str):
        raise BadInput(f"{where}.content: the text of a part must be a string")
    return {"type": "text", "text": part["text"]}


def _refusal(part: dict[str, Any], where: str) -> dict[str, Any]:
    return _text({"text": part.get("refusal")}, where)


def _image(part: dict[str, Any], where: str) -> dict[str, Any]:
    image = part.get("image_url")
    return {"type": "image", "source": _source(image, "url", where)}


def _file(part: dict[str, Any], where: str) -> dict[str, Any]:
    return {"type": "document", "source": _source(part.get("file"), "file_data", where)}


def _source(holder: object, field: str, where: str) -> dict[str, Any]:
    url = holder.get(field) if isinstance(holder, dict) else None
    if isinstance(url, str) and url.startswith("data:"):
        kind, base64, data = url[5:].partition(";base64,")
        if kind and base64:
            return {"type": "base64", "media_type": kind, "data": data}
    elif isinstance(url, str) and url.startswith(("https://", "http://")):
        return {"type": "url", "url": url}
    raise BadInput(f"{where}.content: {field} must be a data: URL with base64, or an http(s) URL")


def _arguments(text: object, where: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text or "{}") if isinstance(text, str) else text
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise BadInput(f"{where}.tool_calls: arguments must be the JSON text of an object")
    return found


def _add_tools(body: Mapping[str, Any], sent: dict[str, Any]) -> None:
    tools = []
    for tool in _objects(body.get("tools") or [], "tools"):
        function = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, dict):
            raise BadInput(f"tools: a tool of type {tool.get('type')!r} can't be translated")
        schema = function.get("parameters") or {"type": "object", "properties": {}}
        read = {"name": function.get("name"), "input_schema": schema}
        if function.get("description"):
            read["description"] = function["description"]
        tools.append(read)
    if not tools:
        return
    sent["tools"] = tools
    choice = _tool_choice(body.get("tool_choice"))
    if body.get("parallel_tool_calls") is False:
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    if choice:
        sent["tool_choice"] = choice


def _tool_choice(choice: object) -> dict[str, Any] | None:
    if choice is None:
        return None
    if isinstance(choice, str) and choice in ("auto", "none", "required"):
        return {"type": "any" if choice == "required" else choice}
    function = choice.get("function") if isinstance(choice, dict) else None
    if isinstance(function, dict):
        return {"type": "tool", "name": function.get("name")}
    raise BadInput(f"tool_choice = {choice!r}: must be auto, none, required or a function's name")


def _add_format(body: Mapping[str, Any], sent: dict[str, Any]) -> None:
    wanted = body.get("response_format")
    if wanted is None or (isinstance(wanted, dict) and wanted.get("type") == "text"):
        return
    schema = wanted.get("json_schema") if isinstance(wanted, dict) else None
    if not isinstance(schema, dict) or not isinstance(schema.get("schema"), dict):
        raise BadInput("response_format: Anthropic's models follow json_schema only, with a schema")
    sent["output_config"] = {"format": {"type": "json_schema", "schema": schema["schema"]}}


def _add_thinking(body: Mapping[str, Any], sent: dict[str, Any], thinking: Thinking) -> None:
    effort = body.get("reasoning_effort")
    if effort is None:
        return
    if not isinstance(effort, str) or effort not in _SHARES:
        raise BadInput(f"reasoning_effort = {effort!r}: must be one of {', '.join(_SHARES)}")
    most = sent["max_tokens"]
    budget = max(_LEAST_THINKING, int(_SHARES[effort] * most))
    # who is forced to use a tool, or goes on after one without its thoughts, may not think
    forced = sent.get("tool_choice", {}).get("type") in ("any", "tool")
    if not _SHARES[effort] or budget >= most or forced or _went_on_without_thoughts(sent):
        return
    if thinking == "adaptive":
        sent["thinking"] = {"type": "adaptive"}
        sent.setdefault("output_config", {})["effort"] = effort
    else:
        sent["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _went_on_without_thoughts(sent: dict[str, Any]) -> bool:
    turns = sent["messages"]
    if len(turns) < 2 or turns[-1]["content"][0]["type"] != "tool_result":
        return False
    return turns[-2]["content"][0]["type"] not in _THOUGHTS


def _add_sampling(body: Mapping[str, Any], sent: dict[str, Any]) -> None:
    stop = body.get("stop")
    if stop:
        sent["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    temperature = body.get("temperature")
    if isinstance(temperature, int | float) and temperature > 1:
        raise BadInput(f"temperature = {temperature}: Anthropic's models take 0 to 1")
    if "thinking" not in sent:
        for field in ("temperature", "top_p", "top_k"):
            if body.get(field) is not None:
                sent[field] = body[field]


def _objects(found: object, what: str) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise BadInput(f"{what}: must be a list of objects")
    return found
