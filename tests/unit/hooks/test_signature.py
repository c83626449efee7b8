"""A signature is that of Standard Webhooks."""

import pytest

from reconciler.errors import BadConfigurationError
from reconciler.hooks.signature import headers_of, key_of


def test_the_example_of_the_libraries():
    """The test vector that the Python library of the project has in its own tests."""
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = headers_of("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', now=1614265330.9, key=key)
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_without_a_key_there_is_no_signature():
    """And who and when are told all the same."""
    assert set(headers_of("id", b"", now=1.0, key=None)) == {"webhook-id", "webhook-timestamp"}


def test_any_other_text_is_the_key_itself():
    """What is no base64 behind whsec_ is a mistake."""
    assert key_of("pässword") == "pässword".encode()
    with pytest.raises(BadConfigurationError):
        key_of("whsec_not base64")
