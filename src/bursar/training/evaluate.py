"""Measure the built-in models per task and level; writes benchmarks/results/tiny_models.json.

python -m bursar.training.evaluate --questions 100
"""

import argparse
import json
import platform
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import torch

from bursar.training.model import SHAPES, WEIGHTS, TinyLlama, load
from bursar.training.sampling import sample
from bursar.workload.tasks import TASKS

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "tiny_models.json"
TEMPERATURE = 0.7
SAMPLES = 8
REVISION_TOKENS = 400


def measure(
    model: TinyLlama, name: str, level: str, *, questions: int, seed: int, split: str = "test"
) -> dict[str, float]:
    """Shares right: greedy, one sample, vote of 8, any of 8, and one sample free to revise."""
    task = TASKS[name]
    asked = task.generate(questions, seed=seed, split=split, levels=[level])
    prompts = [q.prompt for q in asked]

    def right(texts: list[str], copies: int = 1) -> list[tuple[str | None, bool]]:
        owners = [q for q in asked for _ in range(copies)]
        answers = [task.extract(q, t) for q, t in zip(owners, texts, strict=True)]
        return [(a, task.check(q, a)) for q, a in zip(owners, answers, strict=True)]

    greedy = right(sample(model, prompts, max_tokens=task.max_tokens, temperature=0))
    repeated = [p for p in prompts for _ in range(SAMPLES)]
    drawn = right(
        sample(model, repeated, max_tokens=task.max_tokens, temperature=TEMPERATURE, seed=seed),
        SAMPLES,
    )
    rounds = [drawn[i : i + SAMPLES] for i in range(0, len(drawn), SAMPLES)]
    votes = [Counter(a for a in r if a[0] is not None).most_common(1) for r in rounds]
    revising = right(
        sample(
            model,
            prompts,
            max_tokens=REVISION_TOKENS,
            temperature=TEMPERATURE,
            seed=seed,
            revise=True,
        )
    )
    share = {
        "greedy": sum(ok for _, ok in greedy) / questions,
        "sample": sum(ok for _, ok in drawn) / len(drawn),
        "vote_8": sum(v[0][0][1] for v in votes if v) / questions,
        "any_8": sum(any(ok for _, ok in r) for r in rounds) / questions,
        "revising": sum(ok for _, ok in revising) / questions,
    }
    return {key: round(value, 4) for key, value in share.items()}


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--questions", type=int, default=100, help="per level")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--levels", nargs="*", help="only these levels")
    parser.add_argument("--split", default="test", choices=("test", "train"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, object] = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["python -m bursar.training.evaluate", *sys.argv[1:]]),
        "machine": f"{cpu_model()}, one thread",
        "questions_per_level": chosen.questions,
        "split": chosen.split,
        "temperature": TEMPERATURE,
        "revision_tokens": REVISION_TOKENS,
    }
    for size in chosen.sizes:
        model = load(chosen.weights / size)
        parameters = sum(p.numel() for p in model.parameters())
        table: dict[str, dict[str, dict[str, float]]] = {}
        for name, task in TASKS.items():
            for level in task.levels:
                if not chosen.levels or level in chosen.levels:
                    row = measure(
                        model,
                        name,
                        level,
                        questions=chosen.questions,
                        seed=chosen.seed,
                        split=chosen.split,
                    )
                    table.setdefault(name, {})[level] = row
                    print(size, name, level, row, file=sys.stderr, flush=True)
        report[size] = {"parameters": parameters, "levels": table}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
