"""What a row of an export may stand for. Without SQLAlchemy, for commands that only show their help."""

from __future__ import annotations

from typing import Literal, get_args

By = Literal["user", "key", "team", "profile", "model", "day"]
CHOICES: tuple[By, ...] = get_args(By)
