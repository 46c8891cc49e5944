"""Usage: unknown stays unknown, and grains add exactly."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import BadInput
from bursar.units import GRAINS, RESOURCES
from bursar.usage import Usage, add_grains, grains_of, usage_of

AMOUNT = st.none() | st.integers(0, 10**12) | st.floats(0, 1e9, allow_nan=False)
USAGES = st.builds(Usage, **dict.fromkeys(RESOURCES, AMOUNT))


def test_a_sum_with_an_unknown_is_unknown() -> None:
    total = Usage.total([Usage(tokens_in=3, usd=1), Usage(tokens_in=4)])
    assert total.tokens_in == 7
    assert total.usd is None


def test_the_sum_of_nothing_is_zero_not_unknown() -> None:
    assert Usage.total([]).to_dict() == dict.fromkeys(RESOURCES, 0.0)


def test_tokens_are_in_and_out_and_unknown_when_either_is() -> None:
    assert Usage(tokens_in=2, tokens_out=3).tokens == 5
    assert Usage(tokens_in=2).tokens is None


def test_a_calibration_error_is_a_subtraction() -> None:
    error = Usage(seconds=2.5, usd=1) - Usage(seconds=2.0)
    assert error.seconds == 0.5
    assert error.usd is None


def test_scaling_keeps_unknowns() -> None:
    assert (3 * Usage(flops=2)).known() == {"flops": 6}


def test_a_key_that_is_no_resource_is_named() -> None:
    with pytest.raises(BadInput, match="euros"):
        Usage.from_dict({"euros": 1.0})


@given(USAGES)
def test_dict_form_round_trips(usage: Usage) -> None:
    assert Usage.from_dict(usage.to_dict()) == usage


@given(USAGES)
def test_grains_keep_what_is_known_and_what_is_not(usage: Usage) -> None:
    back = usage_of(grains_of(usage))
    for name in RESOURCES:
        before, after = usage.get(name), back.get(name)
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            counted = GRAINS[name] == 1
            assert math.isclose(after, before, rel_tol=1e-9, abs_tol=1.0 if counted else 1e-9)


@given(st.lists(USAGES, max_size=6), st.randoms())
def test_what_is_added_can_be_taken_out_again_in_any_order(parts: list[Usage], rng) -> None:
    total: dict[str, int] = {}
    for part in parts:
        add_grains(total, grains_of(part))
    rng.shuffle(parts)
    for part in parts:
        add_grains(total, grains_of(part), -1)
    assert total == {}


def test_ten_dimes_are_a_dollar() -> None:
    total: dict[str, int] = {}
    for _ in range(10):
        add_grains(total, grains_of(Usage(usd=0.1)))
    assert usage_of(total).usd == 1.0


@pytest.mark.parametrize("amount", [-1.0, math.nan, math.inf])
def test_no_negative_or_endless_spend_enters_the_books(amount: float) -> None:
    with pytest.raises(BadInput, match="finite"):
        grains_of(Usage(usd=amount))
