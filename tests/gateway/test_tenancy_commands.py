"""bursar keys, teams, budgets: what people type, what they see, and what is refused how."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bursar.gateway.tenants.database import Database
from bursar.gateway.tenants.directory import KeyDirectory
from bursar.ledger import Ledger
from command_line import Ran, bursar


@pytest.fixture
def place(tmp_path: Path, migrated: Path) -> str:
    path = tmp_path / "gateway.sqlite"
    path.write_bytes(migrated.read_bytes())
    return str(path)


def run(place: str, *arguments: str) -> Ran:
    ran = bursar(*arguments, "--ledger", place, "--json")
    assert ran.code == 0, ran.err
    return ran


def test_a_team_gets_a_key_that_opens_its_account(place: str) -> None:
    limits = "50 USD per month, 5 USD per day"
    team = run(place, "teams", "create", "research", "--limit", limits).document
    assert (team["account"], team["limits"]) == ("main/research", limits)
    made = run(
        place,
        *("keys", "create", "--team", "research", "--name", "alice", "--limit", "1 USD per day"),
        *("--models", "tiny-*,auto", "--expires", "30d", "--degrade", "tiny-1m=tiny-0.3m"),
    )
    key = made.document
    assert made.err.count(key["secret"]) == 1
    assert abs(key["expires_at"] - time.time() - 30 * 86400) < 60
    database = Database(place)
    found = KeyDirectory(database).find(key["secret"])
    database.close()
    assert (found.account, found.models) == ("main/research/alice", ("tiny-*", "auto"))
    assert found.degrade == {"tiny-1m": "tiny-0.3m"}
    with Ledger(place) as ledger:
        (window,) = ledger.totals("main/research/alice").windows
        assert (window.resource, window.window, window.limit) == ("usd", "day", 1.0)


def test_a_key_is_never_shown_again(place: str) -> None:
    run(place, "teams", "create", "acme/research")
    create = ("keys", "create", "--team", "acme/research", "--name", "alice")
    rotate = ("keys", "rotate", "research/alice", "--grace", "1 h")
    secrets = [run(place, *arguments).document["secret"] for arguments in (create, rotate)]
    for arguments in (("keys", "list"), ("keys", "show", "acme/research/alice"), ("teams", "list")):
        ran = run(place, *arguments)
        assert not any(secret in ran.out + ran.err for secret in secrets)
    assert "acme/research/alice" in run(place, "keys", "list", "research").err
    assert run(place, "keys", "revoke", "research/alice").document["state"] == "revoked"


def test_budgets_are_set_and_shown(place: str) -> None:
    run(place, "teams", "create", "acme/research")
    run(place, "keys", "create", "--team", "research", "--name", "alice")
    set_ = ("budgets", "set", "acme/research", "2 USD, 60 requests per minute")
    shown = run(place, *set_, "--thresholds", "50%,0.8").document
    assert shown["thresholds"] == [0.5, 0.8]
    run(place, "budgets", "set", "acme/research/alice/bob@example.org", "1 USD")
    accounts = [b["account"] for b in run(place, "budgets", "show").document["budgets"]]
    assert accounts == ["acme/research", "acme/research/alice/bob@example.org"]
    (only,) = run(place, "budgets", "show", "research").document["budgets"]
    assert {(s["resource"], s["window"], s["left"]) for s in only["standings"]} == {
        ("usd", "", 2.0),
        ("requests", "minute", 60.0),
    }
    run(place, "budgets", "set", "research", "")
    with Ledger(place) as ledger:
        assert ledger.totals("acme/research").limits == {}


def test_a_key_is_changed_and_a_team_closed(place: str) -> None:
    run(place, "teams", "create", "acme/research")
    key = run(place, "keys", "create", "--team", "research", "--name", "a", "--expires", "1d")
    change = ("keys", "change", key.document["id"], "--expires", "never", "--role", "admin")
    changed = run(place, *change)
    assert (changed.document["expires_at"], changed.document["role"]) == (None, "admin")
    run(place, "teams", "close", "research")
    (shown,) = run(place, "keys", "list").document["keys"]
    assert shown["state"] == "revoked"


NEW = ("keys", "create", "--team", "research", "--name", "x")
BAD = (
    (("teams", "create", "Bad Name"), "is no name: use at most 64"),
    (("teams", "create", "x", "--limit", "5 parsecs"), "unknown unit 'parsecs'"),
    (("keys", "create", "--team", "nowhere", "--name", "x"), "no 'acme/nowhere'"),
    ((*NEW, "--expires", "soon"), "'soon' is no"),
    (
        (*NEW, "--role", "king"),
        "'king' is no role",
    ),
    ((*NEW, "--degrade", "a"), 'write "dear'),
    ((*NEW, "--models", ","), "1 to 64 patterns"),
    (("keys", "show", "key_nothing"), "no 'key_nothing'"),
    (("keys", "change", "key_nothing"), "nothing to change"),
    (("keys", "rotate", "key_x", "--grace", "90d"), "give from 0 to"),
    (("budgets", "set", "research", "1 USD", "--thresholds", "lots"), "'lots' is no share"),
    (("budgets", "set", "research", "1 USD", "--thresholds", "200%"), "shares of a limit"),
    (("budgets", "show", "acme/none"), "no 'acme/none'"),
)


def test_bad_input_is_one_message_and_exit_2(place: str) -> None:
    run(place, "teams", "create", "acme/research")
    for arguments, says in BAD:
        ran = bursar(*arguments, "--ledger", place)
        assert (ran.code, len(ran.errors)) == (2, 1), arguments
        assert says in ran.errors[0]
    run(place, "teams", "create", "rival/ops")
    ran = bursar("teams", "create", "new", "--ledger", place)
    assert "could be of acme, rival: write organisation/new" in ran.errors[0]


def test_a_look_makes_no_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BURSAR_GATEWAY_LEDGER", str(tmp_path / "none.sqlite"))
    for arguments in (("keys", "list"), ("budgets", "show"), ("teams", "list")):
        ran = bursar(*arguments)
        assert ran.code == 2
        assert "no gateway's ledger at" in ran.errors[0]
    assert list(tmp_path.iterdir()) == []
    assert bursar("teams", "create", "research").code == 0
    document = json.loads(bursar("teams", "list", "--json").out.splitlines()[-1])
    assert [team["account"] for team in document["teams"]] == ["main/research"]
