"""/v1/responses: a chat as OpenAI's newer endpoint puts it, whole and as its events."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from bursar.gateway.api.calls import Event
from bursar.gateway.ask import Ask
from bursar.gateway.bill import Bill
from bursar.gateway.pieces import usage_of
from bursar.gateway.responses_wire import chat_body, echoed, usage_shown
from bursar.gateway.upstream.base import Path

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class Responses:
    """The endpoint as a dialect of chats."""

    endpoint: str = "responses"
    path: Path = "chat/completions"
    end: bytes = b""

    def read(self, body: dict[str, Any]) -> dict[str, Any]:
        return chat_body(body)

    def whole(self, body: dict[str, Any], document: dict[str, Any], bill: Bill) -> dict[str, Any]:
        """A response from a chat's answer: as if it had come in one piece each."""
        making = _Making(body, bill)
        message = document["choices"][0]["message"]
        making.model = str(document.get("model") or making.model)
        for _ in making.add(document["choices"][0] | {"delta": _as_delta(message)}):
            pass
        for _ in making.close():
            pass
        return making.ended(document.get("usage") or usage_of(bill))

    async def events(
        self, body: dict[str, Any], ask: Ask, chunks: AsyncIterator[dict[str, Any]], bill: Bill
    ) -> AsyncIterator[Event]:
        making = _Making(body, bill)
        usage = None
        yield making.event("response.created", response=making.response("in_progress"))
        yield making.event("response.in_progress", response=making.response("in_progress"))
        async for chunk in chunks:
            usage = chunk.get("usage") or usage
            making.model = str(chunk.get("model") or making.model)
            for choice in chunk.get("choices") or ():
                for event in making.add(choice):
                    yield event
        for event in making.close():
            yield event
        response = making.ended(usage or usage_of(bill))
        shown = {**response, "bursar": bill.to_dict()}
        yield making.event(f"response.{response['status']}", response=shown)

    def cut(self, failure: dict[str, Any]) -> Event:
        error = failure["error"]
        said = {"code": error["code"], "message": error["message"], "param": None}
        return "error", {"type": "error", **said, **failure}


def _as_delta(message: dict[str, Any]) -> dict[str, Any]:
    calls = [{"index": i, **call} for i, call in enumerate(message.get("tool_calls") or ())]
    return {**message, "tool_calls": calls}


@dataclass(slots=True)
class _Item:
    """One item of the output while it is made."""

    index: int
    shown: dict[str, Any]
    part: str = ""
    """Of a message or thought: the type of its one part."""
    said: list[str] = field(default_factory=list)
    logprobs: list[Any] = field(default_factory=list)
    done: bool = False

    @property
    def text(self) -> str:
        return "".join(self.said)


_FIELDS = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text"}


@dataclass(slots=True)
class _Making:
    """A response as it is made: chat's pieces in, events out."""

    body: dict[str, Any]
    bill: Bill
    model: str = ""
    number: int = 0
    finish: str = ""
    created_at: float = field(default_factory=time.time)
    items: list[_Item] = field(default_factory=list)
    calls: dict[int, _Item] = field(default_factory=dict)

    def event(self, kind: str, **said: Any) -> Event:
        """The next event."""
        self.number += 1
        return kind, {"type": kind, "sequence_number": self.number - 1, **said}

    def response(self, status: str, usage: dict[str, Any] | None = None) -> dict[str, Any]:
        """The response as it is by now."""
        why = _INCOMPLETE.get(self.finish) if status == "incomplete" else None
        return {
            "id": f"resp_{self.bill.request_id}",
            "object": "response",
            "created_at": int(self.created_at),
            "completed_at": int(time.time()) if status == "completed" else None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": why} if why else None,
            "model": self.model or self.body["model"],
            "output": [item.shown for item in self.items if item.done],
            "usage": None if usage is None else usage_shown(usage),
            **echoed(self.body),
        }

    def ended(self, usage: dict[str, Any]) -> dict[str, Any]:
        """The whole response."""
        cut = self.finish in _INCOMPLETE or bool(self.bill.stopped == "seconds")
        if cut and self.finish not in _INCOMPLETE:
            self.finish = "length"
        return self.response("incomplete" if cut else "completed", usage)

    def add(self, choice: dict[str, Any]) -> Iterator[Event]:
        """What one piece of the chat's answer adds."""
        delta = choice.get("delta") or {}
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            yield from self._say("reasoning_text", thought, [])
        if text := delta.get("content"):
            logprobs = (choice.get("logprobs") or {}).get("content") or []
            yield from self._say("output_text", text, logprobs)
        if refusal := delta.get("refusal"):
            yield from self._say("refusal", refusal, [])
        for call in delta.get("tool_calls") or ():
            yield from self._call(call)
        self.finish = choice.get("finish_reason") or self.finish

    def close(self) -> Iterator[Event]:
        """Ends what is open."""
        for item in self.items:
            if not item.done:
                yield from self._finish(item)

    def _open(self, kind: str, prefix: str, **shown: Any) -> _Item:
        number = f"{prefix}_{self.bill.request_id}_{len(self.items)}"
        begun = {"id": number, "type": kind, "status": "in_progress", **shown}
        item = _Item(len(self.items), begun)
        self.items.append(item)
        return item

    def _say(self, part: str, text: str, logprobs: list[Any]) -> Iterator[Event]:
        item = self.items[-1] if self.items else None
        if item is None or item.part != part:
            if item is not None and not item.done:
                yield from self._finish(item)
            if part == "reasoning_text":
                item = self._open("reasoning", "rs", summary=[], content=[])
            else:
                item = self._open("message", "msg", role="assistant", content=[])
            item.part = part
            added = {"output_index": item.index, "item": dict(item.shown)}
            yield self.event("response.output_item.added", **added)
            begun = self._part(item)
            yield self.event("response.content_part.added", **self._at(item), part=begun)
        item.said.append(text)
        item.logprobs += logprobs
        more = {"logprobs": logprobs} if part == "output_text" else {}
        yield self.event(f"response.{part}.delta", **self._at(item), delta=text, **more)

    def _call(self, call: dict[str, Any]) -> Iterator[Event]:
        function = call.get("function") or {}
        item = self.calls.get(index := call.get("index", 0))
        if item is None:
            yield from self.close()
            call_id = call.get("id") or f"call_{self.bill.request_id}_{index}"
            name = function.get("name") or ""
            item = self._open("function_call", "fc", call_id=call_id, name=name, arguments="")
            self.calls[index] = item
            added = {"output_index": item.index, "item": dict(item.shown)}
            yield self.event("response.output_item.added", **added)
        if arguments := function.get("arguments"):
            item.said.append(arguments)
            yield self.event(
                "response.function_call_arguments.delta",
                item_id=item.shown["id"],
                output_index=item.index,
                delta=arguments,
            )

    def _finish(self, item: _Item) -> Iterator[Event]:
        item.done = True
        cut = self.finish in _INCOMPLETE
        item.shown["status"] = "incomplete" if cut else "completed"
        if item.part:
            name = _FIELDS[item.part]
            more = {"logprobs": item.logprobs} if item.part == "output_text" else {}
            yield self.event(
                f"response.{item.part}.done", **self._at(item), **{name: item.text}, **more
            )
            item.shown["content"] = [self._part(item)]
            part = item.shown["content"][0]
            yield self.event("response.content_part.done", **self._at(item), part=part)
        else:
            item.shown["arguments"] = item.text
            yield self.event(
                "response.function_call_arguments.done",
                item_id=item.shown["id"],
                output_index=item.index,
                name=item.shown["name"],
                arguments=item.text,
            )
        yield self.event("response.output_item.done", output_index=item.index, item=item.shown)

    def _at(self, item: _Item) -> dict[str, Any]:
        return {"item_id": item.shown["id"], "output_index": item.index, "content_index": 0}

    def _part(self, item: _Item) -> dict[str, Any]:
        part: dict[str, Any] = {"type": item.part, _FIELDS[item.part]: item.text}
        if item.part == "output_text":
            part |= {"annotations": [], "logprobs": list(item.logprobs)}
        return part
