"""The directory: who holds a key, from memory; what other processes change is seen soon."""

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass

import pytest
from tenants_at import OWNER, House

from bursar.gateway.principal import Denied, Principal
from bursar.gateway.tenants.directory import KeyDirectory
from bursar.gateway.tenants.secret_keys import new_key
from bursar.ledger.schema import storage_error


@dataclass
class Seconds:
    """Seconds that pass when told."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def directory_of(house: House, seconds: Seconds) -> KeyDirectory:
    """The directory of another process: its own connections, its own memory."""
    return KeyDirectory(house.database(), clock=house.clock, monotonic=seconds)


def refusal(directory: KeyDirectory, key: str | None) -> str:
    with pytest.raises(Denied) as denied:
        directory.find(key)
    assert denied.value.status == 401
    return str(denied.value)


def open_to(directory: KeyDirectory, *keys: str) -> set[str]:
    """Those of `keys` that open something."""
    found = set()
    for key in keys:
        with suppress(Denied):
            directory.find(key)
            found.add(key)
    return found


def test_a_key_opens_its_account_with_its_rights(house: House) -> None:
    rights = {
        "role": "viewer",
        "models": ("tiny-*", "auto"),
        "priority": 3,
        "weight": 2.0,
        "user_limits": "1 USD",
        "degrade": {"big": "small"},
    }
    key, secret = house.key("acme/research", "alice", **rights)
    found = directory_of(house, Seconds()).find(secret)
    assert found == Principal(key.id, "acme/research/alice", **rights)  # type: ignore[arg-type]
    assert (found.tenant, found.may_use("tiny-1m"), found.may_use("big")) == (
        "acme/research",
        True,
        False,
    )


def test_every_key_that_opens_nothing_gets_the_same_answer(house: House) -> None:
    seconds = Seconds()
    directory = directory_of(house, seconds)
    _, revoked = house.key("acme/research", "revoked")
    _, expired = house.key("acme/research", "expired", expires_at=house.clock.now + 10)
    _, closed = house.key("rival/ops", "closed")
    house.tenants.keys.revoke(OWNER, "acme/research/revoked")
    house.tenants.teams.close(OWNER, "rival")
    house.clock.now += 10
    seconds.now += 1
    unknown = new_key(secrets.token_bytes)
    asked = [None, "", "x", "\ud800é", unknown, unknown[:-1] + "?", revoked, expired, closed]
    assert len({refusal(directory, key) for key in asked}) == 1


def test_a_rotated_key_works_for_its_grace(house: House) -> None:
    seconds = Seconds()
    directory = directory_of(house, seconds)
    key, old = house.key("acme/research", "alice")
    _, new = house.tenants.keys.rotate(OWNER, key.id, grace_s=60)
    seconds.now += 1
    assert directory.find(old) == directory.find(new)
    house.clock.now += 60
    refusal(directory, old)
    _, newest = house.tenants.keys.rotate(OWNER, key.id)
    directory.refresh()
    refusal(directory, new)
    assert directory.find(newest).account == "acme/research/alice"


def test_changes_are_seen_after_a_refresh(house: House) -> None:
    directory = directory_of(house, Seconds())
    key, secret = house.key("acme/research", "alice")
    directory.refresh()
    house.tenants.keys.change(OWNER, key.id, models=("a",), priority=7)
    assert directory.find(secret).priority == 0
    directory.refresh()
    assert directory.find(secret).priority == 7
    house.tenants.keys.revoke(OWNER, key.id)
    directory.refresh()
    refusal(directory, secret)


def test_another_process_sees_a_revocation_within_two_seconds(house: House) -> None:
    directory = KeyDirectory(house.database(), clock=house.clock, poll_s=0.2).start()
    key, secret = house.key("acme/research", "alice")
    time.sleep(0.11)  # a new key is looked for at most ten times a second
    assert directory.find(secret).key_id == key.id
    house.tenants.keys.revoke(OWNER, key.id)
    until = time.monotonic() + 2.0
    while secret in open_to(directory, secret) and time.monotonic() < until:
        time.sleep(0.01)
    assert open_to(directory, secret) == set()
    directory.close()


def test_unknown_keys_cost_a_look_ten_times_a_second_at_most(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = Seconds()
    directory = directory_of(house, seconds)
    looked: list[float] = []
    refresh = directory.refresh
    monkeypatch.setattr(directory, "refresh", lambda: (looked.append(seconds.now), refresh()))
    for _ in range(1000):
        seconds.now += 0.001
        refusal(directory, new_key(secrets.token_bytes))
        refusal(directory, "sk-bursar-mistyped")
    assert 8 <= len(looked) <= 10


def test_known_keys_work_while_the_database_is_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = house.database()
    seconds = Seconds()
    directory = KeyDirectory(database, clock=house.clock, monotonic=seconds)
    _, secret = house.key("acme/research", "alice")
    directory.refresh()
    seconds.now += 10

    def away() -> None:
        raise storage_error("x", OSError("connection refused"))

    monkeypatch.setattr(database, "read", away)
    refusal(directory, new_key(secrets.token_bytes))
    assert directory.find(secret).account == "acme/research/alice"


def test_last_use_is_written_on_closing_and_not_counted_as_a_change(house: House) -> None:
    key, secret = house.key("acme/research", "alice")
    directory = directory_of(house, Seconds())
    house.clock.now += 5
    directory.find(secret)
    assert house.tenants.keys.show(OWNER, key.id).last_used_at is None
    directory.close()
    assert house.tenants.keys.show(OWNER, key.id).last_used_at == house.clock.now
    house.clock.now -= 3  # another worker, with older news
    other = directory_of(house, Seconds())
    other.find(secret)
    other.close()
    assert house.tenants.keys.show(OWNER, key.id).last_used_at == house.clock.now + 3


def test_finding_a_key_is_quick(house: House) -> None:
    directory = directory_of(house, Seconds())
    secrets_of = [house.key("acme/research", f"key-{i}")[1] for i in range(20)]
    directory.refresh()

    def seconds_each() -> float:
        began = time.perf_counter()
        for _ in range(50):
            for secret in secrets_of:
                directory.find(secret)
        return (time.perf_counter() - began) / 1000

    assert min(seconds_each() for _ in range(5)) < 10e-6
