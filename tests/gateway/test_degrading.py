"""The policy near a limit: what it does in which order, and what it never does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.gateway.principal import Principal
from bursar.gateway.tenants.budgets import Standing
from bursar.gateway.tenants.policy import Decision, Degrading, degrade
from bursar.usage import Usage

POLICY = Degrading(near=0.9, fewer=0.5, wait_s=30.0)
KEY = Principal("k", "a/b/c", models=("big", "small"), degrade={"big": "small", "odd": "secret"})
USD = {"big": 0.1, "small": 0.01}


def upper(model: str, scale: float) -> Usage:
    return Usage(usd=USD.get(model, 0.1) * scale, tokens_in=0.0, tokens_out=100.0, requests=1.0)


def decide(*standings: Standing, divisible: bool = False, model: str = "big") -> Decision:
    return degrade(POLICY, KEY, standings, model, upper, divisible=divisible, now=1000.0)


def usd(used: float, *, held: float = 0.0, resets_at: float | None = None) -> Standing:
    return Standing("usd", "day" if resets_at else "", 1.0, used, held, resets_at)


def test_far_from_any_limit_nothing_changes() -> None:
    assert decide(usd(0.5), Standing("joules", "", 1.0, 5.0, 0.0, None)) == Decision("big")
    assert decide() == Decision("big")


def test_near_a_limit_the_cheaper_model_serves() -> None:
    found = decide(usd(0.5, held=0.4))
    assert (found.model, found.scale, found.refused) == ("small", 1.0, False)
    assert "small in place of big" in found.why


def test_what_fits_no_more_is_made_cheaper_though_not_yet_near() -> None:
    assert decide(Standing("usd", "", 0.1, 0.05, 0.0, None)).model == "small"


def test_a_divisible_request_gets_a_smaller_budget() -> None:
    odd = decide(usd(0.93), divisible=True, model="odd")
    assert (odd.model, odd.scale) == ("odd", 0.5)  # "secret" is not the key's to use
    both = decide(usd(0.993), divisible=True)
    assert (both.model, both.scale) == ("small", 0.5)


def test_a_cheaper_model_is_no_help_against_a_limit_on_requests() -> None:
    calm = Standing("requests", "minute", 10.0, 9.0, 0.0, 1020.0)
    assert decide(calm) == Decision("big")
    full = Standing("requests", "minute", 10.0, 10.0, 0.0, 1020.0)
    assert decide(full).wait_s == 20.0


def test_it_waits_only_for_a_period_that_ends_soon() -> None:
    assert decide(usd(1.0, resets_at=1020.0)).wait_s == 20.0
    assert decide(usd(1.0, resets_at=1031.0)).refused
    assert decide(usd(1.0, resets_at=1020.0), usd(1.0)).refused
    assert decide(Standing("usd", "day", 0.001, 0.0, 0.0, 1020.0)).refused  # would never fit


STANDINGS = st.builds(
    Standing,
    st.sampled_from(("usd", "tokens", "requests", "joules")),
    st.sampled_from(("", "day")),
    st.floats(0.0, 1000.0),
    st.floats(0.0, 1000.0),
    st.floats(0.0, 1000.0),
    st.one_of(st.none(), st.floats(1000.0, 1e5)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STANDINGS, max_size=4), st.booleans(), st.sampled_from(("big", "small", "odd")))
def test_what_it_grants_fits_and_is_the_keys_to_use(
    standings: list[Standing], divisible: bool, model: str
) -> None:
    found = degrade(POLICY, KEY, standings, model, upper, divisible=divisible, now=1000.0)
    assert found.model in (model, KEY.degrade.get(model))
    assert found.model != "secret"
    assert found.scale in (1.0, POLICY.fewer if divisible else 1.0)
    assert 0.0 <= found.wait_s <= POLICY.wait_s
    if not found.refused and not found.wait_s:
        granted = upper(found.model, found.scale)
        for s in standings:
            assert (granted.get(s.resource) or 0.0) <= max(0.0, s.left)
    if found != Decision(model) and not found.refused:
        assert found.why


@pytest.mark.parametrize("model", ["big", "small"])
def test_without_standings_of_its_resources_it_never_interferes(model: str) -> None:
    assert decide(Standing("joules", "", 1.0, 1.0, 0.0, None), model=model) == Decision(model)
