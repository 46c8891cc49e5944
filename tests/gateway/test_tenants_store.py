"""The store of tenants: what is made, who may change it, and that no one sees another's."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select
from tenants_at import OWNER, House, house_at

from bursar.errors import BadInput
from bursar.gateway.principal import Denied
from bursar.gateway.tenants.actor import Actor
from bursar.gateway.tenants.budgets import Budgets, Stale
from bursar.gateway.tenants.keys import Keys, Rights
from bursar.gateway.tenants.schema import AUDIT, BUDGETS, METADATA
from bursar.usage import Usage

MOST = 100


def denied(status: int, action: Callable[[], Any]) -> str:
    with pytest.raises(Denied) as error:
        action()
    assert error.value.status == status
    return str(error.value)


def test_a_team_is_made_with_its_limits(house: House) -> None:
    house.tenants.teams.create_team(OWNER, "acme", "new", title="New people", limits="5 USD")
    assert house.ledger.totals("acme/new").limits == {"usd": 5.0}
    found = house.tenants.teams.teams(OWNER, organisation="acme", most=MOST)
    assert [(t.slug, t.title) for t in found] == [
        ("new", "New people"),
        ("research", ""),
        ("sales", ""),
    ]


def test_a_bad_name_is_refused(house: House) -> None:
    tenants = house.tenants
    for slug in ("", "A", "a b", "a/b", "-a", "a-", "é", "a" * 65, "..", "a\n"):
        with pytest.raises(BadInput, match="is no name: use"):
            tenants.teams.create_organisation(OWNER, slug)
        with pytest.raises(BadInput, match="is no name: use"):
            tenants.teams.create_team(OWNER, "acme", slug)
        with pytest.raises(BadInput, match="is no name: use"):
            tenants.keys.create(OWNER, "acme/research", slug)


def test_bad_limits_make_nothing(house: House) -> None:
    for action in (
        lambda: house.tenants.teams.create_team(OWNER, "acme", "new", limits="5 parsecs"),
        lambda: house.tenants.keys.create(OWNER, "acme/sales", "new", limits="5 parsecs"),
        lambda: house.tenants.budgets.edit(OWNER, "acme/sales", limits="5 parsecs"),
    ):
        with pytest.raises(BadInput, match="unknown unit 'parsecs'"):
            action()
    assert len(house.tenants.teams.teams(OWNER, organisation="acme", most=MOST)) == 2
    assert house.tenants.keys.listed(OWNER, most=MOST) == []
    assert house.tenants.budgets.listed(OWNER, most=MOST) == []


NONSENSE: list[dict[str, Any]] = [
    {"role": "king"},
    {"models": ()},
    {"models": ("a\n",)},
    {"models": ("x",) * 65},
    {"degrade": {"a": ""}},
    {"priority": 101},
    {"weight": 0.0},
    {"weight": float("nan")},
    {"expires_at": 5.0},
    {"expires_at": float("inf")},
    {"user_limits": "much"},
]


def test_rights_that_make_no_sense_are_refused(house: House) -> None:
    key, _ = house.key("acme/research", "bob")
    for rights in NONSENSE:
        with pytest.raises(BadInput):
            house.key("acme/research", "alice", **rights)
        with pytest.raises(BadInput):
            house.tenants.keys.change(OWNER, key.id, **rights)
    assert house.tenants.keys.show(OWNER, key.id) == key


def test_a_name_is_not_used_twice_even_after_a_revocation(house: House) -> None:
    key, _ = house.key("acme/research", "alice")
    house.tenants.keys.revoke(OWNER, key.id)
    with pytest.raises(BadInput, match="rotate that key, or choose another name"):
        house.key("acme/research", "alice")
    for action in (house.tenants.keys.rotate, house.tenants.keys.revoke, house.tenants.keys.change):
        with pytest.raises(BadInput, match="is revoked, for ever"):
            action(OWNER, key.id)
    with pytest.raises(BadInput, match="is there already"):
        house.tenants.teams.create_team(OWNER, "acme", "research")


def test_an_expired_key_is_given_more_time_before_it_is_rotated(house: House) -> None:
    key, _ = house.key("acme/research", "alice", expires_at=house.clock.now + 5)
    house.clock.now += 5
    with pytest.raises(BadInput, match="has expired; give it a later expiry"):
        house.tenants.keys.rotate(OWNER, key.id)
    house.tenants.keys.change(OWNER, key.id, expires_at=None)
    assert house.tenants.keys.rotate(OWNER, key.id)[0].state(house.clock.now) == "live"


def test_closing_an_organisation_revokes_all_its_keys_and_no_others(house: House) -> None:
    house.key("acme/research", "alice")
    house.key("rival/ops", "bob")
    house.tenants.teams.close(OWNER, "acme")
    keys = house.tenants.keys.listed(OWNER, most=MOST)
    assert {k.name: k.state(house.clock()) for k in keys} == {"alice": "revoked", "bob": "live"}
    for action in (
        lambda: house.tenants.teams.create_team(OWNER, "acme", "new"),
        lambda: house.key("acme/sales", "new"),
        lambda: house.tenants.teams.close(OWNER, "acme"),
    ):
        with pytest.raises(BadInput, match="is closed"):
            action()


def test_pages_follow_each_other_without_gap_or_repeat(house: House) -> None:
    for i in range(7):
        house.key(("acme/research", "acme/sales", "rival/ops")[i % 3], f"k{i}")
    seen: list[str] = []
    while page := house.tenants.keys.listed(OWNER, after=seen[-1] if seen else "", most=2):
        seen += [key.account for key in page]
    assert len(seen) == len(set(seen)) == 7
    teams = [t.account for t in house.tenants.teams.teams(OWNER, after="acme/research", most=9)]
    assert teams == ["acme/sales", "rival/ops"]


# An action takes the house, an actor and a victim's account, id and organisation.
CHANGES: dict[str, Callable[[House, Actor, str, str], Any]] = {
    "limit": lambda h, by, account, key: h.tenants.budgets.edit(by, account, limits="9 USD"),
    "create": lambda h, by, account, key: h.tenants.keys.create(
        by, account.rpartition("/")[0], "mine"
    ),
    "change by id": lambda h, by, account, key: h.tenants.keys.change(by, key, models=("x",)),
    "change": lambda h, by, account, key: h.tenants.keys.change(by, account, models=("x",)),
    "rotate": lambda h, by, account, key: h.tenants.keys.rotate(by, key),
    "revoke": lambda h, by, account, key: h.tenants.keys.revoke(by, key),
    "team": lambda h, by, account, key: h.tenants.teams.create_team(
        by, account.partition("/")[0], "mine"
    ),
    "retitle": lambda h, by, account, key: h.tenants.teams.retitle(
        by, account.rpartition("/")[0], "mine"
    ),
    "close": lambda h, by, account, key: h.tenants.teams.close(by, account.rpartition("/")[0]),
}
LOOKS: dict[str, Callable[[House, Actor, str, str], Any]] = {
    "key": lambda h, by, account, key: h.tenants.keys.show(by, key),
    "key by account": lambda h, by, account, key: h.tenants.keys.show(by, account),
    "budget": lambda h, by, account, key: h.tenants.budgets.read(by, account),
    "team": lambda h, by, account, key: h.tenants.teams.show(by, account.rpartition("/")[0]),
    "organisation": lambda h, by, account, key: h.tenants.teams.show(by, account.partition("/")[0]),
}


def content(house: House) -> str:
    """Everything in the tenants' tables."""
    with house.tenants.database.read() as connection:
        tables = {t.name: connection.execute(select(t)).all() for t in METADATA.sorted_tables}
    return str({**tables, "ledger": [a.limits for a in house.ledger.accounts()]})


def test_an_admin_can_neither_see_nor_touch_another_organisation(house: House) -> None:
    victim, _ = house.key("rival/ops", "bob")
    house.tenants.budgets.edit(OWNER, victim.account, limits="1 USD")
    admin = house.actor("acme/research", "root", "admin")
    before = content(house)
    for action in (*CHANGES.values(), *LOOKS.values()):
        there = denied(404, lambda a=action: a(house, admin, victim.account, victim.id))
        # The same is said of what is not there at all.
        nowhere = denied(404, lambda a=action: a(house, admin, "nowhere/x/y", "key_0"))
        shape = [quoted.split("'")[2] for quoted in (there, nowhere)]
        assert shape[0] == shape[1]
    assert content(house) == before


def test_lists_hold_nothing_of_another_organisation(house: House) -> None:
    for team in ("rival/ops", "acme/research", "acme/sales"):
        key, _ = house.key(team, "bob")
        house.tenants.budgets.edit(OWNER, key.account, limits="1 USD", thresholds=[0.5])
    admin = house.actor("acme/research", "root", "admin")
    tenants = house.tenants
    for under in ("", "rival", "rival/ops", "rival/ops/bob", "acme", "acme_"):
        found = [
            *(k.account for k in tenants.keys.listed(admin, under=under, most=MOST)),
            *(b.account for b in tenants.budgets.listed(admin, under=under, most=MOST)),
        ]
        assert all(account.startswith("acme/") for account in found)
        assert bool(found) == (under in ("", "acme"))
    assert [o.slug for o in tenants.teams.organisations(admin, most=MOST)] == ["acme"]
    assert {t.organisation for t in tenants.teams.teams(admin, most=MOST)} == {"acme"}
    assert tenants.teams.teams(admin, organisation="rival", most=MOST) == []
    assert {c.organisation for c in tenants.audit(admin, most=MOST)} == {"acme"}


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_members_and_viewers_change_nothing(house: House, role: str) -> None:
    actor = house.actor("acme/research", "me", role)
    own = house.tenants.keys.show(actor, "acme/research/me")
    before = content(house)
    above = ("team",) if role == "viewer" else ("team", "create", "retitle", "close")
    for name, action in CHANGES.items():
        status = 404 if name in above else 403
        denied(status, lambda a=action: a(house, actor, own.account, own.id))
    assert content(house) == before


def test_what_each_role_sees(house: House) -> None:
    for team in ("acme/research", "acme/sales", "rival/ops"):
        house.key(team, "bob")
    tenants = house.tenants
    seen = {}
    for role in ("member", "viewer", "admin", "owner"):
        actor = house.actor("acme/research", role, role)
        seen[role] = {k.account for k in tenants.keys.listed(actor, under="", most=MOST)} & {
            "acme/research/member",
            "acme/research/bob",
            "acme/sales/bob",
            "rival/ops/bob",
        }
    assert seen["member"] == {"acme/research/member"}
    assert seen["viewer"] == seen["member"] | {"acme/research/bob"}
    assert seen["admin"] == seen["viewer"] | {"acme/sales/bob"}
    assert seen["owner"] == seen["admin"] | {"rival/ops/bob"}


def test_an_admin_gives_no_more_than_it_has(house: House) -> None:
    owner_key, _ = house.key("acme/research", "boss", role="owner")
    admin = house.actor("acme/research", "root", "admin")
    keys, budgets = house.tenants.keys, house.tenants.budgets
    own, _ = keys.create(admin, "acme/sales", "carol", Rights(role="admin"), limits="1 USD")
    for refused in (
        lambda: keys.create(admin, "acme/sales", "x", Rights(role="owner")),
        lambda: keys.create(admin, "acme/sales", "x", Rights(priority=1)),
        lambda: keys.create(admin, "acme/sales", "x", Rights(weight=1.5)),
        lambda: keys.change(admin, own.id, role="owner"),
        lambda: keys.change(admin, own.id, priority=1),
        lambda: keys.rotate(admin, owner_key.id),
        lambda: keys.revoke(admin, owner_key.id),
        lambda: keys.change(admin, owner_key.id, role="member"),
        lambda: budgets.edit(admin, "acme", limits=""),
        lambda: house.tenants.teams.close(admin, "acme"),
    ):
        denied(403, refused)
    denied(404, lambda: house.tenants.teams.create_organisation(admin, "mine"))
    keys.change(OWNER, own.id, priority=5)
    assert keys.change(admin, own.id, models=("tiny-*",)).rights.priority == 5


def test_a_budget_shows_what_is_spent_held_and_left(house: House) -> None:
    key, _ = house.key("acme/research", "alice")
    house.tenants.budgets.edit(OWNER, "acme/research", limits="2 USD, 100 tokens")
    holds = house.ledger.reserve(key.account, [Usage(usd=0.5, tokens_in=10, tokens_out=10)] * 2)
    house.ledger.settle({holds[0]: Usage(usd=0.25, tokens_in=10, tokens_out=5)})
    found = house.tenants.budgets.read(OWNER, "acme/research")
    assert found.limits == "2 USD, 100 tokens"
    assert {(s.resource, s.limit, s.spent, s.held, s.left) for s in found.standings} == {
        ("usd", 2.0, 0.25, 0.5, 1.25),
        ("tokens", 100.0, 15.0, 20.0, 65.0),
    }


def test_two_admins_do_not_overwrite_each_other(house: House) -> None:
    budgets = house.tenants.budgets
    first = budgets.edit(OWNER, "acme", limits="1 USD")
    second = budgets.edit(OWNER, "acme", limits="2 USD", version=first.version)
    with pytest.raises(Stale, match="version 1 was to be edited, but it is at version 2"):
        budgets.edit(OWNER, "acme", limits="3 USD", version=first.version)
    assert budgets.read(OWNER, "acme") == second
    assert house.ledger.totals("acme").limits == {"usd": 2.0}
    budgets.edit(OWNER, "acme", limits="")
    assert house.ledger.totals("acme").limits == {}


def test_limits_of_an_end_user(house: House) -> None:
    house.key("acme/research", "alice")
    house.tenants.budgets.edit(OWNER, "acme/research/alice/Bob %2F", limits="1 USD")
    assert house.ledger.totals("acme/research/alice/Bob %2F").limits == {"usd": 1.0}
    denied(404, lambda: house.tenants.budgets.edit(OWNER, "acme/research/no/bob", limits="1 USD"))


def test_an_edit_that_a_dead_process_did_not_tell_is_told(house: House) -> None:
    house.tenants.budgets.edit(OWNER, "acme", limits="1 USD")
    with house.tenants.database.write() as connection:
        connection.execute(BUDGETS.update().values(limits="2 USD", version=2))
    assert house.ledger.totals("acme").limits == {"usd": 1.0}
    house.tenants.budgets.apply_all()
    assert house.ledger.totals("acme").limits == {"usd": 2.0}
    entries = len(house.ledger.entries())
    house.tenants.budgets.apply_all()
    assert len(house.ledger.entries()) == entries


def test_every_change_is_in_the_audit_log_without_a_secret(tmp_path: Any) -> None:
    with house_at(str(tmp_path / "gateway.sqlite"), "acme/research") as house:
        admin = house.actor("acme/research", "root", "admin")
        key, first = house.tenants.keys.create(admin, "acme/research", "alice", limits="1 USD")
        _, second = house.tenants.keys.rotate(admin, key.id, grace_s=60)
        house.tenants.keys.change(admin, key.id, models=("a",))
        house.tenants.budgets.edit(admin, "acme/research", limits="2 USD", thresholds=[0.9, 0.5])
        house.tenants.teams.retitle(admin, "acme/research", "Research")
        house.tenants.keys.revoke(admin, key.id)
        log = house.tenants.audit(admin, most=6)
        assert {change.actor for change in log} == {admin.name}
        assert [(c.action, c.subject) for c in reversed(log)] == [
            ("create key", "acme/research/alice"),
            ("rotate key", "acme/research/alice"),
            ("change key", "acme/research/alice"),
            ("edit budget", "acme/research"),
            ("retitle", "acme/research"),
            ("revoke key", "acme/research/alice"),
        ]
        changed = {c.action: (c.before, c.after) for c in log}
        assert changed["change key"] == ({"models": ["*"]}, {"models": ["a"]})
        assert changed["retitle"] == ({"title": ""}, {"title": "Research"})
        assert house.tenants.audit(admin, before=log[-1].seq, most=1)[0].seq == log[-1].seq - 1
        with house.tenants.database.read() as connection:
            text = json.dumps([list(map(str, row)) for row in connection.execute(select(AUDIT))])
        assert first[15:] not in text
        assert second[15:] not in text
        everything = content(house)
        assert first not in everything
        assert second not in everything
        assert house.ledger.totals("acme/research/alice").limits == {"usd": 1.0}


def test_edits_at_once_leave_the_ledger_with_the_last_one(house: House) -> None:
    """Whichever process tells the ledger last, it tells the last edit."""
    house.tenants.budgets.edit(OWNER, "acme", limits="1 USD")
    others = [Budgets(house.database(), house.ledger, clock=house.clock) for _ in range(4)]

    def edit(number: int) -> str:
        try:
            budget = others[number % 4].edit(OWNER, "acme", limits=f"{number + 2} USD", version=1)
        except Stale:
            return ""
        return budget.limits

    with ThreadPoolExecutor(4) as threads:
        (won,) = filter(None, threads.map(edit, range(8)))
        freely = [
            threads.submit(o.edit, OWNER, "acme", limits=f"{i + 20} USD")
            for i, o in enumerate(others)
        ]
    assert won
    assert {future.result().version for future in freely} <= {3, 4, 5, 6}
    last = house.tenants.budgets.read(OWNER, "acme")
    assert last.version == 6
    assert house.ledger.totals("acme").limits == {"usd": float(last.limits.split()[0])}
    house.ledger.verify()


def test_a_name_is_given_once_however_many_ask(house: House) -> None:
    stores = [Keys(house.database(), house.tenants.budgets, clock=house.clock) for _ in range(4)]

    def create(keys: Keys) -> bool:
        try:
            keys.create(OWNER, "acme/research", "alice")
        except BadInput:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(create, stores)) == [False, False, False, True]
    assert len(house.tenants.keys.listed(OWNER, most=MOST)) == 1
