"""`python -m tests.load.soak --minutes 60`: prints a summary as Markdown; exit code 1 for a violation."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.load.soak.run import soak
from tests.load.soak.summary import summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--keep", type=Path, help="a folder for the logs and events.txt; by default they are deleted"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="broker-soak-") as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = soak(folder, asked.minutes * 60, say=lambda text: print(text, file=sys.stderr, flush=True))
        print(summary(result))
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
