"""Faults, at random: any calls may fail in any way, and any call may be the last, in any situation at all."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.model import Place
from tests.fake_aws.traffic import Fault
from tests.faults.mixed import assert_reported, assert_untouched
from tests.faults.test_kills import Dying, Killed
from tests.faults.test_matrix import KINDS, OPERATIONS
from tests.property.profiles import examples
from tests.property.scenarios import Scenario, scenarios
from tests.property.test_converge import held_back, unsettled

moments = st.tuples(st.sampled_from(OPERATIONS), st.integers(1, 9))
failures = st.dictionaries(moments, st.sampled_from(sorted(KINDS)), max_size=8)
"""Which call of which operation in a place fails, and how."""
deaths = st.none() | st.tuples(st.integers(1, 60), st.booleans())
"""At which call the process is killed, and whether after its effect."""


class Storm:
    """A fault plan of single failures, and a death."""

    def __init__(self, failing: Mapping[tuple[str, int], str], death: tuple[int, bool] | None) -> None:
        self.failing = failing
        self.dying = None if death is None else Dying(death[0], done=death[1], writes=False)

    def __call__(self, operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        end = None if self.dying is None else self.dying(operation, place, names, nth)
        kind = self.failing.get((operation, nth))
        return end or (None if kind is None else KINDS[kind])


@given(scenario=scenarios(), failing=failures, death=deaths)
@examples(80)
def test_any_fault_is_reported_changes_nothing_else_and_the_next_run_converges(
    scenario: Scenario, failing: dict[tuple[str, int], str], death: tuple[int, bool] | None
) -> None:
    aws = scenario.play()
    plan = aws.plan(scenario.spec, run=scenario.run)
    before = aws.world.state()
    aws.world.traffic.forget()
    aws.world.faults = Storm(failing, death)
    try:
        report = aws.apply(scenario.spec, run=scenario.run)
    except Killed:
        assert_untouched(aws, before, plan)
    except ReconcileError:
        assert aws.world.state() == before
    else:
        assert_reported(aws, before, report, spec=scenario.spec)
        assert_untouched(aws, before, report.plan)
    aws.world.faults = None
    aws.pass_time(minutes=20)
    besides = held_back(aws, scenario.run, aws.apply(scenario.spec, run=scenario.run))
    aws.pass_time(minutes=20)
    assert unsettled(aws.plan(scenario.spec, run=scenario.run), besides) == []
