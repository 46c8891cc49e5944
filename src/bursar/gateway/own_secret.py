"""The gateway's own secret: signs cookies and webhooks, the same in every worker."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from bursar.backends.secret import read_key
from bursar.errors import BadInput
from bursar.gateway.config import Config

_BYTES = 32


def own_secret(config: Config) -> bytes:
    """From the environment or, beside a SQLite ledger, a private file made when it is not there.

    Raises `BadInput` where it is too short, and where workers of several machines need one.
    """
    variable, place = config.access.secret_env, config.ledger.where
    if variable:
        found = read_key(variable)
        if found is None or len(found.reveal()) < _BYTES:
            raise BadInput(
                f"access.secret_env: environment variable {variable} must hold {_BYTES} or more "
                "random characters; make some with: openssl rand -hex 32"
            )
        return found.reveal().encode()
    if place == ":memory:":
        return secrets.token_bytes(_BYTES)
    if "://" in place:
        raise BadInput(
            "access.secret_env: name an environment variable with 32 or more random characters, "
            "the same for every gateway on this database; make some with: openssl rand -hex 32"
        )
    file = Path(f"{place}.secret")
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w") as new:
            new.write(secrets.token_hex(_BYTES))
    key = read_key(file=file)
    assert key is not None
    return key.reveal().encode()
