"""The owner of an existing session, whose limits its renewals and its end use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from broker.principal import Principal, end_user, team_named
from broker.sessions.session import Session


def owner_of(session: Session, requester: Principal, admit: Callable[[Principal], Principal]) -> Principal:
    """The requester, or its user if it is a service key; in the team for which the session counts.

    That is the team of the owner when it opened the session. `admit` looks up a user or a team, and adds the
    overrides.
    """
    user = session.on_behalf_of
    owner = requester if user is None else admit(end_user(requester, user))
    if session.team == (owner.team and owner.team.subject):
        return owner
    team = team_named(session.team)
    return replace(owner, team=team and admit(team))
