"""Command lines run an instance as it was planned, and manifests ask for the right devices."""

import pytest

from bursar.catalog import device, model
from bursar.cost import Deployment
from bursar.fleet.commands import kubernetes, notes, sglang_serve, vllm_serve
from bursar.fleet.power_cap import capped
from bursar.policies.batching import PrefillFirst, SarathiServe


def place(name: str, **how) -> Deployment:
    return Deployment(model("llama-3.1-8b"), device(name), **how)


def test_limits_are_those_of_the_policy_that_was_simulated() -> None:
    policy = SarathiServe(max_jobs=33, max_tokens=777)
    where = place("h100-sxm", tp=2, dtype="fp8", kv_dtype="fp8")
    vllm, sglang = (serve(where, "weights", policy) for serve in (vllm_serve, sglang_serve))
    for words in ("--max-num-seqs 33", "--max-num-batched-tokens 777", "--tensor-parallel-size 2"):
        assert words in vllm
    for words in ("--max-running-requests 33", "--chunked-prefill-size 777", "--tp 2"):
        assert words in sglang
    assert "--quantization fp8" in vllm
    assert "777" not in vllm_serve(where, "weights", PrefillFirst(max_tokens=777))
    whole = sglang_serve(where, "weights", PrefillFirst(max_tokens=777))
    assert "--max-prefill-tokens 777 --chunked-prefill-size -1" in whole


@pytest.mark.parametrize(
    ("name", "resource"), [("h100-sxm", "nvidia.com/gpu"), ("mi300x", "amd.com/gpu")]
)
def test_a_manifest_asks_for_the_vendors_devices(name: str, resource: str) -> None:
    where = place(name, tp=4)
    manifest = kubernetes("server", "vllm serve weights", where, replicas=3)
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {resource: 4}
    assert manifest["spec"]["replicas"] == 3
    assert ("rocm" in container["image"]) == (name == "mi300x")


def test_a_capped_device_says_how_to_cap_it() -> None:
    low = capped(device("h100-sxm"), 0.7)
    assert "nvidia-smi -pl 490" in notes(Deployment(model("llama-3.1-8b"), low))


def test_a_pipeline_over_nodes_says_how_they_are_joined() -> None:
    where = Deployment(model("llama-3.1-405b"), device("h100-sxm"), tp=8, pp=2)
    line = vllm_serve(where, "weights", SarathiServe())
    assert "--pipeline-parallel-size 2 --distributed-executor-backend ray" in line
    assert "--pp-size 2 --nnodes 2" in sglang_serve(where, "weights", SarathiServe())
    assert "2 nodes of 8 devices" in notes(where)
    assert "--nnodes" in notes(where)
    assert notes(place("h100-sxm", tp=8)) == ""
    manifest = kubernetes("server", line, where, replicas=3)
    assert manifest["kind"] == "LeaderWorkerSet"
    group = manifest["spec"]["leaderWorkerTemplate"]
    assert (manifest["spec"]["replicas"], group["size"]) == (3, 2)
    pods = [group[name]["spec"]["containers"][0] for name in ("leaderTemplate", "workerTemplate")]
    assert [pod["resources"]["limits"] for pod in pods] == [{"nvidia.com/gpu": 8}] * 2
    assert line in pods[0]["command"][-1]
