"""A Llama with random weights, in a folder as Hugging Face writes it: for sizes we don't ship."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def write_llama(
    folder: Path,
    *,
    width: int,
    hidden: int,
    layers: int,
    heads: int,
    kv_heads: int | None = None,
    vocab: int = 64,
    seed: int = 0,
) -> Path:
    """`folder` with `config.json` and `model.safetensors`, float32, tied embedding."""
    rng = np.random.default_rng(seed)
    keys = width // heads * (kv_heads or heads)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (rng.normal(size=(rows, columns)) / columns**0.5).astype(np.float32)

    tensors = {"model.embed_tokens.weight": matrix(vocab, width)}
    tensors["model.norm.weight"] = np.ones(width, np.float32)
    for i in range(layers):
        name = f"model.layers.{i}."
        tensors[name + "input_layernorm.weight"] = np.ones(width, np.float32)
        tensors[name + "post_attention_layernorm.weight"] = np.ones(width, np.float32)
        for part, rows in {"q": width, "k": keys, "v": keys, "o": width}.items():
            tensors[name + f"self_attn.{part}_proj.weight"] = matrix(rows, width)
        tensors[name + "mlp.gate_proj.weight"] = matrix(hidden, width)
        tensors[name + "mlp.up_proj.weight"] = matrix(hidden, width)
        tensors[name + "mlp.down_proj.weight"] = matrix(width, hidden)
    config = {
        "model_type": "llama",
        "vocab_size": vocab,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads or heads,
        "intermediate_size": hidden,
        "max_position_embeddings": 1024,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder
