"""The built-in vocabulary: exact round trip on all that the tasks make, a clear error beyond."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.backends.tiny.tokenizer import REVISE_MARKER, RIGHT, Tokenizer, revised
from bursar.errors import BadInput
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.countdown import draw_solved

TOKENIZER = Tokenizer()


@given(st.sampled_from(sorted(TASKS)), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_prompts_round_trip(name: str, seed: int) -> None:
    for question in TASKS[name].generate(3, seed=seed):
        assert TOKENIZER.decode(TOKENIZER.encode(question.prompt)) == question.prompt


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_solutions_round_trip(seed: int) -> None:
    _, steps = draw_solved(random.Random(seed), 5)
    text = "".join(s.choice + s.outcome for s in steps) + REVISE_MARKER + "#3\na1\n" + RIGHT
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


_TOKENS = st.integers(3, TOKENIZER.size - 1)


@given(st.lists(_TOKENS, max_size=30), st.lists(_TOKENS, max_size=30))
def test_decoding_is_concatenation(one: list[int], other: list[int]) -> None:
    """The engine relies on it to find stop strings."""
    joined = TOKENIZER.decode(one + other)
    assert joined == TOKENIZER.decode(one) + TOKENIZER.decode(other)


@given(st.lists(_TOKENS, max_size=30))
def test_whatever_the_model_says_can_be_read_back(ids: list[int]) -> None:
    text = TOKENIZER.decode(ids)
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_small_and_one_token_per_number() -> None:
    assert TOKENIZER.size <= 160
    assert all(len(TOKENIZER.encode(str(n))) == 1 for n in range(100))
    assert TOKENIZER.encode("\n") == [TOKENIZER.newline_id]
    assert TOKENIZER.decode([TOKENIZER.pad_id, TOKENIZER.bos_id, TOKENIZER.eos_id]) == ""


@pytest.mark.parametrize("text", ["zebra", "1 + x", "\t", "Ä"])
def test_outside_the_vocabulary(text: str) -> None:
    with pytest.raises(BadInput, match="vocabulary"):
        TOKENIZER.encode(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("#3\nright", "#3\nwrong\n"), ("#3\n", "#3\nwrong\n"), ("#3", "#3\nwrong\n"),
     ("#3\nwrong\n", "#3\nwrong\n")],
)  # fmt: skip
def test_revised(text: str, wanted: str) -> None:
    assert revised(text) == wanted
