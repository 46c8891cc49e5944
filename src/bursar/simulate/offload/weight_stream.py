"""Weights that don't stay in memory, on lanes: load the next while computing with this one.

The rule is the same wherever weights come from (flash and a cipher, a disk, another memory): blocks
are loaded in the order of use, as early as memory allows, and given back when used. So it is
written once: `stream_tasks` for lanes, `bursar.backends.streamed.window` for real weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bursar.errors import BadInput
from bursar.simulate.lanes import Task


@dataclass(frozen=True, slots=True)
class Block:
    """A block of weights: seconds of each stage of loading it, then of each of using it."""

    size_bytes: float
    load_seconds: tuple[float, ...]
    use_seconds: tuple[float, ...]


def stream_tasks(
    blocks: Sequence[Block],
    load_lanes: Sequence[str],
    use_lanes: Sequence[str],
    *,
    resident: int = 0,
    overlapped: bool = True,
) -> list[Task]:
    """Tasks that use `blocks` in order; the last one ends when all are used.

    A block takes its memory with the first stage of loading, and gives it back when used. The
    first `resident` blocks are in memory, stay there, and need no loading; say so in `held_bytes`
    of `run_lanes`. Unless `overlapped`, nothing begins before all before it has ended.
    """
    tasks: list[Task] = []
    used: tuple[int, ...] = ()

    def add(lane: str, seconds: float, after: tuple[int, ...], takes: float, frees: float) -> int:
        before = after if overlapped else tuple(range(len(tasks))[-1:])
        name = f"{lane} of block {index}"
        tasks.append(Task(lane, seconds, before, takes_bytes=takes, frees_bytes=frees, name=name))
        return len(tasks) - 1

    for index, block in enumerate(blocks):
        if (len(block.load_seconds), len(block.use_seconds)) != (len(load_lanes), len(use_lanes)):
            raise BadInput(
                f"block {index} has {len(block.load_seconds)} + {len(block.use_seconds)} stages, "
                f"but there are {len(load_lanes)} + {len(use_lanes)} lanes: give as many"
            )
        loaded: tuple[int, ...] = ()
        if index >= resident:
            for stage, (lane, seconds) in enumerate(
                zip(load_lanes, block.load_seconds, strict=True)
            ):
                takes = 0.0 if stage else block.size_bytes
                loaded = (add(lane, seconds, loaded, takes, 0.0),)
        for stage, (lane, seconds) in enumerate(zip(use_lanes, block.use_seconds, strict=True)):
            last = stage == len(use_lanes) - 1
            frees = block.size_bytes if last and index >= resident else 0.0
            used = (add(lane, seconds, used + loaded, 0.0, frees),)
    return tasks
