"""The real broker in this process, with the test pages of pages/ under /bench/ on the same origin.

The test pages get the policy of the broker's own pages. Playwright cannot intercept the requests of worklets,
and the recorder is a worklet, so it must come from the origin. BrokerServer runs several processes.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sqlalchemy import select
from werkzeug.serving import make_server
from werkzeug.test import Client

from broker.app import create_app
from broker.operators.blocks import BlockAdmin
from broker.operators.users import UserAdmin
from broker.parts import parts_of
from broker.settings import load
from broker.store.database import migrate
from broker.store.database.tables import sessions
from tests.support.environment import environment, write_config
from tests.support.servers import PASSWORD, free_port

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PAGES = Path(__file__).parent / "pages"
PREFIX = "/bench/"


class StageServer:
    """Use as a context manager. It has the users alice and demo."""

    def __init__(
        self, folder: Path, live_url: str, *, rate: str = "1000/minute", config: Path | None = None
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = config or write_config(folder, rate=rate)
        settings = load(environment(folder, live_url, config=config, PORT=str(self.port)))
        self._settings = settings
        self.requests: list[
            str
        ] = []  # such as "POST /token", in order, including those of workers and closing pages
        self.lose_answers = 0
        """So many answers of `POST /token` are lost on their way, after the broker has made them."""
        self._app = create_app(settings)
        self.database = parts_of(self._app).database
        migrate.upgrade(self.database)
        self.user_admin = UserAdmin(settings, self.database, actor="tests")
        self.block_admin = BlockAdmin(settings, self.database, actor="tests")
        for name in ("alice", "demo"):
            self.user_admin.add(name, PASSWORD)
        self._policy = Client(self._app).get("/").headers["Content-Security-Policy"]
        self._listen()

    def _listen(self) -> None:
        self._server = make_server("127.0.0.1", self.port, self._serve, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, name="stage")

    def _stop(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self.database.dispose()

    def restart(self, away_seconds: float) -> None:
        """Stops the broker for this time. Then a new one starts on the same port and database."""
        self._stop()
        time.sleep(away_seconds)
        self._app = create_app(self._settings)
        self._listen()
        self._thread.start()

    def bearer(self, username: str = "alice") -> str:
        return self.user_admin.access_token(username)

    def sessions(self) -> list[str]:
        """The states of all sessions, in the order in which they were opened."""
        with self.database.read() as connection:
            return list(connection.scalars(select(sessions.c.state).order_by(sessions.c.opened_at)))

    def asked(self, pattern: str) -> bool:
        """Whether a request such as "POST /token" arrived since the test began."""
        return any(re.fullmatch(pattern, request) for request in tuple(self.requests))

    def _serve(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.requests.append(f"{environ['REQUEST_METHOD']} {path}")
        file = PAGES / path.removeprefix(PREFIX)
        if path == "/token" and self.lose_answers > 0:
            self.lose_answers -= 1
            b"".join(self._app(environ, start))
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        if not path.startswith(PREFIX) or file.parent != PAGES or not file.is_file():
            return self._app(environ, start)
        kind = "text/html" if file.suffix == ".html" else "text/javascript"
        start("200 OK", [("Content-Type", kind), ("Content-Security-Policy", self._policy)])
        return [file.read_bytes()]
