"""Records small enough to check by eye."""

from typing import Any

import pytest


@pytest.fixture
def solve_data() -> dict[str, Any]:
    """Four questions: two right, one wrong, one that nobody can grade."""
    questions = [
        {"id": "a", "task": "chain", "level": "2", "answer": "5", "correct": True, "tokens": 100},
        {"id": "b", "task": "chain", "level": "2", "answer": "7", "correct": False, "tokens": 400},
        {"id": "c", "task": "chain", "level": "8", "answer": "9", "correct": True, "tokens": 300},
        {"id": "d", "task": "chain", "level": "8", "answer": None, "correct": None},
    ]
    return {
        "kind": "solve",
        "command": 'bursar solve chain --budget "1k tokens"',
        "version": "0.1.0",
        "started": "2026-01-02T03:04:05+00:00",
        "seed": 7,
        "strategy": "auto",
        "model": "tiny-1m",
        "task": "chain",
        "resource": "tokens",
        "limit": {"tokens": 1000},
        "spent": {"tokens": 800, "usd": None},
        "predicted": {"tokens": 900},
        "price": {"tokens": 0.0005},
        "answered": 3,
        "correct": None,
        "accuracy": None,
        "questions": questions,
        "rounds": [
            {"round": 0, "spent": 400, "price": 0.002, "expected_right": 1.5, "correct": 1},
            {"round": 1, "spent": 800, "price": 0.0005, "expected_right": 2.5, "correct": 2},
        ],
        "baselines": [
            {"strategy": "vote", "spent": 790, "accuracy": 0.25, "low": 0.1, "high": 0.4}
        ],
        "receipt": {
            "limit": {"tokens": 1000},
            "spent": {"tokens": 800},
            "lines": [
                {
                    "account": "job/tiny",
                    "what": "samples",
                    "calls": 12,
                    "tokens_in": 0,
                    "tokens_out": 800,
                    "usd": None,
                    "predicted": 1000,
                    "measured": 800,
                }
            ],
        },
        "settings": {"temperature": 0.7},
    }


@pytest.fixture
def compare_data() -> dict[str, Any]:
    """Two strategies at two budgets; `auto` is better at both, one cell has no accuracy."""
    rows = [
        ("vote", 1000, 990, 0.5, 0.4, 0.6),
        ("vote", 2000, 1980, 0.6, 0.5, 0.7),
        ("auto", 1000, 980, 0.7, 0.6, 0.8),
        ("auto", 2000, None, None, None, None),
    ]
    keys = ("strategy", "budget", "spent", "accuracy", "low", "high")
    shared = {"task": "chain", "model": "tiny-1m", "seeds": 5}
    return {
        "kind": "compare",
        "command": "bursar compare chain",
        "version": "0.1.0",
        "started": "2026-01-02T03:04:05+00:00",
        "resource": "tokens",
        "rows": [{**shared, **dict(zip(keys, row, strict=True))} for row in rows],
    }


@pytest.fixture
def simulate_data() -> dict[str, Any]:
    """Four requests, three of them served, over two seconds in bins of half a second."""
    latency = {"mean": 0.4, "p50": 0.3, "p90": 0.7, "p99": 0.8}
    curve = {"seconds": [0.1, 0.3, 0.8], "shares": [0.25, 0.5, 1.0]}
    return {
        "kind": "simulate",
        "command": "bursar simulate --trace day.csv",
        "version": "0.1.0",
        "started": "2026-01-02T03:04:05+00:00",
        "settings": {"speed": 1.0},
        "model": "llama-3.1-8b",
        "device": "l40s",
        "replicas": 2,
        "devices": 2,
        "policy": "sarathi",
        "router": "least_jobs",
        "trace": "day.csv",
        "goal": {"ttft_s": 2.0, "tpot_s": None},
        "requests": 4,
        "completed": 3,
        "left_out": 0,
        "preemptions": 1,
        "slo_attainment": 0.75,
        "ttft_s": latency,
        "tpot_s": latency,
        "e2e_s": latency,
        "usage": {"tokens_in": 300, "tokens_out": 60, "seconds": 2, "joules": 500, "usd": 0.006},
        "joules_per_request": 166.7,
        "usd_per_1k_requests": 2.0,
        "wall_seconds": 0.01,
        "block_tokens": 16,
        "capacity_blocks": 100,
        "distributions": {"ttft_s": curve, "tpot_s": curve, "e2e_s": curve},
        "timeline": {
            "width_seconds": 0.5,
            "until_seconds": 2.0,
            "waiting": [0, 1, 0, 0],
            "running": [1, 2, 2, 1],
            "blocks": [10, 60, 50, 20],
            "watts": [200, 250, 250, 210],
        },
    }


@pytest.fixture
def plan_data() -> dict[str, Any]:
    """Two devices can: one cheaper, one quicker; a third is dearer and slower; a fourth can't."""

    def row(device: str, usd: float, ttft: float, joules: float | None) -> dict[str, Any]:
        part = {"device": device, "count": 2, "replicas": 1, "tp": 2, "pp": 1, "ep": 1, "dp": 1}
        return {
            "usd_per_hour": usd,
            "requests_per_second": 5.0,
            "usd_per_1k_requests": usd / 18,
            "slo_attainment": 0.995,
            "ttft_p99_s": ttft,
            "tpot_p99_s": 0.04,
            "joules_per_request": joules,
            "fleet": [part | {"dtype": "fp8", "policy": "sarathi"}],
        }

    alone = {"l4": (3.0, 0.9, 50.0), "h100": (9.0, 0.1, 40.0), "a10g": (12.0, 1.5, None)}
    return {
        "kind": "plan",
        "command": "bursar plan --trace day.csv",
        "version": "0.1.0",
        "started": "2026-01-02T03:04:05+00:00",
        "model": "llama-3.1-8b",
        "trace": "day.csv",
        "goal": {"ttft_s": 2.0, "tpot_s": 0.06},
        "attainment": 0.99,
        "budget_usd_per_hour": None,
        "feasible": True,
        **row("l4", *alone["l4"]),
        "gap": 0.0012,
        "price": 1.6,
        "probability": 0.87,
        "predicted": {"fill": [0.7]},
        "simulated": {"requests": 200, "slo_attainment": 0.995},
        "frontier": [{"devices": [n], **row(n, *figures)} for n, figures in alone.items()],
        "worth_measuring": {"l4": 0.001, "h100": 0.25, "a10g": 0.0},
        "binding": ["t4: the weights do not fit: offer larger ones"],
        "commands": {"vllm": ["vllm serve m --tp 2"], "sglang": ["sglang --model m"]},
        "kubernetes": {"kind": "List", "items": [{"kind": "Deployment"}]},
    }
