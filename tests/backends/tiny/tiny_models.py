"""Small models with random weights, written as `LlamaForCausalLM.save_pretrained` writes them."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from bursar.backends.tiny.tokenizer import Tokenizer


def save_random(
    folder: Path, *, kv_heads: int = 4, tied: bool = True, dtype: type = np.float32
) -> Path:
    """Width 32, 2 layers, 4 heads. The weights are large enough that texts differ and end."""
    folder.mkdir(parents=True, exist_ok=True)
    width, hidden, layers, heads, vocab = 32, 48, 2, 4, Tokenizer().size
    rng = np.random.default_rng(0)

    def matrix(rows: int, columns: int, scale: float) -> np.ndarray:
        return (rng.standard_normal((rows, columns)) * scale / columns**0.5).astype(dtype)

    def norm() -> np.ndarray:
        return rng.uniform(0.5, 1.5, width).astype(dtype)

    kv_width = width // heads * kv_heads
    tensors = {"model.embed_tokens.weight": matrix(vocab, width, 2.0), "model.norm.weight": norm()}
    for i in range(layers):
        tensors |= {
            f"model.layers.{i}.{name}.weight": value
            for name, value in {
                "input_layernorm": norm(),
                "self_attn.q_proj": matrix(width, width, 2.0),
                "self_attn.k_proj": matrix(kv_width, width, 2.0),
                "self_attn.v_proj": matrix(kv_width, width, 2.0),
                "self_attn.o_proj": matrix(width, width, 2.0),
                "post_attention_layernorm": norm(),
                "mlp.gate_proj": matrix(hidden, width, 2.0),
                "mlp.up_proj": matrix(hidden, width, 2.0),
                "mlp.down_proj": matrix(width, hidden, 2.0),
            }.items()
        }
    if not tied:
        tensors["lm_head.weight"] = matrix(vocab, width, 2.0)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocab,
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": tied,
        "hidden_act": "silu",
        "bos_token_id": Tokenizer.bos_id,
        "eos_token_id": Tokenizer.eos_id,
        "torch_dtype": np.dtype(dtype).name,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder
