"""A layer on a device whose blocks of work run in waves, and two splits of its tokens woven.

A matrix product is cut into tiles, and as many run at once as there are units; the last wave takes
as long as a full one. So the time is in steps, and two halves may take more waves than the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import NamedTuple, Protocol

from bursar.catalog import Attention, Mlp
from bursar.cost import Deployment
from bursar.cost.allreduce import ring_share
from bursar.cost.shared_device import Operation, SharedDevice, shared_device
from bursar.cost.work import ACTIVATION_BYTES
from bursar.errors import BadInput


class Product(NamedTuple):
    """A matrix of a layer as one device holds it: tokens x `inner` times `inner` x `width`."""

    inner: int
    width: int


@dataclass(frozen=True, slots=True)
class WaveDevice:
    """One of a deployment's devices: `units` run one tile each; collectives hold `link_units`.

    `tile_tokens` x `tile_width` numbers of the result are a tile. Raises `BadInput` for limits
    that leave no unit to compute.
    """

    deployment: Deployment
    units: int = 132
    link_units: int = 8
    tile_tokens: int = 128
    tile_width: int = 128

    def __post_init__(self) -> None:
        if not 0 < self.link_units < self.units:
            raise BadInput(f"link_units = {self.link_units}; must be from 1 to {self.units - 1}")
        if min(self.tile_tokens, self.tile_width) < 1:
            raise BadInput(
                f"tiles of {self.tile_tokens} x {self.tile_width}; must be 1 x 1 or more"
            )

    @property
    def rates(self) -> SharedDevice:
        """The device without waves; few units are enough for its link."""
        device = shared_device(self.deployment)
        return replace(device, link_units=self.link_units / self.units)

    def products(self) -> tuple[list[Product], list[Product]]:
        """The matrices of a layer, up to its first collective and after it."""
        place, hidden = self.deployment, self.deployment.model.hidden
        tp = place.tp
        mixers = [x for x in place.model.blocks if isinstance(x, Attention)]
        dense = [x for x in place.model.blocks if isinstance(x, Mlp)]
        if len(mixers) != 1 or len(dense) != 1:
            raise BadInput(f"{place.model.name} has layers of several kinds; choose a dense model")
        mixer, mlp = mixers[0], dense[0]
        queries = mixer.query_heads * mixer.key_dim
        return (
            [
                Product(hidden, ceil((queries + mixer.kv_elements) / tp)),
                Product(mixer.query_heads * mixer.value_dim // tp, hidden),
            ],
            [
                Product(hidden, ceil((2 if mlp.gated else 1) * mlp.inner / tp)),
                Product(mlp.inner // tp, hidden),
            ],
        )

    def waves(self, product: Product, tokens: int, units: int) -> int:
        """How often all of so many units run a tile."""
        tiles = ceil(tokens / self.tile_tokens) * ceil(product.width / self.tile_width)
        return ceil(tiles / units)

    def flops(self, product: Product, tokens: int, units: int) -> float:
        """What the waves cost: units that stand idle in the last one are paid for."""
        tile = 2.0 * self.tile_tokens * self.tile_width * product.inner
        return self.waves(product, tokens, units) * units * tile

    def part_seconds(self, tokens: int, units: int) -> tuple[float, float]:
        """Matrices up to a layer's first collective and after it, on so many units, alone."""
        rates = self.rates
        first, second = (
            sum(rates.seconds_alone(self._matrix(x, tokens, units)) for x in part)
            for part in self.products()
        )
        return first, second

    def collective_seconds(self, tokens: int, units: int) -> float:
        """One collective on so many units, alone."""
        return self.rates.seconds_alone(self._collective(tokens, units))

    def operations(self, splits: Sequence[int], layers: int) -> list[Operation]:
        """Layers of one or two splits; the collective of one runs beside the other's matrices.

        A collective (with the normalisation fused into it) holds `link_units` where there is
        something to run beside it, else all.
        """
        woven = len(splits) > 1
        units = self.units - self.link_units if woven else self.units
        link_units = self.link_units if woven else self.units
        operations: list[Operation] = []
        last: list[tuple[int, ...]] = [() for _ in splits]

        def add(split: int, operation: Operation) -> None:
            operations.append(replace(operation, after=last[split]))
            last[split] = (len(operations) - 1,)

        for _ in range(layers):
            for part in self.products():
                for split, tokens in enumerate(splits):
                    for product in part:
                        add(split, self._matrix(product, tokens, units))
                    add(split, self._collective(tokens, link_units))
        return operations

    def seconds(self, splits: Sequence[int], layers: int = 4) -> float:
        """How long so many layers take."""
        return self.rates.play(self.operations(splits, layers)).seconds

    def _matrix(self, product: Product, tokens: int, units: int) -> Operation:
        held = product.inner * product.width + tokens * (product.inner + product.width)
        return Operation(
            flops=self.flops(product, tokens, units),
            bytes=held * ACTIVATION_BYTES,
            units=units / self.units,
            lane="matrices",
        )

    def _collective(self, tokens: int, units: int) -> Operation:
        """All-reduce, residual and normalisation: each device normalises its part of the tokens."""
        place = self.deployment
        message = tokens * place.model.hidden * ACTIVATION_BYTES
        return Operation(
            bytes=4.0 * message / place.tp,
            link_bytes=ring_share(place.tp) * message,
            latency_seconds=place.reached.seconds_per_collective,
            units=units / self.units,
            lane="link",
        )


class TokenSplit(Protocol):
    """Says how a batch's tokens are split."""

    def split(self, device: WaveDevice, tokens: int) -> tuple[int, ...]:
        """Tokens of the one or two parts, in the order in which they run."""
        ...
