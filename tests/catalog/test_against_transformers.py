"""The same configs, built by `transformers` without memory, have as many weights as we derive."""

import pytest

from bursar.catalog import ModelSpec

pytestmark = pytest.mark.torch

BASE = {
    "hidden_size": 64,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 300,
    "head_dim": 16,
}
MOE = {"moe_intermediate_size": 48, "num_experts_per_tok": 2}
MLA = {"kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 12}
DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
}
CONFIGS = {
    "llama": BASE,
    "qwen2": BASE | {"head_dim": None},
    "qwen3": BASE,
    "gemma2": BASE | {"sliding_window": 8},
    "qwen3_moe": BASE | MOE | {"num_experts": 6},
    "mixtral": BASE | {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": None},
    "gpt_oss": BASE | {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8},
    "glm4_moe": BASE | MOE | {"n_routed_experts": 6, "n_shared_experts": 1},
    "deepseek_v3": BASE
    | MOE
    | MLA
    | {"n_routed_experts": 8, "n_shared_experts": 1, "q_lora_rank": 24, "num_key_value_heads": 4}
    | {"first_k_dense_replace": 2, "n_group": 2, "topk_group": 1},
    "qwen3_next": BASE | MOE | DELTA | {"num_experts": 6, "shared_expert_intermediate_size": 48},
    "qwen3_5_moe_text": BASE
    | MOE
    | DELTA
    | {"num_experts": 6, "shared_expert_intermediate_size": 48},
    "gemma3_text": BASE | {"sliding_window": 8},
    "phi3": BASE | {"head_dim": None, "pad_token_id": 0},
    "apertus": BASE | {"head_dim": None},
    "minimax_m2": BASE | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "llama4_text": BASE | {"num_local_experts": 4, "intermediate_size_mlp": 128},
    "ernie4_5_moe": BASE
    | {"moe_intermediate_size": 48, "moe_num_experts": 6, "moe_k": 2, "moe_num_shared_experts": 1},
    "glm_moe_dsa": BASE
    | MOE
    | MLA
    | {"n_routed_experts": 6, "n_shared_experts": 1, "q_lora_rank": 24, "num_key_value_heads": 4}
    | {"first_k_dense_replace": 2, "index_topk": 4, "index_head_dim": 8, "index_n_heads": 2},
    "falcon_h1": BASE
    | {"mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_ssm": 32, "mamba_d_state": 8},
    "nemotron_h": BASE
    | MOE
    | {"mamba_num_heads": 4, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 2}
    | {"n_routed_experts": 4, "moe_shared_expert_intermediate_size": 48}
    | {"hybrid_override_pattern": "M-M*EM*E"},
    "jamba": BASE | {"num_experts": 4, "num_experts_per_tok": 2, "mamba_d_state": 8},
}


@pytest.mark.parametrize("family", CONFIGS)
def test_parameter_counts(family: str) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    given = {k: v for k, v in CONFIGS[family].items() if v is not None}
    config = transformers.AutoConfig.for_model(family, **given)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    # norms, routing corrections and the like are left out of ours
    counted = {
        name: p.numel()
        for name, p in model.named_parameters()
        if p.dim() > 1 and "norm" not in name
    }
    spec = ModelSpec.from_config(config.to_dict(), family)
    assert spec.parameters == pytest.approx(sum(counted.values()), rel=0.02)
