"""Training the mixture of experts: a few steps lower the loss, files load again."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from bursar.training import record_routing  # noqa: E402
from bursar.training.moe import MoeShape, TinyMoe, load_moe, save_moe  # noqa: E402
from bursar.training.train import Recipe  # noqa: E402
from bursar.training.train_moe import train_moe  # noqa: E402

SMALL = MoeShape(64, 2, 2, 16, num_local_experts=4)


def test_twenty_steps_lower_the_loss_and_files_load_again(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = Recipe(max_steps=20, batch_tokens=1024, warmup_steps=5, minutes=5)
    *_, (steps, loss, uneven, model) = train_moe(SMALL, recipe, log_every=5)
    assert steps == 20
    assert loss < 4.5  # a uniform guess over the vocabulary is 4.97
    assert 1 <= uneven < 4
    save_moe(model, tmp_path)
    again, ids = load_moe(tmp_path), torch.arange(3, 43)[None]
    with torch.no_grad():
        assert torch.allclose(again(ids), model(ids), atol=0.05)  # stored as float16


def test_even_routing_has_an_imbalance_of_one() -> None:
    model = TinyMoe(SMALL)
    with torch.no_grad():
        model(torch.arange(3, 35)[None])
        for layer in model.model.layers:
            layer.mlp.logits = torch.zeros(32, 4)
            layer.mlp.chosen = torch.arange(64).reshape(32, 2) % 4
        real = torch.arange(32) < 16  # of the rest, nothing counts
        assert float(model.imbalance(real)) == pytest.approx(1.0)
        layer.mlp.chosen[~real] = 0
        assert float(model.imbalance(real)) == pytest.approx(1.0)


def test_a_recording_is_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question of each task and split: the columns and types of the shipped file."""
    out = tmp_path / "few.npz"
    monkeypatch.setattr("sys.argv", ["record_routing", "--questions", "1", "--out", str(out)])
    record_routing.main()
    with np.load(out) as few, np.load(record_routing.RECORDING) as shipped:
        assert sorted(few) == sorted(shipped)
        assert all(few[name].dtype == shipped[name].dtype for name in few)
        assert len(np.unique(few["question"])) == 6
        assert few["experts"].shape[1:] == shipped["experts"].shape[1:]
