"""`KeyDirectory`: whoever presented a key, answered from memory, kept current with the database.

All live keys are in memory, so that an unknown key costs a look-up and nothing else, however many
are sent. What any process changes is read within `poll_s`; a key made elsewhere a moment ago is
found sooner: an unknown key with a right checksum makes it look, at most ten times a second.
"""

from __future__ import annotations

import hmac
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import bindparam, or_, select, update

from bursar.errors import BursarError
from bursar.gateway.principal import Denied, Principal
from bursar.gateway.tenants.database import Database
from bursar.gateway.tenants.schema import CHANGES, KEYS
from bursar.gateway.tenants.secret_keys import digest, well_formed

_LOG = logging.getLogger(__name__)
_NEVER = float("inf")
_NOBODY = ("0" * 64, 0.0, None)
_LOOK_AGAIN_S = 0.1
_NOTE_EVERY_S = 60.0

_Known = tuple[str, float, Principal | None]
"""A digest, when it stops to open anything (epoch seconds), and what it opens."""


class KeyDirectory:
    """A `Directory` over the keys in `database`; `start` keeps it current.

    `clock` gives epoch seconds, `monotonic` any seconds that never go back.
    """

    def __init__(
        self,
        database: Database,
        *,
        poll_s: float = 1.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._poll = database, poll_s
        self._clock, self._monotonic = clock, monotonic
        self._known: dict[str, _Known] = {}
        self._of_key: dict[str, tuple[str, ...]] = {}
        self._used: dict[str, float] = {}
        self._seen = -1
        self._looked_at = self._noted_at = monotonic()
        self._refreshing, self._ending = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="bursar-keys", daemon=True)
        self.refresh()

    def start(self) -> KeyDirectory:
        """From now on, see what other processes change."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop, and write down when keys were last used."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        self._try(self._note_used)

    def find(self, presented: str | None) -> Principal:
        """Whoever presented this key; the same `Denied` for every key that opens nothing."""
        key = presented or ""
        asked = digest(key)
        if asked not in self._known and well_formed(key) and self._may_look():
            self._try(self.refresh)
        return self.opened_by(asked)

    def opened_by(self, asked: str) -> Principal:
        """As `find`, by a key's digest: for whoever presented the key before (a session)."""
        opens, until, principal = self._known.get(asked) or _NOBODY
        now = self._clock()
        if not hmac.compare_digest(opens, asked) or principal is None or now >= until:
            raise Denied(
                "this key opens nothing here: it is missing, unknown, expired or revoked; "
                "send a valid one as 'Authorization: Bearer sk-bursar-...'"
            )
        self._used[principal.key_id] = now
        return principal

    def refresh(self) -> None:
        """Read the keys that changed since the last time. Raises `BadInput` when they can't be."""
        with self._refreshing:
            self._looked_at = self._monotonic()
            with self._database.read() as connection:
                count: int = connection.execute(select(CHANGES.c.count)).scalar_one()
                if count == self._seen:
                    return
                query = select(KEYS).where(KEYS.c.changed > self._seen)
                rows = [dict(row) for row in connection.execute(query).mappings()]
            for row in rows:
                for gone in self._of_key.pop(row["id"], ()):
                    self._known.pop(gone, None)
                if row["revoked_at"] is None:
                    self._learn(row)
            self._seen = count

    def _learn(self, row: dict[str, Any]) -> None:
        principal = principal_of(row)
        until = _NEVER if row["expires_at"] is None else row["expires_at"]
        opens: list[_Known] = [(row["digest"], until, principal)]
        if row["old_digest"] is not None:
            opens.append((row["old_digest"], min(until, row["old_until"]), principal))
        self._of_key[principal.key_id] = tuple(known[0] for known in opens)
        self._known.update({known[0]: known for known in opens})

    def _may_look(self) -> bool:
        return self._monotonic() - self._looked_at >= _LOOK_AGAIN_S

    def _keep(self) -> None:
        while not self._ending.wait(self._poll):
            self._try(self.refresh)
            if self._monotonic() - self._noted_at >= _NOTE_EVERY_S:
                self._try(self._note_used)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BursarError as error:  # the database is away: what is known stays known
            _LOG.warning(
                "keys are as of %.0f s ago: %s", self._monotonic() - self._looked_at, error
            )

    def _note_used(self) -> None:
        """Write when keys were last used: coarse, and never earlier than what is there."""
        used, self._used = self._used, {}
        self._noted_at = self._monotonic()
        if used:
            rows = [{"k": key, "t": at} for key, at in list(used.items())]
            with self._database.write() as connection:
                connection.execute(_NOTE, rows)


def principal_of(row: dict[str, Any]) -> Principal:
    """Whom a row of `KEYS` stands for."""
    return Principal(
        key_id=row["id"],
        account=f"{row['organisation']}/{row['team']}/{row['name']}",
        role=row["role"],
        models=tuple(json.loads(row["models"])),
        priority=row["priority"],
        weight=row["weight"],
        user_limits=row["user_limits"],
        degrade=json.loads(row["degrade"]),
    )


_NOTE = (
    update(KEYS)
    .where(
        KEYS.c.id == bindparam("k"),
        or_(KEYS.c.last_used_at.is_(None), KEYS.c.last_used_at < bindparam("t")),
    )
    .values(last_used_at=bindparam("t"))
)
