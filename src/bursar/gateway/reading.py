"""Which answer a free text states: what a strategy votes on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from bursar.errors import BadInput
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question, Task
from bursar.workload.tasks.jsonl import Jsonl, last_number

READERS = ("auto", "numeric", "choice", "exact", "text")
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_STATED = re.compile(
    r"^.*\b(?:answer|result)\b\s*(?:is\b|:|=)[\s:=*]*(?P<said>.+?)[\s.*]*$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Chat:
    """A task of one question that nobody can check.

    `reader` says what the answer is: "numeric" the last number, "choice" the last letter, "exact"
    the last line, "text" all of it. "auto": what is boxed, or said to be the answer; else a JSON
    document, a single line, or the whole text.
    """

    max_tokens: int
    reader: str = "auto"
    name: str = "chat"

    @property
    def verifiable(self) -> bool:
        return False

    @property
    def levels(self) -> tuple[str, ...]:
        return ()

    def generate(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Question]:
        raise BadInput("a chat has the one question it was asked")

    def extract(self, question: Question, text: str) -> str | None:
        """The answer that `text` states, such that equal answers are equal strings."""
        if self.reader in ("numeric", "choice", "exact"):
            return Jsonl((), checker=self.reader).extract(question, text)
        if self.reader == "auto":
            if boxed := _BOXED.findall(text):
                return _normal(boxed[-1])
            if stated := _STATED.findall(text):
                return _normal(stated[-1])
            try:
                return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS).decode()
            except orjson.JSONDecodeError:
                pass
        return _normal(text) or None

    def check(self, question: Question, answer: str | None) -> bool:
        return False


def task_for(prompt: str, max_tokens: int, reader: str) -> Task:
    """The built-in task that a prompt is a question of, checker and all; else `Chat`."""
    if reader and reader not in READERS:
        raise BadInput(f"extract is {reader[:40]!r}: use one of {', '.join(READERS)}")
    if not reader and (task := TASKS.get(prompt.partition(" ")[0])):
        return task
    return Chat(max_tokens, reader or "auto")


def _normal(text: str) -> str:
    """Equal for numbers written differently, and for texts that differ in spaces or case."""
    said = " ".join(text.split()).strip(" .*$`\"'").casefold()
    bare = said.lstrip("$").rstrip("%").replace(",", "").replace(" ", "")
    if bare and all(c in "+-.0123456789/e" for c in bare) and bare[-1].isdigit():
        number = last_number(said)
        return said if number is None else f"{number:.12g}"
    return said


def question_of(body: Mapping[str, Any]) -> str:
    """What is asked: the last thing the user of a chat said, as text; else the prompt or input.

    Raises `BadInput` where nobody asks anything.
    """
    if "messages" not in body:
        return str(body.get("prompt") or body.get("input") or "")
    for message in reversed(body["messages"]):
        if not isinstance(message, dict) or message.get("role") != "user":
            continue
        content = message.get("content")
        if isinstance(content, list):
            parts = (p for p in content if isinstance(p, dict) and p.get("type") == "text")
            content = "\n".join(str(part.get("text", "")) for part in parts)
        return str(content or "")
    raise BadInput("nobody asks anything: send a message of role user")
