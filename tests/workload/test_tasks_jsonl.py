"""Your own questions: what each checker reads, and one clear message for each kind of bad file."""

from pathlib import Path

import pytest

from bursar.errors import BadInput
from bursar.workload.tasks.base import Question
from bursar.workload.tasks.jsonl import Jsonl, last_number, load_jsonl


def check(checker: str, reference: str | None, text: str, tolerance: float = 1e-6) -> bool:
    question = Question("1", "own", "?", reference)
    task = Jsonl((question,), checker, tolerance)
    return task.check(question, task.extract(question, text))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("the answer is 1,000.", 1000),
        ("1,234,567.89 USD", 1234567.89),
        ("12 %", 0.12),
        ("3/4", 0.75),
        ("10 / 4 of it", 2.5),
        ("x = -3.5e2", -350),
        ("in 2024, 5, 6", 6),
        (".5", 0.5),
        ("$18", 18),
        ("1/0", None),
        ("none, e.g. x2", None),
    ],
)
def test_last_number(text: str, number: float | None) -> None:
    found = last_number(text)
    assert found == (None if number is None else pytest.approx(number))


@pytest.mark.parametrize(
    ("checker", "reference", "text", "right"),
    [
        ("numeric", "1000", "5 then 1,000", True),
        ("numeric", "0.75", "= 3/4", True),
        ("numeric", "75%", "0.75", True),
        ("numeric", "1000", "1,000 minus 1 = 999", False),
        ("numeric", "3.14159", "about 3.14", False),
        ("choice", "B", "A or C? (B).", True),
        ("choice", "B", "Because", False),
        ("choice", "B", "B, no: C", False),
        ("exact", "Paris", "Well.\nThe answer is: **paris**.", True),
        ("exact", "Paris", "Paris, France", False),
        ("regex", r"^\d{4}$", "year\n1984", True),
        ("regex", r"^\d{4}$", "in 1984", False),
    ],
)
def test_checkers(checker: str, reference: str, text: str, right: bool) -> None:
    assert check(checker, reference, text) is right


def test_numeric_tolerance() -> None:
    assert check("numeric", "3.14159", "3.14", tolerance=1e-2)


@pytest.mark.parametrize("checker", ["exact", "numeric", "choice", "regex"])
def test_unlabelled_is_never_right(checker: str) -> None:
    assert not check(checker, None, "1 A")


@pytest.mark.parametrize(
    ("texts", "checker"),
    [(("1,000", "so 1000.0", "10^3 = 1e3"), "numeric"), (("yes", "Answer: Yes."), "exact")],
)
def test_equal_answers_are_equal_strings(texts: tuple[str, ...], checker: str) -> None:
    task = Jsonl((), checker)
    assert len({task.extract(Question("1", "", "?"), text) for text in texts}) == 1


def test_load(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text('{"id": 7, "prompt": "1+1?", "answer": 2}\n\n{"prompt": "why?"}\n')
    task, questions = load_jsonl(file, "numeric")
    assert questions == [
        Question("7", "own", "1+1?", "2"),
        Question("3", "own", "why?", None),  # without an id: its line
    ]
    assert task.generate(1, seed=0) == questions[:1]
    with pytest.raises(BadInput, match="has 2"):
        task.generate(3, seed=0)


_GOOD = '{"id": "a", "prompt": "p", "answer": "1"}\n'


@pytest.mark.parametrize(
    ("content", "checker", "message"),
    [
        ("", "exact", "no question"),
        ("\n \n", "exact", "no question"),
        (_GOOD + '{"id": "b", "prom', "exact", r":2: not valid JSON .*half"),
        (_GOOD + '{"id": "b"}', "exact", r":2: prompt None"),
        (_GOOD + '{"id": "b", "prompt": " "}', "exact", r":2: prompt ' '"),
        (_GOOD + '{"id": "b", "prompt": ["p"]}', "exact", r":2: prompt \['p'\]"),
        (_GOOD + _GOOD, "exact", r":2: id 'a' was used on line 1"),
        (_GOOD + "[1]", "exact", r":2: a list, must be an object"),
        (_GOOD + '{"id": {}, "prompt": "p"}', "exact", r":2: id \{\}"),
        (_GOOD + '{"id": "b", "prompt": "p", "answer": [1]}', "exact", r":2: answer \[1\]"),
        ('{"id": "b", "prompt": "p", "answer": "none"}', "numeric", r":1: answer 'none' holds no"),
        ('{"id": "b", "prompt": "p", "answer": "Z"}', "choice", r":1: answer 'Z' must be one"),
        ('{"id": "b", "prompt": "p", "answer": "("}', "regex", r":1: answer '\(' is not a pattern"),
        (_GOOD, "guess", "checker 'guess' is not known"),
    ],
)
def test_bad_files(tmp_path: Path, content: str, checker: str, message: str) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(content)
    with pytest.raises(BadInput, match=message):
        load_jsonl(file, checker)


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        load_jsonl(tmp_path / "absent.jsonl")
    with pytest.raises(BadInput, match="can't be read"):
        load_jsonl(tmp_path)
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "\xe9"}')
    with pytest.raises(BadInput, match="not UTF-8"):
        load_jsonl(tmp_path / "latin.jsonl")
