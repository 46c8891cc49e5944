"""NanoFlow: splits a batch so that operations with different bottlenecks run at once on a device.

Paper: Kan Zhu, Yufei Gao, Yilong Zhao, Liangyu Zhao, Gefei Zuo, Yile Gu, Dedong Xie, Tian Tang,
    Qinyu Xu, Zihao Ye, Keisuke Kamahori, Chien-Yu Lin, Ziren Wang, Stephanie Wang, Arvind
    Krishnamurthy, Baris Kasikci, "NanoFlow: Towards Optimal Large Language Model Serving
    Throughput", 2024, arXiv:2408.12757; section 3 (the bound), section 4 (automated search).
Symbols: R -> Operation.units; P -> SharedDevice.memory_units, link_units (units a kernel needs for
    its full rate); nano-batch sizes -> Schedule.shares.
Differs: numbers, sizes and units are searched together by playing each candidate on the shared
    device, in place of a mixed-integer program for the order and a second one for the units; all
    nano-batches have the same units for the same kind of operation; nano-operations keep one
    order, layer by layer.
Checked: tests/papers/test_nanoflow.py: 70 billion parameters on 8 H100, where attention,
    matrices and collectives all cost, at four mixes of prompt and answer: at least 1.3 times the
    sequential engine's throughput, below the bound of the scarcest resource; no gain where one
    resource is all there is. On 8 A100, with less arithmetic for the same links, 1.2 to 1.3 times;
    hardly any gain if bandwidth were in proportion to units.
Seed: 109
"""

from dataclasses import dataclass
from itertools import product

from bursar.allocate.overlap.base import (
    SEQUENTIAL,
    Schedule,
    layers_of,
    operations_of,
    seconds_of,
)
from bursar.cost import Deployment
from bursar.cost.layer_work import Batch
from bursar.cost.shared_device import SharedDevice, shared_device

_SPLITS = (
    *((0.25, 0.75), (0.375, 0.625), (0.5, 0.5), (0.625, 0.375), (0.75, 0.25)),
    *((1 / 3, 1 / 3, 1 / 3), (0.25, 0.25, 0.5), (0.5, 0.25, 0.25)),
    (0.25, 0.25, 0.25, 0.25),
)
_UNITS = (0.2, 0.3, 0.4, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class NanoFlow:
    """Searches the schedule of one kind of batch; `layers` are played for each candidate."""

    layers: int = 4

    def search(
        self, deployment: Deployment, batch: Batch, device: SharedDevice | None = None
    ) -> Schedule:
        """The fastest schedule found; the sequential one where none is faster.

        `device` is one of the deployment's, by default at the rates its efficiency says. Raises
        `BadInput` as `layer_of` does.
        """
        device = device or shared_device(deployment)
        best = SEQUENTIAL
        best_seconds = seconds_of(device, deployment, batch, SEQUENTIAL, self.layers)
        for shares in _SPLITS:
            layers = layers_of(deployment, batch, shares)
            for attention, link in product(_UNITS, _UNITS if deployment.tp > 1 else (1.0,)):
                schedule = Schedule(shares, attention, link)
                seconds = device.play(operations_of(layers, schedule, self.layers)).seconds
                if seconds < best_seconds:
                    best, best_seconds = schedule, seconds
        return best
