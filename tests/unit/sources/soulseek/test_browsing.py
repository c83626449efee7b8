"""How often others are told what we offer."""

from reconciler.sources.soulseek.browsing import (
    FOLDERS_A_MINUTE,
    LIST_AGAIN_S,
    LISTS_A_MINUTE,
    MINUTE_S,
    USERS_MAX,
    BrowseBudget,
)


def test_a_user_gets_the_list_once_in_a_while():
    """And again when the time is over; others are not kept from it."""
    budget = BrowseBudget()
    assert budget.may_send_list("a", 0.0)
    assert not budget.may_send_list("a", LIST_AGAIN_S - 1)
    assert budget.may_send_list("b", 1.0)
    assert budget.may_send_list("a", LIST_AGAIN_S)


def test_many_users_share_a_budget():
    """However many names somebody has; who was refused may ask again a minute later."""
    budget = BrowseBudget()
    sent = [budget.may_send_list(f"user {n}", 0.0) for n in range(2 * LISTS_A_MINUTE)]
    assert sent == [True] * LISTS_A_MINUTE + [False] * LISTS_A_MINUTE
    assert budget.may_send_list(f"user {LISTS_A_MINUTE}", MINUTE_S)


def test_folders_have_one_of_their_own():
    """A person who looks around is answered; a program that opens everything is not."""
    budget = BrowseBudget()
    assert sum(budget.may_send_folder(n / 1000) for n in range(1000)) == FOLDERS_A_MINUTE
    assert budget.may_send_list("a", 1.0)
    assert budget.may_send_folder(MINUTE_S)


def test_the_memory_of_users_is_bounded():
    """Those who got it longest ago are forgotten."""
    budget = BrowseBudget()
    for n in range(3 * USERS_MAX):
        budget.may_send_list(f"user {n}", n * MINUTE_S / LISTS_A_MINUTE)
    assert len(budget._users) == USERS_MAX
