"""broker.toml: plans, profiles, issuers and prices, parsed strictly.

Owns the keys and their limits. An unknown key is a fault. `minting.compile` checks the `config` of a profile,
because that depends on the Google SDK and Google's models.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import limits
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
)
from pydantic_core import ErrorDetails

from broker.net.plain_faults import plain
from broker.principal import TEAM_NAME, TEAM_NAME_RULE
from broker.profiles.profile import WARM_WAIT_SECONDS, Profile
from broker.profiles.profile import ProfileSpec as ProfileSpec
from broker.settings import prices
from broker.settings.files import read_text
from broker.settings.issuers import IssuerSpec as IssuerSpec
from broker.settings.issuers import Name, cross_faults
from broker.settings.prices import Millionths, Prices

# Above these, a counter exceeds the range of the stores and of the headers.
_MOST_REQUESTS, _LONGEST_WINDOW = 1_000_000, 366 * 86_400
_MOST_BYTES = 1 << 20
SHIPPED = Path(__file__).parent / "broker.toml"


def _rate(text: str) -> str:
    """Rejects empty and unparsable rates, because Flask-Limiter treats them as no limit."""
    try:
        parsed = limits.parse_many(text)
    except ValueError:
        raise ValueError('must look like "10/minute; 200/day"') from None
    if not parsed or any(item.amount < 1 or item.multiples < 1 for item in parsed):
        raise ValueError("must allow at least one request in each window")
    if any(item.amount > _MOST_REQUESTS or item.get_expiry() > _LONGEST_WINDOW for item in parsed):
        raise ValueError("must allow at most one million requests, in windows of at most one year")
    return text


Rate = Annotated[str, AfterValidator(_rate)]
MostSessions = Annotated[int, Field(ge=1, le=1_000_000)]
MinutesPerDay = Annotated[int, Field(ge=1, le=24 * 60 * 1000)]
SessionMinutes = Annotated[int, Field(ge=1, le=20 * 60)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _zone(name: object) -> object:
    try:
        return ZoneInfo(name) if isinstance(name, str) else name
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError("must be a time zone that this system knows, such as Europe/Paris") from None


TimeZone = Annotated[InstanceOf[ZoneInfo], BeforeValidator(_zone)]
MinutesPerMonth = Annotated[int, Field(ge=1, le=31 * 24 * 60 * 1000)]


class Project(_Strict):
    sessions: Annotated[int, Field(ge=1)] = 50
    time_zone: TimeZone = Field(default_factory=lambda: ZoneInfo("UTC"))
    """In which days and months of budgets begin."""
    budget_per_day: Millionths | None = None
    budget_per_month: Millionths | None = None


class Plan(_Strict):
    """The limits of each user on this plan."""

    rate: Rate
    sessions: MostSessions
    minutes_per_day: MinutesPerDay
    session_minutes: SessionMinutes
    forgiven_minutes_per_day: Annotated[int, Field(ge=0, le=24 * 60 * 1000)] | None = None
    """The most unused minutes of a day that are given back; None for as many as `minutes_per_day`."""
    budget_per_day: Millionths | None = None
    budget_per_month: Millionths | None = None
    minutes_per_month: MinutesPerMonth | None = None
    reserved_sessions: Annotated[int, Field(ge=0)] = 0
    """The number of the project's sessions that only this plan may use."""

    def of_one(self) -> dict[str, Any]:
        """The limits of each principal. Reserved sessions apply to all principals of the plan together."""
        return self.model_dump(exclude={"reserved_sessions", "forgiven_minutes_per_day"})


def _team_name(text: str) -> str:
    if TEAM_NAME.fullmatch(text) is None:
        raise ValueError(f"must have {TEAM_NAME_RULE}")
    return text


TeamName = Annotated[str, AfterValidator(_team_name)]


class Team(_Strict):
    """The limits that the members of a team share. None: the team does not limit it."""

    rate: Rate | None = None
    sessions: MostSessions | None = None
    minutes_per_day: MinutesPerDay | None = None
    budget_per_day: Millionths | None = None
    budget_per_month: Millionths | None = None
    minutes_per_month: MinutesPerMonth | None = None


def _named(profiles: Any) -> Any:
    """Adds the name to each `[profiles.NAME]`. The file must not contain a `name` key."""
    if not isinstance(profiles, dict):
        return profiles
    for name, written in profiles.items():
        if isinstance(written, dict) and "name" in written:
            raise ValueError(f"{name}.name: is not a known key")
    return {
        name: {**written, "name": name} if isinstance(written, dict) else written
        for name, written in profiles.items()
    }


Profiles = Annotated[Mapping[Name, Profile], BeforeValidator(_named)]


class GuestSpec(_Strict):
    """People without a sign-in. Anyone who can reach the page is a guest, so the defaults are strict."""

    enabled: bool = False
    plan: Name = "default"
    profiles: Annotated[frozenset[Name], Field(strict=False, min_length=1)] | None = None
    address_rate: Rate = "5/hour"
    """Sessions of all guests at one address.

    A new cookie makes a new guest, so guests are counted together.
    """
    allow_network: bool = False
    """If false, the broker serves guests on loopback only."""


class BrokerConfig(_Strict):
    project: Project = Project()
    plans: Mapping[Name, Plan]
    teams: Mapping[TeamName, Team] = Field(default_factory=dict)
    """`default` applies to teams without an entry."""
    profiles: Profiles
    issuers: Annotated[tuple[IssuerSpec, ...], Field(strict=False)] = ()
    guests: GuestSpec = GuestSpec()
    prices: Prices = Field(default_factory=dict)


class Reading(NamedTuple):
    """The parsed file and its faults.

    `profiles` contains every profile that parses, so that profiles are checked even if a plan is invalid.
    """

    config: BrokerConfig | None
    profiles: Mapping[str, Profile]
    faults: list[str]


def read(path: Path | None) -> Reading:
    source = SHIPPED if path is None else path
    try:
        text = read_text(source, _MOST_BYTES)
        document = prices.with_exact_numbers(tomllib.loads(text), text)
    except OSError as error:
        return Reading(None, {}, [f"BROKER_CONFIG: {source} cannot be read ({error.strerror or error})"])
    except UnicodeDecodeError:
        return Reading(None, {}, [f"BROKER_CONFIG: {source} is not UTF-8"])
    except tomllib.TOMLDecodeError as error:
        return Reading(None, {}, [f"BROKER_CONFIG: {source} is not TOML: {error}"])
    try:
        config = BrokerConfig.model_validate(document)
    except ValidationError as error:
        faults = [_fault(item, document) for item in error.errors()]
        return Reading(None, _readable_profiles(document), faults)
    return Reading(config, config.profiles, _cross_faults(config))


def _readable_profiles(document: Mapping[str, Any]) -> dict[str, Profile]:
    profiles = document.get("profiles")
    readable = {}
    for name, written in profiles.items() if isinstance(profiles, dict) else ():
        with suppress(ValueError):
            readable[name] = Profile.model_validate(_named({name: written})[name])
    return readable


def _fault(found: ErrorDetails, document: Mapping[str, Any]) -> str:
    """Without the value, so that a secret in the wrong file never reaches a log."""
    parts = [str(part) for part in prices.as_written(found["loc"], document) if part != "[key]"]
    place = ".".join(parts)
    problem = "is not a known key" if found["type"] == "extra_forbidden" else plain(found)
    return f"broker.toml: {place}: {problem}"


def _cross_faults(config: BrokerConfig) -> list[str]:
    faults = []
    if "default" not in config.plans:
        faults.append("broker.toml: plans.default: is missing; users without a plan get it")
    reserved = sum(plan.reserved_sessions for plan in config.plans.values())
    if reserved > config.project.sessions:
        faults.append(
            f"broker.toml: plans: reserved_sessions add up to {reserved}; project.sessions is "
            f"{config.project.sessions}"
        )
    if not config.profiles:
        faults.append("broker.toml: profiles: at least one is required")
    elif len(config.profiles) > 1 and "default" not in config.profiles:
        faults.append("broker.toml: profiles: with several profiles, one must be named default")
    for name, profile in config.profiles.items():
        faults += [
            f"broker.toml: profiles.{name}.plans: there is no plan {plan!r}"
            for plan in profile.plans
            if plan != "*" and plan not in config.plans
        ]
        if profile.connect_within_seconds > profile.slice_seconds:
            faults.append(
                f"broker.toml: profiles.{name}.connect_within_seconds: is longer than slice_seconds"
            )
        longest = max((plan.session_minutes * 60 for plan in _plans_of(profile, config)), default=0)
        if profile.warm and longest < profile.slice_seconds + WARM_WAIT_SECONDS:
            faults.append(
                f"broker.toml: profiles.{name}.warm: has no effect, because no plan of this profile has "
                f"sessions that are {WARM_WAIT_SECONDS} s longer than slice_seconds"
            )
    faults += prices.cross_faults(config.prices)
    faults += _budget_faults(config)
    faults += cross_faults(config.issuers, config.plans, config.profiles)
    faults += _guest_faults(config.guests, config)
    return faults


def _plans_of(profile: Profile, config: BrokerConfig) -> list[Plan]:
    return [plan for name, plan in config.plans.items() if profile.allows(name)]


def _budget_faults(config: BrokerConfig) -> list[str]:
    """A budget is spent by the prices, so a model without a price could not be used."""
    priced = {name.removeprefix("models/") for name in config.prices}
    faults = []
    owners: dict[str, Project | Plan | Team] = {"project": config.project}
    owners |= {f"plans.{name}": plan for name, plan in config.plans.items()}
    owners |= {f"teams.{name}": team for name, team in config.teams.items()}
    for place, owner in owners.items():
        if owner.budget_per_day is None and owner.budget_per_month is None:
            continue
        plan = place.removeprefix("plans.") if isinstance(owner, Plan) else None
        open_to = [one for one in config.profiles.values() if plan is None or one.allows(plan)]
        models = {model.removeprefix("models/") for one in open_to for model in one.models}
        if missing := sorted(models - priced):
            faults.append(
                f"broker.toml: {place}: has a budget, so every model needs a price; "
                f"there is none for {', '.join(missing)}"
            )
    return faults


def _guest_faults(guests: GuestSpec, config: BrokerConfig) -> list[str]:
    if guests.plan not in config.plans:
        return [f"broker.toml: guests.plan: there is no plan {guests.plan!r}"]
    return [
        f"broker.toml: guests.profiles: {name!r} is not available to the plan {guests.plan!r}"
        for name in sorted(guests.profiles or ())
        if name not in config.profiles or not config.profiles[name].allows(guests.plan)
    ]
