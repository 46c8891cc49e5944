"""What a handle keeps of a ledger between its transactions, and forgets as others write."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from bursar.ledger.chain import ancestors
from bursar.ledger.transaction import Transaction
from bursar.limits import Scope, key_parts
from bursar.usage import Grains
from bursar.windows import Tally


@dataclass(slots=True)
class Held:
    """A hold: what its entry says, texts as they are stored, and what became of it.

    `state`: "open", "expired" or "closed"; `stored` when the table has its row.
    """

    seq: int
    account: str
    what: str
    bound: Grains
    bound_text: str
    predicted: str | None
    price: str | None
    expires_at: float
    at: int
    worker: str
    state: str
    stored: bool

    @property
    def began(self) -> tuple[int, int]:
        """What says in which window it counts."""
        return self.seq, self.at


@dataclass(slots=True)
class Shelf:
    """What a handle knows of the ledger from its last transaction, when `head` was its end."""

    seq: int = 0
    head: str = ""
    time: float = 0.0
    accounts: dict[str, Scope] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    """Paths of accounts that the table has."""
    holds: dict[int, Held] = field(default_factory=dict)

    def forget(self) -> None:
        """Read everything anew."""
        self.head = ""
        self.accounts, self.stored, self.holds = {}, set(), {}

    def catch_up(self, rows: Transaction, seq: int, head: str) -> None:
        """Forget what others have changed since; everything when it was much, or not after us."""
        if len(self.accounts) + len(self.holds) > MOST_KEPT:
            self.forget()
        if (seq, head) == (self.seq, self.head):
            return
        news = rows.rows(_NEWS, (self.seq, MOST_NEWS + 1)) if self.head else []
        if not news or len(news) > MOST_NEWS or news[0][0] != self.head:
            self.forget()
            self.time = max((row[0] for row in rows.rows(_LAST_TIME, (seq,))), default=0.0)
            return
        for _, account, hold, time in news:
            for path in ancestors(account):
                self.accounts.pop(path, None)
            self.holds.pop(hold, None)
            self.time = time


MOST_KEPT = 100_000
"""Accounts and holds between transactions; when there are more, all are read anew."""
MOST_NEWS = 1000
"""Entries of others."""


def scope_of(path: str, limits: str, spent: str, held: str, windows: str) -> Scope:
    """The account that a row of the table holds."""
    tallies = {}
    for key, stored in json.loads(windows).items():
        resource, window = key_parts(key)
        tallies[key] = Tally.read(resource, window or "", stored)
    return Scope(path, json.loads(limits), json.loads(spent), json.loads(held), tallies)


_NEWS = (
    "SELECT prev_hash, account, hold, time FROM bursar_entries WHERE seq > ? ORDER BY seq LIMIT ?"
)
_LAST_TIME = "SELECT time FROM bursar_entries WHERE seq = ?"
