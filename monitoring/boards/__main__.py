"""`python -m monitoring.boards [FOLDER]`: writes the dashboards, by default into `monitoring/dashboards`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from monitoring.boards.kit import document
from monitoring.boards.overview import ACCOUNTS, FLEET, REVIEW
from monitoring.boards.rooms import BACKUP, ON_CALL, SITE

BOARDS = (ON_CALL, BACKUP, SITE, ACCOUNTS, REVIEW, FLEET)


def documents() -> dict[str, str]:
    """File name -> JSON text of every dashboard."""
    return {f"{board.uid.removeprefix('gaccong-')}.json": json.dumps(document(board), ensure_ascii=False, indent=1) + "\n"
            for board in BOARDS}


def main() -> None:
    """Writes them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "dashboards"
    for name, text in documents().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
