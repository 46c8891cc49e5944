"""Who asks. A key belongs to a team of an organisation, and each of the three has an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Protocol
from urllib.parse import quote

from bursar.errors import BursarError

_MOST_NAME = 120


class Denied(BursarError):
    """A key that is missing, unknown, expired, revoked, or may not do what it asked.

    `status` is 401 where the key itself is at fault, 403 where its rights are, 404 where what it
    asked for is not there or not for it to know of.
    """

    def __init__(self, message: str, *, status: int = 401) -> None:
        self.status = status
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever a key stands for.

    `account` is a path of the ledger, "organisation/team/key". `models` are patterns such as
    "gpt-4o*"; what matches none of them is refused. `role` is "member" (may ask models), "viewer"
    (may also look at its team), "admin" (of its organisation) or "owner" (of the gateway).
    """

    key_id: str
    account: str
    role: str = "member"
    models: tuple[str, ...] = ("*",)
    priority: int = 0
    """Higher goes first where requests queue."""
    weight: float = 1.0
    """The tenant's share of a saturated upstream, relative to others'."""
    user_limits: str = ""
    """Limits of each end user below the key, such as "1 USD per day"; empty: none."""
    degrade: Mapping[str, str] = field(default_factory=dict)
    """Model asked -> model to use instead once the account is near a limit."""

    @property
    def tenant(self) -> str:
        """The team's account: between these, and not between keys, capacity is shared fairly."""
        return self.account.rpartition("/")[0] or self.account

    def may_use(self, model: str) -> bool:
        """Whether the key is scoped to `model`."""
        return any(fnmatchcase(model, pattern) for pattern in self.models)

    def account_of(self, user: str | None) -> str:
        """The account to charge: the key's own, or its end user's. Any text is a user's name."""
        if not user or not (name := quote(user.strip(), safe=" @.+-_")):
            return self.account
        if len(name) > _MOST_NAME:  # two long names that begin alike are two users
            name = f"{name[: _MOST_NAME - 17]}~{sha256(name.encode()).hexdigest()[:16]}"
        return f"{self.account}/{name}"


class Directory(Protocol):
    """Knows the keys. Asked for every request, so it answers from memory."""

    def find(self, presented: str | None) -> Principal:
        """Whoever presented this key ("Bearer" taken off). Raises `Denied`."""
        ...


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """A directory for one person's own machine: everyone is the same principal, no key needed."""

    principal: Principal = Principal("local", "local/everyone/local", role="owner")

    def find(self, presented: str | None) -> Principal:
        return self.principal

    def opened_by(self, asked: str) -> Principal:
        """Everyone's session is the same principal's, too."""
        return self.principal
