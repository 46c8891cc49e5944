"""Running a client's script."""

import json
import os
import subprocess
from pathlib import Path


def run_client(command: list[str | Path], cwd: Path, **environment: str) -> dict:
    """What a client's script prints on its last line, a JSON document."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "OPENAI_API_KEY": "none", "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])
