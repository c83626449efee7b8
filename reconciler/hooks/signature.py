"""Sign a request so that its receiver knows who sent it, and that it is of now.

Owns: the three headers of Standard Webhooks 1.0. Never: sends.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac

from reconciler.errors import BadConfigurationError

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key that a secret stands for: of `whsec_` and base64, which libraries make, what is encoded; else its bytes.

    Raises BadConfigurationError where what follows `whsec_` is not base64.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise BadConfigurationError(
            "the secret of a webhook begins with whsec_ and does not go on as base64",
            hint="copy it again, or use any other text as the secret",
        ) from None


def headers_of(delivery_id: str, body: bytes, *, now: float, key: bytes | None) -> dict[str, str]:
    """Who, when, and the signature of both with the body; without a key, no signature."""
    sent_at = str(int(now))
    headers = {"webhook-id": delivery_id, "webhook-timestamp": sent_at}
    if key is not None:
        signed = b".".join((delivery_id.encode(), sent_at.encode(), body))
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers
