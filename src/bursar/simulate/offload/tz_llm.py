"""TZ-LLM: restores encrypted weights in the order of inference, each stage beside the others.

Paper: Xunjie Wang, Jiacheng Shi, Zihan Zhao, Yang Yu, Zhichao Hua, Jinyu Gu, "TZ-LLM: Protecting
    On-Device Large Language Models with Arm TrustZone", 2025, arXiv:2511.13717; section 4.1
    (pipelined restoration, partial parameter caching).
Symbols: TTFT -> first_token_seconds.
Differs: the four stages (allocate secure memory, read flash, decrypt, compute) have a lane each,
    where the paper's CPU lanes share cores by priority; no co-driver for the NPU and no operators
    on the CPU; a block's memory is given back once it was used, so that the cap can be below the
    model's size.
Checked: tests/papers/test_tz_llm.py: first token 70 % sooner or more than sequential restoration at
    equal caps where the stages are about even; never more than the busiest stage's share allows;
    nothing gained where one stage is all the work; a real run that decrypts in a second thread is
    faster than one that does not, with the same output.
Seed: 222
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bursar.errors import Infeasible
from bursar.simulate.lanes import Schedule, run_lanes
from bursar.simulate.offload.weight_stream import Block, stream_tasks

LOAD_LANES = ("allocate", "flash", "decrypt")
USE_LANES = ("npu",)


@dataclass(frozen=True, slots=True)
class Phone:
    """What the stages of restoring and computing take."""

    allocate_bytes_per_second: float
    """Contiguous secure memory, pages migrated away."""
    flash_bytes_per_second: float
    decrypt_bytes_per_second: float
    compute_seconds_per_byte: float
    """Of weights, for the whole prompt."""

    def block(self, size_bytes: float) -> Block:
        """A block of so many bytes of weights."""
        rates = (
            self.allocate_bytes_per_second,
            self.flash_bytes_per_second,
            self.decrypt_bytes_per_second,
        )
        load = tuple(size_bytes / rate for rate in rates)
        return Block(size_bytes, load, (size_bytes * self.compute_seconds_per_byte,))


@dataclass(frozen=True, slots=True)
class TzLlm:
    """`resident_bytes` of the first blocks stay in memory between inferences."""

    resident_bytes: float = 0.0
    pipelined: bool = True

    def restore(self, blocks: Sequence[Block], memory_bytes: float) -> Schedule:
        """The schedule up to the first token; its makespan is the time to it.

        Raises `Infeasible` when a block, or what is resident, does not fit in `memory_bytes`.
        """
        resident, held = 0, 0.0
        while resident < len(blocks) and held + blocks[resident].size_bytes <= self.resident_bytes:
            held += blocks[resident].size_bytes
            resident += 1
        if held > memory_bytes:
            raise Infeasible(
                f"{held:g} bytes stay resident and the cap is {memory_bytes:g}: "
                f"{held - memory_bytes:g} too many; lower resident_bytes"
            )
        tasks = stream_tasks(
            blocks, LOAD_LANES, USE_LANES, resident=resident, overlapped=self.pipelined
        )
        return run_lanes(tasks, memory_bytes=memory_bytes, held_bytes=held)


RESTORATIONS: dict[str, Callable[[float], TzLlm]] = {
    "sequential": lambda resident_bytes: TzLlm(resident_bytes, pipelined=False),
    "pipelined": TzLlm,
}
"""Name -> what makes it from its resident bytes."""
