"""`bursar serve` by its command line: what it would do, and what is wrong with what it was told."""

from pathlib import Path

import pytest

from command_line import bursar

MODEL = '[[models]]\nname = "m"\n[[models.upstreams]]\nurl = "http://localhost:1/v1"\n'


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_check_says_what_would_be_served_and_makes_the_books(tmp_path: Path) -> None:
    ran = bursar("serve", "--check", "--json")
    assert ran.code == 0
    assert ran.document == {"ok": True, "models": ["tiny-1m", "tiny-0.3m"]}
    assert (tmp_path / "gateway.sqlite").exists()


def test_check_says_which_model_has_no_price(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text(MODEL)
    ran = bursar("serve", "--config", "g.toml", "--check")
    assert ran.code == 0
    assert "m: localhost:1; no price is known" in ran.out


@pytest.mark.parametrize(
    ("arguments", "config", "said"),
    [
        (["--port", "99999"], "", "server.port"),
        (["--workers", "0"], "", "server.workers"),
        (["--host", "0.0.0.0"], "", "anybody there could spend"),
        (["--config", "none.toml"], "", "name a file that can be read"),
        (["--config", "g.toml"], "models = 3", "models"),
        (["--config", "g.toml"], MODEL + 'key_env = "NOT_SET"\n', "NOT_SET is not set"),
        (
            ["--config", "g.toml"],
            MODEL + '[ledger]\nplace = "none/at/all.sqlite"\n',
            "check that the folder exists",
        ),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_served(tmp_path, arguments, config, said) -> None:
    (tmp_path / "g.toml").write_text(config)
    ran = bursar("serve", *arguments)
    assert ran.code == 2
    assert len(ran.errors) == 1
    assert said in ran.errors[0]
