"""Splitwise: prompts on one pool of instances and answers on another, searched within limits.

Paper: Pratyush Patel, Esha Choukse, Chaojie Zhang, Aashaka Shah, Íñigo Goiri, Saeed Maleki, Ricardo
    Bianchini, "Splitwise: Efficient Generative LLM Inference Using Phase Splitting", 2023,
    arXiv:2311.18677; section 4 (two pools, possibly of different machines), section 5 (search for
    the cluster by cost, power and goals). The search also serves DistServe, section 4.1.
Symbols: prompt pool -> prefill; token pool -> decode; machines -> counts.
Differs: the mixed pool that takes over in bursts is left out; splits whose pools can't carry more
    than the best one found, by bounds of the steady state, are not simulated.
Checked: tests/papers/test_splitwise.py: at equal dollars and datasheet power 1.4 times the rate of
    any colocated mix where the first token must come within 1.05 times an idle H100's time, and
    nothing of that over a slow link; at twice that time less than the colocated; the search finds
    what trying all splits of 4 GPUs finds.
Seed: 17
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bursar.allocate.demand import DOLLARS
from bursar.cost import Deployment
from bursar.cost.request import decode_steps
from bursar.cost.step import step_arrays
from bursar.errors import Infeasible
from bursar.fleet.capacity import BATCHES, Goal
from bursar.policies.batching import PrefillFirst, SarathiServe
from bursar.simulate import Pool, Simulation, link_of, server_of, simulate_split
from bursar.workload.traces import Trace

TOLERANCE = 1.05
"""Rates are searched to within this factor."""
PREFILL_TOKENS = 2048
"""Most tokens of prompts that an instance of the first pool runs in a step."""

ENDING = 1.25
"""Traffic that ends may leave work behind, and some may miss the goal, so that a rate can be this
much over its bound."""


@dataclass(frozen=True, slots=True)
class Split:
    """So many instances for prompts, so many for answers, and each sender's link."""

    prefill: Deployment
    prefills: int
    decode: Deployment
    decodes: int
    link_bytes_per_second: float

    def uses(self) -> dict[str, float]:
        """Dollars an hour, watts by the datasheet and GPUs of both pools."""
        pools = ((self.prefill, self.prefills), (self.decode, self.decodes))
        gpus = [(place.device, place.devices * count) for place, count in pools]
        return {
            DOLLARS: sum(count * (device.usd_per_hour or np.inf) for device, count in gpus),
            "watts": sum(count * (device.tdp_watts or np.inf) for device, count in gpus),
            "gpus": float(sum(count for _, count in gpus)),
        }

    def simulated(self, trace: Trace) -> Simulation:
        """What it does with a trace; caches are sent as the instances for prompts keep them."""
        first = Pool(
            server_of(self.prefill), PrefillFirst(max_tokens=PREFILL_TOKENS), self.prefills
        )
        second = Pool(server_of(self.decode), SarathiServe(), self.decodes)
        link = link_of(self.prefill, self.link_bytes_per_second)
        return simulate_split(trace, first, second, link)

    def most_requests_per_second(self, lengths: Trace, goal: Goal) -> float:
        """No more for ever: what its prompts, caches and answers take at the very least."""
        prompts, outs = (
            x.astype(np.float64) for x in (lengths.input_tokens, lengths.output_tokens)
        )
        mean_in, mean_out = float(np.mean(prompts)), float(np.mean(outs))
        first = float(np.mean(_prefill_seconds(self.prefill, prompts)))
        sent = float(
            np.mean(link_of(self.prefill, 1.0).cache_bytes(prompts)) / self.link_bytes_per_second
        )
        decode = decode_steps(self.decode, 1.0, 2.0, BATCHES, mean_in + mean_out / 2).seconds
        per_token = decode / BATCHES
        in_time = decode <= (np.inf if goal.tpot_s is None else goal.tpot_s)
        if not in_time.any():
            return 0.0
        beyond = min(int(np.flatnonzero(in_time)[-1]) + 1, len(BATCHES) - 1)  # between the two
        later = max(mean_out - 1, 1e-9) * float(per_token[: beyond + 1].min())
        return min(self.prefills / max(first, sent), self.decodes / later)


def splits(
    places: Sequence[Deployment], limits: Mapping[str, float], link_bytes_per_second: float
) -> Iterator[Split]:
    """Every split over these instances that uses up `limits`: no pool could have one more."""
    for prefill in places:
        for decode in places:
            for prefills in range(1, _most(prefill, limits)):
                for decodes in range(_most(decode, limits), 0, -1):
                    one = Split(prefill, prefills, decode, decodes, link_bytes_per_second)
                    if all(one.uses()[name] <= limit for name, limit in limits.items()):
                        yield one
                        break


def goodput(
    serve: Callable[[Trace], Simulation],
    traffic: Callable[[float], Trace],
    goal: Goal,
    share: float,
    *,
    low: float = 0.05,
    high: float = 1000.0,
) -> float:
    """The highest rate, requests a second, at which a `share` meets the goal; `low` if none."""
    while high > TOLERANCE * low:
        rate = (low * high) ** 0.5
        met = serve(traffic(rate)).attainment(ttft_s=goal.ttft_s, tpot_s=goal.tpot_s)
        low, high = (rate, high) if met >= share else (low, rate)
    return low


def best_split(
    offers: Sequence[Split], traffic: Callable[[float], Trace], goal: Goal, share: float = 0.9
) -> tuple[Split, float, int]:
    """The split with the highest rate within the goal, that rate, and how many were simulated.

    In order of their bounds, so that the first whose bound is no better ends the search.
    Raises `Infeasible` when there is nothing to choose from.
    """
    lengths = traffic(1.0)
    bounds = [one.most_requests_per_second(lengths, goal) for one in offers]
    best, most, looked = None, 0.0, 0
    for index in np.argsort(bounds, kind="stable")[::-1]:
        if ENDING * bounds[index] <= most:
            break
        looked += 1
        one = offers[index]
        first = one.simulated(traffic(TOLERANCE * most)) if most else None
        if first is not None and first.attainment(ttft_s=goal.ttft_s, tpot_s=goal.tpot_s) < share:
            continue  # not even a little better than the best
        rate = goodput(one.simulated, traffic, goal, share, low=max(most, 0.05))
        if best is None or rate > most:
            best, most = one, rate
    if best is None:
        raise Infeasible("no split fits the budget: two instances are the fewest; raise it")
    return best, most, looked


def _prefill_seconds(place: Deployment, prompts: np.ndarray) -> np.ndarray:
    """Of each prompt's part of a step that is filled with prompts like it."""
    together = np.maximum(PREFILL_TOKENS / prompts, 1.0)
    steps = step_arrays(place, prompts[:, None], 0.0, together[:, None])
    return np.asarray(steps.seconds / together)


def _most(place: Deployment, limits: Mapping[str, float]) -> int:
    """How many instances of one kind the limits allow."""
    one = Split(place, 1, place, 0, 1.0).uses()
    return int(min(limit / one[name] for name, limit in limits.items()) + 1e-9)
