"""Chunks of a stream put together to the whole answer that they are pieces of."""

from __future__ import annotations

from typing import Any

from bursar.gateway.upstream.base import Path


class Assembled:
    """Add chunks, then ask for the document. A choice that was cut ends with "length"."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: dict[str, Any] | None = None

    def add(self, chunk: dict[str, Any]) -> None:
        """Note one chunk."""
        self._head = {**chunk, **self._head}
        self._usage = chunk.get("usage") or self._usage
        for piece in chunk.get("choices") or ():
            choice = self._choices.setdefault(piece.get("index", 0), {"said": {}})
            if self._path == "completions":
                choice["said"]["text"] = choice["said"].get("text", "") + (piece.get("text") or "")
            else:
                _merge(choice["said"], piece.get("delta") or {})
            if probabilities := piece.get("logprobs"):
                _merge(choice.setdefault("logprobs", {}), probabilities)
            choice["finish_reason"] = piece.get("finish_reason") or choice.get("finish_reason")

    def document(self) -> dict[str, Any]:
        """The answer, in the shape of one that was not streamed."""
        chat = self._path == "chat/completions"
        choices = []
        for index, choice in sorted(self._choices.items()):
            said = choice["said"]
            if calls := said.get("tool_calls"):
                said = {**said, "tool_calls": [_call(call) for call in calls]}
            shown = {"message": {"role": "assistant", "content": None, **said}} if chat else said
            choices.append(
                {
                    "index": index,
                    **shown,
                    "logprobs": choice.get("logprobs"),
                    "finish_reason": choice["finish_reason"] or "length",
                }
            )
        head = {key: value for key, value in self._head.items() if key not in ("choices", "usage")}
        head["object"] = "chat.completion" if chat else "text_completion"
        return {**head, "choices": choices, **({"usage": self._usage} if self._usage else {})}


def _merge(into: dict[str, Any], piece: dict[str, Any]) -> None:
    """Text is joined, lists by their items' index or end to end, objects field by field."""
    for name, value in piece.items():
        old = into.get(name)
        if value is None and name in into:
            continue
        if isinstance(value, str) and isinstance(old, str) and name not in ("role", "id", "type"):
            into[name] = old + value
        elif isinstance(value, dict) and isinstance(old, dict):
            _merge(old, value)
        elif isinstance(value, list):
            into[name] = _joined(old if isinstance(old, list) else [], value)
        else:
            into[name] = value


def _joined(old: list[Any], new: list[Any]) -> list[Any]:
    items = list(old)
    for item in new:
        if not isinstance(item, dict) or "index" not in item:
            items.append(item)
            continue
        same = next((i for i in items if i.get("index") == item["index"]), None)
        if same is None:
            items.append(same := {})
        _merge(same, item)
    return items


def _call(call: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in call.items() if key != "index"}
