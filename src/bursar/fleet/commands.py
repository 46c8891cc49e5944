"""Ready command lines for a plan: `vllm serve` and `sglang`, and a Kubernetes deployment."""

from collections.abc import Iterable
from typing import Any

from bursar.cost import Deployment
from bursar.policies.batching import BatchPolicy, SarathiServe

_QUANTISED = {"fp8": "fp8", "int8": "compressed-tensors", "fp4": "modelopt_fp4"}
_CACHES = {"fp8": "fp8", "bf16": "auto"}
_CLUSTERS = {
    "NVIDIA": ("nvidia.com/gpu", "vllm/vllm-openai:latest"),
    "AMD": ("amd.com/gpu", "rocm/vllm:latest"),
}
"""Vendor -> what Kubernetes calls its devices, and vLLM's image for them."""


def vllm_serve(place: Deployment, model_path: str, policy: BatchPolicy) -> str:
    """A command line that runs an instance as it was planned; its batching only if it is Sarathi's.

    The other policies are not vLLM's, which then keeps its own limits.
    """
    words = [f"vllm serve {model_path}", f"--tensor-parallel-size {place.tp}"]
    if place.pp > 1:
        words.append(f"--pipeline-parallel-size {place.pp}")
    if place.dp > 1:
        words += [f"--data-parallel-size {place.dp}", "--enable-expert-parallel"]
    if place.dtype in _QUANTISED:
        words.append(f"--quantization {_QUANTISED[place.dtype]}")
    words.append(f"--kv-cache-dtype {_CACHES.get(place.kv_dtype, place.kv_dtype)}")
    if isinstance(policy, SarathiServe):
        words += [
            f"--max-num-seqs {policy.max_jobs}",
            f"--max-num-batched-tokens {policy.max_tokens}",
            "--enable-chunked-prefill",
        ]
    return " ".join(words)


def sglang_serve(place: Deployment, model_path: str, policy: BatchPolicy) -> str:
    """The same for SGLang."""
    words = [f"python -m sglang.launch_server --model-path {model_path} --tp {place.tp * place.dp}"]
    if place.pp > 1:
        words.append(f"--pp {place.pp}")
    if place.dp > 1:
        words += [f"--dp {place.dp}", "--enable-dp-attention", f"--ep {place.tp * place.dp}"]
    if place.dtype in _QUANTISED:
        words.append(f"--quantization {_QUANTISED[place.dtype]}")
    if place.kv_dtype == "fp8":
        words.append("--kv-cache-dtype fp8_e4m3")
    if isinstance(policy, SarathiServe):
        words += [
            f"--max-running-requests {policy.max_jobs}",
            f"--chunked-prefill-size {policy.max_tokens}",
        ]
    return " ".join(words)


def kubernetes(name: str, command: str, place: Deployment, replicas: int) -> dict[str, Any]:
    """A Deployment manifest, as data that is both JSON and YAML.

    For vendors without an image of vLLM that we know, the manifest names neither image nor devices.
    """
    labels = {"app": name}
    devices, image = _CLUSTERS.get(place.device.vendor, ("", ""))
    container = {
        "name": "server",
        "image": image,
        "command": command.split(),
        "ports": [{"containerPort": 8000}],
        "resources": {"limits": {devices: place.devices} if devices else {}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container]},
            },
        },
    }


def manifests(items: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Several manifests as one list object."""
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}
