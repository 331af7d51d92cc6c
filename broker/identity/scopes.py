"""What a service key may be allowed to do. A leaf, so that a command can list it quickly."""

from __future__ import annotations

SCOPES = {
    "token": "POST /token: open sessions",
    "sessions": "/sessions/…: renew, heartbeat and end the sessions that it opened",
    "read": "GET /me and GET /profiles",
    "metrics": "GET /metrics",
}
# The default scopes are for apps. An app does not need metrics.
USUAL_SCOPES = ("token", "sessions", "read")
