"""Builders of plans and reports of any size, for the tests of the renderers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from ssm_reconcile.change import (
    Adopt,
    Change,
    Create,
    Delete,
    Difference,
    Fate,
    Preconditions,
    Release,
    Replace,
    Retag,
    Row,
    TagDiff,
    Update,
    Withholding,
)
from ssm_reconcile.documents.encode import EntrySequence, plan_document, report_document
from ssm_reconcile.errors import Address, Finding, Severity
from ssm_reconcile.model import DesiredParameter, Parameter
from ssm_reconcile.plan import Budget, BudgetLimit, Mode, Narrowing, Other, Plan, ReplicationPlan, TargetPlan
from ssm_reconcile.record import OWNER, RECORD, Origin, Record
from ssm_reconcile.renderers.escaping import escaped_lines, inert
from ssm_reconcile.report import Outcome, Remaining, Report, Result

NOW = datetime(2026, 11, 23, 9, 30, 0, 123000, tzinfo=UTC)
SOURCE = "123456789012/us-east-1"
FEW = 12
BUDGET = Budget({"PutParameter": 10, "AddTagsToResource": 3, "DeleteParameters": 1, "GetParameters": 2}, 4.2)


def source(name: str, kind: str = "String", version: int = 2, **more: Any) -> Parameter:
    return Parameter(name, kind, version, NOW - timedelta(days=1), **more)


def wanted(name: str, kind: str = "String", version: int = 2, **more: Any) -> DesiredParameter:
    key = more.pop("key_id", "alias/shop" if kind == "SecureString" else None)
    tags = more.pop("tags", {})
    made = source(name, kind, version, **more)
    return DesiredParameter(name, made, tags, made.tier, key_id=key, key_identity=key)


def expected(source_version: int | None = 2, version: int | None = 1, day: int = 2) -> Preconditions:
    return Preconditions(
        source_version,
        None if source_version is None else NOW - timedelta(days=1),
        version,
        None if version is None else datetime(2026, 11, day, 8, 0, tzinfo=UTC),
    )


def record() -> Record:
    return Record(2, NOW, 1, NOW, Origin.ADOPTED, "0" * 32, "1" * 32)


def secret(attribute: str = "value") -> Difference:
    return Difference(attribute, secret=True)


def create(target: str, name: str, kind: str = "String", value: str | None = "on", **more: Any) -> Change:
    difference = secret() if kind == "SecureString" else Difference("value", after=value)
    wish = wanted(name, kind, **more)
    return Change(
        "prod",
        target,
        name,
        Row.CREATE,
        Create(wish),
        expected(wish.source.version, None),
        (difference,),
        kind=kind,
    )


def update(
    target: str,
    name: str,
    *differences: Difference,
    kind: str = "String",
    version: int = 9,
    tags: TagDiff = TagDiff(),
    **more: Any,
) -> Change:
    effect = Update(wanted(name, kind, version), tags)
    return Change("prod", target, name, Row.UPDATE, effect, expected(version), differences, kind=kind, **more)


def taken_over(target: str, name: str) -> Change:
    """Return an update of a parameter that was no replica."""
    change = update(target, name, Difference("value", "theirs", "ours"))
    return replace(change, effect=Update(wanted(name, "String", 9), TagDiff(), takes_over=True))


def replaced(target: str, name: str, *differences: Difference, kind: str = "String", **more: Any) -> Change:
    effect = Replace(wanted(name, kind, 3))
    return Change("prod", target, name, Row.REPLACE, effect, expected(3, 7), differences, kind=kind, **more)


def delete(target: str, name: str, kind: str = "SecureString", **more: Any) -> Change:
    more.setdefault("reasons", ("its source is gone",))
    more.setdefault("writer", "arn:aws:sts::123456789012:assumed-role/ssm-reconcile/run")
    return Change("prod", target, name, Row.DELETE, Delete(name), expected(None, 4), kind=kind, **more)


def adopt(target: str, name: str, kind: str = "String") -> Change:
    effect = Adopt(wanted(name, kind), TagDiff(), record())
    reasons = ("the parameter already exists, equal in all that is replicated",)
    return Change("prod", target, name, Row.ADOPT, effect, expected(), reasons=reasons, kind=kind)


def retag(target: str, name: str, tags: TagDiff) -> Change:
    return Change(
        "prod", target, name, Row.RETAG, Retag(wanted(name), tags, record()), expected(), kind="String"
    )


def release(target: str, name: str) -> Change:
    effect = Release(name, TagDiff(before={OWNER: "ssm-reconcile", RECORD: "1"}))
    reasons = ("its source is gone", "it was adopted: it stays and loses our tags")
    return Change("prod", target, name, Row.DELETE, effect, expected(None, 4), reasons=reasons, kind="String")


def withheld(change: Change, guard: str, why: str) -> Change:
    return replace(change, withheld=(Withholding(guard, why),))


def other(target: str, name: str, row: Row, counted: str, *reasons: str) -> Other:
    return Other("prod", target, name, row, counted, reasons)


def plan_of(
    changes: Iterable[Change],
    *,
    targets: Sequence[str] = ("ap-southeast-2", "eu-west-1", "us-west-2"),
    others: Iterable[Other] = (),
    findings: Iterable[Finding] = (),
    in_sync: int = 160,
    incomplete: Sequence[str] = (),
    source_complete: bool = True,
    narrowing: Narrowing = Narrowing(),
    mode: Mode = Mode.NORMAL,
    name: str = "prod",
) -> Plan:
    places = tuple(
        TargetPlan(target, f"123456789012/{target}", target not in incomplete, replicas=170, in_sync=in_sync)
        for target in targets
    )
    part = ReplicationPlan(
        name,
        SOURCE,
        places,
        tuple(sorted(changes, key=lambda change: change.order)),
        tuple(others),
        tuple(findings),
        selected=498,
        source_complete=source_complete,
    )
    return Plan((part,), mode=mode, narrowing=narrowing, budget=_budget_of(part.changes))


def _budget_of(changes: Sequence[Change]) -> Budget:
    """Return about the cost of an apply: a write for each change, three a second; the usual one if few."""
    applied = sum(change.fate is Fate.APPLY for change in changes)
    if len(changes) <= FEW:
        return BUDGET
    now = BudgetLimit("123456789012/eu-west-1", "PutParameter", 3.0, applied / 3)
    then = BudgetLimit("123456789012/us-east-1", "ListTagsForResource", 5.0, applied / 5, 10)
    return Budget({"PutParameter": applied}, applied / 3, now, then)


def document_of(plan: Plan) -> Any:
    return whole(plan_document(plan, tool_version="0.1.0", created=NOW))


def whole(document: Any) -> Any:
    """Return a document with all its entries, as a reader of its JSON has it."""
    return {key: list(one) if isinstance(one, EntrySequence) else one for key, one in document.items()}


def text_at_once(document: Any) -> str:
    """Return the JSON of a whole document as one text, which the blocks of `json_blocks` add up to."""
    return inert(escaped_lines(json.dumps(document, ensure_ascii=False, sort_keys=True, indent=2))) + "\n"


def in_sync() -> Plan:
    """Return a plan without changes, with a few skipped parameters."""
    skipped = [
        other("eu-west-1", f"/shop/prod/local/{i}", Row.SKIPPED, "skipped", "its source carries skip_sync")
        for i in range(4)
    ]
    return plan_of([], others=skipped)


def twelve() -> Plan:
    """Return 12 changes in 3 regions, dangerous ones included, and addresses that are left alone."""
    sydney, dublin, oregon = "ap-southeast-2", "eu-west-1", "us-west-2"
    token, key, hook = "/shop/prod/legacy/token", "/shop/prod/api/stripe-key", "/shop/prod/api/webhook-secret"
    changes = [
        delete(sydney, token),
        update(sydney, "/shop/prod/db/password", secret(), kind="SecureString"),
        create(sydney, key, "SecureString"),
        create(sydney, hook, "SecureString", version=1),
        delete(dublin, token, writer="arn:aws:iam::123456789012:user/bob", changed_outside=True),
        update(
            dublin,
            "/shop/prod/db/password",
            secret(),
            Difference("KeyId", "alias/shop-old", "alias/shop"),
            kind="SecureString",
        ),
        update(dublin, "/shop/prod/feature/limits", Difference("value", '{"max": 100}', '{"max": 250}')),
        create(dublin, key, "SecureString"),
        create(dublin, hook, "SecureString", version=1),
        replaced(
            oregon,
            "/shop/prod/db/dsn",
            Difference("type", "String", "SecureString"),
            secret(),
            kind="SecureString",
            reasons=("AWS cannot change this in place",),
        ),
        update(
            oregon,
            "/shop/prod/hosts",
            Difference("value", "a.example.com,b.example.com", "a.example.com,c.example.com"),
            kind="StringList",
            tags=TagDiff({}, {"team": "payments"}),
        ),
        create(oregon, key, "SecureString"),
    ]
    others = [
        other(
            dublin,
            "/shop/prod/theirs",
            Row.CONFLICT,
            "conflict",
            "the parameter already exists, is not a replica, and differs in value",
        ),
        other(
            oregon,
            "/shop/prod/theirs",
            Row.CONFLICT,
            "conflict",
            "the parameter already exists, is not a replica, and differs in value",
        ),
        other(oregon, "/shop/prod/stack", Row.FOREIGN, "conflict", "it is managed by CloudFormation"),
        other(dublin, "/shop/prod/big", Row.INVALID, "invalid", "too large for its tier"),
        other(
            sydney,
            "/shop/prod/mine",
            Row.OPTED_OUT,
            "opted_out",
            "it carries the skip_sync tag itself and is not changed",
        ),
    ]
    findings = [
        Finding(
            Severity.ERROR,
            "size",
            "/shop/prod/big: too large for its tier",
            f"{dublin} /shop/prod/big",
            (Address(dublin, "/shop/prod/big"),),
        ),
        Finding(
            Severity.WARNING,
            "plain-secret",
            "/shop/prod/auth is a plain String and its name looks secret: make it a SecureString",
        ),
    ]
    return plan_of(changes, others=others, findings=findings)


REGIONS = ("ap-southeast-2", "ca-central-1", "eu-central-1", "eu-west-1", "us-west-2")
_AREAS = ("auth", "billing", "search", "shop")
_PARTS = ("cache", "db", "http", "queue")


def name_at(number: int) -> str:
    return f"/{_AREAS[number % 4]}/prod/{_PARTS[number // 4 % 4]}/setting-{number:03}"


@cache
def many(parameters: int, deletes: int = 2) -> Plan:
    """Return changes of `parameters` names in five regions: deletes, one replacement, updates, creates."""
    changes = []
    for number in range(parameters):
        name = name_at(number)
        for region in REGIONS:
            if number < deletes:
                changes.append(delete(region, name))
            elif number == deletes:
                changes.append(replaced(region, name, Difference("DataType", "text", "aws:ec2:image")))
            elif number % 3 == 0:
                changes.append(
                    update(
                        region, name, Difference("value", f"v{number}-" + "a" * 30, f"v{number}-" + "b" * 30)
                    )
                )
            else:
                changes.append(create(region, name, value=f"value-{number}"))
    return plan_of(changes, targets=REGIONS, in_sync=130)


def reported(plan: Plan, results: Sequence[Result] = (Result.APPLIED,), **more: Any) -> Report:
    """Return a report whose outcomes repeat the results in order."""
    errors = {
        Result.FAILED: "PutParameter in eu-west-1 failed: TooManyUpdates",
        Result.STALE: "the source has a new version",
    }
    outcomes = []
    for number, change in enumerate(plan.changes):
        result = results[number % len(results)]
        outcomes.append(Outcome(change, result, errors.get(result, "")))
    remaining = tuple(
        Remaining(o.change.replication, o.change.target, o.change.name, "not applied")
        for o in outcomes
        if o.result is not Result.APPLIED
    )
    return Report(plan, tuple(outcomes), remaining, **more)


def report_document_of(report: Report) -> Any:
    return whole(report_document(report, tool_version="0.1.0", created=NOW))
