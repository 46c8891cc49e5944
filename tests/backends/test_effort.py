"""Effort: honoured or refused, never ignored."""

from dataclasses import replace

import pytest

from bursar.backends import open_backend
from bursar.backends.base import Request
from bursar.backends.effort import Dialled, parse_effort
from bursar.backends.openai import OpenAIBackend
from bursar.backends.openai_wire import request_body
from bursar.backends.tiny.dial import effort_words, settled
from bursar.errors import BadInput
from bursar.workload.tasks import TASKS, Question

ASKED = Request("chain 3*4+5\n", 64, question_id="q", temperature=0.0)


@pytest.mark.parametrize(("text", "effort"), [("low", "low"), ("high", "high"), ("0.5", 0.5)])
def test_an_effort_is_a_mode_or_a_share(text: str, effort: object) -> None:
    assert parse_effort(text) == effort


@pytest.mark.parametrize("text", ["", "hard", "0", "1.5", "nan", "-0.5"])
def test_other_efforts_are_bad_input(text: str) -> None:
    with pytest.raises(BadInput, match="medium"):
        parse_effort(text)


@pytest.mark.parametrize("model", ["simulated", "tiny-0.3m"])
async def test_who_has_no_dial_refuses_an_effort_before_anything_is_spent(model: str) -> None:
    backend = open_backend(model)
    asked = replace(ASKED, effort="low")
    with pytest.raises(BadInput, match="tiny-dial"):
        backend.upper_bound(asked)
    with pytest.raises(BadInput, match="tiny-dial"):
        await backend.complete([asked])


def test_the_built_in_dials_say_it_in_the_prompt() -> None:
    assert effort_words("tiny-dial", "modes", "high") == "effort high "
    assert effort_words("tiny-e1", "fractions", 0.5) == "effort 10 "
    assert effort_words("tiny-e1", "fractions", "low") == "effort 5 "
    with pytest.raises(BadInput, match="low, medium or high"):
        effort_words("tiny-dial", "modes", 0.5)
    with pytest.raises(BadInput, match=r"0\.25 to 1"):
        effort_words("tiny-e1", "fractions", 0.1)


async def test_a_dialled_backend_is_that_backend_at_one_effort() -> None:
    dial = open_backend("tiny-dial")
    low = Dialled(dial, "low")
    assert low.name == "tiny-dial@low"
    asked = replace(ASKED, effort="low")
    assert [c.text for c in await low.complete([ASKED])] == [
        c.text for c in await dial.complete([asked])
    ]
    assert low.upper_bound(ASKED) == dial.upper_bound(asked)
    assert low.upper_bound(ASKED).tokens_in == dial.upper_bound(ASKED).tokens_in + 2
    await low.aclose()


def test_a_server_is_sent_reasoning_effort() -> None:
    def body(request: Request) -> dict[str, object]:
        return request_body(request, "m", api="chat", limit_field="max_tokens", logprobs=False)

    assert body(replace(ASKED, effort="medium"))["reasoning_effort"] == "medium"
    assert "reasoning_effort" not in body(ASKED)


@pytest.mark.parametrize(
    ("wrong", "said"), [({"effort": 0.5}, "low, medium, high"), ({"prefix": "so far"}, "prefix")]
)
def test_what_no_server_takes_is_refused(wrong: dict[str, object], said: str) -> None:
    server = OpenAIBackend("m", "http://127.0.0.1:9/v1")
    with pytest.raises(BadInput, match=said):
        server.upper_bound(replace(ASKED, **{"effort": "low", **wrong}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("#5\n#7\n#5\nright", "5"),
        ("#5\n#7\nright", "5"),
        ("3*4=12\n#12\nright", "12"),
        ("#5\n#5\n#7\n3*4", "5"),
        ("3*4=12", None),
    ],
)
def test_the_answer_of_several_rounds_is_the_commonest_of_equals_the_first(
    text: str, answer: str | None
) -> None:
    question = Question("q", "chain", "chain 3*4\n")
    assert TASKS["chain"].extract(question, settled(text)) == answer
