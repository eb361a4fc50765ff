"""Large plans in many shapes: flat names, deep paths, many targets, long names; few changes are dangerous."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ssm_reconcile.change import Change, Difference, Row, TagDiff
from ssm_reconcile.errors import Address, Finding, Remedy, Severity
from ssm_reconcile.plan import Other, Plan
from tests.unit.renderers import plans

DANGEROUS = 40
"""Dangerous changes in each large plan."""
_TARGETS = [
    f"{area}-{side}-{n}" for area in ("us", "eu", "ap") for side in ("west", "east") for n in range(4)
]
_LONG = "/" + "/".join(["long-name-of-a-level"] * 12)
_KINDS = (
    (Row.CONFLICT, "conflict"), (Row.INVALID, "invalid"), (Row.ORPHAN, "orphaned"),
    (Row.DETACHED, "detached"), (Row.OPTED_OUT, "opted_out"),
)  # fmt: skip
SHAPES: dict[str, tuple[int, Callable[[int], str]]] = {
    "paths": (3, lambda i: f"/p{i}/q{i % 17}/r/{i}"),
    "flat": (3, lambda i: f"name-{i:04}"),
    "deep": (5, lambda i: "/" + "/".join(f"{c}{i % (n + 2)}" for n, c in enumerate("abcdefghijk")) + f"/{i}"),
    "targets": (24, lambda i: f"/p/{i % 50}/{i}"),
    "one path": (1, lambda i: f"/shop/prod/{i}"),
    "guards": (3, lambda i: f"/p{i % 50}/{i}"),
    "long names": (3, lambda i: f"{_LONG}/{i}"),
}
"""By shape: the number of targets, and the name of each parameter.

The changes of "guards" have three guards and four reasons in all combinations, and some of them are pending.
"""


def _dangerous(number: int, target: str, name: str) -> Change:
    """Return a delete, a replacement, an exposure or a release, last changed by a different user each."""
    writer: dict[str, Any] = {"writer": f"arn:aws:iam::123456789012:user/u{number}", "changed_outside": True}
    match number % 4:
        case 0:
            return plans.delete(target, name, **writer)
        case 1:
            return plans.replaced(
                target, name, Difference("DataType", f"text{number}", "aws:ec2:image"), **writer
            )
        case 2:
            kinds = Difference("type", "SecureString", "String")
            return plans.update(
                target, name, kinds, plans.secret(), exposes=True, reasons=(f"reason {number}",)
            )
        case _:
            return plans.release(target, name)


def _harmless(number: int, target: str, name: str) -> Change:
    """Return a create, an update, an adoption or a change of tags, each with values of its own."""
    match number % 4:
        case 0:
            return plans.create(target, name, value=f"value {number}")
        case 1:
            return plans.update(target, name, Difference("value", f"old {number}", f"new {number}"))
        case 2:
            return plans.adopt(target, name)
        case _:
            return plans.retag(target, name, TagDiff({}, {f"key-{number}": "x"}))


def _combined(number: int, change: Change) -> Change:
    """Return a change that is pending, has a guard or has a reason that others share, or is as it was."""
    shared = (*change.reasons, f"another identity, user u{number // 4 % 4}, changed it")
    change = replace(change, reasons=shared, pending=number // 200 % 2 == 1)
    if number // 16 % 3 or change.withheld:
        return change
    guard = f"guard-{number // 48 % 3}"
    return plans.withheld(change, guard, f"too many for {guard}")


def _other(number: int, target: str) -> Other:
    row, counted = _KINDS[number % len(_KINDS)]
    return plans.other(target, f"/other/{number}/x", row, counted, f"reason {number}: {'a long text ' * 12}")


def large_plan(shape: str, number: int, *, withheld: bool = False, others: int = 0) -> Plan:
    """Return a plan of one shape.

    Args:
        shape: A key of SHAPES.
        number: The changes, of which DANGEROUS are dangerous.
        withheld: Whether seven guards withhold the dangerous ones, each for several reasons.
        others: The addresses without a change, and the findings, each with a text of its own.
    """
    count, name = SHAPES[shape]
    targets = _TARGETS[:count]
    prefix = _LONG if shape == "long names" else ""
    changes = []
    for i in range(DANGEROUS):
        change = _dangerous(i, targets[i % count], f"{prefix}/danger/{i % 9}/{i}")
        changes.append(plans.withheld(change, f"guard-{i % 7}", f"{i} are too many") if withheld else change)
    changes += [_harmless(i, targets[i % count], name(i)) for i in range(number - DANGEROUS)]
    if shape == "guards":
        changes = [_combined(i, change) for i, change in enumerate(changes)]
    severities = list(Severity)
    findings = [
        Finding(
            severities[i % 3], f"code-{i % 30}", f"finding {i}: {'a long text ' * 12}", f"spec.yaml:{i}:1"
        )
        for i in range(others)
    ]
    left = [_other(i, targets[0]) for i in range(others)]
    return plans.plan_of(changes, targets=targets, others=left, findings=findings)


def guard_finding(guard: str, target: str, message: str, flag: str, where: str = "") -> Finding:
    """Return the finding of a guard that can be lifted."""
    remedy = Remedy(flag, guard, target, 1, "3f9a0c2b7d11")
    return Finding(Severity.WARNING, guard, message, where or target, (Address(target),), remedy)


def deletes_withheld(number: int, target: str, *changes: Change) -> Plan:
    """Return a plan with deletes that a guard withholds in one target, and other changes."""
    held = [
        plans.withheld(
            plans.delete(target, f"/shop/old/{i:02}"), "max-deletes", f"{number} deletes are more than 5"
        )
        for i in range(number)
    ]
    message = f"{number} to delete or replace in {target} are more than 5: all withheld"
    finding = guard_finding(
        "max-deletes", target, message, f"--max-deletes {number}", "replication.yaml:8:24"
    )
    return plans.plan_of([*held, *changes], findings=[finding])


def guarded_plan() -> Plan:
    """Return 400 changes in three regions: three guards withhold 17 of them, two deletes are applied."""
    sydney, dublin, oregon = "ap-southeast-2", "eu-west-1", "us-west-2"
    outside: dict[str, Any] = {"writer": "arn:aws:iam::123456789012:user/bob", "changed_outside": True}
    changes = [plans.delete(oregon, f"/shop/old/{i:02}") for i in range(2)]
    message = "1 to replace (delete, wait, create) in ap-southeast-2: withheld"
    findings = [guard_finding("replace", sydney, message, "--allow-replace")]
    dsn = plans.replaced(sydney, "/shop/prod/db/dsn", Difference("DataType", "text", "aws:ec2:image"))
    changes.append(plans.withheld(dsn, "replace", "reads fail between delete and create"))
    for target in (dublin, oregon):
        for name in ("/shop/prod/api/url", "/shop/prod/api/limit"):
            change = plans.update(target, name, Difference("value", "by hand", "as at the source"), **outside)
            changes.append(plans.withheld(change, "changed-outside", "another writer changed the replica"))
        message = (
            f"2 replicas in {target} were changed outside ssm-reconcile: withheld. Bring the change to the"
            " source, or overwrite it (`changed_outside: overwrite` always does)"
        )
        findings.append(guard_finding("changed-outside", target, message, "--overwrite-outside"))
    for i in range(127):
        name = plans.name_at(i)
        for target in (sydney, dublin, oregon):
            made = plans.update(target, name, Difference("value", f"old {i}", f"new {i}"))
            changes.append(plans.create(target, name, value=f"value {i}") if i % 3 else made)
    plan = deletes_withheld(12, dublin, *changes)
    (part,) = plan.replications
    return replace(plan, replications=(replace(part, findings=(*part.findings, *findings)),))
