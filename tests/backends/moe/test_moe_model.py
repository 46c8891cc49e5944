"""The NumPy mixture of experts against torch and against transformers."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from bursar.backends.moe import MOE_WEIGHTS, MixtureOfExperts, MoeConfig
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.errors import BadInput
from bursar.training.traces import MAKERS, document_ids
from bursar.workload.expert_routing import recorded

FOLDER = MOE_WEIGHTS / "tiny-moe"


@pytest.fixture(scope="module")
def model() -> MixtureOfExperts:
    return MixtureOfExperts.load(FOLDER)


def some_tokens(rows: int = 3, length: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(3, Tokenizer().size, (rows, length))


@pytest.mark.torch
def test_logits_and_routes_are_those_of_torch(model: MixtureOfExperts) -> None:
    torch = pytest.importorskip("torch")
    from bursar.training.moe import load_moe

    tokens, peer = some_tokens(), load_moe(FOLDER)
    with torch.no_grad():
        logits = peer.logits(peer(torch.from_numpy(tokens))).numpy()
    ours = model.forward(tokens)
    np.testing.assert_allclose(ours.logits, logits, atol=1e-4)
    for i, layer in enumerate(peer.model.layers):
        chosen = layer.mlp.chosen.numpy().reshape(*tokens.shape, -1)
        np.testing.assert_array_equal(ours.experts[:, :, i], chosen)


@pytest.mark.torch
def test_logits_are_those_of_transformers(model: MixtureOfExperts) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokens = some_tokens()
    peer = transformers.MixtralForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = peer(torch.from_numpy(tokens)).logits.numpy()
    np.testing.assert_allclose(model.forward(tokens).logits, logits, atol=1e-4)


def test_what_comes_later_changes_nothing_before(model: MixtureOfExperts) -> None:
    tokens = some_tokens()
    short, whole = model.forward(tokens[:, :20]), model.forward(tokens)
    np.testing.assert_allclose(short.logits, whole.logits[:, :20], atol=1e-4)
    np.testing.assert_array_equal(short.experts, whole.experts[:, :20])
    np.testing.assert_allclose(whole.shares.sum(-1), 1, atol=1e-6)


def test_gate_scores_rank_the_experts_that_are_picked(model: MixtureOfExperts) -> None:
    tokens = some_tokens()
    found, scores = model.forward(tokens), model.gate_scores(tokens, ahead=2)
    config = model.config
    assert scores.shape == (3, tokens.size, config.layers, config.experts)
    chosen = found.experts.reshape(tokens.size, config.layers, -1)
    best = np.argsort(-scores[0], axis=-1, kind="stable")[..., : config.top_k]
    np.testing.assert_array_equal(best, chosen)
    top = np.take_along_axis(scores[0], chosen, axis=-1)
    shares = found.shares.reshape(top.shape)
    np.testing.assert_allclose(top / top.sum(-1, keepdims=True), shares, atol=1e-5)
    for ahead in (1, 2):
        assert not scores[ahead, :, :ahead].any()
        np.testing.assert_allclose(scores[ahead, :, ahead:].sum(-1), 1, atol=1e-5)


def test_it_has_learnt_the_form_of_answers(model: MixtureOfExperts) -> None:
    """Most tokens that follow from those before, in solved questions it has not seen."""
    rng, tokenizer = random.Random(5), Tokenizer()
    right = []
    for make in list(MAKERS.values()) * 5:
        ids, known = document_ids(tokenizer, make(rng))
        likeliest = model.forward(np.array([ids])).logits[0, :-1].argmax(-1)
        right += (likeliest == ids[1:])[known[1:]].tolist()
    assert np.mean(right) > 0.75


def test_the_recorded_routes_are_its_own(model: MixtureOfExperts) -> None:
    held_out = recorded().held_out
    for question in np.unique(held_out.question)[::40]:
        rows = held_out.rows(held_out.question == question)
        found = model.forward(rows.token[None])
        np.testing.assert_array_equal(found.experts[0], rows.experts)
        np.testing.assert_allclose(found.shares[0], rows.shares, atol=1e-3)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "config.json", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    with pytest.raises(BadInput, match="llama; this engine runs Mixtral"):
        MoeConfig.from_file(tmp_path / "config.json")
