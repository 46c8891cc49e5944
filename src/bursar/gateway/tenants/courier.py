"""Sends what webhooks are to be told. Addresses come from tenants, so they are not trusted.

Only public addresses are connected to: the name is resolved here, each address is checked, and the
connection goes to a checked one. No redirect is followed, no proxy of the environment is used, and
of the answer only the status is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import Callable

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from bursar.gateway.tenants.webhooks import Delivery, Webhooks

_LOG = logging.getLogger(__name__)
_AT_ONCE = 20
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotPublic(OSError):
    """An address that a webhook may not reach."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, and does not wrap one that is not."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip in _NAT64 or ip.sixtofour is not None or ip.teredo is not None:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


class PublicResolver(AbstractResolver):
    """Resolves names through `inner` and gives only public addresses; those in `allowed` too."""

    def __init__(self, inner: AbstractResolver, allowed: frozenset[str] = frozenset()) -> None:
        self._inner, self._allowed = inner, allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for one in found:
            if host not in self._allowed and not is_public(one["host"]):
                raise NotPublic(f"{host} is at {one['host']}, which is not a public address")
        return found

    async def close(self) -> None:
        await self._inner.close()


class Courier:
    """Makes deliveries on the event loop. `allowed` hosts (names or addresses, from the operator's
    configuration) may be private."""

    def __init__(
        self,
        webhooks: Webhooks,
        *,
        allowed: frozenset[str] = frozenset(),
        timeout_s: float = 10.0,
        resolver: Callable[[], AbstractResolver] = aiohttp.ThreadedResolver,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._webhooks, self._allowed, self._clock = webhooks, allowed, clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._resolver = resolver

    async def deliver(self) -> int:
        """Make the deliveries that are due; how many were tried. Raises `BadInput`."""
        claimed = await asyncio.to_thread(self._webhooks.claim, _AT_ONCE)
        if claimed:
            resolver = PublicResolver(self._resolver(), self._allowed)
            connector = aiohttp.TCPConnector(
                resolver=resolver, use_dns_cache=False, force_close=True
            )
            async with aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, trust_env=False
            ) as session:
                await asyncio.gather(*(self._send(session, one) for one in claimed))
            await resolver.close()  # whoever hands one to a connector closes it
        return len(claimed)

    async def _send(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        try:
            delivered, said = await self._post(session, delivery)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            delivered, said = False, f"{type(error).__name__}: {error.__cause__ or error}"
        await asyncio.to_thread(self._webhooks.done, delivery, delivered, said)
        if not delivered:
            _LOG.warning("webhook %s was not told: %s", delivery.webhook, said)

    async def _post(self, session: aiohttp.ClientSession, delivery: Delivery) -> tuple[bool, str]:
        host = URL(delivery.url).host or ""
        if _is_address(host) and host not in self._allowed and not is_public(host):
            raise NotPublic(f"{host} is not a public address")  # the resolver is not asked for it
        headers = {
            "content-type": "application/json",
            "user-agent": "bursar-webhooks",
            "bursar-signature": self._webhooks.signature(delivery, int(self._clock())),
        }
        async with session.post(
            delivery.url, data=delivery.body.encode(), headers=headers, allow_redirects=False
        ) as response:
            return 200 <= response.status < 300, f"status {response.status}"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
