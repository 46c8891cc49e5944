"""TPI-LLM (arXiv:2410.00531): a window caps weight memory; the star wins where latency rules."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import bursar
from bursar.backends.streamed import TpiLlm
from bursar.backends.tiny.model import Llama
from bursar.cost.allreduce import ALLREDUCES, EdgeLink, star_beats_ring_from
from bursar.errors import BadInput
from bursar.simulate.lanes import Task, run_lanes
from bursar.simulate.offload import Block, stream_tasks
from llama_folder import write_llama

TINY = Path(bursar.__file__).parent / "backends" / "tiny" / "weights" / "tiny-1m"


def whole_model(prompt: np.ndarray, new_tokens: int) -> np.ndarray:
    """What the model says when one process holds all of it."""
    model, tokens = Llama.load(TINY), prompt
    for _ in range(new_tokens):
        tokens = np.append(tokens, model.forward(tokens[None])[0, -1].argmax())
    return tokens[len(prompt) :]


@pytest.mark.slow
def test_the_window_caps_memory_and_changes_no_token(tmp_path: Path) -> None:
    for seed, layers in enumerate((1, 2, 3)):
        prompt = np.random.default_rng(seed).integers(3, 140, 12 + seed)
        windowed, whole = (
            TpiLlm(2, window).generate(TINY, tmp_path, prompt, 6) for window in (layers, 5)
        )
        assert len(windowed.peak_weight_bytes) == 2
        assert max(windowed.peak_weight_bytes) <= layers * windowed.layer_bytes
        assert min(whole.peak_weight_bytes) == 5 * whole.layer_bytes  # no window: all
        assert np.array_equal(windowed.logits, whole.logits)  # to the last bit
        assert windowed.tokens.tolist() == whole_model(prompt, 6).tolist()


@pytest.mark.slow
def test_the_system_sees_less_memory_too(tmp_path: Path) -> None:
    """8 layers of 6.3 MB a shard: with a window of 2, at least 4 layers' less resident memory."""
    model = write_llama(tmp_path / "model", width=512, hidden=1024, layers=8, heads=8)
    prompt = np.arange(8)
    grown = {}
    for layers in (2, 8):
        answer = TpiLlm(2, layers).generate(model, tmp_path / str(layers), prompt, 3)
        grown[layers] = answer.peak_growth_bytes
    if None in grown[2]:
        pytest.skip("this system does not say how much memory a process has had at most")
    for windowed, whole in zip(grown[2], grown[8], strict=True):
        assert windowed <= whole - 4 * answer.layer_bytes


def test_what_can_not_be_divided_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="3 shards of 8 heads"):
        TpiLlm(3, 1).generate(TINY, tmp_path, np.arange(3, 6), 1)
    with pytest.raises(BadInput, match="must be 1 or more"):
        TpiLlm(0, 1)
    with pytest.raises(BadInput, match="ids from 0 to 143"):
        TpiLlm(1, 1).generate(TINY, tmp_path, np.array([144]), 1)
    with pytest.raises(BadInput, match="latency must be 0 or more"):
        EdgeLink(-1.0, 1.0)


@dataclass
class Messages:
    """An allreduce as tasks: a link is busy while bytes enter it, latency passes beside that."""

    link: EdgeLink
    tasks: list[Task]

    def send(self, lane: str, size_bytes: float, after: tuple[int, ...] = ()) -> int:
        self.tasks.append(Task(lane, size_bytes / self.link.bytes_per_second, after))
        self.tasks.append(Task(None, self.link.latency_seconds, (len(self.tasks) - 1,)))
        return len(self.tasks) - 1


def star(n: int, size: float, link: EdgeLink) -> list[Task]:
    sent = Messages(link, [])
    arrived = tuple(sent.send("into the middle", size) for _ in range(n - 1))
    for _ in range(n - 1):
        sent.send("out of the middle", size, arrived)
    return sent.tasks


def ring(n: int, size: float, link: EdgeLink) -> list[Task]:
    sent = Messages(link, [])
    arrived: list[tuple[int, ...]] = [()] * n
    for _ in range(2 * (n - 1)):
        hops = [sent.send(f"out of {i}", size / n, arrived[i]) for i in range(n)]
        arrived = [(hops[i - 1],) for i in range(n)]
    return sent.tasks


def tree(n: int, size: float, link: EdgeLink) -> list[Task]:
    sent = Messages(link, [])
    arrived: list[tuple[int, ...]] = [()] * n
    steps = [1 << k for k in range((n - 1).bit_length())]
    pairs = [(k, i) for k in steps for i in range(k, n, 2 * k)]
    for k, i in pairs:  # up: i sends to i - k
        arrived[i - k] += (sent.send(f"into {i - k}", size, arrived[i]),)
    for k, i in reversed(pairs):  # and down
        arrived[i] = (sent.send(f"into {i}", size, arrived[i - k]),)
    return sent.tasks


@pytest.mark.parametrize(("name", "tasks"), [("star", star), ("ring", ring), ("tree", tree)])
@pytest.mark.parametrize("devices", [2, 4, 8])
def test_the_latency_model_is_what_links_on_lanes_do(name, tasks, devices) -> None:  # type: ignore[no-untyped-def]
    for latency, size in ((1e-3, 32e3), (1e-5, 4e6), (0.0, 1e6)):
        link = EdgeLink(latency, 125e6)
        played = run_lanes(tasks(devices, size, link)).makespan_seconds
        assert played == pytest.approx(ALLREDUCES[name](devices, size, link))


def test_the_star_is_ahead_only_where_latency_rules() -> None:
    """A 70B model's 32 kB over 1 Gbit/s: ahead at the paper's millisecond, not on a fast bus."""
    for devices in (3, 4, 8, 16):
        for size in (8e3, 32e3, 16e6):
            turn = star_beats_ring_from(devices, size, 125e6)
            assert turn > 0.5 * size / 125e6  # latency must be of the order of the wire time
            for factor in (0.1, 0.9, 1.1, 10.0):
                link = EdgeLink(factor * turn, 125e6)
                ahead = ALLREDUCES["star"](devices, size, link) < ALLREDUCES["ring"](
                    devices, size, link
                )
                assert ahead == (factor > 1)
    wifi, bus = EdgeLink(1e-3, 125e6), EdgeLink(1e-6, 125e6)
    assert min(ALLREDUCES, key=lambda x: ALLREDUCES[x](8, 32e3, bus)) == "ring"
    assert ALLREDUCES["star"](4, 32e3, wifi) < ALLREDUCES["ring"](4, 32e3, wifi)
    assert ALLREDUCES["star"](2, 32e3, wifi) > ALLREDUCES["ring"](2, 32e3, wifi)


@pytest.mark.parametrize("allreduce", ["star", "ring"])
def test_disk_is_hidden_behind_computing_and_talking(allreduce: str) -> None:
    """With room for two blocks a pass takes its longest lane, where without overlap it is the sum.

    Control: with room for one block, nothing is hidden.
    """
    link = EdgeLink(1e-3, 125e6)
    talk = ALLREDUCES[allreduce](4, 32e3, link)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        blocks = [Block(1.0, (8e-3,), (6e-3 * x, talk)) for x in rng.uniform(0.8, 1.2, 64)]
        took = {
            (window, overlapped): run_lanes(
                stream_tasks(blocks, ["disk"], ["cpu", "link"], overlapped=overlapped),
                memory_bytes=window,
            ).makespan_seconds
            for window in (1, 2)
            for overlapped in (True, False)
        }
        use = sum(sum(x.use_seconds) for x in blocks)
        assert took[2, False] == pytest.approx(64 * 8e-3 + use)
        assert took[2, True] <= 1.1 * max(64 * 8e-3, use)
        assert took[1, True] == pytest.approx(took[1, False])
