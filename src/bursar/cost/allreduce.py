"""What an allreduce sends, and its seconds over slow links: star, ring and tree.

Every device has one link to a switch, of the same latency and bandwidth. What a link sends goes
through it one message after the other; latency passes beside that. Source: the counting argument
of TPI-LLM (arXiv:2410.00531), section 3.3, with the usual latency-bandwidth model of a link.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log2

from bursar.errors import BadInput


@dataclass(frozen=True, slots=True)
class EdgeLink:
    """`latency_seconds` from one device to another, and how fast bytes enter the link."""

    latency_seconds: float
    bytes_per_second: float

    def __post_init__(self) -> None:
        if not (self.latency_seconds >= 0 and self.bytes_per_second > 0):
            raise BadInput(f"{self}: latency must be 0 or more, bytes_per_second above 0")


def star_seconds(devices: int, message_bytes: float, link: EdgeLink) -> float:
    """All send to one device, which adds up and sends the sum back: 2 latencies.

    Its link takes devices - 1 messages each way, one after the other.
    """
    if devices < 2:
        return 0.0
    return 2 * link.latency_seconds + 2 * (devices - 1) * message_bytes / link.bytes_per_second


def ring_share(devices: int) -> float:
    """What each device of a ring sends, as a share of the message: 2 (n - 1) / n."""
    return 2.0 * (devices - 1) / devices


def ring_seconds(devices: int, message_bytes: float, link: EdgeLink) -> float:
    """Parts of 1 / devices go around twice, adding up and then handing out."""
    if devices < 2:
        return 0.0
    latency = 2 * (devices - 1) * link.latency_seconds
    return latency + ring_share(devices) * message_bytes / link.bytes_per_second


def tree_seconds(devices: int, message_bytes: float, link: EdgeLink) -> float:
    """Whole messages up a binary tree, in each round half of those left, and down again."""
    if devices < 2:
        return 0.0
    hop = link.latency_seconds + message_bytes / link.bytes_per_second
    return 2 * ceil(log2(devices)) * hop


ALLREDUCES: dict[str, Callable[[int, float, EdgeLink], float]] = {
    "star": star_seconds,
    "ring": ring_seconds,
    "tree": tree_seconds,
}
"""Name -> seconds for (devices, bytes of the message, link)."""


def star_beats_ring_from(devices: int, message_bytes: float, bytes_per_second: float) -> float:
    """The latency (seconds) above which the star is faster than the ring; inf for two devices.

    star < ring: (n - 2) latency > (n - 1)^2 / n * message / bandwidth.
    """
    if devices <= 2:
        return float("inf")
    wire = message_bytes / bytes_per_second
    return (devices - 1) ** 2 / (devices * (devices - 2)) * wire
