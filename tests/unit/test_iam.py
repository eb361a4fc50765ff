"""Policies: nothing that a run calls is missing, and nothing is granted that no run uses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile import detach, doctor, reconcile
from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.by_name import plan_one_name
from ssm_reconcile.change import Action
from ssm_reconcile.documents.encode import report_document
from ssm_reconcile.errors import StoreError, Trouble, UsageError
from ssm_reconcile.iam import (
    DEFAULT,
    Policy,
    TrustedWorkflows,
    as_cloudformation,
    as_json,
    as_terraform,
    policies,
    trust_as,
    trust_policy,
)
from ssm_reconcile.iam.statements import PolicyPhase, iam_patterns, rewritten
from ssm_reconcile.load import load_text
from ssm_reconcile.model import ADVANCED, Access, Key, Parameter, Place, Substitution, Tags, canonical
from ssm_reconcile.record import EXPIRES, OWNER, RECORD, SOURCE, ExpiryMark, digest, record_of
from ssm_reconcile.report import Result
from ssm_reconcile.session import HigherThroughput, Session, open_places
from ssm_reconcile.spec import Glob, Orphans, Replication, Run
from ssm_reconcile.stores.base import Answers, PastVersion, Put, Settings
from ssm_reconcile.undo import make_undo_plan
from tests.doubles import iam
from tests.doubles.clock import FakeClock, StopFlag
from tests.doubles.iam import Request
from tests.fake_aws.store import Memory, MemoryStore
from tests.fake_aws.world import World
from tests.simulated_aws import unwatched

ROLE = "arn:aws:iam::210987654321:role/ssm-reconcile"
KEY_ID = "arn:aws:kms:us-east-2:123456789012:key/"
EVERYWHERE = ("/prod/url", "/shared/x", "/deep/end", "/deep/er/end", "single")
"""A name for each pattern of the rules."""
MARKED = "/elsewhere/marked"
SPEC = """\
version: 1
name: prod
source: { region: us-east-1, account: "123456789012" }
targets:
  - region: us-east-2
    account: "123456789012"
  - name: dr
    region: eu-west-1
    role_arn: arn:aws:iam::210987654321:role/ssm-reconcile
    kms: { default: alias/dr }
parameters:
  include: ["/prod/**", "/shared/*", "/deep/**/end", "single"]
kms:
  - source: alias/app
    targets: { us-east-2: %s }
  - source: alias/other
    targets: { us-east-2: alias/other-here }
delete: owned
orphans: delete
id: k3v9x2m7qa
"""


class Watched:
    """A store that writes down what IAM would be asked for each call."""

    def __init__(
        self, store: MemoryStore, requests: list[Request], policy: Mapping[str, Any] | None = None
    ) -> None:
        self.store = store
        self.requests = requests
        self.policy = policy
        self.place, self.caller = store.place, store.caller

    def _ask(self, action: str, name: str | None = None, **context: tuple[str, ...]) -> None:
        resource = "*" if name is None else self.place.arn(name.partition(":")[0])
        tags = self.store.world.tags(self.place, name.partition(":")[0]) if name is not None else None
        found = {f"aws:ResourceTag/{key}": (value,) for key, value in (tags or {}).items()}
        request = Request(action, resource, {**found, **context})
        self.requests.append(request)
        if self.policy is not None and not iam.allowed(self.policy, request):
            raise refusal_of(request, self.place)

    def _ask_kms(self, action: str, name: str, key_arn: str | None) -> None:
        region = self.store.world.region(self.place)
        key = region.key(key_arn or "alias/aws/ssm")
        assert key is not None
        if key.managed:
            return  # it serves every principal of its account, without a policy
        aliases = tuple(alias for alias, key_id in region.aliases.items() if key_id == key.key_id)
        context = {
            "kms:EncryptionContext:PARAMETER_ARN": (self.place.arn(name),),
            "kms:ResourceAliases": aliases,
        }
        self.requests.append(Request(action, key.arn, context))

    def describe(self) -> Iterator[Sequence[Parameter]]:
        self._ask("ssm:DescribeParameters")
        return self.store.describe()

    def describe_names(self, names: Iterable[str]) -> Mapping[str, Parameter]:
        self._ask("ssm:DescribeParameters")
        return self.store.describe_names(names)

    def names_tagged(self, key: str, values: Sequence[str]) -> frozenset[str]:
        self._ask("ssm:DescribeParameters")
        return self.store.names_tagged(key, values)

    def tagged(self) -> Iterator[Mapping[str, Tags]]:
        self._ask("tag:GetResources")
        return self.store.tagged()

    def tags(self, name: str) -> Tags | None:
        self._ask("ssm:ListTagsForResource", name)
        return self.store.tags(name)

    def values(self, names: Iterable[str], *, decrypt: bool) -> Answers:
        asked = list(names)
        for name in asked:
            self._ask("ssm:GetParameters", name)
            there = self.store.world.peek(self.place, name.partition(":")[0])
            if decrypt and there is not None and there.latest.parameter.is_secret:
                self._ask_kms("kms:Decrypt", name.partition(":")[0], there.latest.key_arn)
        return self.store.values(asked, decrypt=decrypt)

    def history(self, name: str) -> Sequence[PastVersion]:
        self._ask("ssm:GetParameterHistory", name)
        return self.store.history(name)

    def keys(self, references: Iterable[str], *, fresh: bool = False) -> Mapping[str, Key]:
        before = len(self.store.world.calls)
        found = self.store.keys(references, fresh=fresh)
        for call in self.store.world.calls[before:]:
            key = self.store.world.region(self.place).key(call.names[0]) if call.names else None
            resource = "*" if key is None else key.arn
            self.requests.append(Request(f"kms:{call.operation}", resource))
        return found

    def settings(self) -> Settings:
        self._ask_setting("default-parameter-tier")
        self._ask_setting("high-throughput-enabled")
        return self.store.settings()

    def has_higher_throughput(self) -> bool:
        self._ask_setting("high-throughput-enabled")
        return self.store.has_higher_throughput()

    def _ask_setting(self, name: str) -> None:
        place = self.place
        arn = f"arn:aws:ssm:{place.region}:{place.account}:servicesetting/ssm/parameter-store/{name}"
        self.requests.append(Request("ssm:GetServiceSetting", arn))

    def is_rate_set(self, kind: CallClass) -> bool:
        return self.store.is_rate_set(kind)

    def set_default_rate(self, kind: CallClass, rate: float) -> None:
        self.store.set_default_rate(kind, rate)

    def await_turn(self, step: CallClass) -> None:
        self.store.await_turn(step)

    def put(self, request: Put) -> int:
        self._ask("ssm:PutParameter", request.name)
        if request.tags:
            self._ask("ssm:AddTagsToResource", request.name)
        if request.key_id is not None:
            action = "kms:GenerateDataKey" if request.tier == ADVANCED else "kms:Encrypt"
            self._ask_kms(action, request.name, request.key_id)
        return self.store.put(request)

    def add_tags(self, name: str, tags: Tags) -> None:
        self._ask("ssm:AddTagsToResource", name)
        self.store.add_tags(name, tags)

    def remove_tags(self, name: str, keys: Sequence[str]) -> None:
        self._ask("ssm:RemoveTagsFromResource", name)
        self.store.remove_tags(name, keys)

    def delete(self, names: Sequence[str]) -> frozenset[str]:
        for name in names:
            self._ask("ssm:DeleteParameters", name)
        return self.store.delete(names)


class Firm:
    """Two accounts, keys of every kind, and a history that needs every kind of call.

    `enforced`: the policies that refuse calls, by identity; without one, every call is allowed.
    """

    def __init__(self, orphans: Orphans = Orphans.DELETE) -> None:
        self.clock = FakeClock()
        self.world = World(self.clock)
        self.memory = Memory(self.world)
        self.here = self.world.place("us-east-1")
        self.there = self.world.place("us-east-2")
        self.dr = Place("210987654321", "eu-west-1")
        self.world.add_key(self.here, "alias/app")
        self.world.add_key(self.here, "alias/other")
        self.world.add_key(self.here, "alias/multi", multi_region=True)
        self.world.add_key(self.there, "alias/multi", multi_region=True)
        self.app = self.world.add_key(self.there, "alias/app-here")
        self.world.add_key(self.there, "alias/other-here")
        self.world.add_key(self.dr, "alias/dr")
        (spec,) = load_text(SPEC % self.app).replications
        self.spec = replace(spec, orphans=orphans)
        self.requests: dict[str, list[Request]] = {}
        self.enforced: dict[str, dict[str, Any]] = {}

    def connect(self, access: Access) -> Watched:
        mine = self.requests.setdefault(access.role_arn or DEFAULT, [])
        if access.role_arn is not None:
            self.requests.setdefault(DEFAULT, []).append(Request("sts:AssumeRole", access.role_arn))
        return Watched(self.memory.connect(access), mine, self.enforced.get(access.role_arn or DEFAULT))

    def secret(self, name: str, value: str, key: str, **more: Any) -> None:
        self.world.put(self.here, name, value, "SecureString", key_id=key, **more)

    def run(self, run: Run, *, write: bool, spec: Replication | None = None) -> None:
        specs = [spec or self.spec]
        self.clock.sleep(3600)
        places = open_places(specs, self.connect, run)
        plan = reconcile.make_plan(specs, Session(places, run, self.clock, unwatched))
        if write:
            throughput = HigherThroughput(self.clock, lambda _: None)
            session = Session(places, run, self.clock, unwatched, throughput)
            report = reconcile.carry_out(plan, specs, session, StopFlag())
            assert report.exit_code == 0, report.outcomes
        self.clock.sleep(3600)

    def explain(self, run: Run) -> None:
        places = open_places([self.spec], self.connect, run)
        for name in EVERYWHERE:
            plan_one_name(self.spec, Session(places, run, self.clock, unwatched), name)

    def detach(self) -> None:
        """Marks all that is ours in each target, an orphan among them, and takes the marks back."""
        places = open_places([self.spec], self.connect, Run())
        for place, target in ((self.there, "us-east-2"), (self.dr, "dr")):
            tags = self.world.tags(place, "/prod/app") or {}
            self.clock.sleep(60)
            self.world.put(place, "/elsewhere/orphan", "x")
            self.world.tag(place, "/elsewhere/orphan", _moved(tags, place.arn("/elsewhere/orphan")))
            for undo in (False, True):
                request = detach.resolve_request(self.spec, target, places, undo=undo)
                names = request.find_replicas()
                done = detach.detach(request, names, self.clock, unwatched, StopFlag(), 1)
                assert done.exit_code == 0
                assert "/elsewhere/orphan" in names

    def undo(self, *, write: bool) -> None:
        """Takes an apply back that has created and updated; only these requests are kept."""
        first, second, _ = self._steps()
        loud = Run(max_deletes=99, max_change_percent=100, without_hold=True)
        first()
        self.run(loud, write=True)
        second()
        self.world.put(self.here, "/prod/new", "one")
        places = open_places([self.spec], self.connect, loud)
        session = Session(places, loud, self.clock, unwatched)
        report = reconcile.carry_out(
            reconcile.make_plan([self.spec], session), [self.spec], session, StopFlag()
        )
        self.clock.sleep(3600)
        self.requests.clear()
        session = Session(open_places([self.spec], self.connect, loud), loud, self.clock, unwatched)
        document = report_document(report, tool_version="1", created=self.clock.now())
        plan = make_undo_plan(document, [self.spec], session)
        assert {change.action for change in plan.changes} >= {Action.UPDATE, Action.DELETE}
        if write:
            done = reconcile.carry_out(plan, [self.spec], session, StopFlag())
            assert done.summary["applied"] == len(plan.changes), done.outcomes

    def history(self, *, write: bool, no_decrypt: bool = False, with_doctor: bool = True) -> None:
        """Creates, updates, retags, deletes, orphans and replacements, with a look around before."""
        loud = Run(allow_replace=True, max_deletes=99, max_change_percent=100, overwrite_outside=True)
        run = replace(loud, no_decrypt=no_decrypt)
        others = not write  # a plan reads the replicas of other runs
        for step in self._steps():
            step()
            if others:
                seen, self.requests = self.requests, {}
                self.run(replace(run, no_decrypt=True), write=False)
                self.requests = seen
            if with_doctor and not no_decrypt:
                doctor.diagnose([self.spec], self.connect, run, self.clock, unwatched)
                self.explain(run)
            self.run(run, write=write)
            if others:
                seen, self.requests = self.requests, {}
                self.run(loud, write=True)
                self.requests = seen
            else:
                self.run(replace(run, verify_values=True), write=False)

    def _steps(self) -> list[Callable[[], None]]:
        def first() -> None:
            for name in EVERYWHERE:
                self.world.put(self.here, name, "one", tags={"team": "a"})
            self.secret("/prod/app", "one", "alias/app")
            self.secret("/prod/large", "one" * 2000, "alias/app", tier="Advanced")
            self.secret("/prod/other", "one", "alias/other")
            self.secret("/prod/other-large", "one" * 2000, "alias/other", tier="Advanced")
            self.secret("/prod/multi", "one", "alias/multi")
            self.secret("/prod/multi-large", "one" * 2000, "alias/multi", tier="Advanced")
            self.world.put(self.here, "/prod/advanced", "one", tier="Advanced")
            self.world.put(self.here, "/prod/gone", "one")

        def second() -> None:
            for name in EVERYWHERE:
                self.world.put(self.here, name, "two")
                self.world.untag(self.here, name, "team")
            for name, key in (("/prod/app", "app"), ("/prod/other", "other"), ("/prod/multi", "multi")):
                self.secret(name, "two", f"alias/{key}")
            self.world.delete(self.here, "/prod/gone", "/prod/advanced")
            self.clock.sleep(60)
            self.world.put(self.here, "/prod/advanced", "one")  # Standard now: its replica is replaced
            for place in (self.there, self.dr):
                tags = self.world.tags(place, "/prod/gone") or {}
                self.world.put(place, "/elsewhere/orphan", "x")
                self.world.tag(place, "/elsewhere/orphan", _moved(tags, place.arn("/elsewhere/orphan")))
                self._put_marked_orphan(place)

        def third() -> None:
            self.world.delete(self.here, *EVERYWHERE)

        return [first, second, third]

    def _put_marked_orphan(self, place: Place) -> None:
        """Write an orphan with a mark that counts, and whose source exists."""
        arn, source = place.arn(MARKED), "/prod/url"
        tags = _moved(self.world.tags(place, source) or {}, arn)
        record = record_of(tags)
        assert record is not None
        mark = ExpiryMark(self.clock.now(), digest(arn), record.source_version)
        self.world.put(place, MARKED, "x")
        self.world.tag(place, MARKED, {**tags, SOURCE: source, EXPIRES: mark.text()})


def refusal_of(request: Request, place: Place) -> StoreError:
    operation = request.action.partition(":")[2]
    return StoreError(Trouble.DENIED, place=str(place), operation=operation, code="AccessDeniedException")


def _moved(tags: Tags, arn: str) -> dict[str, str]:
    """Our tags, with a record that names another parameter as its own."""
    record = re.sub(r"own=[0-9a-f]{19}", f"own={digest(arn)[:19]}", tags[RECORD])
    return {OWNER: tags[OWNER], RECORD: record}


def documents(found: Sequence[Policy]) -> dict[str, dict[str, Any]]:
    return {one.identity: one.document() for one in found}


def after_all(request: Request) -> bool:
    """The last look at an orphan that is gone: with it went the tag that its reading hangs on."""
    gone = request.resource.endswith(("/elsewhere/orphan", MARKED)) and not request.context
    return gone and request.action == "ssm:GetParameters"


@pytest.mark.large
@pytest.mark.parametrize("orphans", Orphans)
@pytest.mark.parametrize(
    ("phase", "write"), [(PolicyPhase.PLAN, False), (PolicyPhase.APPLY, True), (PolicyPhase.EVENT, True)]
)
def test_a_policy_grants_every_call_of_a_run_and_no_other(
    phase: PolicyPhase, write: bool, orphans: Orphans
) -> None:
    firm = Firm(orphans)
    firm.history(write=write, with_doctor=phase is not PolicyPhase.EVENT)
    if phase is PolicyPhase.APPLY:
        firm.detach()
    granted = documents(policies([firm.spec], phase))
    assert granted.keys() == firm.requests.keys()
    for identity, document in granted.items():
        iam.check(document)
        requests = firm.requests[identity]
        missing = {str(one) for one in requests if not iam.allowed(document, one) and not after_all(one)}
        assert missing == set(), identity
        unused = [
            f"{statement['Sid']}: {action} on {resource}"
            for statement in document["Statement"]
            for action in statement["Action"]
            for resource in statement["Resource"]
            if not any(
                iam.fits({**statement, "Action": [action], "Resource": [resource]}, one) for one in requests
            )
        ]
        # a key may be used under either tier, and every path by every call: what is tied to one is telling
        assert not unused, "\n".join(unused)


@pytest.mark.parametrize("orphans", Orphans)
@pytest.mark.parametrize("writer", [PolicyPhase.APPLY, PolicyPhase.EVENT])
def test_each_policy_has_the_same_plan_for_a_marked_orphan_and_those_of_writes_apply_it(
    writer: PolicyPhase, orphans: Orphans
) -> None:
    firm = Firm(orphans)
    first, second, _ = firm._steps()
    loud = Run(allow_replace=True, max_deletes=99, max_change_percent=100, overwrite_outside=True)
    first()
    firm.run(loud, write=True)
    second()
    firm.clock.sleep(3600)
    plans, sessions = {}, {}
    for phase in PolicyPhase:
        firm.enforced = documents(policies([firm.spec], phase))
        places = open_places([firm.spec], firm.connect, loud)
        sessions[phase] = Session(places, loud, firm.clock, unwatched)
        plans[phase] = reconcile.make_plan([firm.spec], sessions[phase])
    assert len({plan.plan_id for plan in plans.values()}) == 1
    assert not [one for one in plans[writer].changes if one.withheld]
    actions = {one.target: one.action for one in plans[writer].changes if one.name == MARKED}
    action = Action.DELETE if orphans is Orphans.DELETE else Action.RETAG
    assert actions == {"us-east-2": action, "dr": action}
    report = reconcile.carry_out(plans[writer], [firm.spec], sessions[writer], StopFlag())
    assert {one.result for one in report.outcomes} == {Result.APPLIED}
    for place in (firm.there, firm.dr):
        assert EXPIRES not in (firm.world.tags(place, MARKED) or {})


@pytest.mark.parametrize(("phase", "write"), [(PolicyPhase.PLAN, False), (PolicyPhase.APPLY, True)])
def test_an_undo_runs_on_the_policy_for_it_and_on_no_other(phase: PolicyPhase, write: bool) -> None:
    firm = Firm()
    firm.undo(write=write)
    granted, without = (
        documents(policies([firm.spec], phase, undo=undo, no_decrypt=phase is PolicyPhase.PLAN))
        for undo in (True, False)
    )
    for identity, requests in firm.requests.items():
        missing = {str(one) for one in requests if not iam.allowed(granted[identity], one)}
        assert missing == set(), identity
        refused = {one.action for one in requests if not iam.allowed(without[identity], one)}
        assert refused == {"ssm:GetParameterHistory"}
    decrypted = any(one.action == "kms:Decrypt" for every in firm.requests.values() for one in every)
    assert decrypted == write, "a plan decrypts nothing"


def test_an_event_has_no_report_to_undo() -> None:
    with pytest.raises(UsageError, match="no report"):
        policies([Firm().spec], PolicyPhase.EVENT, undo=True)


def test_a_plan_without_decryption_runs_on_a_policy_that_denies_it() -> None:
    firm = Firm()
    firm.history(write=False, no_decrypt=True)
    granted = documents(policies([firm.spec], PolicyPhase.PLAN, no_decrypt=True))
    for identity, document in granted.items():
        assert all(iam.allowed(document, one) for one in firm.requests[identity])
        secret = Request("kms:Decrypt", "arn:aws:kms:us-east-1:123456789012:key/of-aws")
        assert not iam.allowed(document, secret)
        assert any(
            one["Effect"] == "Deny" and one["Action"] == ["kms:Decrypt"] for one in document["Statement"]
        )


@pytest.mark.parametrize("phase", [PolicyPhase.APPLY, PolicyPhase.EVENT])
def test_no_decrypt_is_wrong_usage_for_a_phase_that_writes(phase: PolicyPhase) -> None:
    with pytest.raises(UsageError, match="decrypted before it is written"):
        policies([Firm().spec], phase, no_decrypt=True)


def test_the_policy_of_a_plan_writes_nothing_and_no_policy_writes_to_the_source() -> None:
    spec = Firm().spec
    writing = ("Put", "Delete", "AddTags", "RemoveTags", "Encrypt", "GenerateDataKey")
    for identity, document in documents(policies([spec], PolicyPhase.PLAN)).items():
        assert not [a for one in document["Statement"] for a in one["Action"] if any(w in a for w in writing)]
        assert identity in {DEFAULT, ROLE}
    policy = documents(policies([spec], PolicyPhase.APPLY))[DEFAULT]
    here = Place("123456789012", "us-east-1").arn("/prod/url")
    for action in ("ssm:PutParameter", "ssm:DeleteParameters", "ssm:AddTagsToResource"):
        assert not iam.allowed(policy, Request(action, here))


def test_without_orphans_delete_no_resource_outside_the_rules_is_written() -> None:
    spec = replace(Firm().spec, orphans=Orphans.KEEP)
    policy = documents(policies([spec], PolicyPhase.APPLY))[DEFAULT]
    outside = Place("123456789012", "us-east-2").arn("/elsewhere/orphan")
    ours = {f"aws:ResourceTag/{OWNER}": ("prod@123456789012/us-east-1",)}
    assert not iam.allowed(policy, Request("ssm:DeleteParameters", outside, ours))
    policy = documents(policies([Firm().spec], PolicyPhase.APPLY))[DEFAULT]
    assert iam.allowed(policy, Request("ssm:DeleteParameters", outside, ours))
    assert not iam.allowed(policy, Request("ssm:DeleteParameters", outside))


@pytest.mark.parametrize(
    ("phase", "setting"), [(PolicyPhase.APPLY, "*"), (PolicyPhase.EVENT, "high-throughput-enabled")]
)
def test_a_policy_of_events_reads_one_setting_of_each_target(phase: PolicyPhase, setting: str) -> None:
    found = [
        one["Resource"]
        for policy in documents(policies([Firm().spec], phase)).values()
        for one in policy["Statement"]
        if "ssm:GetServiceSetting" in one["Action"]
    ]
    assert len(found) >= 1
    for resource in found:
        arns = [resource] if isinstance(resource, str) else resource
        assert all(arn.endswith(f":servicesetting/ssm/parameter-store/{setting}") for arn in arns), found
        assert phase is not PolicyPhase.EVENT or not any(":us-east-1:" in arn for arn in arns)


def test_events_delete_replicas_of_this_source_only() -> None:
    (policy, *_) = documents(policies([Firm().spec], PolicyPhase.EVENT)).values()
    replica = "arn:aws:ssm:eu-west-1:210987654321:parameter/prod/x"

    def may_delete(*owners: str) -> bool:
        context = {"aws:ResourceTag/ssm-reconcile:owner": owners}
        return iam.allowed(policy, Request("ssm:DeleteParameters", replica, context))

    assert may_delete("prod@123456789012/us-east-1")
    assert may_delete("former-name@123456789012/us-east-1")
    assert not may_delete("prod@123456789012/us-west-2")
    assert not may_delete("detached:")
    assert not may_delete()


def test_a_kept_orphan_can_lose_its_mark_or_be_detached_and_no_other_parameter() -> None:
    spec = replace(Firm().spec, orphans=Orphans.KEEP)
    outside = Place("123456789012", "us-east-2").arn("/elsewhere/orphan")
    owner = "prod@123456789012/us-east-1"
    detached = f"detached:{owner}"
    other = "other@123456789012/us-east-1"
    granted = {
        PolicyPhase.PLAN: set[str](),
        PolicyPhase.APPLY: {owner, detached},
        PolicyPhase.EVENT: {owner, detached, other},  # as for deletes: all replications of this source
    }
    for phase, owners in granted.items():
        policy = documents(policies([spec], phase))[DEFAULT]
        for action in ("ssm:AddTagsToResource", "ssm:RemoveTagsFromResource"):
            tagged = {
                one: Request(action, outside, {f"aws:ResourceTag/{OWNER}": (one,)})
                for one in (owner, detached, other, "prod@123456789012/us-west-2", "detached:")
            }
            assert {one for one, request in tagged.items() if iam.allowed(policy, request)} == owners
            assert not iam.allowed(policy, Request(action, outside))


def test_a_spec_without_secure_strings_gets_no_permission_for_keys() -> None:
    spec = replace(Firm().spec, types=frozenset({"String"}))
    text = as_json(policies([spec], PolicyPhase.APPLY), PolicyPhase.APPLY)
    assert not re.search("kms:(Decrypt|Encrypt|GenerateDataKey)", text)


_LEVEL = st.text("abx", min_size=1, max_size=3)
_PATTERN = st.lists(st.one_of(_LEVEL, st.just("*"), st.just("**"), _LEVEL.map(lambda t: t + "*")), min_size=1)
_NAME = st.lists(_LEVEL, min_size=1, max_size=6).map(lambda levels: "/" + "/".join(levels))


@given(_PATTERN.map(lambda levels: "/" + "/".join(levels)), _NAME)
def test_iam_patterns_match_all_names_of_a_path_rule(text: str, name: str) -> None:
    glob = Glob(text)
    if glob.matches(name):
        assert any(iam.like(pattern, name[1:]) for pattern in iam_patterns(glob))


@given(
    _PATTERN.map(lambda levels: "/" + "/".join(levels)),
    _NAME,
    st.text("abx/", min_size=1, max_size=4),
    st.text("yz", max_size=3),
)
def test_iam_patterns_match_rewritten_names(text: str, name: str, old: str, new: str) -> None:
    glob = Glob(text)
    if glob.matches(name):
        lands = canonical(name.replace(old, new))[1:]
        found = {
            one for pattern in iam_patterns(glob) for one in rewritten(f"/{pattern}", Substitution(old, new))
        }
        assert any(iam.like(pattern, lands) for pattern in found | iam_patterns(glob))


def test_terraform_and_cloudformation_have_the_statements_of_the_json() -> None:
    found = policies([Firm().spec], PolicyPhase.APPLY)
    shown = json.loads(as_json(found, PolicyPhase.APPLY))
    assert [one["identity"] for one in shown["policies"]] == [ROLE, DEFAULT]
    stack = json.loads(as_cloudformation(found, PolicyPhase.APPLY))
    inside = [one["Properties"]["PolicyDocument"] for one in stack["Resources"].values()]
    assert inside == [one["document"] for one in shown["policies"]]
    assert all(re.fullmatch("[A-Za-z0-9]+", name) for name in stack["Resources"])
    hcl = as_terraform(found, PolicyPhase.APPLY)
    assert hcl.count('data "aws_iam_policy_document"') == len(found)
    for one in shown["policies"]:
        for statement in one["document"]["Statement"]:
            assert all(f'"{text}",' in hcl for text in (*statement["Action"], *statement["Resource"]))
    assert "wider" in hcl


def subject_fits(policy: Mapping[str, Any], subject: str) -> bool:
    (statement,) = policy["Statement"]
    wanted = statement["Condition"]["StringEquals"]
    assert wanted["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRoleWithWebIdentity")
    provider = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    assert (policy["Version"], statement["Principal"]) == ("2012-10-17", {"Federated": provider})
    return subject in wanted["token.actions.githubusercontent.com:sub"]


def test_a_token_of_either_form_is_trusted_and_no_other() -> None:
    policy = trust_policy(TrustedWorkflows("acme/params", "12/34", "prod"), "123456789012")
    assert subject_fits(policy, "repo:acme/params:environment:prod")
    assert subject_fits(policy, "repo:acme@12/params@34:environment:prod")
    assert not subject_fits(policy, "repo:acme@12/params@35:environment:prod")
    assert not subject_fits(policy, "repo:acme/params:ref:refs/heads/main")
    assert not subject_fits(policy, "repo:acme/params:pull_request")
    branch = trust_policy(TrustedWorkflows("acme/params", branch="trunk", pull_requests=True), "123456789012")
    assert subject_fits(branch, "repo:acme/params:ref:refs/heads/trunk")
    assert subject_fits(branch, "repo:acme/params:pull_request")


def test_a_trust_policy_is_the_same_in_each_format() -> None:
    policy = trust_policy(TrustedWorkflows("acme/params", environment='%{a}"${b}'), "123456789012")
    assert json.loads(trust_as("json", policy)) == policy
    assert json.loads(trust_as("cloudformation", policy)) == {"AssumeRolePolicyDocument": policy}
    start, end = "assume_role_policy = jsonencode(", ")"
    terraform = trust_as("terraform", policy)
    assert (terraform[: len(start)], terraform[-len(end) :]) == (start, end)
    assert r"environment:%%{a}\"$${b}" in terraform
    plain = terraform[len(start) : -len(end)].replace("%%{", "%{").replace("$${", "${")
    assert json.loads(plain) == policy


@pytest.mark.parametrize(
    "trusted",
    [
        TrustedWorkflows("acme"),
        TrustedWorkflows("acme/*"),
        TrustedWorkflows("acme/params", "12"),
        TrustedWorkflows("acme/params", environment="*"),
        TrustedWorkflows("acme/params", branch="main:environment:prod"),
    ],
)
def test_a_subject_that_may_match_others_is_refused(trusted: TrustedWorkflows) -> None:
    with pytest.raises(UsageError):
        trust_policy(trusted, "123456789012")
