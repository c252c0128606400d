"""Tokens: JWTs signed with HS256, by ``hmac``."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any, Dict, Iterable, Mapping, Optional

#: Longest life of a service token, in seconds. The relay refuses longer ones.
MAX_SERVICE_SECONDS = 600


def _part(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def sign_token(claims: Mapping[str, Any], secret: str, *, ttl_seconds: int = 300) -> str:
    """Sign ``claims``, with ``iat`` and ``exp`` by the clock of this machine unless they are given."""
    if not secret:
        raise ValueError("a token needs a secret")
    now = int(time.time())
    body = {"iat": now, "exp": now + ttl_seconds, **claims}
    text = b".".join(
        _part(json.dumps(each, separators=(",", ":")).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, body)
    )
    return (text + b"." + _part(hmac.new(secret.encode(), text, hashlib.sha256).digest())).decode()


def sign_service_token(
    secret: str, *, scopes: Iterable[str] = ("broadcast",), subject: str = "python", ttl_seconds: int = 300
) -> str:
    """A service token for the relay, signed with ``RELAY_SERVICE_SECRET``. It belongs on a server, and in no page."""
    if not 1 <= ttl_seconds <= MAX_SERVICE_SECONDS:
        raise ValueError(f"a service token lives 1 to {MAX_SERVICE_SECONDS} seconds")
    claims = {"aud": "groupcast-relay", "sub": subject, "scope": " ".join(scopes)}
    return sign_token(claims, secret, ttl_seconds=ttl_seconds)


def sign_user_token(
    secret: str, user_id: str, *, groups: Optional[Iterable[str]] = None, ttl_seconds: int = 3_600
) -> str:
    """A user token, signed with ``JWT_SECRET``. ``groups`` are the ids that the relay lets the user join."""
    claims: Dict[str, Any] = {"sub": user_id}
    if groups is not None:
        claims["groups"] = list(groups)
    return sign_token(claims, secret, ttl_seconds=ttl_seconds)
