"""Readers of published tables that say, for many models, which questions each answered right.

The files are not part of bursar. No texts of answers are recorded in them, so they are outcomes to
learn routers from and to judge them on; what can be replayed is read by `recordings.py`.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from bursar.backends.recordings import gsm8k_answer
from bursar.errors import BadInput
from bursar.value.base import Floats
from bursar.value.outcomes import Outcomes

CHARACTERS_PER_TOKEN = 4.0
"""For English questions; the tables count no tokens."""


def read_llmrouter(folder: str | Path, tokens_out: float = 200.0) -> Outcomes:
    """Nine models on 5,608 questions with list prices (ulab-uiuc/LLMRouter, MIT).

    `train.json`: [{question, scores: {model: score in [0, 1]}, cluster_id}], `models.json`: dollars
    per million tokens. Neither tokens nor answers are recorded: a cost in dollars is that of the
    question, estimated by its characters, and of `tokens_out` tokens of answer from every model.
    `cluster_id` follows the scores, so it is not read: it would tell a router the outcome.
    """
    rows = _json(Path(folder) / "train.json")
    listed = _json(Path(folder) / "models.json")
    models = tuple(sorted(rows[0]["scores"]))
    right = np.array([[row["scores"][m] for m in models] for row in rows], dtype=float)
    prompts = tuple(row["question"] for row in rows)
    tokens_in = np.array([len(p) for p in prompts])[:, None] / CHARACTERS_PER_TOKEN
    price_in, price_out = (
        np.array([listed[m][key] for m in models]) for key in ("input_price", "output_price")
    )
    usd = (tokens_in * price_in + tokens_out * price_out) / 1e6
    return Outcomes(models, prompts, right, usd, np.full(right.shape, np.nan))


def read_zeroeval(folder: str | Path, dataset: str) -> Outcomes:
    """Some 45 models on GSM8K ("gsm") or CRUX ("crux") (WildEval/ZeroEval, Apache-2.0).

    `correctness.jsonl.gz`: {dataset, model, ids, correct: [0 | 1], out_chars: [length of answer]}.
    The cost is output tokens, estimated by characters; the sign of an answer is minus the logarithm
    of its length (a model that struggles goes on and on). Models that skipped questions are left
    out.
    """
    path = Path(folder) / "correctness.jsonl.gz"
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [row for row in map(json.loads, file) if row["dataset"] == dataset]
    except (OSError, ValueError) as error:
        raise BadInput(f"recording {path}: can't be read ({error})") from None
    asked = {q["id"]: q["question"] for q in _jsonl(Path(folder) / f"questions_{dataset}.jsonl")}
    rows = sorted((r for r in rows if set(r["ids"]) == set(asked)), key=lambda r: str(r["model"]))
    if not rows:
        raise BadInput(f"recording {path}: no model answered all of {dataset!r}; use gsm or crux")
    right, length = _by_id(rows, list(asked), "correct"), _by_id(rows, list(asked), "out_chars")
    return Outcomes(
        tuple(r["model"] for r in rows), tuple(asked.values()), right,
        length / CHARACTERS_PER_TOKEN, -np.log1p(length),
    )  # fmt: skip


def read_gsm8k_systems(path: str | Path) -> Outcomes:
    """A 6B and a 175B model on GSM8K's test set (openai/grade-school-math, MIT) as three ways.

    Rows {question, <system>: {is_correct, solution}}; a solution ends in "A: <answer>". "6b": one
    sample and the best of 100 by a verifier, which gives the answer; its sign is whether the two
    agree. "175b": one sample. "175b-verified": the best of 100. The cost is parameters in billions
    x samples: tokens are not recorded, and all are about equally long.
    """
    rows = _jsonl(Path(path))
    systems = ("6b_verification", "175b_finetuning", "175b_verification")
    right = np.array([[row[s]["is_correct"] for s in systems] for row in rows], dtype=float)
    sign = np.full(right.shape, np.nan)
    sign[:, 0] = [
        gsm8k_answer(row["6b_finetuning"]["solution"])
        == gsm8k_answer(row["6b_verification"]["solution"])
        for row in rows
    ]
    cost = np.tile([6.0 * 101, 175.0, 175.0 * 100], (len(rows), 1))
    prompts = tuple(row["question"] for row in rows)
    return Outcomes(("6b", "175b", "175b-verified"), prompts, right, cost, sign)


def _by_id(rows: list[dict[str, Any]], ids: list[str], key: str) -> Floats:
    """(questions, models) of a column, questions in the order of `ids`."""
    columns = []
    for row in rows:
        known = dict(zip(row["ids"], row[key], strict=True))
        columns.append([float(known[i]) for i in ids])
    return np.array(columns).T


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"recording {path}: can't be read ({error}); name its folder") from None


def _jsonl(path: Path) -> list[Any]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise BadInput(f"recording {path}: can't be read ({error}); name its folder") from None
