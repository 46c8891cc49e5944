"""Amounts in text, and whole grains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadInput
from bursar.units import (
    GRAINS,
    LIMITABLE,
    format_amount,
    from_grains,
    parse_amount,
    parse_amounts,
    to_grains,
)


@pytest.mark.parametrize(
    ("text", "resource", "amount"),
    [
        ("200k tokens", "tokens", 200_000),
        ("200,000 tokens".replace(",", "_"), "tokens", 200_000),
        ("1.5M tokens_out", "tokens_out", 1.5e6),
        ("3 input_tokens", "tokens_in", 3),
        ("2 USD", "usd", 2),
        ("$2.50", "usd", 2.5),
        ("50 cents", "usd", 0.5),
        ("30 s", "seconds", 30),
        ("250 ms", "seconds", 0.25),
        ("1.5 min", "seconds", 90),
        ("2 h", "seconds", 7200),
        ("5 kJ", "joules", 5000),
        ("1 kWh", "joules", 3.6e6),
        ("1e15 flops", "flops", 1e15),
        ("3 Tflops", "flops", 3e12),
        ("16 GiB", "bytes_moved", 16 * 2**30),
        ("1 MB", "bytes_moved", 1e6),
        ("100 gCO2e", "grams_co2e", 100),
        ("20 calls", "tool_calls", 20),
        ("2k requests", "requests", 2000),
        ("2 days", "seconds", 172800),
        ("0 tokens", "tokens", 0),
        (".5 usd", "usd", 0.5),
    ],
)
def test_text_is_read(text: str, resource: str, amount: float) -> None:
    assert parse_amount(text) == (resource, pytest.approx(amount))


@pytest.mark.parametrize(
    "text",
    ["", "tokens", "5", "-1 USD", "5 parsecs", "1e999 tokens", "5 5 USD", "nan usd", "inf s"],
)
def test_bad_text_names_itself_and_a_remedy(text: str) -> None:
    with pytest.raises(BadInput) as error:
        parse_amount(text)
    assert repr(text.strip()) in str(error.value)


def test_amounts_are_joined_by_commas() -> None:
    assert parse_amounts("200k tokens, 2 USD, 30 s") == {"tokens": 2e5, "usd": 2, "seconds": 30}


@pytest.mark.parametrize(("text", "said"), [("2 USD, 3 USD", "twice"), ("2 USD,", "empty amount")])
def test_a_budget_names_a_resource_once(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        parse_amounts(text)


def test_amounts_are_shown_as_they_are_written() -> None:
    assert format_amount("tokens", 200_000) == "200k tokens"
    assert format_amount("usd", None) == "unknown USD"
    assert format_amount("usd", 0.018) == "0.018 USD"


@given(st.sampled_from(LIMITABLE), st.integers(0, 10**15))
def test_whole_grains_round_trip(resource: str, grains: int) -> None:
    assert to_grains(resource, from_grains(resource, grains)) == grains


@given(st.sampled_from(LIMITABLE), st.floats(0, 1e6))
def test_a_bound_is_never_rounded_below_a_limit_of_the_same_text(
    resource: str, amount: float
) -> None:
    bound, limit = to_grains(resource, amount), to_grains(resource, amount, limit=True)
    assert limit <= bound <= limit + 1
    assert abs(bound - amount * GRAINS[resource]) <= 1


def test_a_fraction_of_a_token_is_a_token_to_spend_and_none_to_have() -> None:
    assert to_grains("tokens", 10.2) == 11
    assert to_grains("tokens", 10.2, limit=True) == 10


def test_the_noise_of_floats_is_not_a_token() -> None:
    assert to_grains("tokens", 0.1 * 3 * 10) == 3
    assert to_grains("usd", 0.1 + 0.2) == to_grains("usd", 0.3)
