"""Preemption by swap, for any batching policy: caches wait in the host's memory."""

from dataclasses import dataclass, field

from bursar.policies.batching.base import BatchPolicy, BatchState, Decision
from bursar.policies.batching.sarathi import SarathiServe
from bursar.price import Price


@dataclass(frozen=True, slots=True)
class BySwap:
    """Whom `policy` preempts is swapped, but who has fewer than `least_tokens` is computed again.

    Short contexts may be quicker to compute again than to copy twice.
    """

    policy: BatchPolicy = field(default_factory=SarathiServe)
    least_tokens: int = 0

    def decide(self, state: BatchState, now: float, price: Price) -> Decision:
        """See `BatchPolicy.decide`."""
        decision = self.policy.decide(state, now, price)
        if not decision.preempt:
            return decision
        long = [job.prompt + state.generated(job) >= self.least_tokens for job in decision.preempt]
        pairs = list(zip(decision.preempt, long, strict=True))
        return decision._replace(
            preempt=tuple(job for job, swapped in pairs if not swapped),
            swap=decision.swap + tuple(job for job, swapped in pairs if swapped),
        )
