"""Your own questions from a JSONL file: one object per line, `{"id", "prompt", "answer"?}`.

Checkers:

- `exact`    the last non-empty line (without "answer:" and outer space and case) equals `answer`
- `numeric`  the last number in the text equals `answer`; `1,000`, `3/4`, `12 %`, `1e-3` are read
- `choice`   the last standalone letter A-J equals `answer`
- `regex`    `answer` is a pattern, searched for in the text

A line without `answer` is a question whose truth nobody knows: see `question.answer is None`;
`check` gives False for it, which then means "not known to be right".
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bursar.errors import BadInput
from bursar.workload.tasks.base import Question

CHECKERS = ("exact", "numeric", "choice", "regex")
_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:(?<=\d)\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
    r"(?:\s*/\s*\d+(?:\.\d+)?)?\s*%?"
)
_CHOICE = re.compile(r"(?<![A-Za-z0-9'])[A-J](?![A-Za-z0-9'])")
_LEAD = re.compile(r"^.*\b(?:answer|result)\b\s*(?:is\b|:|=)[\s:=]*", re.IGNORECASE)


@dataclass(frozen=True)
class Jsonl:
    """A fixed set of questions with one checker."""

    questions: tuple[Question, ...]
    checker: str = "exact"
    tolerance: float = 1e-6
    """Relative, and absolute below 1: for `numeric`."""
    max_tokens: int = 1024
    name: str = "jsonl"
    verifiable: bool = field(default=False, init=False)

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels named in the file, in order of appearance."""
        return tuple(dict.fromkeys(q.level for q in self.questions))

    def generate(
        self, count: int, *, seed: int, split: str = "test", levels: Sequence[str] | None = None
    ) -> list[Question]:
        """The first `count` questions in file order; `seed` and `split` change nothing."""
        chosen = [q for q in self.questions if levels is None or q.level in levels]
        if count > len(chosen):
            raise BadInput(
                f"{count} questions asked of {self.name}, which has {len(chosen)}; ask for fewer"
            )
        return chosen[:count]

    def extract(self, question: Question, text: str) -> str | None:
        """The answer that `text` states, in a form in which equal answers are equal strings.

        For `regex`: what the question's own pattern matches would need the reference, so it is the
        last non-empty line, as for `exact`.
        """
        if self.checker == "numeric":
            number = last_number(text)
            return None if number is None else f"{number:.12g}"
        if self.checker == "choice":
            letters = _CHOICE.findall(text)
            return letters[-1] if letters else None
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            return None
        if self.checker == "regex":
            return lines[-1]
        return _LEAD.sub("", lines[-1]).strip(" .*\"'`").casefold()

    def check(self, question: Question, answer: str | None) -> bool:
        """Whether `answer` is right; False when the question has no reference."""
        reference = question.answer
        if answer is None or reference is None:
            return False
        if self.checker == "regex":
            return re.search(reference, answer) is not None
        if self.checker == "numeric":
            wanted, got = last_number(reference), last_number(answer)
            if wanted is None or got is None:
                return False
            return abs(wanted - got) <= self.tolerance * max(1.0, abs(wanted))
        return self.extract(question, reference) == answer


def last_number(text: str) -> float | None:
    """The last number in `text`: thousands separators, fractions and per cent are understood."""
    found = [m.group() for m in _NUMBER.finditer(text) if any(c.isdigit() for c in m.group())]
    if not found:
        return None
    piece = found[-1].replace(",", "").strip()
    scale = 0.01 if piece.endswith("%") else 1.0
    top, _, bottom = piece.rstrip("% ").partition("/")
    divisor = float(bottom) if bottom else 1.0
    return None if divisor == 0 else float(top) / divisor * scale


def load_jsonl(
    path: str | Path,
    checker: str = "exact",
    *,
    tolerance: float = 1e-6,
    max_tokens: int = 1024,
) -> tuple[Jsonl, list[Question]]:
    """The task and the questions of a file.

    Raises `BadInput`, with the line, for an unreadable or empty file, a line that is not a JSON
    object, a missing or empty prompt, a repeated id, and an answer that the checker can't use.
    """
    if checker not in CHECKERS:
        raise BadInput(f"checker {checker!r} is not known; use one of {', '.join(CHECKERS)}")
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 text (byte {error.start}); convert it") from None
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            question = _question(f"{path}:{number}", number, line, path.stem, checker)
            if question.id in seen:
                raise BadInput(
                    f"{path}:{number}: id {question.id!r} was used on line {seen[question.id]}; "
                    "give every question its own id"
                )
            seen[question.id] = number
            questions.append(question)
    if not questions:
        raise BadInput(
            f'{path}: no question in it; write lines like {{"id": "1", "prompt": "..."}}'
        )
    task = Jsonl(tuple(questions), checker, tolerance, max_tokens, path.stem)
    return task, questions


def _question(place: str, number: int, line: str, task: str, checker: str) -> Question:
    try:
        row: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{place}: not valid JSON ({error.msg} at column {error.colno}); "
            "was the line written only half?"
        ) from None
    if not isinstance(row, dict):
        raise BadInput(f"{place}: a {type(row).__name__}, must be an object with a prompt")
    prompt = row.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadInput(f"{place}: prompt {prompt!r} must be non-empty text; add it")
    name = row.get("id", number)
    if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
        raise BadInput(f"{place}: id {name!r} must be text or a whole number")
    answer = row.get("answer")
    if answer is not None:
        if isinstance(answer, bool) or not isinstance(answer, str | int | float):
            raise BadInput(f"{place}: answer {answer!r} must be text or a number; or leave it out")
        answer = str(answer)
        _usable(place, answer, checker)
    return Question(str(name), task, prompt, answer, str(row.get("level", "")))


def _usable(place: str, answer: str, checker: str) -> None:
    if checker == "numeric" and last_number(answer) is None:
        raise BadInput(f"{place}: answer {answer!r} holds no number; use --checker exact")
    if checker == "choice" and not re.fullmatch("[A-J]", answer.strip()):
        raise BadInput(f"{place}: answer {answer!r} must be one letter A-J; use --checker exact")
    if checker == "regex":
        try:
            re.compile(answer)
        except re.error as error:
            raise BadInput(
                f"{place}: answer {answer!r} is not a pattern ({error}); mend it"
            ) from None
