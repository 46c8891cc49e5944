"""The journal's entries: each holds the hash of the one before, so no edit goes unseen.

Whoever can rewrite the whole file can also rewrite every hash. Against that, keep `Ledger.head`
somewhere else and hand it to `Ledger.verify`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bursar.errors import Unbounded
from bursar.ledger.schema import GENESIS, VERSION
from bursar.limits import Scope
from bursar.usage import Grains, Usage, usage_of
from bursar.windows import micros

SPENDS = ("spend", "expired", "correction")
"""Kinds of entry that change what was spent; the others are "limit", "hold" and "release"."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the journal. Amounts are in whole grains, as they are stored and summed.

    `kind`: "limit" (the limits are in `bound`), "hold" (the upper bound is), "spend", "release",
    "expired" (a hold nobody settled, charged at its bound) or "correction" (what a late settle
    adds to an expired one, or takes from it). `hold` is the `seq` of the entry that began it.
    """

    seq: int
    kind: str
    account: str
    hold: int | None
    what: str
    bound: Grains | None
    predicted: Grains | None
    measured: Grains | None
    estimated: tuple[str, ...]
    price: Mapping[str, float] | None
    expires_at: float | None
    environment: str
    time: float
    prev_hash: str
    hash: str
    worker: str = ""

    @property
    def usage(self) -> Usage:
        """What the entry adds to the spend; zero for those that spend nothing."""
        return usage_of(self.measured or {})


def dump(value: Mapping[str, Any] | None) -> str | None:
    """The one way in which amounts are written."""
    return None if value is None else _AMOUNTS.encode(value)


def seal(row: Mapping[str, Any]) -> str:
    """The hash of an entry's row: all of its columns, `prev_hash` included, but for the hash.

    No worker is no column, so that entries from before there were workers keep their hashes.
    """
    return seal_columns([row[column] for column in _SEALED], row["worker"])


def seal_columns(columns: Sequence[Any], worker: str) -> str:
    """The same of the columns up to `prev_hash`, in their order."""
    body = [*columns, worker] if worker else columns
    return hashlib.sha256(_BODY.encode(body).encode()).hexdigest()


_AMOUNTS = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_BODY = json.JSONEncoder(separators=(",", ":"), default=repr)
_SEALED = (
    "seq",
    "kind",
    "account",
    "hold",
    "what",
    "bound",
    "predicted",
    "measured",
    "estimated",
    "price",
    "expires_at",
    "environment",
    "time",
    "prev_hash",
)


def entry_of(row: Mapping[str, Any]) -> Entry:
    """The entry that a row of the table holds."""
    amounts = {
        k: row[k] and json.loads(row[k]) for k in ("bound", "predicted", "measured", "price")
    }
    estimated = tuple(filter(None, row["estimated"].split(",")))
    return Entry(**{**row, **amounts, "estimated": estimated})


@lru_cache(maxsize=4096)
def ancestors(path: str) -> tuple[str, ...]:
    """``"a/b/c"`` -> ``("a", "a/b", "a/b/c")``: everyone who is charged, outermost first."""
    parts = path.split("/")
    return tuple("/".join(parts[: i + 1]) for i in range(len(parts)))


@dataclass
class Replay:
    """What the journal says accounts and holds should be, and what is wrong with the journal."""

    accounts: dict[str, Scope] = field(default_factory=dict)
    holds: dict[int, tuple[Entry, str]] = field(default_factory=dict)
    """id -> (the entry that began it, "open" or "expired")"""
    problems: list[str] = field(default_factory=list)
    count: int = 0
    head: str = GENESIS
    hashes: set[str] = field(default_factory=lambda: {GENESIS})

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Replay:
        """Replay rows in order of `seq`, checking hashes, order, and each limit at each hold."""
        replay = cls()
        for row in rows:
            replay._link(row)
        return replay

    def _link(self, row: Mapping[str, Any]) -> None:
        seq = row["seq"]
        if seq != self.count + 1:
            gap = f"{self.count + 1}" + (f" to {seq - 1}" if seq > self.count + 2 else "")
            self.problems.append(f"entry {gap} is missing")
        elif row["prev_hash"] != self.head and seal(row) == row["hash"]:
            self.problems.append(f"entry {seq} does not follow entry {seq - 1}: one was replaced")
        if seal(row) != row["hash"]:
            self.problems.append(f"entry {seq} was edited")
        self.count, self.head = seq, row["hash"]
        self.hashes.add(self.head)
        try:
            self._apply(entry_of(row))
        except (ValueError, KeyError, TypeError, AttributeError, Unbounded) as error:
            self.problems.append(f"entry {seq} can't be replayed: {error}")

    def _apply(self, entry: Entry) -> None:
        scopes = [self.accounts.setdefault(p, Scope(p)) for p in ancestors(entry.account)]
        for scope in scopes:
            scope.advance(micros(entry.time))
        if entry.kind == "limit":
            scopes[-1].set_limits(entry.bound or {}, entry.seq)
        elif entry.kind == "hold":
            bound = entry.bound or {}
            for scope in scopes:
                if scope.fitting(bound) == 0:
                    self.problems.append(f"entry {entry.seq} holds more than {scope.path} had left")
                scope.hold(bound, began_of(entry))
            self.holds[entry.seq] = entry, "open"
        else:
            began, state = self.holds.pop(entry.hold or 0)
            if entry.kind == "expired":
                self.holds[began.seq] = began, "expired"
            for scope in scopes:
                scope.spend(entry.measured or {}, began_of(began))
                if state == "open":
                    scope.hold(began.bound or {}, began_of(began), -1)


def began_of(entry: Entry) -> tuple[int, int]:
    """What says in which window a hold counts: the entry that began it, and its time."""
    return entry.seq, micros(entry.time)


def windows_text(scope: Scope) -> str:
    """The tallies of an account's windows, as they are stored."""
    return dump({key: tally.stored() for key, tally in scope.windows.items()}) or ""


def differences(
    replay: Replay,
    accounts: Mapping[str, tuple[str, str, str, str]],
    holds: Mapping[int, Mapping[str, Any]],
    heads: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """Where the tables derived from the journal do not agree with it, row by row."""
    said = [(row["id"], row["version"], row["count"], row["head"]) for row in heads]
    if len(said) == 1 and isinstance(said[0][2], int) and said[0][2] > replay.count:
        gone = f"entries {replay.count + 1} to {said[0][2]}"
        yield f"{gone} were removed from the end, or the head row was edited"
    elif said != [(1, VERSION, replay.count, replay.head)]:
        yield f"the head row was edited, or entry {replay.count} was: they do not agree"
    for path in sorted(replay.accounts.keys() | accounts.keys()):
        if path not in accounts:
            yield f"account {path} is missing"
        elif path not in replay.accounts:
            yield f"account {path} has no entry"
        else:
            scope = replay.accounts[path]
            rows = zip(
                ("limits", "spent", "held", "windows"),
                accounts[path],
                (dump(scope.limits), dump(scope.spent), dump(scope.held), windows_text(scope)),
                strict=True,
            )
            for name, is_, due in rows:
                if is_ != due:
                    yield f"account {path} was edited: {name} is {is_}, entries say {due}"
    for number in sorted(replay.holds.keys() | holds.keys()):
        if number not in holds:
            yield f"hold {number} is missing"
        elif number not in replay.holds:
            yield f"hold {number} has no entry"
        else:
            began, state = replay.holds[number]
            row = holds[number]
            due_row = (began.account, dump(began.bound), began.expires_at, state, began.worker)
            if (
                *(row[c] for c in ("account", "bound", "expires_at", "state", "worker")),
            ) != due_row:
                yield f"hold {number} was edited"
