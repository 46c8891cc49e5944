"""End users: each has its key's limits from its first request on, unless it has its own."""

from dataclasses import replace

import pytest
from tenants_at import OWNER, House

from bursar.errors import BudgetExceeded
from bursar.gateway.principal import Principal
from bursar.gateway.tenants.end_users import EndUsers
from bursar.usage import Usage

KEY = Principal("k", "acme/research/app", user_limits="1 USD per day, 5 requests per minute")


def limits(house: House, account: str) -> dict[str, float]:
    totals = house.ledger.totals(account)
    return {**totals.limits, **{f"{w.resource} per {w.window}": w.limit for w in totals.windows}}


def test_each_user_has_the_keys_limits(house: House) -> None:
    users = EndUsers(house.tenants.database, house.ledger)
    for user in ("bob", "eve"):
        account = KEY.account_of(user)
        assert not users.ready(KEY, account)
        users.tell(KEY, account)
        assert users.ready(KEY, account)
        assert limits(house, account) == {"usd per day": 1.0, "requests per minute": 5.0}
    call = Usage(usd=0.75, requests=1.0)
    house.ledger.reserve(KEY.account_of("bob"), [call])
    with pytest.raises(BudgetExceeded, match="app/bob"):
        house.ledger.reserve(KEY.account_of("bob"), [call])
    house.ledger.reserve(KEY.account_of("eve"), [call])
    assert users.ready(KEY, KEY.account_of(None))


def test_a_users_own_budget_is_left_alone(house: House) -> None:
    house.key("acme/research", "app")
    account = KEY.account_of("bob")
    house.tenants.budgets.edit(OWNER, account, limits="9 USD")
    EndUsers(house.tenants.database, house.ledger).tell(KEY, account)
    assert limits(house, account) == {"usd": 9.0}


def test_a_change_of_the_keys_limits_reaches_users_with_their_next_request(house: House) -> None:
    users, account = EndUsers(house.tenants.database, house.ledger), KEY.account_of("bob")
    users.tell(KEY, account)
    for text, expected in (("2 USD", {"usd": 2.0}), ("", {})):
        changed = replace(KEY, user_limits=text)
        assert not users.ready(changed, account)
        users.tell(changed, account)
        assert limits(house, account) == expected


def test_nothing_is_written_for_users_without_limits_or_known_ones(house: House) -> None:
    free = replace(KEY, user_limits="")
    EndUsers(house.tenants.database, house.ledger).tell(free, free.account_of("bob"))
    assert house.ledger.entries() == []
    for _ in range(2):  # two workers
        EndUsers(house.tenants.database, house.ledger).tell(KEY, KEY.account_of("bob"))
    assert len(house.ledger.entries()) == 1
