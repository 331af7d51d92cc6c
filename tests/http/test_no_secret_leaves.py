"""The canary sweep: after every flow, each secret is looked for in whatever the broker wrote."""

from __future__ import annotations

from pathlib import Path

from broker.standin import StandIn
from tests.conftest import MakeBroker

PASSWORD = "canary-password-0123456789"


def test_what_google_says_stays_inside(make_broker: MakeBroker) -> None:
    """Google's message about a suspended key holds the key itself."""
    with StandIn(port=0) as standin:
        broker = make_broker(standin.url)
        broker.add_user("alice")
        key = broker.environ["GEMINI_API_KEY"]
        standin.control.scenario("mint-status", status=403, message=f"Consumer 'api_key:{key}' is suspended.")
        with broker.client("alice") as client:
            answer = client.post("/token")
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream-rejected")
        assert "suspended" not in answer.text
        assert key not in answer.text
        assert key not in broker.log


def test_no_secret_in_logs_errors_or_database(standin: StandIn, make_broker: MakeBroker) -> None:
    broker = make_broker(standin.url, rate="3/minute", env={"BROKER_LOG_LEVEL": "debug"})
    broker.add_user("alice", PASSWORD)
    said: list[str] = []
    with broker.client() as client:
        login = client.post("/auth/login", json={"username": "alice", "password": PASSWORD})
        cookie = login.headers["set-cookie"].split("=", 1)[1].split(";")[0]
        access_token = login.json()["access_token"]
        csrf = login.json()["csrf_token"]
        client.cookies.clear()
        bearer = {"Authorization": f"Bearer {access_token}"}
        minted = client.post("/token", headers=bearer).json()
        secrets = [PASSWORD, cookie, access_token, csrf, minted["token"]]
        secrets += [broker.environ["GEMINI_API_KEY"], broker.environ["BROKER_SECRET_KEY"]]
        for answer in (
            client.post("/auth/login", json={"username": "alice", "password": PASSWORD + "x"}),
            client.post("/auth/login", json={"username": PASSWORD, "password": PASSWORD}),
            client.post("/auth/login", json={"username": "alice", "secret": PASSWORD}),
            client.post("/auth/login", json={"username": "alice", "password": [PASSWORD]}),
            client.post("/auth/login", content=f'{{"password": "{PASSWORD}"'),
            client.post("/token", headers={"Authorization": f"Bearer {access_token}x"}),
            client.post("/token", headers={"Authorization": access_token}),
            client.post("/token", params={"access_token": access_token}),
            client.post("/token", headers={**bearer, "X-API-Key": PASSWORD}),
            client.post("/token", headers={"Cookie": f"live-broker={cookie}"}),
            client.post("/token", json={"profile": minted["token"]}, headers=bearer),
            client.post("/token", json={minted["token"]: 1}, headers=bearer),
            client.get(f"/{minted['token']}"),
            *(client.post("/token", headers=bearer) for _ in range(4)),
        ):
            assert answer.status_code in {200, 400, 401, 403, 404, 415, 422, 429}
            said.append(answer.text if answer.status_code != 200 else "")
            said.append(str(dict(answer.headers)))
    database = b"".join(
        path.read_bytes()
        for path in Path(broker.environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///")).parent.glob(
            "*.sqlite3*"
        )
    )
    log = broker.log
    assert log.count('"event": "request"') >= 19
    for secret in secrets:
        assert secret not in log, secret[:12]
        assert secret.encode() not in database, secret[:12]
        assert not [text for text in said if secret in text], secret[:12]
