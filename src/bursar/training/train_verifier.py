"""Train the verifier heads of a built-in model on its own sampled solutions.

    python -m bursar.training.train_verifier --size tiny-1m

Questions for training come from the train split, for judging from the test split. The heads are
small perceptrons on frozen hidden states. Writes weights/verifier-<size>.safetensors and
benchmarks/results/verifiers.json.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional as F

from bursar.training.evaluate import cpu_model
from bursar.training.model import SHAPES, WEIGHTS, TinyLlama, load
from bursar.training.verifier_data import Solution, solve
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.verdicts import REVISE_MARKER

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "verifiers.json"
_LEVELS = {"chain": ("3", "4", "5", "6", "7", "8"), "countdown": None, "sudoku4": None}
_REVISION_TOKENS = 240


def collect(
    model: TinyLlama, task: str, *, questions: int, seed: int, split: str
) -> list[Solution]:
    """Solutions at temperatures 0.7 and 1, and some with the model's own revisions."""
    asked = TASKS[task].generate(questions, seed=seed, split=split, levels=_LEVELS[task])
    few = asked[: questions // 4]
    return [
        *solve(model, asked, temperature=0.7, seed=seed),
        *solve(model, asked, temperature=1.0, seed=seed + 1),
        *solve(model, few, temperature=0.7, seed=seed + 2, max_tokens=_REVISION_TOKENS),
    ]


def auc(scores: list[float], labels: list[bool]) -> float | None:
    """Area under the ROC curve; None when only one kind is there."""
    positive = sum(labels)
    negative = len(labels) - positive
    if not positive or not negative:
        return None
    ranks = rankdata(scores)
    total = float(np.sum(ranks[np.array(labels)]))
    return (total - positive * (positive + 1) / 2) / (positive * negative)


def fit_head(
    hidden: Tensor, labels: Tensor, *, seed: int, inner: int = 64, epochs: int = 12
) -> nn.Sequential:
    """A perceptron with one hidden layer, by AdamW on the log loss; inputs standardised."""
    torch.manual_seed(seed)
    mean, scale = hidden.mean(0), hidden.std(0) + 1e-6
    head = nn.Sequential(nn.Linear(hidden.shape[1], inner), nn.ReLU(), nn.Linear(inner, 1))
    inputs, batch = (hidden - mean) / scale, 512
    steps = epochs * -(-len(inputs) // batch)
    optim = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optim, 3e-3, total_steps=steps + 1)
    for _ in range(epochs):
        order = torch.randperm(len(inputs))
        for start in range(0, len(inputs), batch):
            rows = order[start : start + batch]
            loss = F.binary_cross_entropy_with_logits(head(inputs[rows])[:, 0], labels[rows])
            optim.zero_grad()
            loss.backward()
            optim.step()
            schedule.step()
    with torch.no_grad():  # fold the standardisation into the first layer
        first = head[0]
        first.weight /= scale
        first.bias -= first.weight @ mean
    return head


def judge(head: nn.Sequential, solutions: list[Solution]) -> dict[str, float | int | None]:
    """AUC on held-out solutions: of steps, of finished answers, and of the log-probability."""
    with torch.no_grad():
        scores = [torch.sigmoid(head(s.hidden)[:, 0]).tolist() for s in solutions]
    single = [
        (s, row) for s, row in zip(solutions, scores, strict=True) if REVISE_MARKER not in s.text
    ]
    right = [s.right for s, _ in single]
    middle = [(v, y) for s, row in single for v, y in zip(row[:-2], s.labels[:-2], strict=True)]
    figures = {
        "auc_steps": auc([v for v, _ in middle], [y for _, y in middle]),
        "auc_last_line": auc([row[-2] if len(row) > 1 else row[-1] for _, row in single], right),
        "auc_answer": auc([row[-1] for _, row in single], right),
        "auc_minimum": auc([min(row) for _, row in single], right),
        "auc_logprob": auc([s.logprob for s, _ in single], right),
    }
    rounded = {k: None if v is None else round(v, 4) for k, v in figures.items()}
    return {**rounded, "solutions": len(single), "right": sum(right)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SHAPES, required=True)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--questions", type=int, default=3000, help="per task, for training")
    parser.add_argument("--held-out", type=int, default=400, help="per task, for judging")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = load(chosen.weights / chosen.size)
    tensors: dict[str, Tensor] = {}
    table: dict[str, dict[str, float | int | None]] = {}
    for task in TASKS:
        seen = collect(model, task, questions=chosen.questions, seed=chosen.seed, split="train")
        hidden = torch.cat([s.hidden for s in seen]).clone()
        labels = torch.tensor([y for s in seen for y in s.labels]).float()
        head = fit_head(hidden, labels, seed=chosen.seed)
        unseen = collect(model, task, questions=chosen.held_out, seed=chosen.seed, split="test")
        table[task] = judge(head, unseen)
        print(chosen.size, task, len(labels), table[task], file=sys.stderr, flush=True)
        for layer, index in (("inner", 0), ("outer", 2)):
            for part in ("weight", "bias"):
                tensors[f"{task}.{layer}.{part}"] = getattr(head[index], part).detach().contiguous()
    save_file(tensors, chosen.weights / f"verifier-{chosen.size}.safetensors")
    report = json.loads(chosen.results.read_text()) if chosen.results.exists() else {}
    report[chosen.size] = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["python -m bursar.training.train_verifier", *sys.argv[1:]]),
        "machine": f"{cpu_model()}, one thread",
        "tasks": table,
    }
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    chosen.results.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
