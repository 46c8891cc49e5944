"""The built-in model's engine against `transformers.generate`: same weights, same thread, same run.

    python benchmarks/engine.py [--size tiny-1m] [--rounds 5] [--json]

256 questions of mixed length. `tiny` takes them all and batches continuously; `generate` takes them
in batches of 64, each of which lasts until its longest text is done, as for anyone who calls it.
Two workloads: "questions", the built-in tasks with real stops; "lengths", the same prompts with a
length per text drawn from 20-120. Only tokens that were asked for count, on both sides;
"ratio_counting_waste" credits `generate` also with what it says after a text's end. Rounds
alternate; rates are medians, and a ratio is the median of the rounds' ratios. CPU seconds are given
beside wall seconds because the machine may be shared. "bound" is the rate at which NumPy does the
same matrix products and nothing else. The last line of stdout with --json is one JSON document; it
is also written to benchmarks/results/engine.json.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import torch
import transformers
from threadpoolctl import threadpool_info
from transformers import LlamaForCausalLM

from bursar.backends.base import Request
from bursar.backends.tiny.backend import WEIGHTS, TinyBackend
from bursar.backends.tiny.engine import Engine
from bursar.backends.tiny.model import TinyConfig
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.workload.tasks import TASKS

RESULTS = Path(__file__).parent / "results" / "engine.json"
QUESTIONS, PEER_BATCH = 256, 64
BAR = 2.0


class Endless(Tokenizer):
    """The tokenizer of a model that never says that it is done."""

    eos_id = -1


@dataclass(frozen=True)
class Rate:
    """Useful tokens, all tokens that were drawn, and the seconds they took."""

    tokens: int
    drawn: int
    wall: float
    cpu: float


def questions() -> list[Request]:
    """An equal share of each task, all levels, shuffled."""
    requests = []
    for name, task in TASKS.items():
        asked = task.generate(-(-QUESTIONS // len(TASKS)), seed=0)
        requests += [Request(q.prompt, task.max_tokens, f"{name}/{q.id}") for q in asked]
    order = np.random.default_rng(0).permutation(len(requests))[:QUESTIONS]
    return [requests[i] for i in order]


def with_lengths(requests: list[Request]) -> list[Request]:
    lengths = np.random.default_rng(1).integers(20, 121, len(requests))
    return [
        Request(r.prompt, int(n), r.question_id) for r, n in zip(requests, lengths, strict=True)
    ]


def timed(generate: Callable[[], tuple[int, int]]) -> Rate:
    wall, cpu = time.perf_counter(), time.process_time()
    tokens, drawn = generate()
    return Rate(tokens, drawn, time.perf_counter() - wall, time.process_time() - cpu)


def tiny_tokens(backend: TinyBackend, requests: list[Request]) -> tuple[int, int]:
    done = asyncio.run(backend.complete(requests))
    said = sum(int(c.usage.tokens_out or 0) for c in done)
    return said, said


def peer_tokens(model: Any, requests: list[Request], *, ends: bool) -> tuple[int, int]:
    """Batches in the order given, padded on the left; what is said past a text's end is waste."""
    tokenizer = Tokenizer()
    useful = drawn = 0
    for start in range(0, len(requests), PEER_BATCH):
        batch = requests[start : start + PEER_BATCH]
        prompts = [tokenizer.encode(r.prompt) for r in batch]
        width = max(map(len, prompts))
        ids = torch.tensor([[tokenizer.pad_id] * (width - len(p)) + p for p in prompts])
        out = model.generate(
            ids,
            attention_mask=(ids != tokenizer.pad_id).long(),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            max_new_tokens=max(r.max_tokens for r in batch),
            eos_token_id=tokenizer.eos_id if ends else None,
            pad_token_id=tokenizer.pad_id,
        )
        for request, row in zip(batch, out[:, width:].tolist(), strict=True):
            end = row.index(tokenizer.eos_id) + 1 if ends and tokenizer.eos_id in row else len(row)
            useful += min(end, request.max_tokens)
            drawn += len(row)
    return useful, drawn


def gemm_seconds_per_token(config: TinyConfig, rows: int) -> float:
    """CPU seconds of one token's matrix products when `rows` of them are done together."""
    rng = np.random.default_rng(0)
    attention = config.heads * config.head_dim
    kv = 2 * config.kv_heads * config.head_dim
    layer = [
        (config.width, attention + kv),
        (attention, config.width),
        (config.width, config.hidden),
        (config.width, config.hidden),
        (config.hidden, config.width),
    ]
    shapes = layer * config.layers + [(config.width, config.vocab)]
    pairs = [
        (
            rng.standard_normal((rows, a), dtype=np.float32),
            rng.standard_normal((a, b), dtype=np.float32),
        )
        for a, b in shapes
    ]
    outs = [np.empty((rows, b), np.float32) for _, b in shapes]
    times = []
    for _ in range(20):
        start = time.process_time()
        for (x, w), out in zip(pairs, outs, strict=True):
            np.matmul(x, w, out=out)
        times.append(time.process_time() - start)
    return median(times) / rows


def compare(folder: Path, rounds: int, workload: str) -> dict[str, Any]:
    requests, ends = questions(), workload == "questions"
    backend = TinyBackend(folder)
    if not ends:
        requests = with_lengths(requests)
        backend.engine = Engine(backend.engine.model, Endless(), max_batch=backend.engine.max_batch)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ours, theirs = [], []
    with torch.no_grad():
        for i in range(rounds + 1):
            torch.manual_seed(i)
            a = timed(lambda: tiny_tokens(backend, requests))
            b = timed(lambda: peer_tokens(model, requests, ends=ends))
            if i:  # the first round warms up
                ours.append(a)
                theirs.append(b)
    config, places = backend.engine.model.config, backend.engine.max_batch
    prompt_tokens = sum(len(Tokenizer().encode(r.prompt)) for r in requests)
    run = prompt_tokens + ours[0].tokens - len(requests)  # the last token of a text is not run
    bound = ours[0].tokens / (run * gemm_seconds_per_token(config, places))
    cpu_rate = median(r.tokens / r.cpu for r in ours)

    pairs = list(zip(ours, theirs, strict=True))

    return {
        "workload": workload,
        "questions": len(requests),
        "prompt_tokens": prompt_tokens,
        "tokens": ours[0].tokens,
        "tiny_tokens_per_s": median(r.tokens / r.wall for r in ours),
        "tiny_tokens_per_cpu_s": cpu_rate,
        "generate_tokens_per_s": median(r.tokens / r.wall for r in theirs),
        "generate_tokens_per_cpu_s": median(r.tokens / r.cpu for r in theirs),
        "ratio": median((a.tokens / a.wall) / (b.tokens / b.wall) for a, b in pairs),
        "ratio_cpu": median((a.tokens / a.cpu) / (b.tokens / b.cpu) for a, b in pairs),
        "ratio_counting_waste": median((a.drawn / a.wall) / (b.drawn / b.wall) for a, b in pairs),
        "bound_tokens_per_cpu_s": bound,
        "share_of_bound": cpu_rate / bound,
        "max_batch": places,
    }


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="tiny-1m")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    blas = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    rows = [
        compare(WEIGHTS / options.size, options.rounds, workload)
        for workload in ("questions", "lengths")
    ]
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": f"python benchmarks/engine.py --size {options.size} --rounds {options.rounds}",
        "cpu": cpu_name(),
        "blas": sorted({f"{lib['internal_api']} {lib.get('architecture', '')}" for lib in blas}),
        "versions": {m.__name__: m.__version__ for m in (np, torch, transformers)},
        "threads": 1,
        "size": options.size,
        "rounds": options.rounds,
        "bar": BAR,
        "met": all(row["ratio"] >= BAR for row in rows),
        "rows": rows,
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    for row in rows:
        print(
            f"{options.size} {row['workload']}: tiny {row['tiny_tokens_per_s']:,.0f} tokens/s, "
            f"generate {row['generate_tokens_per_s']:,.0f}: {row['ratio']:.2f}x "
            f"({row['ratio_cpu']:.2f}x by CPU time, {row['ratio_counting_waste']:.2f}x "
            f"counting its waste; bar {BAR:g}x); "
            f"{row['share_of_bound']:.0%} of the matrix products alone",
            file=sys.stderr,
        )
    if options.json:
        print(json.dumps(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
