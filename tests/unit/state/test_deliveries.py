"""What hooks are still to be told, in the database."""

from dataclasses import replace

import pytest

from reconciler.errors import StateDamagedError
from reconciler.ids import JobId
from reconciler.state import deliveries
from reconciler.state.database import Database
from reconciler.state.deliveries import DeliveryStore, add_deliveries
from reconciler.state.records import Delivery


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path / "reconciler.db")
    yield opened
    opened.close()


def delivery(number, **changes):
    made = Delivery(
        delivery_id=f"01HRQ4GSX9K47J7M5FK7VW{number:04}",
        hook="command",
        event="job.completed",
        job_id=JobId("01HRQ4GSX9K47J7M5FK7VW8B12"),
        body="{}",
        next_at=float(number),
    )
    return replace(made, **changes)


def add(database, *some):
    database.write(lambda connection: add_deliveries(connection, some)).result()


def test_what_is_due_first_comes_first(database):
    """Of one hook; what is over is not asked for again."""
    store = DeliveryStore(database)
    add(database, delivery(2), delivery(1), delivery(0, hook="other"))
    assert store.next_of("command") == delivery(1)
    store.put(replace(delivery(1), state="delivered", tries=1, result="exit status 0"))
    assert store.next_of("command") == delivery(2)
    assert store.next_of("nobody") is None
    assert store.all()[1] == replace(delivery(1), state="delivered", tries=1, result="exit status 0")


def test_the_table_has_bounds(database, monkeypatch):
    """Past them the oldest that waits is given up, and the oldest that is over forgotten."""
    monkeypatch.setattr(deliveries, "WAITING_MAX", 5)
    monkeypatch.setattr(deliveries, "ENDED_KEPT", 3)
    for number in range(20):
        add(database, delivery(number))
    known = DeliveryStore(database).all()
    assert [each.state for each in known] == ["waiting"] * 5 + ["given up"] * 3
    assert known[0] == delivery(19)
    assert (known[-1].result, known[-1].next_at) == ("too many deliveries wait", known[2].next_at)


@pytest.mark.parametrize("change", ["job_id = 'x'", "next_at = 'soon'", "body = x'00'"])
def test_a_row_that_cannot_have_been_written_is_damage(database, change):
    """It steers nothing."""
    add(database, delivery(1))
    database.write(lambda c: c.execute(f"UPDATE hook_deliveries SET {change}")).result()
    with pytest.raises(StateDamagedError, match="impossible delivery"):
        DeliveryStore(database).all()
