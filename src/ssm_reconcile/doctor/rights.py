"""A place + what the rules select there -> the permissions that harmless calls prove, or do not.

What is asked is real where something is there: the tags, and the value, of one parameter. A value that is
read is dropped at once. Where nothing is there a name is asked that does not exist: AWS says so to those
who may ask. Rights to write cannot be proven without writing; they are named, and `unknown`.
"""

from __future__ import annotations

from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.doctor.checks import Answer, Check, Needed
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Listing, Parameter, canonical
from ssm_reconcile.spec import Replication, Target
from ssm_reconcile.stores.base import Reader

WRITES = (
    "ssm:PutParameter, ssm:AddTagsToResource, ssm:RemoveTagsFromResource, ssm:DeleteParameters"
    " and, for keys of your own, kms:Encrypt and kms:GenerateDataKey"
)


def at_source(spec: Replication, reader: Reader, listing: Listing, *, decrypt: bool) -> list[Check]:
    """Rights on what the rules select."""
    selected = [one for one in listing.parameters.values() if spec.rule_for(one.name, one.type) is not None]
    if not selected:
        told = f"{spec.name}: its rules select nothing of {len(listing.parameters):,} parameters"
        return [Check("the source", "selection", Answer.WARNING, told, "check `parameters` in the spec")]
    told = f"{spec.name}: {len(selected):,} selected"
    checks = [Check("the source", "selection", Answer.OK, told)]
    return checks + _reading("the source", reader, selected, decrypt=decrypt)


def at_target(
    spec: Replication,
    target: Target,
    source: Listing,
    reader: Reader,
    listing: Listing,
    again: CommandLine,
    *,
    decrypt: bool,
) -> list[Check]:
    """Rights on what lies, or will lie, where the rules place it."""
    label = f"target {target.name}"
    addresses = [
        spec.address(one.name, source.place, listing.place, target.name)
        for one in source.parameters.values()
        if spec.rule_for(one.name, one.type) is not None
    ]
    there = [listing.parameters[name] for one in addresses if (name := canonical(one)) in listing.parameters]
    if there:
        checks = _reading(label, reader, there, decrypt=decrypt)
    else:
        checks = _of_nothing(label, reader, addresses[0]) if addresses else []
    told = f"cannot be proven without writing: {WRITES}"
    remedy = f"compare the role with `{again.iam('apply')}`"
    return [*checks, Check(label, "rights to write", Answer.UNKNOWN, told, remedy, Needed.APPLY)]


def _reading(label: str, reader: Reader, some: list[Parameter], *, decrypt: bool) -> list[Check]:
    """Tags and a value of one parameter, and a secret of each key that is in use."""
    checks = [_tags(label, reader, some[0].name)]
    plain = next((one for one in some if not one.is_secret), None)
    checks.append(_value(label, reader, (plain or some[0]).name))
    by_key = {one.key_id: one for one in some if one.is_secret}
    for key, one in sorted(by_key.items(), key=lambda item: item[0] or ""):
        if decrypt:
            checks.append(_decrypt(label, reader, one.name, key or ""))
        else:
            told = f"not asked for {key}: --no-decrypt; an apply needs it at the source"
            checks.append(Check(label, "kms:Decrypt", Answer.UNKNOWN, told))
    return checks


def _of_nothing(label: str, reader: Reader, name: str) -> list[Check]:
    return [_tags(label, reader, name), _value(label, reader, name)]


def _tags(label: str, reader: Reader, name: str) -> Check:
    action = "ssm:ListTagsForResource"
    try:
        reader.tags(name)
    except StoreError as failure:
        return _refused(label, action, failure)
    return Check(label, action, Answer.OK, f"allowed (asked for {name})", needed=Needed.PLAN)


def _value(label: str, reader: Reader, name: str) -> Check:
    action = "ssm:GetParameters"
    try:
        answers = reader.values([name], decrypt=False)
    except StoreError as failure:
        return _refused(label, action, failure)
    refused = next(iter(answers.failed.values()), None)
    if refused is not None:
        return _refused(label, action, refused)
    return Check(label, action, Answer.OK, f"allowed (asked for {name})", needed=Needed.PLAN)


def _decrypt(label: str, reader: Reader, name: str, key: str) -> Check:
    action = "kms:Decrypt"
    try:
        answers = reader.values([name], decrypt=True)
    except StoreError as failure:
        return _refused(label, action, failure)
    refused = next(iter(answers.failed.values()), None)
    if refused is not None:
        return _refused(label, action, refused)
    return Check(label, action, Answer.OK, f"allowed with {key} (asked for {name})", needed=Needed.PLAN)


def _refused(label: str, action: str, failure: StoreError) -> Check:
    """What was refused, and the action that is missing where it is a matter of rights."""
    told = f"{failure.operation}: {failure.code}"
    if failure.kind is Trouble.DENIED:
        remedy = failure.remedy or f"allow {action} to this identity"
        if action == "kms:Decrypt":
            remedy += "; or plan with --no-decrypt"
        return Check(label, action, Answer.FAILED, f"not allowed ({told})", remedy, Needed.PLAN)
    return Check(label, action, Answer.FAILED, told, failure.remedy, Needed.PLAN)
