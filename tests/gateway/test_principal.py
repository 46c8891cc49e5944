"""Whose account a request is charged to: any text is a user's name, and no two share one."""

from hypothesis import given
from hypothesis import strategies as st

from bursar.gateway.principal import OpenDoor, Principal
from bursar.ledger import Ledger
from bursar.usage import Usage

ALICE = Principal("key_1", "main/research/alice", models=("gpt-4o*", "auto"))
NAMES = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=400)


@given(NAMES, NAMES)
def test_every_name_has_an_account_of_its_own_below_the_key(one: str, other: str) -> None:
    account = ALICE.account_of(one)
    if one.strip() == other.strip():
        assert ALICE.account_of(other) == account
    elif other.strip():
        assert ALICE.account_of(other) != account
    assert account == ALICE.account or account.startswith("main/research/alice/")
    assert account.count("/") <= 3
    assert len(account) < 200


@given(NAMES)
def test_the_ledger_takes_every_account(name: str) -> None:
    with Ledger() as ledger:
        ledger.reserve(ALICE.account_of(name), [Usage(usd=1)])
        assert ledger.totals(ALICE.account).held.usd == 1


def test_models_are_patterns() -> None:
    assert ALICE.may_use("gpt-4o-mini")
    assert ALICE.may_use("auto")
    assert not ALICE.may_use("gpt-4")
    assert ALICE.tenant == "main/research"
    assert OpenDoor().find(None).may_use("anything")
