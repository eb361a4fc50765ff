"""The context of an apply for tests of its steps."""

from __future__ import annotations

from ssm_reconcile.apply.work import SourceTags, Work
from ssm_reconcile.spec import Run
from tests.simulated_aws import SimulatedAws


def work(aws: SimulatedAws, run: Run | None = None) -> Work:
    """Return the context of an apply to the first target of the spec."""
    source = aws.store("us-east-1")
    endpoints = aws.spec, aws.spec.targets[0], source, aws.store()
    return Work(*endpoints, run or Run(), aws.clock, aws.stop, SourceTags(source))
