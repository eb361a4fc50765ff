"""What a diagnosis is made of: checks, each with an answer, and what hangs on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """What came of a check. What could not be found out is no failure."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Needed(StrEnum):
    """What does not work without it."""

    PLAN = "plan"
    APPLY = "apply"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `where`: `the source`, `target NAME` or a position in the spec."""

    where: str
    subject: str
    answer: Answer
    told: str
    remedy: str = ""
    needed: Needed = Needed.NOTHING


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, in the order in which they were made."""

    checks: tuple[Check, ...]

    @property
    def plan_works(self) -> bool:
        """Whether nothing was found that a plan would fail at."""
        return not any(one.answer is Answer.FAILED and one.needed is Needed.PLAN for one in self.checks)

    @property
    def apply_works(self) -> bool:
        """The same of an apply, as far as it can be told without writing."""
        return not any(
            one.answer is Answer.FAILED and one.needed is not Needed.NOTHING for one in self.checks
        )

    @property
    def exit_code(self) -> int:
        """0 both will work, 3 a plan will and an apply will not, 1 a plan will not."""
        if not self.plan_works:
            return 1
        return 0 if self.apply_works else 3
