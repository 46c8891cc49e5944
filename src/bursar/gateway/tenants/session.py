"""Sessions of the dashboard: a key is presented once, from then on a signed cookie stands for it.

The cookie holds the key's digest, which opens nothing by itself, and is good only as long as the
key is, for an hour at most. Whoever changes something with a cookie must also send the session's
CSRF token, which other sites can't read. State is in the cookie: any worker takes it.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bursar.errors import BadInput
from bursar.gateway.errors import Refused
from bursar.gateway.principal import Denied, Directory, Principal
from bursar.gateway.tenants.secret_keys import digest

CSRF_HEADER = "x-csrf-token"
_PER_MINUTE = 10
_ALL_PER_MINUTE = 200


class Opens(Directory, Protocol):
    """A directory that also knows keys by their digest."""

    def opened_by(self, asked: str) -> Principal:
        """Whoever holds the key with this digest. Raises `Denied`."""
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """Who is logged in, the token that changes must carry, and until when (epoch seconds)."""

    principal: Principal
    csrf: str
    ends_at: float


class Sessions:
    """Logs in, recognises and logs out. `secret` is the gateway's own, the same in every worker."""

    def __init__(
        self,
        directory: Opens,
        secret: bytes,
        *,
        ttl_s: float = 3600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if len(secret) < 16:
            raise BadInput("the gateway's secret must have at least 16 bytes of random text")
        self._directory, self._secret, self._ttl, self._clock = directory, secret, ttl_s, clock
        self._tried: dict[str, int] = {}
        self._minute = 0

    def login(self, key: str, client: str, *, https: bool) -> tuple[Session, str]:
        """The session of a key, and the `set-cookie` header that begins it.

        `client` is the address that asks. Raises `Denied`, and `Refused` (429) when it asks often.
        """
        self._count(client)
        principal = self._directory.find(key)
        ends_at = int(self._clock() + self._ttl)
        said = f"{digest(key)}.{ends_at}"
        value = f"{said}.{self._mac('session', said)}"
        return (
            Session(principal, self._mac("csrf", value), ends_at),
            f"{_name(https)}={value}; Max-Age={int(self._ttl)}{_attributes(https)}",
        )

    def logout(self, *, https: bool) -> str:
        """The `set-cookie` header that ends a session."""
        return f"{_name(https)}=; Max-Age=0{_attributes(https)}"

    def of(self, cookies: Mapping[str, str], *, https: bool) -> Session:
        """The session that cookies carry. Raises `Denied` (401) where they carry none."""
        value = cookies.get(_name(https), "")
        said, _, mac = value.rpartition(".")
        asked, _, ends_at = said.partition(".")
        signed = hmac.compare_digest(mac.encode(), self._mac("session", said).encode())
        if not signed or self._clock() >= int(ends_at):
            raise Denied("no one is logged in, or no more; log in with a key")
        principal = self._directory.opened_by(asked)
        return Session(principal, self._mac("csrf", value), float(ends_at))

    def check(self, session: Session, token: str | None) -> None:
        """Raises `Denied` (403) unless a change carries the session's CSRF token."""
        if not hmac.compare_digest((token or "").encode(), session.csrf.encode()):
            raise Denied(
                f"a change in a session needs its token in the header {CSRF_HEADER}", status=403
            )

    def _count(self, client: str) -> None:
        now = self._clock()
        if int(now // 60) != self._minute:
            self._minute, self._tried = int(now // 60), {}
        tried = self._tried.get(client, 0)
        if tried >= _PER_MINUTE or sum(self._tried.values()) >= _ALL_PER_MINUTE:
            raise Refused(
                f"more than {_PER_MINUTE} logins in a minute; wait, then try again",
                status=429,
                code="rate_limited",
                retry_after_s=60.0 - now % 60.0,
            )
        self._tried[client] = tried + 1

    def _mac(self, purpose: str, text: str) -> str:
        signed = f"bursar {purpose} {text}".encode("utf-8", "replace")
        return hmac.new(self._secret, signed, hashlib.sha256).hexdigest()


def _name(https: bool) -> str:
    return "__Host-bursar" if https else "bursar"


def _attributes(https: bool) -> str:
    return "; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if https else "")
