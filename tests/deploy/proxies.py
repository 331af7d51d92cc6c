"""nginx and Caddy with the shipped site files in front of a broker, on free ports."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.process import Process

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    status: int
    version: str
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Proxy:
    """A proxy that a test sends requests to, with curl, because it speaks HTTP/2."""

    origin: str
    host: str
    port: int
    certificate: Path

    def ask(
        self,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        client: str = "127.0.0.1",
        check: bool = True,
    ) -> Answer:
        """`client` is the address that the request comes from. Everything of 127.0.0.0/8 is this machine."""
        command = ["curl", "--silent", "--show-error", "--http2", "--include", "--max-time", "60"]
        command += ["--cacert", str(self.certificate), "--interface", client]
        command += ["--resolve", f"{self.host}:{self.port}:127.0.0.1"]
        if body is not None:
            command += ["--header", "Content-Type: application/json", "--data-binary", "@-"]
        for name, value in (headers or {}).items():
            command += ["--header", f"{name}: {value}"]
        sent = json.dumps(body).encode()
        ran = subprocess.run([*command, self.origin + path], input=sent, capture_output=True, timeout=90)
        if check:
            assert ran.returncode == 0, ran.stderr.decode()
        elif ran.returncode:
            return Answer(0, "", {}, "")
        head, _, text = ran.stdout.decode(errors="replace").partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        version, status = first.split(" ")[:2]
        found = dict(line.lower().split(": ", 1) for line in lines)
        return Answer(int(status), version, found, text)

    def answers(self) -> bool:
        return self.certificate.exists() and self.ask("/healthz", check=False).status == 200


@contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[Proxy]:
    """The site file with other ports and another certificate, inside of Debian's `http` block."""
    port, plain = free_port(), free_port()
    certificate, key = self_signed(folder, "voice.example")
    site = (ROOT / "deploy/nginx/live-broker.conf").read_text()
    for old, new in (
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        ("127.0.0.1:8080", f"127.0.0.1:{upstream}"),
        ("/etc/ssl/live-broker/fullchain.pem", str(certificate)),
        ("/etc/ssl/live-broker/privkey.pem", str(key)),
    ):
        assert site.count(old) == 1, old
        site = site.replace(old, new)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""  # otherwise its workers cannot read the test's folder
    (folder / "nginx.conf").write_text(
        f"{user}\ndaemon off;\npid {folder}/nginx.pid;\nworker_processes 1;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{site}}}\n"
    )
    proxy = Proxy(f"https://voice.example:{port}", "voice.example", port, certificate)
    command = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    process = Process(command, log_path=folder / "log", answers=proxy.answers, env=env)
    yield proxy
    process.end()


@contextmanager
def caddy(folder: Path, upstream: int) -> Iterator[Proxy]:
    """The Caddyfile. For `localhost`, Caddy signs the certificate itself."""
    port = free_port()
    options = f"{{\n\tadmin off\n\tskip_install_trust\n\thttp_port {free_port()}\n"
    (folder / "Caddyfile").write_text(
        (ROOT / "deploy/caddy/Caddyfile").read_text().replace("\n{\n", f"\n{options}", 1)
    )
    certificate = folder / "caddy/pki/authorities/local/root.crt"
    proxy = Proxy(f"https://localhost:{port}", "localhost", port, certificate)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "BROKER_HOST": f"localhost:{port}",
        "BROKER_UPSTREAM": f"127.0.0.1:{upstream}",
    }
    command = ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    process = Process(command, log_path=folder / "log", answers=proxy.answers, env=env)
    yield proxy
    process.end()


def self_signed(folder: Path, host: str) -> tuple[Path, Path]:
    """Returns the files of a certificate and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    subprocess.run(
        [*command, "-keyout", key, "-out", certificate], capture_output=True, check=True, timeout=60
    )
    return certificate, key
