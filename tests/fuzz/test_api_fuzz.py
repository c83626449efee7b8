"""No request made from the OpenAPI document is answered with an error of ours, or otherwise than documented."""

import os

import pytest
from api_world import served
from fuzz.api_fuzz import fuzz, operations

# Of each route. To make and send one takes 40 ms of a processor, so the 300 that CI sends are two minutes;
# tests/fuzz/api_fuzz.py sends as many as one likes.
EXAMPLES = int(os.environ.get("RECONCILER_TEST_REQUESTS", "10"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An API above a root folder of one job."""
    with served(tmp_path_factory.mktemp("api")) as found:
        yield found


def test_no_request_finds_an_error_of_ours(world):
    """Every route: half of the requests wrong on purpose, each answer as its document says."""
    every = operations(world)
    routes = {(method, route.path) for route in world.app.routes for method in route.methods if method != "HEAD"}
    fuzzed = {(operation.method.upper(), operation.path) for operation in every}
    assert fuzzed == {(method, path) for method, path in routes if path != "/openapi.json"}
    for operation in every:
        statuses = fuzz(world, operation, examples=EXAMPLES, start=1)
        assert any(status < 500 for status in statuses), operation.path
        assert not [status for status in statuses if status >= 500], (operation.path, statuses)
