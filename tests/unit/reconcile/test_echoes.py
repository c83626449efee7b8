"""Which change of a file is our own."""

from reconciler.reconcile.echoes import Echoes

PATH = "jobs/active/a.yml"


def wrote(*, judged=b"read", over=b"read", now=b"written"):
    """A pass judged a file and wrote into it."""
    echoes = Echoes()
    echoes.judging(PATH, judged)
    echoes.wrote(PATH, over=over, now=now)
    return echoes


def test_what_we_wrote_over_what_we_judged_is_an_echo():
    """However often it is seen: one write makes several events."""
    echoes = wrote()
    assert echoes.is_awaited(PATH)
    assert echoes.is_echo(PATH, b"written")
    assert echoes.is_echo(PATH, b"written")


def test_another_content_is_news():
    """Somebody saved after us."""
    assert not wrote().is_echo(PATH, b"saved since")


def test_a_write_over_something_that_was_not_judged_is_news():
    """Somebody saved between the look and the write; our status stands in their version, which nobody has judged."""
    echoes = wrote(over=b"saved meanwhile", now=b"saved meanwhile, with status")
    assert not echoes.is_awaited(PATH)
    assert not echoes.is_echo(PATH, b"saved meanwhile, with status")


def test_two_writes_of_one_pass_are_both_ours():
    """The second replaces what the first put there."""
    echoes = wrote()
    echoes.wrote(PATH, over=b"written", now=b"written twice")
    assert echoes.is_echo(PATH, b"written twice")


def test_a_pass_that_has_seen_it_awaits_it_no_more():
    """Nothing is kept for ever."""
    echoes = wrote()
    echoes.judging(PATH, b"written")
    assert not echoes.is_awaited(PATH)


def test_a_write_that_changes_nothing_makes_no_echo():
    """There is no event to drop."""
    assert not wrote(now=b"read").is_awaited(PATH)


def test_a_file_that_is_gone_is_not_awaited():
    """Whoever has the name next is somebody else."""
    echoes = wrote()
    echoes.leave(PATH)
    assert not echoes.is_awaited(PATH)
