"""Readers of tables of outcomes, on files made here."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from bursar.backends.recorded_outcomes import read_gsm8k_systems, read_llmrouter, read_zeroeval
from bursar.backends.recordings import read_gsm8k_solutions
from bursar.errors import BadInput


def test_llmrouter_costs_follow_the_question_and_the_price(tmp_path: Path) -> None:
    rows = [{"question": "x" * 40, "scores": {"b": 1.0, "a": 0.5}, "cluster_id": 1}]
    listed = {m: {"input_price": p, "output_price": 2 * p} for m, p in (("a", 1.0), ("b", 3.0))}
    (tmp_path / "train.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "models.json").write_text(json.dumps(listed), encoding="utf-8")
    record = read_llmrouter(tmp_path, tokens_out=5)
    assert record.ways == ("a", "b")
    np.testing.assert_allclose(record.right, [[0.5, 1.0]])
    np.testing.assert_allclose(record.cost, [[20e-6, 60e-6]])
    assert np.isnan(record.sign).all()


def test_zeroeval_puts_questions_in_one_order_and_leaves_out_who_skipped(tmp_path: Path) -> None:
    questions = [{"id": i, "question": f"q {i}"} for i in ("a", "b")]
    text = "".join(json.dumps(q) + "\n" for q in questions)
    (tmp_path / "questions_gsm.jsonl").write_text(text, encoding="utf-8")
    rows = [
        {"dataset": "gsm", "model": "m", "ids": ["b", "a"], "correct": [1, 0], "out_chars": [8, 4]},
        {"dataset": "gsm", "model": "n", "ids": ["b"], "correct": [1], "out_chars": [4]},
    ]
    with gzip.open(tmp_path / "correctness.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    record = read_zeroeval(tmp_path, "gsm")
    assert record.ways == ("m",)
    np.testing.assert_allclose(record.right[:, 0], [0, 1])
    np.testing.assert_allclose(record.cost[:, 0], [1, 2])
    assert record.sign[0, 0] > record.sign[1, 0]
    (tmp_path / "questions_crux.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="use gsm or crux"):
        read_zeroeval(tmp_path, "crux")


def test_gsm8k_as_three_ways_and_as_a_panel(tmp_path: Path) -> None:
    said = {"6b_finetuning": 4, "6b_verification": 4, "175b_finetuning": 5, "175b_verification": 4}
    row = {"question": "2 + 2?", "ground_truth": "A: 4"} | {
        s: {"is_correct": n == 4, "solution": f"so\nA: {n}"} for s, n in said.items()
    }
    path = tmp_path / "gsm8k.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    record = read_gsm8k_systems(path)
    assert record.right.tolist() == [[1.0, 0.0, 1.0]]
    assert record.sign[0, 0] == 1.0
    panel = read_gsm8k_solutions(path)
    assert panel.questions[0].answer == "4"
    assert panel.backends["panel"].recorded("0") == 4


@pytest.mark.parametrize("read", [read_llmrouter, read_gsm8k_systems])
def test_a_missing_file_is_named(read, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        read(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="can't be read"):
        read_zeroeval(tmp_path, "gsm")
