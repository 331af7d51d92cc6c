"""OperatorClient: calls the admin API of an app in this process as olga, an operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from broker.operators.users import UserAdmin
from broker.parts import parts_of


@dataclass(frozen=True)
class OperatorClient:
    app: Flask
    client: FlaskClient
    headers: dict[str, str]

    @classmethod
    def of(cls, app: Flask) -> OperatorClient:
        parts = parts_of(app)
        token = UserAdmin(parts.settings, parts.database, actor="tests").access_token("olga")
        return cls(app, app.test_client(use_cookies=False), {"Authorization": f"Bearer {token}"})

    @property
    def user_admin(self) -> UserAdmin:
        """The same actions as on the command line."""
        parts = parts_of(self.app)
        return UserAdmin(parts.settings, parts.database, actor="cli:olga")

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(f"/admin/{path}", headers=self.headers, query_string=parameters)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def post(self, path: str, body: dict[str, Any] | None = None, *, status: int = 200) -> Any:
        answer = self.client.post(f"/admin/{path}", headers=self.headers, json=body or {})
        assert answer.status_code == status, answer.text
        return answer.get_json()

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.client.patch(f"/admin/{path}", headers=self.headers, json=body)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def refused(self, method: str, path: str, body: dict[str, Any] | None = None, **parameters: Any) -> Any:
        answer = self.client.open(
            f"/admin/{path}", method=method, headers=self.headers, json=body, query_string=parameters
        )
        assert answer.status_code >= 400, answer.text
        assert answer.mimetype == "application/problem+json"
        return answer.get_json()

    def all(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        """Every row of a list, fetched page by page."""
        rows: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get(path, limit=2, **parameters, **cursor)
            cursor_or_end = page.pop("next")
            (part,) = page.values()
            rows += part
            if cursor_or_end is None:
                return rows
            cursor = {"cursor": cursor_or_end}

    def user(self, subject: str) -> dict[str, Any]:
        return next(person for person in self.all("users") if person["subject"] == subject)

    def trail(self, action: str) -> dict[str, Any]:
        """The newest audit entry with this action."""
        entry: dict[str, Any] = self.get("audit", action=action, limit=1)["entries"][0]
        return entry
