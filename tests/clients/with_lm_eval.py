"""Run by `test_other_clients.py`: `lm_eval --model local-chat-completions`."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

url, folder = sys.argv[1], Path(sys.argv[2])
(folder / "questions.jsonl").write_text(
    "".join(json.dumps({"question": f"{n} + 1 = ?", "answer": "4"}) + "\n" for n in range(6)),
    encoding="utf-8",
)
(folder / "sums.yaml").write_text(
    f"""task: sums
dataset_path: json
dataset_kwargs:
  data_files:
    test: {folder}/questions.jsonl
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  until: ["\\n"]
  max_gen_toks: 20
filter_list:
  - name: number
    filter:
      - function: regex
        regex_pattern: "(\\\\d+)"
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
""",
    encoding="utf-8",
)
settings = f"model=m,base_url={url}/chat/completions,num_concurrent=3,max_retries=1"
settings += ",tokenizer_backend=None"
subprocess.run(
    [
        *(sys.executable, "-m", "lm_eval", "--model", "local-chat-completions"),
        *("--model_args", settings, "--tasks", "sums", "--include_path", str(folder)),
        *("--apply_chat_template", "--output_path", str(folder / "out")),
    ],
    check=True,
    cwd=folder,
)
(results,) = (folder / "out").rglob("results_*.json")
found = json.loads(results.read_text(encoding="utf-8"))
print(
    json.dumps(
        {
            "version": importlib.metadata.version("lm_eval"),
            "score": found["results"]["sums"]["exact_match,number"],
        }
    )
)
