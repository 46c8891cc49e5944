"""Which instances are worth considering: deployments of a model, without dominated ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bursar.allocate.demand import DOLLARS
from bursar.catalog import Attention, Device, Experts, LatentAttention, ModelSpec
from bursar.cost.calibration import Calibration, shipped
from bursar.cost.deployment import Deployment
from bursar.cost.memory import max_sequences
from bursar.cost.tables import Engine
from bursar.errors import BadInput
from bursar.fleet.capacity import Capacity, Goal, capacity

NODE = 8
"""Devices that share the fast link: tensor parallelism stays within."""
NODES = (1, 2, 4)
"""How many nodes a pipeline may take, the fewest that hold the model."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One kind of instance, and what it carries of each size of request."""

    deployment: Deployment
    usd_per_hour: float
    capacity: Capacity
    market: str = "on-demand"

    @property
    def watts(self) -> float | None:
        """The most that it draws, of all sizes that it carries; None where power is not known."""
        drawn = self.capacity.watts[self.capacity.requests_per_second > 0]
        return None if np.isnan(drawn).any() else float(drawn.max())

    @property
    def uses(self) -> dict[str, float]:
        """What one instance takes of each resource that can be limited; unknown ones left out."""
        watts = {} if self.watts is None else {"watts": self.watts}
        return {DOLLARS: self.usd_per_hour, "gpus": float(self.deployment.devices)} | watts

    @property
    def kind(self) -> tuple[str, str]:
        """Market and device."""
        return self.market, self.deployment.device.name

    @property
    def name(self) -> str:
        """Tells it from all other candidates for the same model."""
        p = self.deployment
        spot = "" if self.market == "on-demand" else f"{self.market} "
        return f"{spot}{p.device.name} tp{p.tp} pp{p.pp} dp{p.dp} {p.dtype} {p.kv_dtype}"


def deployments(
    model: ModelSpec,
    devices: Iterable[Device],
    *,
    dtypes: Sequence[str] = ("bf16", "fp8"),
    most_devices: int = 2 * NODE,
    engine: Engine | None = None,
    calibration: Calibration | None = None,
) -> list[Deployment]:
    """Every sensible way to run `model` on up to `most_devices` of one device.

    Predictions are those of `engine` (None: any), and rest on `calibration` (None: what ships).

    Tensor parallelism divides the heads and stays in a node, pipelines take whole nodes, experts
    may be spread over the data-parallel groups of a node. The cache is kept in the type of the
    weights down to 8 bits. A data type that a device has no arithmetic for is left out: it would
    run, but the saved bytes are spent on unpacking, which no measurement here covers.
    """
    heads = [_heads(b) for b in model.blocks if isinstance(b, Attention | LatentAttention)]
    splits = [tp for tp in (1, 2, 4, 8) if all(h % tp == 0 for h in heads)]
    own, known = engine or Engine(), calibration or shipped()
    found = []
    for device in devices:
        linked = device.link_bytes_per_second is not None
        for dtype in (d for d in dtypes if d in device.peak_flops):
            for tp in splits if linked else [1]:
                for pp, dp in _depths(model, tp, most_devices) if linked else [(1, 1)]:
                    kv = dtype if dtype in ("fp8", "int8") else "bf16"
                    place = Deployment(
                        *(model, device, tp, pp, dp, dtype),
                        kv_dtype=kv,
                        engine=own,
                        calibration=known,
                    )
                    found.append(place)
    return found


def fitting(
    model: ModelSpec,
    device: Device,
    *,
    dtypes: Sequence[str],
    engine: Engine,
    calibration: Calibration,
) -> list[Deployment]:
    """The deployments on a node; in data types that don't fit there, pipelines over more nodes.

    These are priced as if nodes were linked as fast as the devices in one, which little depends on:
    one activation a stage and step crosses.
    """
    found: list[Deployment] = []
    for dtype in dtypes:
        for nodes in NODES:
            places = deployments(
                model,
                (device,),
                dtypes=(dtype,),
                most_devices=nodes * NODE,
                engine=engine,
                calibration=calibration,
            )
            if any(max_sequences(place, 1.0) != 0 for place in places):
                break
        found += places
    return found


def candidates(
    places: Iterable[Deployment],
    tokens_in: ArrayLike,
    tokens_out: ArrayLike,
    goal: Goal,
    *,
    requests_per_second: ArrayLike | None = None,
    may_miss: float = 0.0,
    resources: Sequence[str] = (DOLLARS,),
) -> list[Candidate]:
    """Those of `places` that carry something, without the dominated ones, cheapest first.

    Dominated in `resources`: see `undominated`.

    Sizes for which no place meets the goal are carried without it, as long as they are together at
    most a share `may_miss` of `requests_per_second` (sizes,). Raises `BadInput` for a device
    without a rental price.
    """
    offers = []
    for place in places:
        price = place.device.usd_per_hour
        if price is None:
            raise BadInput(
                f"{place.device.name} has no rental price in the catalogue: leave it out"
            )
        carried = capacity(place, tokens_in, tokens_out, goal)
        offers.append(Candidate(place, price * place.devices, carried))
    if offers and requests_per_second is not None:
        rates = np.stack([c.capacity.requests_per_second for c in offers])
        hopeless = ~np.any(rates > 0, axis=0)
        share = np.asarray(requests_per_second) / np.sum(requests_per_second)
        if hopeless.any() and share[hopeless].sum() <= may_miss:
            offers = [_without_goal(c, hopeless, tokens_in, tokens_out) for c in offers]
    return undominated((c for c in offers if c.capacity.requests_per_second.any()), resources)


def undominated(
    offers: Iterable[Candidate], resources: Sequence[str] = (DOLLARS,)
) -> list[Candidate]:
    """Those of which as many as another's `resources` pay for don't carry as much of every size.

    Leaves out what has an unknown amount of one of them. Without resources, none is dominated.
    """
    if not resources:
        return list(offers)
    front: list[Candidate] = []
    known = (one for one in offers if set(resources) <= set(one.uses))
    for one in sorted(
        known, key=lambda c: (c.uses[resources[0]], -float(c.capacity.requests_per_second.sum()))
    ):
        if not any(_dominates(other, one, resources) for other in front):
            front.append(one)
    return front


def _without_goal(
    one: Candidate, which: NDArray[np.bool_], tokens_in: ArrayLike, tokens_out: ArrayLike
) -> Candidate:
    free = capacity(one.deployment, tokens_in, tokens_out, Goal()).requests_per_second
    rate = np.where(which, free, one.capacity.requests_per_second)
    return replace(one, capacity=replace(one.capacity, requests_per_second=rate))


def loads(found: Sequence[Candidate], requests_per_second: ArrayLike) -> NDArray[np.float64]:
    """(sizes, candidates): how many instances the given rates would fill; inf where none can."""
    rate = np.asarray(requests_per_second, dtype=np.float64)[:, None]
    most = np.stack([c.capacity.requests_per_second for c in found], axis=1)
    return np.asarray(np.divide(rate, most, out=np.full(most.shape, np.inf), where=most > 0))


def _dominates(other: Candidate, one: Candidate, resources: Sequence[str]) -> bool:
    """As many of `other` as the resources of one of `one` allow carry as much of everything."""
    copies = min(int(one.uses[name] / other.uses[name] + 1e-9) for name in resources)
    most = other.capacity.requests_per_second
    return copies >= 1 and bool(np.all(copies * most >= one.capacity.requests_per_second))


def _heads(block: Attention | LatentAttention) -> int:
    return block.query_heads if isinstance(block, Attention) else block.heads


def _depths(model: ModelSpec, tp: int, most_devices: int) -> list[tuple[int, int]]:
    """(pp, dp) beside `tp`: whole nodes in a pipeline, data parallelism for experts in a node."""
    depths = [(1, 1)]
    if tp == NODE:
        depths += [(pp, 1) for pp in (2, 4) if tp * pp <= most_devices and pp <= model.layers]
    if any(isinstance(b, Experts) for b in model.blocks):
        depths += [(1, dp) for dp in (2, 4, 8) if tp * dp <= min(NODE, most_devices)]
    return depths
