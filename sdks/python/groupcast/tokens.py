"""Tokens: JWTs signed with HS256, by ``hmac``."""

import base64
import hashlib
import hmac
import json
import re
import time
from typing import Any, Dict, Iterable, Mapping, Optional

from .errors import GroupcastError

#: Longest life of a service token, in seconds. The relay refuses longer ones.
MAX_SERVICE_SECONDS = 600


#: What a header can carry. Every token has this form, and what has not would stand in the error of whoever sends it.
_SENDABLE = re.compile(r"[\x21-\x7e]+")


def read_token(given: object, code: str) -> str:
    """The token without the whitespace around it. The error with this code says nothing of what is in it."""
    token = given.strip() if isinstance(given, str) else ""
    if _SENDABLE.fullmatch(token):
        return token
    raise GroupcastError(code, "unable to send the token; it is no text of visible ASCII characters")


def read_secret(secret: str) -> bytes:
    """Raise ``ValueError`` without the secret, which an error of the codec would have with it."""
    data = secret.encode("utf-8", "replace")
    if data.decode("utf-8") != secret:
        raise ValueError("the secret is no text that UTF-8 has")
    return data


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
    return (text + b"." + _part(hmac.new(read_secret(secret), text, hashlib.sha256).digest())).decode()


def sign_service_token(
    secret: str, *, scopes: Iterable[str] = ("broadcast",), subject: str = "python", ttl_seconds: int = 300
) -> str:
    """A service token for the relay, signed with ``RELAY_SERVICE_SECRET``. It belongs on a server, and in no page."""
    if not 1 <= ttl_seconds <= MAX_SERVICE_SECONDS:
        raise ValueError(f"a service token lives 1 to {MAX_SERVICE_SECONDS} seconds")
    claims = {"aud": "groupcast-relay", "sub": subject, "scope": " ".join(scopes)}
    return sign_token(claims, secret, ttl_seconds=ttl_seconds)


def _claim_at(path: str, value: object) -> Dict[str, Any]:
    """Claims that have ``value`` at a path such as ``user.id``, and nothing else."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value) if isinstance(value, dict) else {}


def sign_user_token(
    secret: str,
    user_id: str,
    *,
    groups: Optional[Iterable[str]] = None,
    ttl_seconds: int = 3_600,
    user_claim: Optional[str] = None,
    name: Optional[str] = None,
    issuer: Optional[str] = None,
    audience: Optional[str] = None,
) -> str:
    """A user token, signed with ``JWT_SECRET``. ``groups`` are the ids that the relay lets the user join.

    ``user_claim``, ``issuer`` and ``audience`` are what the services have as ``JWT_USER_CLAIM``, such as ``user._id``,
    ``JWT_ISSUER`` and ``JWT_AUDIENCE``; what is empty is left out. ``name`` is the user's name.
    """
    claims: Dict[str, Any] = {"sub": user_id}
    if user_claim and user_claim != "sub":
        claims.update(_claim_at(user_claim, user_id))
    if groups is not None:
        claims["groups"] = list(groups)
    claims.update({claim: given for claim, given in (("name", name), ("iss", issuer), ("aud", audience)) if given})
    return sign_token(claims, secret, ttl_seconds=ttl_seconds)
