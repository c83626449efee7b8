"""Identifiers are made as their specifications say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from reconciler.ids import is_job_id, make_ulid


@given(unix_ms=st.integers(0, 2**48 - 1), entropy=st.binary(min_size=10, max_size=10))
def test_a_ulid_is_written_as_the_library_writes_it(unix_ms, entropy):
    """Letter by letter, and it can name a job."""
    made = make_ulid(unix_ms=unix_ms, entropy=entropy)
    assert made == str(ULID(unix_ms.to_bytes(6, "big") + entropy))
    assert is_job_id(made)


@pytest.mark.parametrize(("unix_ms", "size"), [(-1, 10), (2**48, 10), (0, 9), (0, 11)])
def test_what_does_not_fit_into_a_ulid_is_refused(unix_ms, size):
    """Rather than cut."""
    with pytest.raises(ValueError, match="48 bits"):
        make_ulid(unix_ms=unix_ms, entropy=bytes(size))
