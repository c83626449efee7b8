"""Which job was last seen in which file."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.reconcile.registry import Registry


def test_a_job_is_in_one_file_only():
    """A renamed file takes its job along."""
    registry = Registry()
    registry.place("j", "a")
    registry.place("j", "b")
    assert registry.path_of("j") == "b"
    assert registry.jobs_at("a") == ()
    assert registry.paths() == ("b",)


def test_the_last_job_of_a_file_is_the_one_it_names():
    """A file whose id was edited has left one job behind; the newer comes last, also when it is placed again."""
    registry = Registry()
    for job in ("old", "new", "old"):
        registry.place(job, "a")
    assert registry.jobs_at("a") == ("new", "old")
    registry.drop("new")
    registry.drop("never seen")
    assert registry.jobs_at("a") == ("old",)


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from([None, "a", "b", "c"]))))
def test_both_directions_agree(steps):
    """However jobs move and go, files by job and jobs by file tell the same."""
    registry, model = Registry(), {}
    for job, path in steps:
        if path is None:
            registry.drop(job)
            model.pop(job, None)
        else:
            registry.place(job, path)
            model[job] = path
        registry.check_invariants()
    assert {job: registry.path_of(job) for job in model} == model
