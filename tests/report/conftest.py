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
