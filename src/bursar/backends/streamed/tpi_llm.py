"""TPI-LLM: tensor parallelism over processes, weights through a sliding window, star allreduce.

Paper: Zonghang Li, Wenjiao Feng, Mohsen Guizani, Hongfang Yu, "TPI-LLM: Serving 70B-scale LLMs
    Efficiently on Low-resource Edge Devices", 2024, arXiv:2410.00531; sections 3.1 (tensor
    parallelism), 3.2 (sliding window), 3.3 (star allreduce).
Symbols: n -> shards; memory window -> window_layers; t_link -> EdgeLink.latency_seconds.
Differs: processes on one machine joined by pipes, so link latency is modelled (`cost.allreduce`),
    not felt; equal shards; a block is a layer, not half of one; embedding and head stay in the
    first process; one sequence, greedily.
Checked: tests/papers/test_tpi_llm.py: measured weight memory of each process stays within the
    window, with the same tokens as without one and as one whole model; star is ahead of ring only
    above the latency where links' latency outweighs their bandwidth.
Seed: 223
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from safetensors.numpy import load_file, save_file

from bursar.backends.streamed.decoder import (
    Ends,
    Matrices,
    StreamedDecoder,
    greedy,
    read_model,
    split_config,
    split_layer,
)
from bursar.backends.streamed.window import WeightWindow
from bursar.backends.tiny.model import Floats, Ints, TinyConfig
from bursar.errors import BackendError, BadInput


@dataclass(frozen=True, slots=True, eq=False)
class ShardedAnswer:
    """What the shards said together, and what it took each of them."""

    tokens: Ints
    """(new_tokens,)"""
    logits: Floats
    """(new_tokens, vocab)"""
    peak_weight_bytes: tuple[int, ...]
    """By process: most bytes of layers' arrays alive at any time."""
    peak_growth_bytes: tuple[int | None, ...]
    """By process: most resident memory, less what it had before its first layer; None where the
    system does not say."""
    layer_bytes: int
    """Of one layer of one shard."""


@dataclass(frozen=True, slots=True)
class TpiLlm:
    """`shards` processes, each with at most `window_layers` of its layers in memory."""

    shards: int
    window_layers: int

    def __post_init__(self) -> None:
        if self.shards < 1 or self.window_layers < 1:
            raise BadInput(f"{self}: shards and window_layers must be 1 or more")

    def generate(
        self, model: Path, shard_folder: Path, prompt: Ints, new_tokens: int
    ) -> ShardedAnswer:
        """The likeliest `new_tokens` tokens after `prompt` (P,), token ids of `model`.

        Shards are written to `shard_folder` first. Raises `BadInput` for a model that can't be
        divided or a prompt it can't read, and `BackendError` when a process dies.
        """
        config, layer_bytes = write_shards(model, shard_folder, self.shards)
        if not len(prompt) or prompt.min() < 0 or prompt.max() >= config.vocab or new_tokens < 1:
            raise BadInput(
                f"a prompt of {len(prompt)} tokens and {new_tokens} new ones: give at least one of "
                f"each, with ids from 0 to {config.vocab - 1}"
            )
        context = get_context("spawn")
        links = [context.Pipe() for _ in range(self.shards - 1)]
        mine, theirs = context.Pipe()
        window = _Window(config, layer_bytes, self.window_layers)
        first = (shard_folder, window, prompt, new_tokens, [a for a, _ in links], theirs)
        processes = [context.Process(target=_serve_first, args=first, daemon=True)]
        for rank, (_, link) in enumerate(links, 1):
            rest = (shard_folder / str(rank), window, new_tokens, link)
            processes.append(context.Process(target=_serve, args=rest, daemon=True))
        try:
            for process in processes:
                process.start()
            for end in (theirs, *(end for link in links for end in link)):
                end.close()  # the children have theirs, so that the death of one is seen
            tokens, logits, used = mine.recv()
        except EOFError:
            raise BackendError("tpi_llm: a shard's process died; its error is on stderr") from None
        finally:
            mine.close()
            for process in processes:
                process.join(timeout=5)
                process.terminate()
        weights, growth = zip(*used, strict=True)
        return ShardedAnswer(tokens, logits, weights, growth, layer_bytes)


def write_shards(model: Path, folder: Path, shards: int) -> tuple[TinyConfig, int]:
    """Cut `model` in `shards`; a shard's config, and the bytes of one of its layers."""
    config, _, layers = read_model(model)
    own = split_config(config, shards)
    for index, layer in enumerate(layers):
        for rank, part in enumerate(split_layer(config, layer, shards)):
            (folder / str(rank)).mkdir(parents=True, exist_ok=True)
            save_file(part, folder / str(rank) / f"{index}.safetensors")
    ends = load_file(model / "model.safetensors")
    save_file({k: a for k, a in ends.items() if "layers." not in k}, folder / "ends.safetensors")
    return own, sum(m.nbytes for m in layers[0].values()) // shards


@dataclass(frozen=True, slots=True)
class _Window:
    config: TinyConfig
    layer_bytes: int
    layers: int

    def open(self, folder: Path, alive: _AliveBytes) -> WeightWindow[Matrices]:
        def load(index: int) -> Matrices:
            matrices: Matrices = load_file(folder / f"{index}.safetensors")
            alive.watch(list(matrices.values()))
            return matrices

        sizes = [self.layer_bytes] * self.config.layers
        return WeightWindow(load, sizes, self.layers * self.layer_bytes)


def _serve_first(
    folder: Path,
    window: _Window,
    prompt: Ints,
    new_tokens: int,
    links: list[Connection],
    result: Connection,
) -> None:
    ends, config = Ends(load_file(folder / "ends.safetensors")), window.config
    alive = _AliveBytes()

    def add_up(part: Floats) -> Floats:
        total = part
        for link in links:  # in order, so that sums are the same each time
            total = total + link.recv()
        _send(links, total)
        return total

    with window.open(folder / "0", alive) as layers:
        decoder = StreamedDecoder(config, layers, add_up)

        def step(x: Floats) -> Floats:
            _send(links, x)
            return decoder.step(x)

        tokens, logits = greedy(prompt, new_tokens, ends, step, config.norm_eps)
    result.send((tokens, logits, [alive.used(), *(link.recv() for link in links)]))


def _serve(folder: Path, window: _Window, steps: int, link: Connection) -> None:
    alive = _AliveBytes()

    def add_up(part: Floats) -> Floats:
        link.send(part)
        total: Floats = link.recv()
        return total

    with window.open(folder, alive) as layers:
        decoder = StreamedDecoder(window.config, layers, add_up)
        for _ in range(steps):
            decoder.step(link.recv())
    link.send(alive.used())


def _send(links: Sequence[Connection], x: Floats) -> None:
    for link in links:
        link.send(x)


class _AliveBytes:
    """Counts the arrays that are alive: measured, not what a window believes to hold."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may run while it is held
        self._now = self._peak = 0
        self._before = _status_bytes("VmRSS")

    def watch(self, arrays: Sequence[Floats]) -> None:
        for array in arrays:
            self._add(array.nbytes)
            weakref.finalize(array, self._add, -array.nbytes)

    def used(self) -> tuple[int, int | None]:
        """Most bytes alive, and by how much resident memory has grown at most."""
        most = _status_bytes("VmHWM")
        growth = None if most is None or self._before is None else most - self._before
        return self._peak, growth

    def _add(self, size: int) -> None:
        with self._lock:
            self._now += size
            self._peak = max(self._peak, self._now)


def _status_bytes(field: str) -> int | None:
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines[field].split()[0]) * 1024 if field in lines else None
