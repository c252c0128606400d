"""The error of every expected failure."""

from typing import Any, Dict, Mapping, Optional


class GroupcastError(Exception):
    """A failure with a code; ``docs/reference/errors.md`` lists the codes.

    ``retryable`` says whether the same call may succeed later, and ``retry_after_ms`` the shortest time after which it
    may. ``details`` has facts for programs, such as the head of a group.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after_ms: Optional[int] = None,
        details: Optional[Dict[str, Any]] = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms
        self.details = details

    @classmethod
    def of_body(cls, body: object) -> "GroupcastError":
        """The error that the relay has sent; without a code of its own it is ``INTERNAL``."""
        fields: Mapping[str, Any] = body if isinstance(body, dict) else {}
        code, message, wait = fields.get("code"), fields.get("message"), fields.get("retryAfterMs")
        details = fields.get("details")
        is_known = isinstance(code, str)
        return cls(
            code if isinstance(code, str) else "INTERNAL",
            message if isinstance(message, str) else "unable to read the answer of the relay",
            retryable=fields.get("retryable") is True if is_known else False,
            retry_after_ms=wait if isinstance(wait, int) and not isinstance(wait, bool) and wait >= 0 else None,
            details=details if isinstance(details, dict) else None,
        )
