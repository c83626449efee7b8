#!/usr/bin/env python3
"""Requests made from the OpenAPI document, sent to every route over real sockets: no answer may be an error of ours.

Owns: making and counting them. Never: says what a good answer is; the document does, and schemathesis compares.

`PYTHONPATH=tests .venv/bin/python tests/fuzz/api_fuzz.py --examples 5000`; the suite takes 10 of each route.
"""

import argparse
import json
import tempfile
from collections import Counter
from http import HTTPStatus
from pathlib import Path

import requests
import schemathesis
from api_world import TOKEN, ApiWorld, served
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from reconciler.ids import JobId
from reconciler.traces.model import EventType, SwarmEvent

JOB = "01HRQ4GSX9K47J7M5FK7VW8B12"
MANIFEST = f"""\
manifest_version: "1.0"
job_id: {JOB}
job_type: mb_release
spec:
  mb_release_id: c0d0c0a4-4a26-4d74-9c02-67c9321b3b22
  target_dir: library
"""

# A stream has no end: that it begins is all that is waited for.
ENDLESS = frozenset({"/api/events"})
CHECKS = (not_a_server_error, status_code_conformance, response_schema_conformance)
FILES_MAX = 200
TIMEOUT_S = 60


def operations(world):
    """Every operation of the document."""
    document = json.loads(world.get("/openapi.json").body)
    schema = schemathesis.openapi.from_dict(document)
    schema.config.base_url = f"http://127.0.0.1:{world.port}"
    return [result.ok() for result in schema.get_all_operations()]


def one_job(world):
    """Put one job there, with an event."""
    world.reset()
    (world.root / "jobs" / "active" / "wish.yml").write_text(MANIFEST)
    world.put(JOB, path="jobs/active/wish.yml")
    world.traces.report(
        SwarmEvent(event_id="e", timestamp_ms=1, type=EventType.JOB_START, job_id=JobId(JOB), action="started")
    )
    world.traces.flush()


def answered(case) -> int:
    """Send one request, and see that its answer is as the document says; gives the status."""
    token = {"Authorization": f"Bearer {TOKEN}"}
    if case.operation.path not in ENDLESS:
        answer = case.call(headers=token, timeout=TIMEOUT_S)
        case.validate_response(answer, checks=CHECKS)
        return answer.status_code
    asked = case.as_transport_kwargs(headers=token)
    with requests.Session() as session, session.request(**asked, stream=True, timeout=TIMEOUT_S) as answer:
        if answer.status_code == HTTPStatus.OK:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            assert next(answer.iter_lines()).startswith(b"retry: ")
        else:
            case.validate_response(answer, checks=CHECKS)
        return answer.status_code


def fuzz(world: ApiWorld, operation, *, examples: int, start: int) -> Counter:
    """Send so many requests to one operation, half of them wrong on purpose; gives the statuses."""
    one_job(world)
    statuses: Counter = Counter()
    cases = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )
    ids = st.one_of(st.just(JOB), st.none())

    @seed(start)
    @settings(max_examples=examples, database=None, deadline=None, suppress_health_check=list(HealthCheck),
              phases=[Phase.generate])  # fmt: skip
    @given(case=cases, job_id=ids)
    def send(case, job_id) -> None:
        if job_id is not None and "job_id" in (case.path_parameters or {}):
            case.path_parameters["job_id"] = job_id
        if len(list((world.root / "jobs" / "active").iterdir())) > FILES_MAX:
            one_job(world)
        statuses[answered(case)] += 1

    send()
    return statuses


def main() -> None:
    """Fuzz every operation and print what was answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=5000, help="of each route")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="routes whose path holds this")
    given_words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as world:
        for operation in operations(world):
            if given_words.only in operation.path:
                statuses = fuzz(world, operation, examples=given_words.examples, start=given_words.seed)
                told = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
                print(f"{operation.method.upper():5} {operation.path:30} {told}", flush=True)


if __name__ == "__main__":
    main()
