"""The layers whose state does not grow: weights, state and work per token, by family.

State work per token counts a multiply and an add for each: decay and update of every state number,
and reading it out (about 6 FLOPs a number; 8 for the delta rule, which also erases).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.catalog.models import Recurrent
from bursar.errors import BadInput

if TYPE_CHECKING:
    from bursar.catalog.config_json import Keys


def read_recurrent(keys: Keys, count: int) -> Recurrent:
    """The recurrent layers of a config. Raises `BadInput` for a family that is not known."""
    if keys.get("linear_num_value_heads"):
        return _gated_delta_net(keys, count)
    if keys.get("mamba_dt_rank"):
        return _mamba1(keys, count)
    if keys.get("ssm_state_size", "mamba_d_state"):
        return _mamba2(keys, count)
    if keys.get("attn_type_list") or keys.get("model_type") == "minimax":
        return _lightning(keys, count)
    raise BadInput(f"{keys.name} has recurrent layers of a family that is not modelled yet")


def _gated_delta_net(keys: Keys, count: int) -> Recurrent:
    """Qwen3-Next and Qwen3.5."""
    hidden = keys.count("hidden_size")
    value_heads, value_dim = (
        keys.count("linear_num_value_heads"),
        keys.count("linear_value_head_dim"),
    )
    key_heads, key_dim = keys.count("linear_num_key_heads"), keys.count("linear_key_head_dim")
    keys_wide, values_wide = key_heads * key_dim, value_heads * value_dim
    convolved, taps = 2 * keys_wide + values_wide, keys.count("linear_conv_kernel_dim")
    rows_in = 2 * keys_wide + 2 * values_wide + 2 * value_heads
    state = value_heads * value_dim * key_dim
    return Recurrent(
        count,
        "gated delta net",
        weights=hidden * (rows_in + values_wide) + convolved * taps,
        state_elements=state + convolved * (taps - 1),
        state_flops=8 * state,
    )


def _mamba2(keys: Keys, count: int) -> Recurrent:
    """Nemotron-H (`mamba_num_heads`) and Falcon-H1 (`mamba_n_heads`)."""
    hidden = keys.count("hidden_size")
    heads = keys.count("mamba_num_heads", "mamba_n_heads")
    inner = heads * keys.count("mamba_head_dim", "mamba_d_head")
    states = keys.count("ssm_state_size", "mamba_d_state")
    groups = keys.count("n_groups", "mamba_n_groups")
    taps = keys.count("conv_kernel", "mamba_d_conv")
    convolved = inner + 2 * groups * states
    return Recurrent(
        count,
        "mamba 2",
        weights=hidden * (inner + convolved + heads + inner) + convolved * taps,
        state_elements=inner * states + convolved * (taps - 1),
        state_flops=6 * inner * states,
    )


def _mamba1(keys: Keys, count: int) -> Recurrent:
    """Jamba."""
    hidden = keys.count("hidden_size")
    inner = hidden * keys.count("mamba_expand")
    states, rank = keys.count("mamba_d_state"), keys.count("mamba_dt_rank")
    taps = keys.count("mamba_d_conv")
    weights = 3 * hidden * inner + inner * (2 * rank + 3 * states + taps + 1)
    return Recurrent(
        count,
        "mamba 1",
        weights=weights,
        state_elements=inner * (states + taps - 1),
        state_flops=6 * inner * states,
    )


def _lightning(keys: Keys, count: int) -> Recurrent:
    """MiniMax-Text-01: linear attention with an output gate."""
    heads = keys.count("num_attention_heads")
    hidden = keys.count("hidden_size")
    dim = keys.get("head_dim") or hidden // heads
    return Recurrent(
        count,
        "lightning attention",
        weights=5 * hidden * heads * dim,
        state_elements=heads * dim * dim,
        state_flops=6 * heads * dim * dim,
    )
