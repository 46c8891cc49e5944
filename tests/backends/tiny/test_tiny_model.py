"""The forward pass is that of transformers, for every shape we say we run."""

import json

import numpy as np
import pytest
from tiny_models import save_random

from bursar.backends.base import Request
from bursar.backends.tiny import tiny_sizes
from bursar.backends.tiny.backend import WEIGHTS
from bursar.backends.tiny.engine import Engine
from bursar.backends.tiny.model import Llama, TinyConfig
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.errors import BadInput
from bursar.workload.tasks import TASKS

SHAPES = {
    "plain": {},
    "grouped": {"kv_heads": 2},
    "one key head": {"kv_heads": 1},
    "untied": {"tied": False},
    "float16": {"dtype": np.float16},
}


def reference(folder):
    pytest.importorskip("torch", reason="needs the torch extra")
    import torch
    from transformers import LlamaForCausalLM

    torch.set_num_threads(1)  # the matrices are too small for two
    return torch, LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def random_rows(count, width, vocab, seed=0):
    return np.random.default_rng(seed).integers(3, vocab, (count, width))


def difference(folder, rows=None):
    torch, theirs = reference(folder)
    ours = Llama.load(folder)
    rows = random_rows(3, 40, ours.config.vocab) if rows is None else rows
    with torch.no_grad():
        expected = theirs(torch.from_numpy(rows)).logits.numpy()
    return np.abs(ours.forward(rows) - expected).max()


@pytest.mark.torch
@pytest.mark.parametrize("shape", SHAPES)
def test_logits_equal_those_of_transformers(tmp_path, shape):
    assert difference(save_random(tmp_path, **SHAPES[shape])) < 1e-4


@pytest.mark.torch
@pytest.mark.parametrize("size", tiny_sizes())
def test_logits_of_the_trained_weights_equal_those_of_transformers(size):
    """On what it is asked and says: prompts of every task with its own greedy answers."""
    tokenizer = Tokenizer()
    engine = Engine(Llama.load(WEIGHTS / size), tokenizer)
    for task in TASKS.values():
        asked = [Request(q.prompt, 200, temperature=0.0) for q in task.generate(8, seed=1)]
        for request, said in zip(asked, engine.run(asked), strict=True):
            text = np.array([tokenizer.encode(request.prompt + said.text)])
            assert difference(WEIGHTS / size, text) < 1e-4


@pytest.mark.torch
@pytest.mark.parametrize("shape", ["plain", "grouped"])
def test_greedy_text_is_that_of_generate(tmp_path, shape):
    torch, theirs = reference(save_random(tmp_path, **SHAPES[shape]))
    engine = Engine(Llama.load(tmp_path), Tokenizer())
    prompts = [f"chain {a}*{b}+7\n" for a, b in ((3, 4), (50, 61), (9, 90), (17, 2))]
    said = engine.run([Request(p, 60, temperature=0) for p in prompts])
    for prompt, ours in zip(prompts, said, strict=True):
        ids = torch.tensor([Tokenizer().encode(prompt)])
        with torch.no_grad():
            out = theirs.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=60,
                pad_token_id=0,
            )
        assert ours.tokens.tolist() == out[0, ids.shape[1] :].tolist()


def test_a_row_does_not_see_its_future_nor_the_padding_of_others(folder):
    model = Llama.load(folder)
    rows = random_rows(2, 30, model.config.vocab)
    changed = rows.copy()
    changed[:, 20:] = 0
    np.testing.assert_allclose(
        model.forward(rows)[:, :20], model.forward(changed)[:, :20], atol=1e-5
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_type": "mistral"}, "model_type"),
        ({"attention_bias": True}, "attention_bias"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4}}, "rope_type"),
    ],
)
def test_a_shape_we_would_run_wrongly_is_refused(tmp_path, folder, change, named):
    config = json.loads((folder / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match=named):
        TinyConfig.from_file(tmp_path / "config.json")


def test_rope_theta_is_read_from_either_place(tmp_path, folder):
    config = json.loads((folder / "config.json").read_text())
    del config["rope_theta"]
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": 5000.0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert TinyConfig.from_file(tmp_path / "config.json").rope_theta == 5000.0


def test_missing_weights_are_named(tmp_path, folder):
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(BadInput, match=r"model\.safetensors is missing"):
        Llama.load(tmp_path)
