"""Reads a Hugging Face `config.json` into blocks. One function per kind of layer, keys as in files.

Families differ in names (`num_local_experts`, `n_routed_experts`, ...) and in how they say which
layer is what (a list, a pattern, a period). What can't be read right is refused, not guessed.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bursar.catalog.models import Attention, Block, Experts, LatentAttention, Mlp, ModelSpec
from bursar.catalog.recurrent import read_recurrent
from bursar.errors import BadInput

# Keys of architectures whose cost this reader would get wrong without saying so.
_NOT_MODELLED = {
    "compress_ratios": "attention to compressed tokens (DeepSeek-V4)",
    "linear_attn_config": "Kimi delta attention",
    "hybrid_layer_pattern": "layers with different head counts (MiMo-V2)",
    "block_configs": "a different shape in every layer (Nemotron-NAS)",
    "moe_latent_size": "experts in a latent space (Nemotron-3 Ultra)",
    "hidden_size_per_layer_input": "an embedding for every layer (Gemma 3n, Gemma 4)",
    "block_auto_adjust_ff_dim": "short convolutions (LFM2)",
    "sparse_attention_config": "MiniMax sparse attention",
    "global_head_dim": "different heads in global layers (Gemma 4)",
    "num_mem_blocks": "blocks shared between layers (Zamba 2)",
    "is_encoder_decoder": "an encoder",
}
_FULL = {"full_attention", "attention", "global", "indexed_attention", "deepseek_sparse_attention"}
_WINDOWED = {"sliding_attention", "chunked_attention", "local"}
_UNGATED = {
    *("nemotron_h", "nemotron", "apertus", "starcoder2", "falcon", "gpt2", "gpt_neox"),
    *("gpt_bigcode", "gptj", "codegen", "opt", "phi", "mpt", "bloom"),
}


class Keys:
    """A config whose missing keys raise `BadInput` with their names."""

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        self.config, self.name = config, name

    def get(self, *names: str, default: Any = None) -> Any:
        """The first of `names` that is present and not null."""
        found = (self.config[name] for name in names if self.config.get(name) is not None)
        return next(found, default)

    def count(self, *names: str, default: int | None = None) -> int:
        """A whole number above zero under the first present of `names`."""
        value = self.get(*names, default=default)
        if value is None:
            raise BadInput(
                f"config.json of {self.name} has no {' or '.join(map(repr, names))}; "
                "is it the config of a decoder-only language model?"
            )
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise BadInput(f"{names[0]} = {value!r} in {self.name} must be a whole number above 0")
        return value


def read_config(config: str | Path | Mapping[str, Any], name: str | None = None) -> ModelSpec:
    """The model that a config describes; see `ModelSpec.from_config`."""
    content, found_name = _load(config)
    for part in ("text_config", "llm_config", "language_config"):  # inside models that also see
        nested = content.get(part)
        content = {**content, **nested} if isinstance(nested, Mapping) else content
    keys = Keys(content, name or found_name)
    for key, what in _NOT_MODELLED.items():
        if keys.get(key):
            raise BadInput(f"{keys.name} has {key!r}: {what}, which is not modelled yet")
    try:
        return _read(keys)
    except BadInput:
        raise
    except (TypeError, ValueError, LookupError, ArithmeticError) as error:
        raise BadInput(f"config.json of {keys.name} has a value of a wrong kind: {error}") from None


def _read(keys: Keys) -> ModelSpec:
    blocks = (*_mixers(keys), *_feed_forward(keys))
    for block in blocks:
        for name, value in asdict(block).items():
            if name == "kind" or value is None:
                continue
            if not isinstance(value, int | float) or value < 0:
                raise BadInput(f"config.json of {keys.name} gives {value!r} as {name} of a layer")
    return ModelSpec(
        name=keys.name,
        hidden=keys.count("hidden_size", "n_embd", "d_model"),
        vocabulary=keys.count("vocab_size"),
        blocks=blocks,
        tied=bool(keys.get("tie_word_embeddings", default=keys.get("model_type") in _TIED)),
    )


_TIED = {"gemma", "gemma2", "gemma3", "gemma3_text", "gpt2"}  # their default when the key is absent


def _load(config: str | Path | Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    if isinstance(config, Mapping):
        return config, str(config.get("_name_or_path") or config.get("model_type") or "model")
    path = Path(config)
    path = path / "config.json" if path.is_dir() else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"can't read {path}: {error.strerror}; give a config.json") from None
    except ValueError as error:
        raise BadInput(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds no JSON object; give a Hugging Face config.json")
    return content, path.parent.name


def one_block_layers(keys: Keys) -> str:
    """Nemotron-H, where a layer is one block: M = Mamba, * = attention, - = MLP, E = experts."""
    if pattern := keys.get("hybrid_override_pattern"):
        return str(pattern)
    kinds = keys.get("layers_block_type", default=())
    if not {"mlp", "moe"} & set(kinds):
        return ""
    if unknown := set(kinds) - set(_LETTERS):
        raise BadInput(f"layer types {sorted(unknown)} in {keys.name} are not modelled yet")
    return "".join(_LETTERS[kind] for kind in kinds)


_LETTERS = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}
_LETTERS |= {"linear_attention": "M", "full_attention": "*"}


def layer_kinds(keys: Keys) -> list[str]:
    """What mixes tokens in each layer: "full", "window", "recurrent", "both" or "none"."""
    if pattern := one_block_layers(keys):
        return [{"M": "recurrent", "*": "full"}.get(letter, "none") for letter in pattern]
    if keys.get("model_type") == "falcon_h1":
        return ["both"] * _layer_count(keys)
    if kinds := keys.get("layer_types", "layers_block_type"):
        return [_kind(str(kind), keys) for kind in kinds]
    layers = _layer_count(keys)
    if kinds := keys.get("attn_type_list"):  # MiniMax: 1 = softmax, 0 = linear
        return ["full" if kind else "recurrent" for kind in kinds]
    if period := keys.get("attn_layer_period"):  # Jamba
        offset = keys.get("attn_layer_offset", default=0)
        return ["full" if i % period == offset else "recurrent" for i in range(layers)]
    if (chosen := keys.get("attn_layer_indices")) is not None:  # Bamba
        return ["full" if i in chosen else "recurrent" for i in range(layers)]
    if period := keys.get("full_attention_interval"):  # Qwen3-Next, Qwen3.5
        return ["full" if (i + 1) % period == 0 else "recurrent" for i in range(layers)]
    return _windowed_layers(keys, layers)


def _layer_count(keys: Keys) -> int:
    return keys.count("num_hidden_layers", "n_layer", "num_layers", "n_layers")


def _kind(name: str, keys: Keys) -> str:
    if name in _FULL:
        return "full"
    if name in _WINDOWED:
        return "window"
    if name in {"linear_attention", "mamba", "mamba2"}:
        return "recurrent"
    raise BadInput(f"layer type {name!r} in {keys.name} is not modelled yet")


def _windowed_layers(keys: Keys, layers: int) -> list[str]:
    family = keys.get("model_type")
    window = keys.get("sliding_window", "attention_chunk_size")
    if window is None or keys.get("use_sliding_window") is False or family in {"qwen2", "qwen3"}:
        return ["full"] * layers
    if family in {"gemma2", "gpt_oss"}:  # every second one, from the first
        return ["full" if i % 2 else "window" for i in range(layers)]
    period = keys.get("sliding_window_pattern", "_sliding_window_pattern")
    if period is None and family in {"gemma3", "gemma3_text"}:
        period = 6
    if period is None and family in {"llama4", "llama4_text"}:
        period = keys.get("no_rope_layer_interval", default=4)
    if isinstance(period, int) and period > 1:
        return ["full" if (i + 1) % period == 0 else "window" for i in range(layers)]
    return ["window"] * layers


def _mixers(keys: Keys) -> list[Block]:
    counts = Counter(layer_kinds(keys))
    state = keys.get("mamba_d_state", "ssm_state_size", "linear_num_value_heads")
    if state and not counts["recurrent"] + counts["both"]:
        raise BadInput(f"{keys.name} has recurrent layers, but nothing says which they are")
    both, blocks = counts["both"], list[Block]()
    if full := counts["full"] + both:
        blocks.append(_attention(keys, full, None))
    if windowed := counts["window"]:
        window = keys.count("sliding_window", "attention_chunk_size")
        blocks.append(_attention(keys, windowed, window))
    if recurrent := counts["recurrent"] + both:
        blocks.append(read_recurrent(keys, recurrent))
    return blocks


def _attention(keys: Keys, count: int, window: int | None) -> Block:
    heads = keys.count("num_attention_heads", "n_head", "n_heads")
    family = keys.get("model_type")
    if keys.get("kv_lora_rank") is not None:
        return LatentAttention(
            count,
            heads,
            query_rank=keys.get("q_lora_rank"),
            kv_rank=keys.count("kv_lora_rank"),
            nope_dim=keys.count("qk_nope_head_dim"),
            rope_dim=keys.count("qk_rope_head_dim"),
            value_dim=keys.count("v_head_dim"),
            top_k=keys.get("index_topk"),
            index_heads=keys.get("index_n_heads", default=0),
            index_dim=keys.get("index_head_dim", default=0),
        )
    hidden = keys.count("hidden_size", "n_embd", "d_model")
    dim = keys.get("head_dim", "attention_head_dim") or hidden // heads
    kv_heads = 1 if keys.get("multi_query") else keys.count("num_key_value_heads", default=heads)
    return Attention(
        count,
        query_heads=heads,
        kv_heads=kv_heads,
        key_dim=dim,
        value_dim=keys.get("v_head_dim", default=dim),
        window=window,
        bias=bool(keys.get("attention_bias", "qkv_bias", default=family in {"qwen2", "gpt_oss"})),
        gated=bool(keys.get("attn_output_gate", default=_has_output_gate(family))),
    )


def _has_output_gate(family: Any) -> bool:
    return str(family).startswith(("qwen3_next", "qwen3_5"))


def _feed_forward(keys: Keys) -> list[Block]:
    gated = keys.get("model_type") not in _UNGATED
    if pattern := one_block_layers(keys):
        counts = Counter(pattern)
        blocks = [Mlp(counts["-"], _inner(keys), gated)] if counts["-"] else []
        return [*blocks, *([_experts(keys, counts["E"], gated)] if counts["E"] else [])]
    layers = _layer_count(keys)
    sparse = sum(_is_sparse(keys, i) for i in range(layers)) if _expert_count(keys) else 0
    blocks = [Mlp(layers - sparse, _inner(keys), gated)] if sparse < layers else []
    return [*blocks, *([_experts(keys, sparse, gated)] if sparse else [])]


def _inner(keys: Keys) -> int:
    names = ("intermediate_size_mlp", "dense_intermediate_size", "intermediate_size", "n_inner")
    if keys.get("model_type") in {"gpt2", "gptj", "codegen"}:
        return keys.count("n_inner", default=4 * keys.count("n_embd"))
    if keys.get("model_type") == "mpt":
        return keys.count("expansion_ratio", default=4) * keys.count("d_model")
    return keys.count(*names, "ffn_hidden_size")


def _expert_count(keys: Keys) -> int:
    names = ("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts")
    return keys.count(*names) if keys.get(*names) else 0


def _is_sparse(keys: Keys, layer: int) -> bool:
    if kinds := keys.get("mlp_layer_types"):
        return bool(kinds[layer] == "sparse")
    if layer < keys.get("first_k_dense_replace", "moe_layer_start_index", default=0):
        return False
    if layer in keys.get("mlp_only_layers", default=()):
        return False
    frequency = keys.get("moe_layer_freq", default=1)
    if isinstance(frequency, list):
        return bool(frequency[layer])
    if period := keys.get("expert_layer_period"):  # Jamba
        return bool(layer % period == keys.get("expert_layer_offset", default=0))
    step = keys.get("decoder_sparse_step", "interleave_moe_layer_step")
    if step is not None:  # Qwen MoE, Llama 4
        return (layer + 1) % int(step) == 0
    return layer % int(frequency) == 0


_SHARED = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")


def _experts(keys: Keys, count: int, gated: bool) -> Experts:
    inner = keys.count("moe_intermediate_size", "intermediate_size")
    shared = keys.get(
        "moe_shared_expert_intermediate_size",
        "shared_expert_intermediate_size",
        "shared_intermediate_size",
    )
    if shared is None:
        shared = inner * keys.get(*_SHARED, default=0)
    if str(keys.get("model_type")).startswith("llama4"):
        shared = inner  # always one shared expert, without a key that says so
    experts = _expert_count(keys)
    top_k = keys.count("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_k")
    if top_k > experts:
        raise BadInput(f"{keys.name} picks {top_k} of {experts} experts; it can't pick more")
    return Experts(
        count,
        experts=experts,
        top_k=top_k,
        inner=inner,
        shared_inner=int(shared),
        gated=gated,
    )
