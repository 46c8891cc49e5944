"""Run by `test_other_clients.py`: `llm` as its users configure and call it."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

home = Path(os.environ["LLM_USER_PATH"])
home.mkdir(parents=True, exist_ok=True)
(home / "extra-openai-models.yaml").write_text(
    "- model_id: ours\n"
    "  model_name: m\n"
    f"  api_base: {sys.argv[1]}\n"
    "  supports_schema: true\n"
    "  supports_tools: true\n",
    encoding="utf-8",
)


def llm(*arguments: str) -> str:
    command = [sys.executable, "-m", "llm", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


tool = "def weather(city: str) -> str:\n    return 'sunny in ' + city\n"
print(
    json.dumps(
        {
            "version": importlib.metadata.version("llm"),
            "streamed": llm("-m", "ours", "--key", "none", "where ?"),
            "whole": llm("-m", "ours", "--key", "none", "--no-stream", "where ?"),
            "schema": llm("-m", "ours", "--key", "none", "--schema", "city, age int", "where ?"),
            "tool": llm("-m", "ours", "--key", "none", "--functions", tool, "where ?"),
        }
    )
)
