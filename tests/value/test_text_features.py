"""Features of texts: unit length, alike for like texts, numbers are one word; V0's bad input."""

import numpy as np
import pytest

from bursar.errors import BadInput
from bursar.value import V0, TextFeatures, TextSpace

TEXTS = ("add 7 apples", "add 31 apples", "the court heard an appeal", "")


def test_rows_have_unit_length_and_numbers_are_one_word() -> None:
    rows = TextFeatures.fit(TEXTS).of(TEXTS).toarray()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 1, 1, 0])
    assert rows[0] @ rows[1] == pytest.approx(1.0)
    assert rows[0] @ rows[2] < 0.1


def test_a_rare_word_tells_more_than_a_common_one() -> None:
    features = TextFeatures.fit(("a", "a", "a", "a rose"))
    rows = features.of(("a x", "rose x", "a rose")).toarray()
    assert rows[2] @ rows[1] > rows[2] @ rows[0]


def test_a_space_keeps_likeness_in_few_numbers() -> None:
    texts = [f"{a} {b}" for a in ("sun", "moon", "star") for b in ("red", "blue", "green")]
    places = TextSpace.fit(texts, 4).of(texts)
    assert places.shape == (9, 6)
    assert places[0, :4] @ places[1, :4] > places[0, :4] @ places[5, :4]


def test_too_little_to_learn_from_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one text"):
        TextFeatures.fit(())
    with pytest.raises(BadInput, match="need more than 4 texts"):
        TextSpace.fit(TEXTS, 4)
    with pytest.raises(BadInput, match="2 or more policies"):
        V0.fit(np.ones((3, 2)), np.ones((3, 1)))


def test_an_empty_history_is_the_policy_nobody_knows_and_a_long_one_the_policy_itself() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.choice([0.0, 1.0], 400), np.ones(400)])
    rates = np.array([[0.2, 0.9], [0.5, 0.5], [0.9, 0.1], [0.4, 0.6]])
    right = np.column_stack([rng.random(400) < r[x[:, 0].astype(int)] for r in rates]).astype(float)
    right[::7, 0] = np.nan
    value = V0.fit(x, right)
    asked = np.array([[0.0, 1.0], [1.0, 1.0]])
    nobody = value.predict(x[:0], np.zeros(0), asked)
    np.testing.assert_allclose(nobody, rates.mean(axis=0), atol=0.08)
    new = (rng.random(400) < np.where(x[:, 0] > 0, 0.15, 0.8)).astype(float)
    np.testing.assert_allclose(value.predict(x, new, asked), [0.8, 0.15], atol=0.08)
