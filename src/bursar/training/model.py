"""The built-in models in torch: Llama's shape (RMSNorm, RoPE, SwiGLU, tied embeddings, no biases).

Parameter names and RoPE layout (rotate halves) are those of `transformers.LlamaForCausalLM`, which
loads the weights as they are. Used for training only; bursar generates with its NumPy engine.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.workload.tasks.chain import MODULUS
from bursar.workload.tasks.sudoku4 import CELLS, UNITS

WEIGHTS = Path(__file__).parents[1] / "backends" / "tiny" / "weights"


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a model, named as in a Hugging Face config."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int = Tokenizer().size
    max_position_embeddings: int = 512
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden_size // self.num_attention_heads


SHAPES = {
    "tiny-0.3m": Shape(80, 4, 5, 224),
    "tiny-1m": Shape(128, 5, 8, 352),
}


EMBEDDING_STD = 0.05
_ADDITIVE = (1, 2, 4, 7, 12, 19, 29, 40)
_MULTIPLICATIVE = (1, 2, 5, 7, 11, 16, 19, 24, 29, 35, 41, 48)


def start_embeddings(weight: Tensor) -> None:
    """Add, to random embeddings (vocab, width >= 52), what makes the tasks' rules easy to find.

    Numbers get Fourier modes of n and of its discrete logarithm modulo 97, so that sums and
    products are sums of angles; cells get their row, column and box. All of it is learnt further.
    Without this the same model had learnt no modular product after 6M tokens.
    """
    tokenizer = Tokenizer()
    width = 2 * (len(_ADDITIVE) + len(_MULTIPLICATIVE))
    scale = 1.5 * EMBEDDING_STD
    logarithm = {pow(5, k, MODULUS): k for k in range(MODULUS - 1)}  # 5 generates the group
    for n in range(100):
        angles = [2 * math.pi * f * n / MODULUS for f in _ADDITIVE]
        if n % MODULUS:
            logs = logarithm[n % MODULUS]
            angles += [2 * math.pi * f * logs / (MODULUS - 1) for f in _MULTIPLICATIVE]
        modes = torch.tensor([wave(a) for a in angles for wave in (math.cos, math.sin)])
        weight[tokenizer.encode(str(n))[0], : len(modes)] += 1.4 * scale * modes
    for cell, letter in enumerate(CELLS):
        units = [float(cell in unit) for unit in UNITS]
        weight[tokenizer.encode(letter)[0], width : width + 12] += 3 * scale * torch.tensor(units)


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return F.rms_norm(x.float(), (x.shape[-1],), weight.float(), eps).to(x.dtype)


class RMSNorm(nn.Module):
    """x / rms(x) * weight."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.hidden_size))
        self.eps = shape.rms_norm_eps

    def forward(self, x: Tensor) -> Tensor:
        return _rms_norm(x, self.weight, self.eps)


class Attention(nn.Module):
    """Causal multi-head attention with rotary positions."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.head_dim = shape.num_attention_heads, shape.head_dim
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(shape.hidden_size, shape.hidden_size, bias=False))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: list[Tensor] | None) -> Tensor:
        rows, width = x.shape[:2]
        q, k, v = (
            proj(x).view(rows, width, self.heads, self.head_dim).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        if cache is not None:
            if cache:
                k, v = torch.cat((cache[0], k), 2), torch.cat((cache[1], v), 2)
            cache[:] = [k, v]
        # Plain products: the fused kernel's backward is slow for short rows on a CPU.
        scores = q @ k.transpose(2, 3) * self.head_dim**-0.5
        ahead = torch.full((width, k.shape[2]), -1e9, dtype=scores.dtype).triu(
            k.shape[2] - width + 1
        )
        mixed = (scores + ahead).softmax(-1, torch.float32).to(v.dtype) @ v
        out: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(rows, width, -1))
        return out


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos.to(x.dtype) + torch.cat((-second, first), -1) * sin.to(x.dtype)


class MLP(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    """Attention and MLP, each after a norm and around a residual."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm, self.self_attn = RMSNorm(shape), Attention(shape)
        self.post_attention_layernorm, self.mlp = RMSNorm(shape), MLP(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: list[Tensor] | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Decoder(nn.Module):
    """Embeddings, layers, final norm: Hugging Face's `model.` part."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))
        self.norm = RMSNorm(shape)


class TinyLlama(nn.Module):
    """Token ids (rows, width) -> final hidden states (rows, width, hidden); `logits` on top."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                depth = (2 * shape.num_hidden_layers) ** -0.5 if last else 1.0
                std = EMBEDDING_STD if "embed" in name else weight.shape[1] ** -0.5 * 0.6
                nn.init.normal_(weight, std=std * depth)
        with torch.no_grad():
            start_embeddings(self.model.embed_tokens.weight)
        half = torch.arange(0, shape.head_dim, 2) / shape.head_dim
        angles = torch.outer(
            torch.arange(shape.max_position_embeddings).float(), shape.rope_theta**-half
        ).repeat(1, 2)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, ids: Tensor, caches: list[list[Tensor]] | None = None) -> Tensor:
        start = caches[0][0].shape[2] if caches and caches[0] else 0
        cos, sin = (t[start : start + ids.shape[1]] for t in (self.cos, self.sin))
        x = self.model.embed_tokens(ids)
        for i, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, caches[i] if caches is not None else None)
        out: Tensor = self.model.norm(x)
        return out

    def logits(self, hidden: Tensor) -> Tensor:
        """Next-token logits of final hidden states."""
        return F.linear(hidden, self.model.embed_tokens.weight)


def save(model: TinyLlama, folder: Path, *, efforts: str = "") -> None:
    """Write `model.safetensors` (float16) and a Hugging Face `config.json`.

    `efforts`: which effort its prompts may name (see `backends/tiny/effort.py`).
    """
    own = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "mlp_bias": False}
    if efforts:
        own["efforts"] = efforts
    write_folder(folder, model.state_dict(), asdict(model.shape) | own, model.shape.head_dim)


def write_folder(
    folder: Path, parameters: Mapping[str, Tensor], own: Mapping[str, object], head_dim: int
) -> None:
    """A model as a folder of Hugging Face's; `own`: what its kind of model says of itself."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {n: p.detach().to(torch.float16).contiguous() for n, p in parameters.items()}
    half_written = folder / "model.safetensors.new"  # a reader never sees half a file
    save_file(tensors, half_written, metadata={"format": "pt"})
    half_written.rename(folder / "model.safetensors")
    config = {
        **own,
        "head_dim": head_dim,
        "num_key_value_heads": own["num_attention_heads"],
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": True,
        "pad_token_id": Tokenizer.pad_id,
        "bos_token_id": Tokenizer.bos_id,
        "eos_token_id": Tokenizer.eos_id,
        "dtype": "float16",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def load(folder: Path) -> TinyLlama:
    """A saved model, in float32."""
    config = json.loads((folder / "config.json").read_text())
    model = TinyLlama(Shape(**{f.name: config[f.name] for f in fields(Shape)}))
    tensors = load_file(folder / "model.safetensors")
    model.load_state_dict({name: t.float() for name, t in tensors.items()})
    return model.eval()
