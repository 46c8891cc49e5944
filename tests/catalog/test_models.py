"""Architectures: counts derived from the shape agree with what the makers publish."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar import catalog
from bursar.catalog import Attention, Experts, LatentAttention, ModelEntry, ModelSpec, Recurrent
from bursar.catalog.models import built_in_models
from bursar.errors import BadInput

MODELS = catalog.models()
TINY = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 100}


@pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)
def test_derived_totals_are_the_published_ones(entry: ModelEntry) -> None:
    assert entry.spec.parameters == pytest.approx(entry.published.total, rel=0.015)


@pytest.mark.parametrize(
    "entry", [e for e in MODELS.values() if e.published.active], ids=lambda e: e.name
)
def test_derived_active_counts_are_the_published_ones(entry: ModelEntry) -> None:
    """Makers count none, one or both of embedding and head, and round to a billion."""
    spec = entry.spec
    least = spec.active_parameters - spec.head_parameters
    most = spec.active_parameters + spec.head_parameters
    published = entry.published.active
    assert published is not None
    rounding = 0.5e9 if published >= 3e9 else 0.05e9
    assert least * 0.98 - rounding <= published <= most * 1.02 + rounding


@pytest.mark.parametrize(
    ("name", "kib"),
    [
        ("llama-2-7b", 512),
        ("llama-3.1-8b", 128),
        ("llama-3.1-70b", 320),
        ("qwen3-8b", 144),
        ("deepseek-v3", 61 * (512 + 64) * 2 / 1024),  # 70,272 bytes
        ("jamba-v0.1", 16),
    ],
)
def test_cache_bytes_per_token(name: str, kib: float) -> None:
    assert catalog.model(name).kv_bytes_per_token("bf16") == kib * 1024
    assert catalog.model(name).kv_bytes_per_token("fp8") == kib * 512


def test_families_become_the_right_blocks() -> None:
    gemma = catalog.model("gemma-3-27b")
    assert [(b.count, b.window) for b in gemma.blocks if isinstance(b, Attention)] == [
        (10, None),
        (52, 1024),
    ]
    oss = catalog.model("gpt-oss-120b")
    assert [(b.count, b.window) for b in oss.blocks if isinstance(b, Attention)] == [
        (18, None),
        (18, 128),
    ]
    scout = catalog.model("llama-4-scout")
    assert [b.count for b in scout.blocks if isinstance(b, Attention)] == [12, 36]
    v3 = catalog.model("deepseek-v3")
    assert [(b.count, b.heads) for b in v3.blocks if isinstance(b, LatentAttention)] == [(61, 128)]
    assert [(b.count, b.experts) for b in v3.blocks if isinstance(b, Experts)] == [(58, 256)]
    jamba = catalog.model("jamba-v0.1")
    assert [b.count for b in jamba.blocks if isinstance(b, Recurrent)] == [28]
    qwen35 = catalog.model("qwen3.5-397b-a17b")
    assert [b.count for b in qwen35.blocks if isinstance(b, Attention | Recurrent)] == [15, 45]


def test_a_config_is_read_from_a_file_a_folder_or_a_mapping(tmp_path: Path) -> None:
    config = {**TINY, "model_type": "llama", "intermediate_size": 128, "num_key_value_heads": 2}
    file = tmp_path / "my-model" / "config.json"
    file.parent.mkdir()
    file.write_text(json.dumps(config), encoding="utf-8")
    spec = catalog.model(file)
    assert spec == catalog.model(str(file.parent)) == ModelSpec.from_config(config, "my-model")
    assert spec.parameters == 4 * (64 * (64 + 2 * 32) + 64 * 64 + 3 * 64 * 128) + 2 * 6400


def test_a_nested_text_config_is_found() -> None:
    text = {**TINY, "intermediate_size": 128, "model_type": "gemma3_text", "sliding_window": 8}
    outer = {"model_type": "gemma3", "vision_config": {"hidden_size": 9}, "text_config": text}
    spec = ModelSpec.from_config(outer, "seeing")
    assert spec.hidden == 64
    assert spec.tied  # the family's default when the key is absent


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "no 'num_hidden_layers' or 'n_layer'"),
        ({"num_hidden_layers": 4, "num_attention_heads": 4}, "no 'hidden_size'"),
        ({**TINY, "intermediate_size": 9, "num_experts": 2, "moe_k": 3}, "3 of 2 experts"),
        ({**TINY, "intermediate_size": 9, "head_dim": -8}, "gives -8 as key_dim"),
        ({**TINY, "intermediate_size": 9, "head_dim": "0"}, "gives '0' as key_dim"),
        ({**TINY, "model_type": "llama"}, "intermediate_size"),
        ({**TINY, "hidden_size": 0, "intermediate_size": 9}, "hidden_size = 0"),
        ({**TINY, "hidden_size": "64", "intermediate_size": 9}, "hidden_size = '64'"),
        ({**TINY, "intermediate_size": 9, "compress_ratios": [4]}, "compress_ratios"),
        ({**TINY, "intermediate_size": 9, "is_encoder_decoder": True}, "an encoder"),
        ({**TINY, "intermediate_size": 9, "layer_types": ["spiral"] * 4}, "spiral"),
        ({**TINY, "intermediate_size": 9, "num_experts": 8}, "num_experts_per_tok"),
        ({**TINY, "intermediate_size": 9, "kv_lora_rank": 8}, "qk_nope_head_dim"),
        ({**TINY, "intermediate_size": 9, "layer_types": ["mamba"] * 4}, "recurrent layers"),
        ({**TINY, "intermediate_size": 9, "mamba_d_state": 8}, "nothing says which"),
    ],
)
def test_what_cannot_be_read_right_is_refused(config: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        ModelSpec.from_config(config, "mine")


JUNK = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=3), st.just([]))


@given(st.sampled_from(list(MODELS.values())), st.data())
def test_a_spoilt_config_is_read_or_refused_but_never_crashes(
    entry: ModelEntry, data: st.DataObject
) -> None:
    spoilt = data.draw(st.dictionaries(st.sampled_from(sorted(entry.config)), JUNK, min_size=1))
    try:
        spec = ModelSpec.from_config({**entry.config, **spoilt}, "spoilt")
    except BadInput:
        return
    assert spec.parameters > 0


def test_files_that_are_no_config_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't read"):
        catalog.model(tmp_path / "absent.json")
    broken = tmp_path / "config.json"
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match="not JSON"):
        catalog.model(broken)
    broken.write_text("[1]", encoding="utf-8")
    with pytest.raises(BadInput, match="no JSON object"):
        catalog.model(broken)


def test_the_built_in_models_are_found_by_name() -> None:
    if not built_in_models():
        pytest.skip("no built-in weights yet")
    for name, spec in built_in_models().items():
        assert catalog.model(name) is spec
        assert 1e5 < spec.parameters < 1e7
