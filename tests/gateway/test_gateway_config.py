"""The configuration: the example is whole and right, and what is wrong is said with a remedy."""

import tomllib
from pathlib import Path

import pytest

from bursar.errors import BadInput
from bursar.gateway.config import Config, ModelAt, RouteAt, UpstreamAt, built_in, read_config

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "gateway.toml"
MODEL = '[[models]]\nname = "m"\n[[models.upstreams]]\nurl = "http://localhost:1/v1"\n'


def written(tmp_path, text):
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return path


def test_the_example_is_read_and_its_values_are_the_defaults() -> None:
    read = read_config(EXAMPLE)
    assert read.server == Config().server
    assert read.ledger == Config().ledger
    assert read.access == Config().access
    assert read.requests == Config().requests
    assert read.seen == Config().seen
    assert read.models[1] == built_in().models[0]


def test_the_example_names_every_setting() -> None:
    text = EXAMPLE.read_text()
    for section in ("server", "ledger", "access", "requests", "seen"):
        part = text.split(f"[{section}]")[1].split("\n[")[0]
        for name in type(getattr(Config(), section)).model_fields:
            assert f"{name} = " in part, f"{section}.{name} is not in docs/gateway.toml"
    for name in {*ModelAt.model_fields, *UpstreamAt.model_fields, *RouteAt.model_fields} - {
        "upstreams"
    }:
        assert f"{name} = " in text, f"{name} is not in docs/gateway.toml"


def test_the_deployed_file_is_read() -> None:
    assert read_config(ROOT / "deploy" / "gateway.toml").access.keys == "required"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no model"),
        ("[server\n", "no TOML"),
        (MODEL + "[server]\nprot = 1", "server.prot"),
        (MODEL + "[server]\nport = 70000", "server.port"),
        (MODEL + MODEL, "'m' is there twice"),
        (
            MODEL + '[[routes]]\nname = "r"\nmodels = ["m", "n"]\noutcomes = "o"\nworth_usd = 1',
            "'n', which is no model",
        ),
        (MODEL + '[requests]\nauto = ["x"]', "'x', which is none of the models"),
        (MODEL + '[server]\nhost = "0.0.0.0"', "anybody there could spend"),
        (MODEL + "[ledger]\nttl_s = 10", "ledger.ttl_s is 10"),
        (MODEL + '[access]\nlimits = "lots"', "access.limits: can't read the amount"),
        (MODEL.replace("http", "ftp"), "must begin with http"),
        (MODEL + "[[models]]\nname = 'n'\nusd_per_mtok_in = 1\nupstreams = []", "models.1"),
        (MODEL.replace('"m"', '"m"\nusd_per_mtok_in = 1'), "or neither"),
    ],
)
def test_a_wrong_file_is_refused_with_the_setting_and_the_rule(tmp_path, text, said) -> None:
    with pytest.raises(BadInput) as refused:
        read_config(written(tmp_path, text))
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        read_config(tmp_path / "none.toml")


def test_the_ledgers_place_may_be_in_the_environment(tmp_path, monkeypatch) -> None:
    read = read_config(written(tmp_path, MODEL + '[ledger]\nplace_env = "BOOKS"'))
    with pytest.raises(BadInput, match="BOOKS is not set"):
        _ = read.ledger.where
    monkeypatch.setenv("BOOKS", "books.sqlite")
    assert read.ledger.where == "books.sqlite"


def test_a_list_price_is_known_and_an_own_price_goes_before_it() -> None:
    at = (UpstreamAt(url="http://localhost"),)
    listed = ModelAt(name="gpt-4o-mini", upstreams=at).price
    assert listed is not None
    own = ModelAt(name="gpt-4o-mini", usd_per_mtok_in=1, usd_per_mtok_out=2, upstreams=at).price
    assert own is not None
    assert own.usd(1e6, 1e6) == 3
    assert listed.usd(1e6, 1e6) != 3
    assert ModelAt(name="nobody's", upstreams=at).price is None


def test_tomllib_reads_what_the_example_has_commented_out() -> None:
    lines = EXAMPLE.read_text().splitlines()
    commented = [
        line[2:].split("#")[0] for line in lines if line.startswith("# ") and " = " in line
    ]
    assert len(commented) > 8
    for line in commented:
        tomllib.loads(line)
