"""Chance, as an argument.

Owns: what a simulation may ask of chance; `random.Random(seed)` gives it. Never: rolls.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Dice(Protocol):
    """The part of `random.Random` that simulations use."""

    def random(self) -> float:
        """Give a number from 0.0 to below 1.0."""
        ...

    def uniform(self, a: float, b: float) -> float:
        """Give a number from `a` to `b`."""
        ...

    def randint(self, a: int, b: int) -> int:
        """Give a whole number from `a` to `b`, both included."""
        ...

    def choice(self, seq: Sequence[T], /) -> T:
        """Pick one."""
        ...

    def choices(self, population: Sequence[T], weights: Sequence[float] | None = None) -> list[T]:
        """Pick one by weight, in a list."""
        ...

    def sample(self, population: Sequence[T], k: int) -> list[T]:
        """Pick `k` different ones."""
        ...
