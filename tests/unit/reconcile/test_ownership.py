"""Which node a job is for: the rule as a table."""

import pytest

from reconciler.manifests.model import NodeSelector
from reconciler.reconcile.ownership import Node, why_not_ours

ATTIC = Node(name="attic", labels={"disk": "large", "net": "slow"})


@pytest.mark.parametrize(
    ("selector", "ours"),
    [
        (None, True),
        (NodeSelector(name="attic"), True),
        (NodeSelector(name="cellar"), False),
        (NodeSelector(labels={"disk": "large"}), True),
        (NodeSelector(labels={"disk": "large", "net": "slow"}), True),
        (NodeSelector(labels={"disk": "small"}), False),
        (NodeSelector(labels={"disk": "large", "gpu": "yes"}), False),
        (NodeSelector(name="attic", labels={"disk": "small"}), False),
    ],
)
def test_a_job_is_for_the_named_node_or_one_with_all_labels(selector, ours):
    """A name must match, and each label; nothing named is for everybody."""
    assert (why_not_ours(selector, ATTIC) == "") == ours


def test_the_reason_names_both_sides():
    """A person sees what is asked for and who this is."""
    assert why_not_ours(NodeSelector(name="cellar"), ATTIC) == "the job is for node cellar; this one is attic"
    assert "disk=small" in why_not_ours(NodeSelector(labels={"disk": "small"}), ATTIC)
