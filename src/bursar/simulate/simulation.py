"""`Simulation`: what came of a trace, by request, over time, and in total."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bursar.simulate.gaps import Gaps
from bursar.simulate.host_link import Transfers
from bursar.simulate.replicas import Replicas
from bursar.simulate.series import Floats, Timeline, timeline
from bursar.usage import Usage
from bursar.workload.traces import Trace

Ints = NDArray[np.int64]
Statistics = dict[str, float | None]


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """Columns have a row per request of `trace`, in its order; times are in seconds.

    `usage` is that of all replicas from second 0 until the last answer: its seconds are that time,
    its dollars the rent of each replica while it was rented, its joules those of steps and of
    idling meanwhile.
    """

    trace: Trace
    replica: Ints
    """Which replica answered it; -1: rejected, it can't fit."""
    admitted_s: Floats
    """When its prefill first began; NaN when rejected, as are the next two."""
    first_token_s: Floats
    finished_s: Floats
    preemptions: Ints
    cached_tokens: Ints
    """How much of its prompt was cached when it was admitted, so that no prefill was needed."""
    moves: Ints
    """How often it went to another replica while it was running."""
    stalled_s: Floats
    """The longest wait for a token after a preemption or a move; 0 without either."""
    busy_seconds: Floats
    """(replicas,) time in steps."""
    timeline: Timeline
    gaps: Gaps
    """The times between tokens, of all requests together."""
    usage: Usage
    transfers: Transfers
    """What went between the devices and their hosts, of all replicas together."""

    @classmethod
    def of(cls, trace: Trace, fleets: Sequence[Replicas]) -> Self:
        """What came of a trace, when all is done; requests are in the order of their arrival.

        The fleets share their outcomes; their replicas are counted from the first fleet on.
        """
        outcomes, replicas = fleets[0].outcomes, [one for fleet in fleets for one in fleet.all]
        finished = np.array(outcomes.finished, dtype=np.float64)
        until = float(np.nanmax(finished)) if np.isfinite(finished).any() else 0.0
        busy = np.array([one.busy_seconds for one in replicas])
        gaps = Gaps()
        for one in replicas:
            gaps.include(one.gaps)
        for fleet in fleets:
            fleet.close(until)
        rented = np.array([span for fleet in fleets for span in fleet.rented])
        lasted = rented[:, 1] - rented[:, 0]
        idle = [fleet.server.times.idle_watts for fleet in fleets for _ in fleet.all]
        rents = [fleet.server.usd_per_second for fleet in fleets for _ in fleet.all]
        powered = None not in idle
        served = np.isfinite(finished)
        usage = Usage(
            tokens_in=float(trace.input_tokens[served].sum()),
            tokens_out=float(trace.output_tokens[served].sum()),
            seconds=until,
            joules=sum(one.busy_joules for one in replicas)
            + float(np.dot(np.array(idle, dtype=np.float64), lasted - busy))
            if powered
            else None,
            usd=None if None in rents else float(np.dot(np.array(rents, dtype=np.float64), lasted)),
            tool_calls=0.0,
        )
        return cls(
            trace=trace,
            replica=np.array(outcomes.replica, dtype=np.int64),
            admitted_s=np.array(outcomes.admitted, dtype=np.float64),
            first_token_s=np.array(outcomes.first_token, dtype=np.float64),
            finished_s=finished,
            preemptions=np.array(outcomes.preemptions, dtype=np.int64),
            cached_tokens=np.array(outcomes.cached, dtype=np.int64),
            moves=np.array(outcomes.moves, dtype=np.int64),
            stalled_s=np.array(outcomes.stalled, dtype=np.float64),
            busy_seconds=busy,
            timeline=timeline([one.series for one in replicas], rented, until, powered=powered),
            gaps=gaps,
            usage=usage,
            transfers=Transfers.total(one.transfers for one in replicas),
        )

    @property
    def served(self) -> NDArray[np.bool_]:
        """(n,) whether a request was answered."""
        return self.replica >= 0

    @property
    def ttft_s(self) -> Floats:
        """(n,) time to the first token."""
        return self.first_token_s - self.trace.arrival_s

    @property
    def e2e_s(self) -> Floats:
        """(n,) time to the last token."""
        return self.finished_s - self.trace.arrival_s

    @property
    def tpot_s(self) -> Floats:
        """(n,) mean time between tokens; NaN for answers of one token."""
        later = np.maximum(self.trace.output_tokens - 1.0, 0.0)
        later[later == 0] = np.nan
        return np.asarray((self.finished_s - self.first_token_s) / later)

    @property
    def prefix_hit_rate(self) -> float:
        """Share of the prompts' tokens that were cached; of requests served."""
        asked = int(self.trace.input_tokens[self.served].sum())
        return float(self.cached_tokens.sum()) / max(asked, 1)

    def attainment(
        self,
        *,
        ttft_s: float | None = None,
        tpot_s: float | None = None,
        stalled_s: float | None = None,
        of: NDArray[np.bool_] | None = None,
    ) -> float:
        """Share of all requests served within all goals (seconds; None is no goal).

        `of` (n,): among these requests only.
        """
        good = self.served
        if ttft_s is not None:
            good = good & (self.ttft_s <= ttft_s)
        if tpot_s is not None:
            good = good & ~(self.tpot_s > tpot_s)  # one token has no time between tokens
        if stalled_s is not None:
            good = good & (self.stalled_s <= stalled_s)
        return float(np.mean(good if of is None else good[of]))

    def summary(self) -> dict[str, Any]:
        """Counts, latencies in seconds (mean, p50, p90, p99; None without a request), usage."""
        return {
            "requests": len(self.trace),
            "completed": int(self.served.sum()),
            "preemptions": int(self.preemptions.sum()),
            "moves": int(self.moves.sum()),
            "prefix_hit_rate": self.prefix_hit_rate,
            **self.latencies(),
            "usage": self.usage.to_dict(),
        }

    def latencies(self, of: NDArray[np.bool_] | None = None) -> dict[str, Statistics]:
        """The three latencies in seconds; `of` (n,): of these requests only."""
        known = {"ttft_s": self.ttft_s, "tpot_s": self.tpot_s, "e2e_s": self.e2e_s}
        return {name: _statistics(x if of is None else x[of]) for name, x in known.items()}


def _statistics(seconds: Floats) -> Statistics:
    known = seconds[np.isfinite(seconds)]
    if not len(known):
        return {"mean": None, "p50": None, "p90": None, "p99": None}
    p50, p90, p99 = (float(x) for x in np.quantile(known, (0.5, 0.9, 0.99)))
    return {"mean": float(np.mean(known)), "p50": p50, "p90": p90, "p99": p99}
