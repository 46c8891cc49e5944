import pytest
from tiny_models import save_random

from bursar.backends.tiny.engine import Engine
from bursar.backends.tiny.model import Llama
from bursar.backends.tiny.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return save_random(tmp_path_factory.mktemp("random") / "tiny-random")


@pytest.fixture
def engine(folder):
    return Engine(Llama.load(folder), Tokenizer(), max_batch=16)
