"""The unchanged google-genai mints at the stand-in (or Google) in every locking mode.

The requests that arrive must equal the recorded bodies in tests/wire/. So the stand-in's mint, the broker's
golden bodies and the current SDK agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from tests.contract.conftest import Upstream
from tests.contract.python_sdk_calls import BASE, FULL, MASK, constraints

WIRE = Path(__file__).parents[1] / "wire"
# Sample -> the arguments to the SDK. Times are added where the sample has them.
SAMPLES: dict[str, dict[str, Any]] = {
    "mint-no-constraints": {},
    "mint-lock-all": constraints(FULL),
    "mint-lock-set-fields": {**constraints(FULL), "lock_additional_fields": []},
    "mint-lock-model-only": {"lock_additional_fields": [], **constraints({})},
    "mint-explicit-mask": {
        **constraints(BASE),
        "http_options": types.HttpOptions(timeout=8000, extra_body={"fieldMask": MASK}),
    },
}


@pytest.fixture(scope="module")
def client(upstream: Upstream) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=upstream.url, api_version="v1alpha")
    with genai.Client(vertexai=False, api_key=upstream.api_key, http_options=options) as made:
        yield made


Create = Callable[[dict[str, Any]], types.AuthToken]


@pytest.fixture
def create(client: genai.Client) -> Create:
    def mint(config: dict[str, Any]) -> types.AuthToken:
        token: types.AuthToken = client.auth_tokens.create(config=types.CreateAuthTokenConfig(**config))
        return token

    return mint


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.filterwarnings("ignore::google.genai._common.ExperimentalWarning")
def test_sdk_mints_with_the_recorded_request(sample: str, create: Create, upstream: Upstream) -> None:
    recorded = json.loads((WIRE / f"{sample}.request.python-sdk.json").read_text())
    soon = (datetime.now(UTC) + timedelta(minutes=10)).replace(microsecond=0)
    times = {
        wire: name
        for wire, name in [("expireTime", "expire_time"), ("newSessionExpireTime", "new_session_expire_time")]
        if wire in recorded["body"]
    }
    token = create({"uses": 1, **SAMPLES[sample], **dict.fromkeys(times.values(), soon)})

    assert token.name
    assert re.fullmatch(r"auth_tokens/[A-Za-z0-9._~-]+", token.name)
    if upstream.standin:
        entry = upstream.standin.control.received()["mints"][-1]
        assert entry["path"] == recorded["path"]
        assert entry["key_given"]
        assert entry["body"] == {**recorded["body"], **dict.fromkeys(times, soon.isoformat())}


@pytest.mark.filterwarnings("ignore::google.genai._common.ExperimentalWarning")
def test_unknown_field_is_refused_by_name(create: Create) -> None:
    """The SDK's name for the constraints does not exist on the wire."""
    options = types.HttpOptions(extra_body={"liveConnectConstraints": {}})
    with pytest.raises(errors.ClientError) as refused:
        create({"uses": 1, "http_options": options})
    assert refused.value.code == 400
    assert 'Unknown name "liveConnectConstraints"' in str(refused.value.message)


@pytest.mark.filterwarnings("ignore::google.genai._common.ExperimentalWarning")
def test_lifetime_of_a_day_is_refused(create: Create) -> None:
    with pytest.raises(errors.ClientError) as refused:
        create({"uses": 1, "expire_time": datetime.now(UTC) + timedelta(hours=24)})
    assert refused.value.code == 400
    assert "too far in the future" in str(refused.value.message)
