"""Every benchmark in turn: the ratios that the README and the notes quote.

Run: python benchmarks/run.py [NAME ...]
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
BENCHMARKS = tuple(
    sorted(file.stem for file in FOLDER.glob("*.py") if file.stem not in ("run", "machine"))
)


def main() -> int:
    """Run those named, or all; the worst exit code."""
    worst = 0
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"== {name}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, FOLDER / f"{name}.py"]).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
