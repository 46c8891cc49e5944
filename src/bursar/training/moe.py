"""The built-in mixture of experts in torch: Mixtral's shape, the layers of `model` else.

Each layer sends a token to the `top_k` of its experts with the highest router logits; their outputs
are weighed by the softmax of these logits. Files have the parameter names of
`transformers.MixtralForCausalLM`, which loads them as they are.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from bursar.training.model import MLP, Shape, TinyLlama, write_folder


@dataclass(frozen=True, slots=True)
class MoeShape(Shape):
    """`intermediate_size` is that of one expert."""

    num_local_experts: int = 16
    num_experts_per_tok: int = 2


MOE_SHAPES = {"tiny-moe": MoeShape(64, 6, 4, 32)}

_FILE_NAMES = (
    (".mlp.router.", ".block_sparse_moe.gate."),
    (".mlp.experts.", ".block_sparse_moe.experts."),
    (".gate_proj.", ".w1."),
    (".down_proj.", ".w2."),
    (".up_proj.", ".w3."),
)


class SparseMLP(nn.Module):
    """Routes each token to `top_k` experts; keeps the router's last choice for the loss."""

    def __init__(self, shape: MoeShape) -> None:
        super().__init__()
        self.top_k = shape.num_experts_per_tok
        self.router = nn.Linear(shape.hidden_size, shape.num_local_experts, bias=False)
        self.experts = nn.ModuleList(MLP(shape) for _ in range(shape.num_local_experts))
        self.logits = torch.empty(0)
        self.chosen = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        self.logits = self.router(flat).float()
        top, self.chosen = self.logits.topk(self.top_k)
        share = top.softmax(-1)
        # One sort in place of a search for each expert's tokens.
        order = self.chosen.flatten().argsort()
        rows = order // self.top_k
        counts = torch.bincount(self.chosen.flatten(), minlength=len(self.experts)).tolist()
        parts = [
            expert(part)
            for expert, part in zip(self.experts, flat[rows].split(counts), strict=True)
        ]
        weighed = torch.cat(parts).float() * share.flatten()[order, None]
        out = torch.zeros(flat.shape, dtype=torch.float32).index_add(0, rows, weighed)
        return out.to(x.dtype).view(x.shape)


class TinyMoe(TinyLlama):
    """`TinyLlama` with a `SparseMLP` in each layer."""

    shape: MoeShape

    def __init__(self, shape: MoeShape) -> None:
        super().__init__(shape)
        for layer in self.model.layers:
            layer.mlp = SparseMLP(shape)
            for name, weight in layer.mlp.named_parameters():
                depth = (2 * shape.num_hidden_layers) ** -0.5 if "down_proj" in name else 1.0
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5 * 0.6 * depth)

    def imbalance(self, real: Tensor) -> Tensor:
        """Mean over layers of E sum_e f_e P_e (Switch Transformer, eq. 4): 1 when all are even.

        `real` (tokens,) is False where a token of the last forward pass was padding.
        """
        terms = []
        for layer in self.model.layers:
            moe = layer.mlp
            experts = len(moe.experts)
            chosen = F.one_hot(moe.chosen[real], experts).float().mean((0, 1))
            terms.append(experts * (chosen * moe.logits[real].softmax(-1).mean(0)).sum())
        return torch.stack(terms).mean()


def save_moe(model: TinyMoe, folder: Path) -> None:
    """Write `model.safetensors` (float16) and a Hugging Face `config.json`."""
    tensors = {}
    for name, tensor in model.state_dict().items():
        for ours, theirs in _FILE_NAMES:
            name = name.replace(ours, theirs)
        tensors[name] = tensor
    own = {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "sliding_window": None}
    write_folder(folder, tensors, asdict(model.shape) | own, model.shape.head_dim)


def load_moe(folder: Path) -> TinyMoe:
    """A saved model, in float32."""
    config = json.loads((folder / "config.json").read_text())
    model = TinyMoe(MoeShape(**{f.name: config[f.name] for f in fields(MoeShape)}))
    tensors = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        for ours, theirs in _FILE_NAMES:
            name = name.replace(theirs, ours)
        tensors[name] = tensor.float()
    model.load_state_dict(tensors)
    return model.eval()
