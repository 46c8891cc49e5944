"""chain: the value, legal reductions, canonical twins, the held-out split."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.workload.tasks import chain
from bursar.workload.tasks.base import Question
from bursar.workload.tasks.split import split_of

TASK = chain.Chain()


@given(st.integers(0, 10**6), st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_any_legal_order_keeps_the_value(seed: int, operations: int) -> None:
    rng = random.Random(seed)
    pieces = chain.draw_expression(rng, operations)
    wanted = eval("".join(pieces)) % 97
    assert chain.value(pieces) == wanted
    question = Question("1", "chain", f"chain {''.join(pieces)}\n", str(wanted))
    lines = []
    while len(pieces) > 1:
        place = rng.choice(chain.legal_pairs(pieces))
        lines.append(chain.line_of(pieces, place))
        pieces = chain.reduce_pair(pieces, place)
    assert pieces == [str(wanted)]
    text = "\n".join([*lines, f"#{wanted}", "right"])
    assert TASK.steps(question, text) == [True] * (operations + 1)
    assert TASK.check(question, TASK.extract(question, text))


@pytest.mark.parametrize(
    ("before", "line", "ok"),
    [
        ("9-4+3", "9-4=5>5+3", True),
        ("9-4+3", "4+3=7>9-7", False),  # the minus belongs to the 4 only
        ("2+3*4", "2+3=5>5*4", False),  # the product comes first
        ("2+3*4", "3*4=12>2+12", True),
        ("2*3*4", "3*4=12>2*12", True),
        ("2*3*4", "2*3=6>6*5", False),  # a line must not change anything else
        ("2*3*4", "2*3=7>7*4", False),  # nor be wrong
        ("2*3*4", "6*4", False),  # nor hide what it does
        ("50*2", "50*2=3", True),
        ("50*2", "50*2=4", False),
        ("3", "#3", True),
        ("3", "#4", False),
        ("3", "3", False),
        ("2+", "2", False),
    ],
)
def test_step_ok(before: str, line: str, ok: bool) -> None:
    assert chain.step_ok(before, line) is ok


def test_commuted_twins_share_a_canonical_form() -> None:
    forms = {
        chain.canonical(chain.parse(line) or [])
        for line in ("3*4+5-6*7", "5+4*3-7*6", "5-6*7+3*4", "4*3-6*7+5")
    }
    assert len(forms) == 1
    assert chain.canonical(["3", "-", "4"]) != chain.canonical(["4", "-", "3"])


def test_splits_are_disjoint_up_to_twins() -> None:
    sides = {}
    for side in ("train", "test"):
        questions = TASK.generate(600, seed=5, split=side, levels=["1", "2"])
        sides[side] = {chain.canonical(chain.parse(q.prompt[6:].strip()) or []) for q in questions}
        assert len(sides[side]) == 600
        assert all(split_of(form) == side for form in sides[side])
    assert not sides["train"] & sides["test"]


def test_extract_reads_the_last_attempt() -> None:
    question = Question("1", "chain", "chain 50*2\n", "3")
    assert TASK.extract(question, "50*2=4\n#4\nwrong\n50*2=3\n#3\nright") == "3"
    assert TASK.extract(question, "50*2=3\n#3\nwrong\n50*") is None
    assert TASK.extract(question, "50*2=3\n#3\nwrong") is None
    assert TASK.extract(question, "50*2=3\n#3") == "3"
    assert TASK.extract(question, "the answer is # 100") == "3"
    assert TASK.extract(question, "50*2") is None
