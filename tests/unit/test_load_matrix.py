"""Targets with lists of regions and accounts, and placeholders in their texts."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from ssm_reconcile.errors import Finding, Severity, SpecError
from ssm_reconcile.load import Loaded, load_text, places
from ssm_reconcile.load.matrix import TARGET_LIMIT
from ssm_reconcile.load.messages import FINDING_LIMIT
from ssm_reconcile.spec import Replication

ONE, TWO, THREE = "111111111111", "222222222222", "333333333333"
ROLE = "arn:{target.partition}:iam::{target.account}:role/ssm"
NAME = "{target.account}-{target.region}"
MATRIX = f"""\
  - accounts: ["{ONE}", "{TWO}"]
    regions: [us-east-1, us-east-2]
    name: "{NAME}"
    role_arn: "{ROLE}"
"""
PLAIN = "  - regions: [us-east-2, us-west-2]\n"


def text_of(targets: str, more: str = "", source: str = f'account: "{ONE}"') -> str:
    """The targets begin in line 5."""
    return f"""\
version: 1
name: prod
source: {{ region: us-east-1, {source} }}
targets:
{targets}parameters: {{ include: ["/prod/**"] }}
delete: owned
{more}"""


def loaded(targets: str, more: str = "", source: str = f'account: "{ONE}"') -> Loaded:
    return load_text(text_of(targets, more, source), "spec.yaml")


def spec_of(targets: str, more: str = "", source: str = f'account: "{ONE}"') -> Replication:
    (spec,) = loaded(targets, more, source).replications
    return spec


def names_of(targets: str, more: str = "") -> list[str]:
    return [target.name for target in spec_of(targets, more).targets]


def errors_of(targets: str, more: str = "", source: str = f'account: "{ONE}"') -> list[Finding]:
    with pytest.raises(SpecError) as refused:
        loaded(targets, more, source)
    return [one for one in refused.value.findings if one.severity is Severity.ERROR]


def error_of(targets: str, more: str = "", source: str = f'account: "{ONE}"') -> tuple[str, str, str]:
    """Return code, position and message of the only error."""
    (error,) = errors_of(targets, more, source)
    return error.code, error.where.removeprefix("spec.yaml:"), error.message


class TestExpansion:
    def test_a_target_for_each_account_in_each_region_in_the_order_of_the_lists(self) -> None:
        targets = spec_of(MATRIX.replace("us-east-1, us-east-2", "us-west-2, us-east-2")).targets
        assert [(one.account, one.access.region) for one in targets] == [
            (ONE, "us-west-2"), (ONE, "us-east-2"), (TWO, "us-west-2"), (TWO, "us-east-2"),
        ]  # fmt: skip
        assert targets[0].name == f"{ONE}-us-west-2"
        assert targets[-1].access.role_arn == f"arn:aws:iam::{TWO}:role/ssm"
        assert {str(one.where) for one in targets} == {"spec.yaml:5:5"}

    def test_it_equals_the_targets_written_one_by_one(self) -> None:
        written = "".join(
            f'  - {{ name: {account}-{region}, account: "{account}", region: {region},'
            f" role_arn: arn:aws:iam::{account}:role/ssm, tier: keep, external_id: x-{account} }}\n"
            for account, region in [(ONE, "us-east-2"), (TWO, "us-east-1"), (TWO, "us-east-2")]
        )
        matrix = MATRIX + '    tier: keep\n    external_id: "x-{target.account}"\n'
        assert spec_of(matrix).targets == spec_of(written).targets

    def test_without_accounts_the_account_is_that_of_a_plain_target(self) -> None:
        assert names_of(PLAIN) == ["us-east-2", "us-west-2"]
        assert [one.account for one in spec_of(PLAIN).targets] == [None, None]
        one_account = f'  - {{ account: "{TWO}", regions: [us-east-1, us-east-2], role_arn: "{ROLE}" }}\n'
        assert [one.account for one in spec_of(one_account).targets] == [TWO, TWO]
        assert names_of(one_account) == ["us-east-1", "us-east-2"]

    def test_plain_targets_and_several_matrices_stand_together(self) -> None:
        plain = '  - { name: "first", region: eu-west-1 }\n'
        assert names_of(plain + MATRIX + "  - regions: [eu-central-1]\n") == [
            "first", f"{ONE}-us-east-2", f"{TWO}-us-east-1", f"{TWO}-us-east-2", "eu-central-1",
        ]  # fmt: skip

    def test_an_anchor_holds_the_lists(self) -> None:
        matrix = MATRIX.replace("[us-east-1, us-east-2]", "*regions")
        document = "x-regions: &regions [us-east-2, eu-west-1]\n" + text_of(matrix)
        (spec,) = load_text(document).replications
        assert len(spec.targets) == 4

    @pytest.mark.parametrize(
        ("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-east-1", "aws-us-gov")]
    )
    def test_the_partition_is_that_of_the_region(self, region: str, partition: str) -> None:
        other = region.replace("-1", "-2") if partition == "aws-us-gov" else "cn-northwest-1"
        text = text_of(MATRIX, source=f'account: "{ONE}"').replace("region: us-east-1", f"region: {other}")
        (spec,) = load_text(text.replace("us-east-1, us-east-2", region)).replications
        assert spec.targets[0].access.role_arn == f"arn:{partition}:iam::{ONE}:role/ssm"

    def test_the_name_is_filled_in_before_the_texts_that_hold_it(self) -> None:
        key = 'kms: { default: "alias/{target.name}" }'
        targets = spec_of(f'  - {{ regions: [us-east-2], name: "dr-{{target.region}}", {key} }}\n').targets
        assert [one.default_key for one in targets] == ["alias/dr-us-east-2"]

    def test_a_plain_target_may_have_placeholders(self) -> None:
        target = (
            '  - { region: us-east-2, name: "x-{target.account}",'
            f' role_arn: "arn:{{target.partition}}:iam::{TWO}:role/{{target.region}}" }}\n'
        )
        (found,) = spec_of(target).targets
        assert (found.name, found.access.role_arn) == (f"x-{TWO}", f"arn:aws:iam::{TWO}:role/us-east-2")

    def test_the_account_of_the_default_credentials_fills_a_placeholder(self) -> None:
        assert names_of('  - { regions: [us-east-2], name: "{target.account}" }\n') == [ONE]


PLACEHOLDERS = "{target.account}, {target.region}, {target.partition}"


class TestPlaceholders:
    @pytest.mark.parametrize(
        ("old", "new", "known"),
        [
            (NAME, "{target.name}", PLACEHOLDERS),
            (NAME, "{source.region}-{target.account}-{target.region}", PLACEHOLDERS),
            (NAME, "{target.accuont}-{target.region}", PLACEHOLDERS),
            (NAME, "{target.account}-{target.region", PLACEHOLDERS),
            (NAME, "{target.account}{", PLACEHOLDERS),
            (NAME, "target.account}", PLACEHOLDERS),
            (NAME, "{ target.account }-x", PLACEHOLDERS),
            (ROLE, "arn:aws:iam::{account}:role/ssm", f"{PLACEHOLDERS}, {{target.name}}"),
            (ROLE, "arn:aws:iam::{target.account}:role/{ssm}", f"{PLACEHOLDERS}, {{target.name}}"),
            (ROLE, "arn:aws:iam::{target.account:role/ssm", f"{PLACEHOLDERS}, {{target.name}}"),
            (ROLE, "arn:aws:iam::target.account}:role/ssm", f"{PLACEHOLDERS}, {{target.name}}"),
            (ROLE, "arn:aws:iam::{ target.account }:role/ssm", f"{PLACEHOLDERS}, {{target.name}}"),
            (ROLE, "arn:aws:iam::{target.acount}:role/ssm", f"{PLACEHOLDERS}, {{target.name}}"),
            (ROLE, "{arn}", f"{PLACEHOLDERS}, {{target.name}}"),
        ],
    )
    def test_an_unknown_one_is_an_error_that_lists_the_known_ones(
        self, old: str, new: str, known: str
    ) -> None:
        code, where, message = error_of(MATRIX.replace(old, new))
        assert (code, where) == ("unknown-placeholder", "7:11" if old == NAME else "8:15")
        assert message.endswith(f"rite one of {known}")

    @pytest.mark.parametrize(
        ("written", "error"),
        [
            ("{target.account:role/ssm", '"{target.account" is not closed by a `}`: did you mean'),
            ("{target.account/{target.region}", '"{target.account" is not closed by a `}`: did you mean'),
            ("{ target.account }:role/ssm", '"{ target.account }" is not a placeholder here: did you mean'),
            ("{target.acount}:role/ssm", '"{target.acount}" is not a placeholder here: did you mean'),
            ("{account}:role/ssm", '"{account}" is not a placeholder here: did you mean'),
            ("{source.account}:role/ssm", '"{source.account}" is not a placeholder here: write'),
            ("target.account}:role/ssm", '"}" has no `{` before it: write'),
        ],
    )
    def test_the_error_shows_the_part_that_is_wrong_and_the_nearest_placeholder(
        self, written: str, error: str
    ) -> None:
        _, _, message = error_of(MATRIX.replace(ROLE, f"arn:aws:iam::{written}"))
        assert error in message
        assert ("did you mean `{target.account}`?" in message) == error.endswith("did you mean")

    @pytest.mark.parametrize(
        ("more", "where"),
        [
            ("    external_id: '{target.acount} '\n", "9:18"),
            ("    kms: { default: 'alias/{target.acount' }\n", "9:21"),
            ("    kms: { keys: { alias/a: 'alias/{ target.account }' } }\n", "9:29"),
            (f"    overrides: [{{ account: '{ONE}', role_arn: 'arn:{{target.partition' }}]\n", "9:54"),
            (f"    overrides: [{{ account: '{ONE}', name: '{{target.account' }}]\n", "9:50"),
        ],
    )
    def test_each_key_with_placeholders_has_this_error(self, more: str, where: str) -> None:
        code, at, message = error_of(MATRIX + more)
        assert (code, at) == ("unknown-placeholder", where)
        assert message.endswith(PLACEHOLDERS + (", {target.name}" if "name:" not in more else ""))

    @pytest.mark.parametrize("region", ["{target.region}", "us-{east}-1"])
    def test_a_key_without_placeholders_has_the_error_of_its_form(self, region: str) -> None:
        code, _, message = error_of(MATRIX.replace("[us-east-1, us-east-2]", f'["{region}"]'))
        assert code == "bad-format"
        assert "it must be an AWS region" in message

    @pytest.mark.parametrize(
        ("matrix", "more"),
        [
            ("", 'kms: [{ source: "alias/{target.region}", targets: { us-east-2: alias/a } }]\n'),
            ('    kms: { keys: { "alias/{target.region}": alias/a } }\n', ""),
        ],
    )
    def test_a_key_of_the_source_has_none(self, matrix: str, more: str) -> None:
        code, _, message = error_of(PLAIN + matrix, more)
        assert (code, message.endswith("; placeholders are not allowed here")) == ("bad-format", True)

    def test_a_wrong_form_where_they_are_allowed_is_not_about_them(self) -> None:
        _, _, message = error_of(MATRIX.replace(ROLE, "{target.account}"))
        assert "not allowed" not in message

    def test_a_text_that_the_schema_refuses_is_one_error(self) -> None:
        name = "x" * 60 + "{target.region}"
        assert error_of(f'  - {{ region: us-east-2, name: "{name}" }}\n')[0] == "too-long"

    def test_a_role_that_the_schema_refuses_is_not_called_missing(self) -> None:
        beside_a_matrix = f'{PLAIN}  - {{ region: eu-west-1, account: "{TWO}", role_arn: 7 }}\n'
        assert error_of(beside_a_matrix)[:2] == ("unquoted", "6:61")

    def test_a_text_that_is_wrong_in_every_target_is_one_error(self) -> None:
        role = MATRIX.replace(ROLE, "arn:aws:iam::{target.name}:role/ssm")
        assert error_of(role)[:2] == ("bad-format", "8:15")

    def test_a_text_without_quotes_is_an_error_that_says_so(self) -> None:
        code, where, message = error_of(MATRIX.replace(f'"{NAME}"', NAME))
        assert (code, where) == ("yaml-syntax", "7:27")
        assert f'quote it: "{NAME}"' in message

    def test_an_account_that_the_spec_does_not_have_cannot_be_filled_in(self) -> None:
        code, where, message = error_of('  - { regions: [us-east-2], name: "{target.account}" }\n', source="")
        assert (code, where) == ("placeholder-without-value", "5:35")
        assert "write `account`" in message

    def test_a_filled_text_obeys_the_rules_of_a_plain_one(self) -> None:
        long = MATRIX.replace(
            NAME, "{target.account}-{target.account}-{target.account}-{target.region}-xxxxxx"
        )
        assert error_of(long)[0] == "too-long"
        many = MATRIX.replace(NAME, "{target.region}{target.region}{target.region}-{target.account}")
        code, where, message = error_of(many.replace("us-east-1, us-east-2", "us-faraway-somewhere-1"))
        assert (code, where) == ("too-long", "7:11")
        assert "gives 79 characters, over 64" in message
        assert error_of(MATRIX.replace("role/ssm", "ssm"))[:2] == ("bad-format", "8:15")

    def test_a_role_of_another_partition_is_an_error_at_its_line(self) -> None:
        found = errors_of(MATRIX.replace("{target.partition}", "aws-cn"))
        assert {(one.code, one.where) for one in found} == {("partition-mismatch", "spec.yaml:8:15")}

    def test_a_role_of_another_account_is_an_error_at_its_line(self) -> None:
        (found,) = errors_of(MATRIX.replace(ROLE, f"arn:aws:iam::{ONE}:role/ssm"))
        assert (found.code, found.where) == ("account-mismatch", "spec.yaml:8:15")

    def test_accounts_without_a_role_are_errors(self) -> None:
        (found,) = errors_of(MATRIX.replace(f'    role_arn: "{ROLE}"\n', ""))
        assert (found.code, found.where) == ("account-without-role", "spec.yaml:5:32")


class TestTheForm:
    @pytest.mark.parametrize(
        ("old", "new", "code"),
        [
            ("[us-east-1, us-east-2]", "[]", "empty-value"),
            (f'["{ONE}", "{TWO}"]', "[]", "empty-value"),
            (f'["{ONE}", "{TWO}"]', '["12"]', "bad-format"),
            (f'["{ONE}", "{TWO}"]', f"[{ONE}]", "unquoted"),
            (f'["{ONE}", "{TWO}"]', f'"{ONE}"', "wrong-type"),
            (f'["{ONE}", "{TWO}"]', f'["{ONE}", "{ONE}"]', "duplicate-item"),
            ("[us-east-1, us-east-2]", "[us-east-1a]", "bad-format"),
            ("[us-east-1, us-east-2]", "[us-east-2, us-east-2]", "duplicate-item"),
            ("[us-east-1, us-east-2]", "us-east-2", "wrong-type"),
            ("regions", "regoins", "unknown-property"),
            ("regions: [us-east-1, us-east-2]", "region: us-east-2", "region-and-regions"),
            ("    name:", "    region: us-east-2\n    name:", "region-and-regions"),
            ("    name:", f'    account: "{ONE}"\n    name:', "account-and-accounts"),
            ("    regions: [us-east-1, us-east-2]\n", "", "missing-property"),
            ("    name:", "    exclude: [{}]\n    name:", "empty-value"),
            ("    name:", "    exclude: [{ name: x }]\n    name:", "unknown-property"),
            ("    name:", "    exclude: { region: us-east-1 }\n    name:", "wrong-type"),
        ],
    )
    def test_a_wrong_form_is_one_error(self, old: str, new: str, code: str) -> None:
        assert error_of(MATRIX.replace(old, new))[0] == code

    def test_a_plain_target_still_needs_its_region(self) -> None:
        code, _, message = error_of("  - name: dr\n")
        assert (code, "write `region: us-east-2`" in message) == ("missing-property", True)

    def test_an_unknown_region_is_one_warning_at_its_place(self) -> None:
        found = loaded(MATRIX.replace("us-east-1, us-east-2", "us-east-7")).findings
        assert [(one.code, one.where) for one in found] == [("unknown-region", "spec.yaml:6:15")]

    @pytest.mark.large
    def test_too_many_targets_are_an_error(self) -> None:
        def matrix(accounts: int, regions: int) -> str:
            listed = ", ".join(f'"{number:012}"' for number in range(accounts))
            there = ", ".join(f"us-east-{number}" for number in range(10, 10 + regions))
            texts = f'name: "{NAME}", role_arn: "{ROLE}"'
            return f"  - {{ accounts: [{listed}], regions: [{there}], {texts} }}\n"

        assert len(names_of(matrix(40, 5))) == TARGET_LIMIT
        code, where, message = error_of(matrix(41, 5))
        assert (code, where) == ("too-many-targets", "5:5")
        assert f"more than {TARGET_LIMIT} targets" in message
        assert error_of(matrix(40, 5) + "  - region: us-east-2\n")[:2] == ("too-many-targets", "6:5")
        began = time.process_time()
        errors_of("".join(matrix(200, 50) for _ in range(40)))
        assert time.process_time() - began < 20


class TestLoadTime:
    """The work of a load is bounded by the size of the spec, also where a matrix multiplies it."""

    def text(self, count: int, accounts: int, regions: str, more: str = "") -> str:
        listed = ", ".join(f'"{number:012}"' for number in range(accounts))
        matrix = f'  - {{ accounts: [{listed}], regions: [{regions}], name: "{NAME}", role_arn: "{ROLE}" }}\n'
        document = text_of(matrix, more, source=f'account: "{THREE}"')
        return "---\n".join(document.replace("prod", f"p{number}") for number in range(count))

    def searches(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        found: list[str] = []
        monkeypatch.setattr(places, "did_you_mean", lambda near, _: near)

        def search(one: str, _other: str) -> int:
            found.append(one)
            return 9

        monkeypatch.setattr(places, "_typing_errors", search)
        return found

    def test_an_unknown_region_is_looked_up_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The search for a typing error in each of 9,600 targets took 16 s."""
        searches = self.searches(monkeypatch)
        regions = [f"qq-north-{number}" for number in range(1, 21)]
        load_text(self.text(3, 4, ", ".join(regions)))
        assert Counter(searches) == dict.fromkeys(regions, len(places._known_regions()))

    def test_a_region_is_not_looked_up_for_a_finding_that_is_dropped(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        searches = self.searches(monkeypatch)
        listed = [", ".join(f"r{letter}-north-{number}" for number in range(1, 50)) for letter in "abcdefgh"]
        load_text("---\n".join(self.text(1, 1, one).replace("p0", f"p{n}") for n, one in enumerate(listed)))
        assert len(set(searches)) == FINDING_LIMIT + 1

    def test_expanded_targets_count_as_values(self) -> None:
        keys = ", ".join(f"alias/a{number}: alias/b" for number in range(60))
        matrix = f"kms: {{ keys: {{ {keys} }} }}, role_arn"
        load_text(self.text(1, 100, "us-east-2, us-west-2").replace("role_arn", matrix))
        with pytest.raises(SpecError) as refused:
            load_text(self.text(4, 100, "us-east-2, us-west-2").replace("role_arn", matrix))
        assert {one.code for one in refused.value.findings} == {"too-large"}
        assert "a matrix as its targets" in refused.value.findings[0].message

    def test_places_that_are_left_out_count_as_values(self) -> None:
        regions = ", ".join(f"us-east-{number}" for number in range(10, 60))
        text = self.text(8, 190, regions).replace(
            ", role_arn", ", exclude: [{ region: us-east-10 }], role_arn"
        )
        with pytest.raises(SpecError) as refused:
            load_text(text)
        assert "too-large" in {one.code for one in refused.value.findings}

    @pytest.mark.large
    def test_names_with_placeholders_in_the_kms_map_count_as_values(self) -> None:
        keys = ", ".join(f'"{{target.account}}-us-{one}-2": alias/x' for one in ("east", "west"))
        rules = (f"{{ source: alias/a{n}, targets: {{ {keys} }} }}" for n in range(190))
        more = f"kms: [{', '.join(rules)}]\n"
        load_text(self.text(1, 70, "us-east-2, us-west-2", more))
        with pytest.raises(SpecError) as refused:
            load_text(self.text(1, 100, "us-east-2, us-west-2", more))
        assert {one.code for one in refused.value.findings} == {"too-large"}


class TestKeys:
    def rule(self, targets: str) -> str:
        return f"kms:\n  - source: alias/app\n    targets: {{ {targets} }}\n"

    def keys(self, targets: str) -> dict[str, str]:
        (rule,) = spec_of(MATRIX, self.rule(targets)).kms
        return dict(rule.targets)

    def test_a_name_with_placeholders_is_for_each_target_that_it_gives(self) -> None:
        assert self.keys('"{target.name}": alias/app') == dict.fromkeys(names_of(MATRIX), "alias/app")
        one_region = self.keys('"{target.account}-us-east-2": "alias/{target.account}"')
        assert one_region == {f"{ONE}-us-east-2": f"alias/{ONE}", f"{TWO}-us-east-2": f"alias/{TWO}"}

    def test_a_key_may_have_the_place_in_its_arn(self) -> None:
        arn = '"{target.name}": "arn:{target.partition}:kms:{target.region}:{target.account}:alias/app"'
        assert self.keys(arn)[f"{TWO}-us-east-1"] == f"arn:aws:kms:us-east-1:{TWO}:alias/app"

    def test_a_written_name_has_priority(self) -> None:
        found = self.keys(f'"{{target.name}}": alias/app, {TWO}-us-east-2: "alias/{{target.region}}"')
        assert found[f"{TWO}-us-east-2"] == "alias/us-east-2"
        assert found[f"{TWO}-us-east-1"] == "alias/app"
        assert len(found) == 3

    @pytest.mark.parametrize(
        ("targets", "code", "piece"),
        [
            (
                '"{target.name}": alias/a, "{target.account}-us-east-2": alias/b',
                "duplicate-kms-target",
                "in line 13",
            ),
            ('"dr-{target.region}": alias/a', "kms-unknown-target", "dr-{target.region}"),
            ('"{source.region}": alias/a', "unknown-placeholder", f"{PLACEHOLDERS}, {{target.name}}"),
            ('"{target.name": alias/a', "unknown-placeholder", "is not closed by a `}`"),
            ('"{ target.name }": alias/a', "unknown-placeholder", f"{PLACEHOLDERS}, {{target.name}}"),
            ('"{target.name}": "alias/{target.name"', "unknown-placeholder", "is not closed by a `}`"),
            ('"{target.name}": "alias/{region}"', "unknown-placeholder", f"{PLACEHOLDERS}, {{target.name}}"),
            ('"{target.name}": "arn:aws:kms:eu-west-1:{target.account}:alias/a"', "key-region", "eu-west-1"),
            (f"{ONE}-us-east-1: alias/a", "kms-unknown-target", "no target has the name"),
        ],
    )
    def test_a_wrong_entry_is_an_error_at_its_line(self, targets: str, code: str, piece: str) -> None:
        found = errors_of(MATRIX, self.rule(targets))
        assert {(one.code, one.where.split(":")[1]) for one in found} == {(code, "13")}
        assert piece in found[0].message

    def test_a_name_of_a_target_with_an_error_is_not_reported(self) -> None:
        matrix = PLAIN + MATRIX.replace(ROLE, "arn:aws:iam::{target.name}:role/ssm")
        (error,) = errors_of(matrix, self.rule('"{target.account}-us-east-1": alias/a'))
        assert (error.code, error.where) == ("bad-format", "spec.yaml:9:15")

    def test_a_name_that_the_schema_refuses_is_one_error(self) -> None:
        (error,) = errors_of(MATRIX, self.rule('"{target.name}": alias/a, "a b": alias/a'))
        assert error.code == "bad-format"

    def test_names_beyond_the_limit_are_one_error(self) -> None:
        names = ", ".join(f'"x{number}-{{target.region}}": alias/a' for number in range(300))
        (error,) = errors_of(MATRIX, self.rule(names))
        assert error.code == "too-many-items"


def test_the_names_in_lifts_and_in_skip_values_are_those_of_the_targets() -> None:
    lift = (
        f"lifts: [{{ guard: max-deletes, target: {TWO}-us-east-1, count: 1, changes: 3f9a0c2b7d11,"
        ' until: "2026-12-24", reason: r }]\n'
    )
    assert spec_of(MATRIX, lift).lifts[0].target == f"{TWO}-us-east-1"
    assert errors_of(MATRIX, lift.replace("us-east-1", "us-east-9"))[0].code == "lift-unknown-target"


@pytest.mark.parametrize(
    ("guards", "total"),
    [
        ("", 50),
        ("{ max_deletes: 80 }", 80),
        ("{ max_deletes: 80, max_deletes_total: 5 }", 5),
        ("{ max_deletes: 0 }", 50),
    ],
)
def test_the_limit_for_all_targets_is_not_below_that_for_one_unless_it_is_written(
    guards: str, total: int
) -> None:
    assert spec_of(PLAIN, f"guards: {guards}\n" if guards else "").limits.of_all_targets() == total
