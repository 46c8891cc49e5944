"""What the ledger's tests share: a clock that is told the time, a usual call, a filled ledger."""

from bursar.ledger import Ledger
from bursar.usage import Usage

CALL = Usage(usd=0.018, tokens_in=5, tokens_out=5)


class Clock:
    """A clock that is told the time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def filled(place: str, clock: Clock) -> str:
    """A ledger with entries of every kind, open and expired holds; returns its head."""
    with Ledger(place, clock=clock, ttl_s=60) as ledger:
        job = ledger.budget("team/job", "1 USD")
        holds = job.reserve_many([CALL] * 4, "a", predicted=CALL, price={"usd": 1.0})
        holds[0].settle(CALL)
        holds[1].release()
        clock.now += 100
        ledger.recover()
        holds[2].settle(CALL)
        job.reserve(CALL)
        assert {e.kind for e in ledger.entries()} == {
            "limit",
            "hold",
            "spend",
            "release",
            "expired",
            "correction",
        }
        return ledger.verify().head
