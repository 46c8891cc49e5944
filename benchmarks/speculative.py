"""Speculative decoding with the built-in models, measured; and what it would buy on real devices.

    python benchmarks/speculative.py [--samples 2000] [--questions 8] [--rounds 3]

- "exact": chi-square p-values of what is said against the target's exact probabilities, per tree.
- "trees": tokens per target call by seed, for drafts of three qualities (tiny-0.3m with noise on
  its weights), two temperatures and two numbers of candidates; independent trees by the better of
  their two rules.
- "batch_1": one text at a time, tiny-0.3m for tiny-1m: tokens per target call, FLOPs and bytes per
  token, and wall time over that of tiny-1m alone, the median of rounds that alternate. In NumPy a
  pass of the small model takes nearly as long as one of the large, so wall time need not gain.
- "batches": the same wall time, with texts side by side.
- "memory": tokens per target call by candidates kept (SpecMemo).
- "predicted": times faster on named devices by the step cost model, Llama-3.1-8B for 70B, at the
  acceptance measured here and at lower ones; by batch, at the best length of a draft.

The results are left in benchmarks/results/speculative.json.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from machine import cpu

from bursar.backends import Backend, Request, open_backend
from bursar.backends.speculative import (
    Footprint,
    IndependentTree,
    RsdC,
    RsdS,
    Shape,
    SpecMemo,
    Spoken,
    kept_by_place,
)
from bursar.backends.speculative.verify import k_sequential
from bursar.catalog import device, model
from bursar.cost import Deployment
from bursar.cost.speculative import Speculation
from bursar.usage import Usage
from bursar.workload.tasks import TASKS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "speculative.json"
sys.path.insert(0, str(ROOT / "tests" / "papers"))
from tiny_pair import (  # noqa: E402
    draft,
    judged_per_call,
    p_value,
    requests,
    speak,
    target,
    tokens_per_call,
)

PAIR = "speculative:tiny-0.3m+tiny-1m#chain:{}"
SEEDS = range(3)
DEVICES = ("a100", "h100-sxm", "h200", "b200")
BATCHES = (1, 8, 32, 128, 512)
TREES = {6: ((2, 2), (3, 1), (2, 1, 1)), 12: ((3, 3), (4, 1, 1), (3, 1, 1, 1))}
"""Candidates -> branching."""


def exactness(samples: int) -> list[dict[str, Any]]:
    shapes: dict[str, Shape] = {
        "chain:3": IndependentTree((1, 1, 1)),
        "iid:3,2,1": IndependentTree((3, 2, 1)),
        "rsd-c:3,2,1": RsdC.constant((3, 2, 1)),
        "rsd-c, trimmed": RsdC(((3,), (2, 0, 1), (1, 0, 1))),
        "rsd-s:4x3": RsdS(4, 3),
    }
    rows = []
    for task in ("sudoku4", "countdown"):
        (question,) = TASKS[task].generate(1, seed=0)
        asked = [Request(question.prompt, 4, question.id, sample=i) for i in range(samples)]
        for name, shape in shapes.items():
            texts = speak(asked, shape, noise=0.4)
            rows.append({"task": task, "tree": name, "samples": samples, "p": p_value(texts)})
            print(rows[-1], flush=True)
    return rows


def by_seed(
    shape: Shape, questions: int, temperature: float, noise: float, rules: Sequence[Any] = (None,)
) -> dict[str, Any]:
    """Tokens per target call of each seed by the better rule, and candidates judged per call."""
    found = []
    for rule in rules:
        runs = [
            speak(requests(questions, seed, max_tokens=40, temperature=temperature), shape,
                  noise=noise, rule=rule)
            for seed in SEEDS
        ]  # fmt: skip
        found.append(([round(tokens_per_call(run), 3) for run in runs], judged_per_call(runs[0])))
    rates, judged = max(found, key=lambda pair: sum(pair[0]))
    return {"tokens_per_call": rates, "judged_per_call": round(judged, 2)}


def trees(questions: int) -> list[dict[str, Any]]:
    rows = []
    for noise, temperature, budget in (
        (n, t, b) for n in (0.0, 0.2, 0.4) for t in (0.3, 1.0) for b in TREES
    ):
        row: dict[str, Any] = {"noise": noise, "temperature": temperature, "candidates": budget}
        args = questions, temperature, noise
        row["chain"] = by_seed(IndependentTree((1,) * budget), *args)
        for b in TREES[budget]:
            width = budget // len(b)
            row[f"iid {b}"] = by_seed(IndependentTree(b), *args, rules=(None, k_sequential))
            row[f"rsd-c {b}"] = by_seed(RsdC.constant(b), *args)
            row[f"rsd-s {width}x{len(b)}"] = by_seed(RsdS(width, len(b)), *args)
        rows.append(row)
        print(row, flush=True)
    return rows


def timed(backend: Backend, asked: Sequence[Request], batch: int) -> tuple[float, Usage, float]:
    """Seconds, usage, and target passes per text; `batch` texts at a time."""
    start, used, calls = time.perf_counter(), Usage.zero(), 0.0
    for i in range(0, len(asked), batch):
        for done in asyncio.run(backend.complete(asked[i : i + batch])):
            used += done.usage
            calls += float(done.meta.get("target_calls", done.usage.tokens_out or 0))
    return time.perf_counter() - start, used, calls


def walls(asked: Sequence[Request], lengths: Sequence[int], batch: int, rounds: int) -> list[Any]:
    """Drafts of each length against the target alone."""
    alone = open_backend("tiny-1m")
    rows = []
    for length in lengths:
        both = open_backend(PAIR.format(length))
        pairs = [(timed(alone, asked, batch), timed(both, asked, batch)) for _ in range(rounds)]
        (_, plain, _), (_, used, calls) = pairs[-1]
        said, plain_said = used.tokens_out or 0, plain.tokens_out or 1
        ratio = median((b[0] / said) / (a[0] / plain_said) for a, b in pairs)
        row = {"length": length, "batch": batch, "tokens_per_call": said / calls}
        for name in ("flops", "bytes_moved"):
            each, before = (used.get(name) or 0) / said, (plain.get(name) or 0) / plain_said
            row |= {f"{name}_per_token": each, f"{name}_over_plain": each / before}
        rows.append(row | {"wall_over_plain": ratio})
        print(rows[-1], flush=True)
    return rows


def acceptance(questions: int, noise: float) -> dict[str, float]:
    """Share of the chain's tokens that were kept of those judged, by task."""
    texts = speak(requests(questions, 0, max_tokens=60), IndependentTree((1,) * 4), noise=noise)
    groups: dict[str, list[Spoken]] = {"all": texts}
    for text in texts:
        groups.setdefault(text.request.question_id.split("/")[0], []).append(text)
    places = {name: [p for t in group for _, p in t.verdicts] for name, group in groups.items()}
    return {name: round(found.count(0) / len(found), 4) for name, found in places.items()}


def memory(questions: int) -> list[dict[str, Any]]:
    full, rows = RsdC.constant((3, 2, 2, 1)), []
    for noise in (0.0, 0.4):
        learnt = kept_by_place(speak(requests(questions, 100), full, noise=noise), 4, 3)
        memo = SpecMemo(Footprint.of(draft().config, target().config), full, learnt)
        for nodes in (0, 1, 2, 4, 8, 16, full.most_nodes):
            runs = [speak(requests(questions, s), memo.trimmed(nodes), noise=noise) for s in SEEDS]
            rates = [round(tokens_per_call(run), 3) for run in runs]
            used = [
                t.peak_bytes / memo.footprint.bytes(len(t.prompt) + t.most, nodes)
                for run in runs
                for t in run
            ]
            rows.append(
                {"noise": noise, "candidates": nodes, "tokens_per_call": rates,
                 "expected": round(memo.expected_tokens(nodes), 3),
                 "most_of_bound": round(max(used), 4)}
            )  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def predicted(measured: float) -> list[dict[str, Any]]:
    rows = []
    for name in DEVICES:
        big, small = (
            Deployment(model(f"llama-3.1-{size}"), device(name), tp=4) for size in ("70b", "8b")
        )
        for share in (0.6, 0.8, measured):
            law = Speculation(big, small, share)
            lengths = {batch: law.fastest_length(1000, batch) for batch in BATCHES}
            gains = {b: round(float(law.speedup(n, 1000, b)), 3) for b, n in lengths.items()}
            rows.append(
                {"device": f"4 x {name}", "context": 1000, "acceptance": share,
                 "length_by_batch": lengths, "speedup_by_batch": gains}
            )  # fmt: skip
    return rows


def main() -> None:
    """Measure, print, and leave the figures in `results/speculative.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    kept = {noise: acceptance(options.questions, noise) for noise in (0.0, 0.2, 0.4)}
    asked = requests(options.questions // 2, 0, max_tokens=60)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": f"python benchmarks/speculative.py --samples {options.samples} "
        f"--questions {options.questions} --rounds {options.rounds}",
        "cpu": cpu(),
        "threads": 1,
        "acceptance_by_noise": kept,
        "batch_1": walls(asked, (1, 2, 3, 4, 6, 8, 12), 1, options.rounds),
        "batches": [r for b in (4, len(asked)) for r in walls(asked, (4,), b, options.rounds)],
        "memory": memory(options.questions),
        "trees": trees(options.questions),
        "exact": exactness(options.samples),
        "predicted": predicted(kept[0.0]["all"]),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
