"""How many requests enter together, and when, where memory for keys and values limits a model.

`lens_waves` is the batch plan of MoE-Lens (arXiv:2504.09345, see `bursar.cost.moe_lens`): requests
of different ages share the memory, as the young ones need little. `fixed_waves` admits a batch and
the next when all of it is done.
"""

from collections.abc import Callable

from bursar.cost.moe_lens import HybridMachine, MoeLens, OfflineWork, Waves
from bursar.errors import Infeasible


def largest_wave(machine: HybridMachine, work: OfflineWork, overlap: int) -> int:
    """Requests a wave may have when `overlap` waves share the memory; 0 when none fits."""
    ages = (-(-age * work.generated // overlap) for age in range(1, overlap + 1))
    blocks = sum(-(-(work.prompt + age) // machine.block_tokens) for age in ages)
    return machine.kv_blocks // blocks


def even_waves(machine: HybridMachine, work: OfflineWork, overlap: int) -> Waves:
    """As few waves as fit, as equal as can be. Raises `Infeasible` when not one request fits."""
    most = largest_wave(machine, work, overlap)
    if most < 1:
        raise Infeasible(
            f"{overlap} requests of {work.prompt} + {work.generated} tokens need more than the "
            f"{machine.kv_blocks} blocks of {machine.block_tokens} tokens that memory holds; "
            "raise kv_memory_bytes or shorten the requests"
        )
    count = -(-work.requests // most)
    small, more = divmod(work.requests, count)
    return Waves((small + 1,) * more + (small,) * (count - more), overlap)


def fixed_waves(machine: HybridMachine, work: OfflineWork) -> Waves:
    """The largest batch that fits, then the next."""
    return even_waves(machine, work, 1)


def lens_waves(machine: HybridMachine, work: OfflineWork) -> Waves:
    """The overlap that MoE-Lens predicts to be fastest; the least such."""
    lens = MoeLens(machine)
    plans = [even_waves(machine, work, 1)]
    for overlap in range(2, work.generated + 1):
        if largest_wave(machine, work, overlap) < 1:
            break
        plans.append(even_waves(machine, work, overlap))
    return min(plans, key=lambda waves: lens.seconds(work, waves))


WAVES: dict[str, Callable[[HybridMachine, OfflineWork], Waves]] = {
    "fixed": fixed_waves,
    "moe_lens": lens_waves,
}
"""Name -> plan."""
