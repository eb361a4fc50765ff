"""Limits and rules of AWS: each module that asks gets the same answer."""

from __future__ import annotations

import pytest

from ssm_reconcile import aws_limits
from ssm_reconcile.aws_limits import CALL_CLASSES, CALL_RATES, CallClass, is_reserved_name
from ssm_reconcile.init.survey import Survey
from ssm_reconcile.load.patterns import pattern_error
from ssm_reconcile.model import Access, ProblemKind
from ssm_reconcile.resolve import Route, resolve
from ssm_reconcile.spec import Glob, Rewrite, RewriteIn
from tests.builders import HERE, NOW, THERE, listing, parameter, replication, ring

NAMES = [
    ("/aws/x", True),
    ("/awsome", True),
    ("/awsfoo/bar", True),
    ("/AWSx/y", True),
    ("aws-x", True),
    ("/ssm", True),
    ("SSM-x", True),
    ("/ssmx/y/z", True),
    ("/my/aws", False),
    ("/a/ssm/b", False),
    ("/saws", False),
    ("foo", False),
]


@pytest.mark.parametrize(("name", "reserved"), NAMES)
def test_a_name_is_reserved_when_its_first_level_starts_with_aws_or_ssm(name: str, reserved: bool) -> None:
    assert is_reserved_name(name) is reserved


@pytest.mark.parametrize(("name", "reserved"), NAMES)
def test_resolve_init_and_load_agree_on_reserved_names(name: str, reserved: bool) -> None:
    rule = Rewrite(Glob("/p/a"), RewriteIn.NAME, "/p/a", name)
    spec, source, source_ring = replication(rewrites=(rule,)), listing(HERE, parameter()), ring(HERE)
    (desired,) = resolve(Route(spec, spec.targets[0], source, THERE, source_ring, ring(THERE), NOW)).values()
    assert (ProblemKind.NAME in [problem.kind for problem in desired.problems]) is reserved
    found = Survey(Access("us-east-1"), listing(HERE, parameter(name)), {}, {}, source_ring)
    assert (not found.names) is reserved
    assert (pattern_error(name) is not None) is reserved


def test_each_operation_has_a_class_and_each_class_a_rate_and_an_operation() -> None:
    assert set(CALL_CLASSES.values()) == set(CallClass) == set(CALL_RATES)


def test_an_advanced_parameter_holds_more_than_a_standard_one() -> None:
    assert aws_limits.STANDARD_BYTES < aws_limits.ADVANCED_BYTES
    assert aws_limits.PARAMETER_LIMITS["Standard"] < aws_limits.PARAMETER_LIMITS["Advanced"]
