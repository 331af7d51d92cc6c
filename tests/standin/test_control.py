"""The control routes, the same controls in Python, the command, and the rules that keep it on loopback."""

from __future__ import annotations

import ast
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

import broker.standin
from broker.standin import StandIn
from broker.standin.commands import COMMANDS
from broker.standin.scenarios import SCENARIOS
from tests.standin.client import address, call, mint, opened, quiet, session, sound, speech, token, words

HOME = Path(broker.standin.__file__).parent


@pytest.mark.filterwarnings("always")
def test_stop_leaves_no_socket_open_when_clients_connect_meanwhile(recwarn: pytest.WarningsRecorder) -> None:
    for _ in range(10):
        sockets: list[socket.socket] = []
        with StandIn() as standin:
            port = int(standin.url.rsplit(":", 1)[1])
            connecting = threading.Thread(target=_connect_until_refused, args=(port, sockets))
            connecting.start()
            time.sleep(0.05)
        connecting.join()
        for one in sockets:
            one.close()
        del standin
        gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


def _connect_until_refused(port: int, sockets: list[socket.socket]) -> None:
    with contextlib.suppress(OSError):
        while len(sockets) < 500:
            sockets.append(socket.create_connection(("127.0.0.1", port), timeout=5))
            sockets[-1].sendall(b"GET /v1alpha/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            time.sleep(0.002)


def test_health_reset_and_records_over_http(standin: StandIn) -> None:
    with session(standin) as talker:
        talker.audio(speech(1) + quiet(1))
        pcm = sound(talker.turn())
        base = f"{standin.url}/_standin"
        assert call(f"{base}/health")[1]["open_connections"] == 1
        received = call(f"{base}/received")[1]
        assert [c["number"] for c in received["connections"]] == [1]
        assert len(received["mints"]) == 1
        sent = call(f"{base}/sent?connection=1")[1]
        assert sent["frames"][0]["frame"] == {"setupComplete": {}}
        assert sent["turns"][0]["end"] == len(pcm)
        assert call(f"{base}/reset", {}, method="POST")[0] == 200
        assert talker.closing()[0] == 1001
    assert call(f"{base}/received")[1] == {"mints": [], "other": [], "connections": []}


def test_audio_over_http_is_the_same_bytes(standin: StandIn) -> None:
    import urllib.request

    samples = speech(1) + quiet(1)
    with session(standin) as talker:
        talker.audio(samples)
        pcm = sound(talker.turn())
        for path, expected in (
            ("received/audio?connection=1", samples.tobytes()),
            ("sent/audio", pcm),
            ("sent/audio?connection=1&turn=1", pcm),
        ):
            with urllib.request.urlopen(f"{standin.url}/_standin/{path}") as response:
                assert response.read() == expected


def test_scenarios_over_http(standin: StandIn) -> None:
    route = f"{standin.url}/_standin/scenario"
    assert call(route, {"name": "mint-status", "status": 429})[0] == 200
    assert mint(standin)[0] == 429
    assert call(route, {"name": "mint-status", "off": True})[1] == {"on": {}}
    assert mint(standin)[0] == 200
    assert call(route, {"name": "nothing"})[0] == 400
    assert call(route, {"name": "mint-status", "colour": "red"})[0] == 400
    assert call(route, {"colour": "red"})[0] == 400
    assert call(f"{standin.url}/_standin/nothing")[0] == 404


def test_push(standin: StandIn) -> None:
    with pytest.raises(ValueError, match="no connection is open"):
        standin.control.push(interrupt=True)
    with session(standin) as talker:
        standin.control.push(frame={"serverContent": {"waitingForInput": True}})
        talker.until(lambda f: "waitingForInput" in f.get("serverContent", {}))
        standin.control.push(command="/long 30")
        talker.until(lambda f: "modelTurn" in f.get("serverContent", {}))
        call(f"{standin.url}/_standin/push", {"interrupt": True})
        talker.until(lambda f: "interrupted" in f.get("serverContent", {}))
        standin.control.push(command="hello")
        talker.turn()
        standin.control.push(go_away=20)
        talker.until(lambda f: "goAway" in f)
        standin.control.push(raw="not json")
        with pytest.raises(json.JSONDecodeError):
            talker.until(lambda _: False)
        standin.control.push(connection=1, close="quota")
        assert talker.closing()[0] == 1011


def test_records_keep_connections_apart(standin: StandIn) -> None:
    with session(standin) as first, session(standin) as second:
        first.text("/tone 440 1")
        first.turn()
        second.text("hello")
        assert words(second.turn()) == "You wrote: hello"
        assert len(standin.control.sent_audio(connection=1)) == 48000
        with pytest.raises(ValueError, match="no connection 3"):
            standin.control.sent(3)


def test_reset_forgets_tokens(standin: StandIn) -> None:
    name = token(standin)
    standin.control.reset()
    with opened(address(standin, f"?access_token={name}")) as talker:
        assert talker.closing()[0] == 1008


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::"])
def test_serves_loopback_only(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        StandIn(host=host)


def test_port_in_use_is_reported_and_it_can_be_started_again(standin: StandIn) -> None:
    port = int(standin.url.rsplit(":", 1)[1])
    other = StandIn(port=port)
    with pytest.raises(OSError, match="address"):
        other.start()
    standin.stop()
    with other:
        assert call(f"{other.url}/_standin/health")[0] == 200


def test_stopping_closes_open_connections() -> None:
    with StandIn() as short, session(short) as talker:
        short.stop()
        assert talker.closing()[0] == 1001


def test_ipv6_loopback() -> None:
    with StandIn(host="::1") as six:
        assert six.url.startswith("http://[::1]:")
        assert mint(six)[0] == 200


def test_command_prints_url_and_limits() -> None:
    command = [sys.executable, "-W", "error", "-m", "broker.standin", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        ready = process.stdout.readline()
        assert ready.startswith("stand-in ready: http://127.0.0.1:")
        url = ready.split()[-1]
        assert call(f"{url}/_standin/health")[0] == 200
        assert "does not imitate" in process.stdout.readline()
        os.kill(process.pid, signal.SIGTERM)
        process.stdout.read()
        assert process.wait(timeout=10) == 0


def test_command_refuses_other_hosts() -> None:
    command = [sys.executable, "-m", "broker.standin", "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert "loopback" in done.stderr


def test_imports_nothing_from_the_broker() -> None:
    """An independent witness: no shared code, no shared mistake."""
    for file in HOME.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert not name.startswith("broker") or name.startswith("broker.standin"), (file.name, name)


def test_every_scenario_and_command_is_documented() -> None:
    page = (HOME.parents[1] / "docs" / "stand-in.md").read_text()
    missing = [name for name in (*SCENARIOS, *COMMANDS) if f"`{name}`" not in page]
    assert not missing


def test_every_scenario_is_carried_out_somewhere() -> None:
    code = "".join(file.read_text() for file in HOME.glob("*.py") if file.name != "scenarios.py")
    assert not [name for name in SCENARIOS if f'"{name}"' not in code]


def test_eight_people_at_once_each_hear_their_own_voice(standin: StandIn) -> None:
    def speak(number: int) -> str:
        with session(standin) as talker:
            talker.audio(speech(0.5 + number / 5) + quiet(1))
            return words(talker.turn(), "inputTranscription")

    with ThreadPoolExecutor(8) as people:
        told = list(people.map(speak, range(8)))
    assert told == [f"(you spoke for {0.5 + n / 5:.1f} seconds)" for n in range(8)]


def test_unsupported_upgrades_are_404(standin: StandIn) -> None:
    path = address(standin).replace("ws://", "http://")
    assert call(path)[0] == 404
    with pytest.raises(InvalidStatus), opened(standin.url.replace("http", "ws") + "/elsewhere"):
        pass
