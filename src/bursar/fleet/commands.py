"""Ready command lines for a plan: `vllm serve` and `sglang`, and a Kubernetes deployment."""

from collections.abc import Iterable
from typing import Any

from bursar.catalog import Device
from bursar.cost import Deployment
from bursar.fleet.power_cap import cap_watts
from bursar.policies.batching import BatchPolicy, PrefillFirst, SarathiServe

_QUANTISED = {"fp8": "fp8", "int8": "compressed-tensors", "fp4": "modelopt_fp4"}
_CACHES = {"fp8": "fp8", "bf16": "auto"}
_CLUSTERS = {
    "NVIDIA": ("nvidia.com/gpu", "vllm/vllm-openai:latest"),
    "AMD": ("amd.com/gpu", "rocm/vllm:latest"),
}
"""Vendor -> what Kubernetes calls its devices, and vLLM's image for them."""

_JOIN = "bash /vllm-workspace/examples/online_serving/multi-node-serving.sh"
"""What vLLM's image has to start Ray on a node."""


def vllm_serve(place: Deployment, model_path: str, policy: BatchPolicy) -> str:
    """A command line that runs an instance as it was planned; its batching only if it is Sarathi's.

    The other policies are not vLLM's, which then keeps its own limits.
    """
    words = [f"vllm serve {model_path}", f"--tensor-parallel-size {place.tp}"]
    if place.pp > 1:
        words += [
            f"--pipeline-parallel-size {place.pp}",
            "--distributed-executor-backend ray",
        ]
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
    """The same for SGLang, which can also run whole prompts first."""
    words = [f"python -m sglang.launch_server --model-path {model_path} --tp {place.tp * place.dp}"]
    if place.pp > 1:
        words += [
            f"--pp-size {place.pp}",
            f"--nnodes {place.pp}",
            "--node-rank $RANK",
            "--dist-init-addr $FIRST:5000",
        ]
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
            "--enable-mixed-chunk",
        ]
    elif isinstance(policy, PrefillFirst):
        words += [
            f"--max-running-requests {policy.max_jobs}",
            f"--max-prefill-tokens {policy.max_tokens}",
            "--chunked-prefill-size -1",
        ]
    return " ".join(words)


def notes(place: Deployment) -> str:
    """What the command lines need around them; "" for nothing."""
    return " ".join(part for part in (_cap(place.device), _nodes(place)) if part)


def _cap(device: Device) -> str:
    if (watts := cap_watts(device)) is None:
        return ""
    tool = {"NVIDIA": f"nvidia-smi -pl {watts}", "AMD": f"amd-smi set --power-cap {watts}"}
    how = f" (`{tool[device.vendor]}`)" if device.vendor in tool else ""
    return (
        f"Before, cap every device of {device.name} at {watts} W{how}. What that saves is by an "
        "assumed law of power and clock: measure it."
    )


def _nodes(place: Deployment) -> str:
    if place.pp == 1:
        return ""
    return (
        f"One instance of {place.device.name} takes {place.pp} nodes of {place.tp * place.dp} "
        "devices. For vLLM first join them into one Ray cluster (`ray start --head` on one, `ray "
        "start --address FIRST:6379` on the others) and run the command on one; or leave out the "
        "Ray backend and run it on every node with `--nnodes`, `--node-rank` and `--master-addr`. "
        "For SGLang run it on every node, with RANK from 0 on and FIRST the first node's address. "
        "The manifest is a LeaderWorkerSet, which the cluster must have installed."
    )


def kubernetes(name: str, command: str, place: Deployment, replicas: int) -> dict[str, Any]:
    """A Deployment manifest, as data that is both JSON and YAML; over nodes a LeaderWorkerSet.

    For vendors without an image of vLLM that we know, the manifest names neither image nor devices.
    """
    labels = {"app": name}
    devices, image = _CLUSTERS.get(place.device.vendor, ("", ""))
    worker = {
        "name": "server",
        "image": image,
        "resources": {"limits": {devices: place.devices // place.pp} if devices else {}},
    }
    server = {
        **worker,
        "command": command.split(),
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}},
    }
    if place.pp > 1:
        return _over_nodes(name, server, worker, place.pp, replicas)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [server]},
            },
        },
    }


def _over_nodes(
    name: str, server: dict[str, Any], worker: dict[str, Any], nodes: int, replicas: int
) -> dict[str, Any]:
    """A pod on each node, joined by Ray; the first one also runs the server."""
    command = " ".join(server["command"])
    leads = {
        **server,
        "command": ["sh", "-c", f"{_JOIN} leader --ray_cluster_size={nodes}; {command}"],
    }
    follows = {
        **worker,
        "command": ["sh", "-c", f"{_JOIN} worker --ray_address=$(LWS_LEADER_ADDRESS)"],
    }
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "leaderWorkerTemplate": {
                "size": nodes,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [leads]},
                },
                "workerTemplate": {"spec": {"containers": [follows]}},
            },
        },
    }


def manifests(items: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Several manifests as one list object."""
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}
