"""Places of a matrix: those that `exclude`, `overrides` and the source concern, and those that repeat."""

from __future__ import annotations

import pytest

from ssm_reconcile.errors import Severity, SpecError
from ssm_reconcile.load import load_text
from ssm_reconcile.spec import TierMode
from tests.unit.test_load_matrix import (
    MATRIX,
    NAME,
    ONE,
    PLAIN,
    ROLE,
    THREE,
    TWO,
    error_of,
    errors_of,
    loaded,
    names_of,
    spec_of,
    text_of,
)


class TestExclude:
    def test_a_place_an_account_or_a_region_is_left_out(self) -> None:
        assert names_of(MATRIX + f'    exclude: [{{ account: "{TWO}", region: us-east-1 }}]\n') == [
            f"{ONE}-us-east-2", f"{TWO}-us-east-2",
        ]  # fmt: skip
        assert names_of(MATRIX + f'    exclude: [{{ account: "{TWO}" }}]\n') == [f"{ONE}-us-east-2"]
        assert names_of(MATRIX + "    exclude: [{ region: us-east-2 }]\n") == [f"{TWO}-us-east-1"]

    @pytest.mark.parametrize(
        "entry", [f'account: "{THREE}"', "region: eu-west-1", f'account: "{ONE}", region: x-y-1']
    )
    def test_an_entry_that_matches_nothing_is_a_warning(self, entry: str) -> None:
        found = loaded(MATRIX + f"    exclude: [{{ {entry.replace('x-y-1', 'eu-west-1')} }}]\n").findings
        (warning,) = (one for one in found if one.severity is Severity.WARNING)
        assert (warning.code, warning.where) == ("exclude-without-effect", "spec.yaml:9:15")

    def test_everything_excluded_is_an_error(self) -> None:
        found = error_of(MATRIX + "    exclude: [{ region: us-east-1 }, { region: us-east-2 }]\n")
        assert found[:2] == ("matrix-without-target", "5:5")
        more = "    exclude: [{ region: us-east-1 }, { region: us-east-2 }]\n"
        override = "    overrides: [{ region: us-east-1, frozen: true }]\n"
        assert error_of(MATRIX + more + override)[0] == "matrix-without-target"


IN_TWO = f'    role_arn: "arn:{{target.partition}}:iam::{TWO}:role/ssm"\n'
"""A role whose account is that of a matrix without `accounts`."""


class TestAnAccountThatIsNotWritten:
    @pytest.mark.parametrize("key", ["exclude", "overrides"])
    @pytest.mark.parametrize(
        ("more", "column"),
        [
            ("", 0),
            ('    role_arn: "arn:aws:iam::{target.account}:role/ssm"\n', 0),
            (
                IN_TWO + f"    overrides: [{{ region: us-west-2, role_arn: arn:aws:iam::{THREE}:role/s }}]\n",
                0,
            ),
        ],
    )
    @pytest.mark.parametrize("account", [ONE, TWO, THREE])
    def test_it_selects_nothing_and_is_an_error(self, key: str, more: str, column: int, account: str) -> None:
        """A place that `exclude` names would be written."""
        entry = f'{{ account: "{account}", region: us-west-2{", frozen: true" * (key == "overrides")} }}'
        if "overrides" in more and key == "overrides":
            more = more.replace("[", f"[{entry}, ")
        else:
            more += f"    {key}: [{entry}]\n"
        found = errors_of(PLAIN + more)
        assert {one.code for one in found} == {"selector-without-account"}
        assert "write `account` in the matrix" in found[0].message

    def test_its_position_is_that_of_the_account(self) -> None:
        code, where, _ = error_of(PLAIN + f'    exclude: [{{ region: us-west-2, account: "{ONE}" }}]\n')
        assert (code, where) == ("selector-without-account", "6:45")

    def test_that_of_the_role_selects(self) -> None:
        place = f'account: "{TWO}", region: us-west-2'
        assert names_of(PLAIN + IN_TWO + f"    exclude: [{{ {place} }}]\n") == ["us-east-2"]
        changed = spec_of(PLAIN + IN_TWO + f"    overrides: [{{ {place}, frozen: true }}]\n").targets
        assert [one.frozen for one in changed] == [False, True]
        (warning,) = loaded(PLAIN + IN_TWO + f'    exclude: [{{ account: "{ONE}" }}]\n').findings
        assert warning.code == "exclude-without-effect"

    def test_a_role_of_the_same_account_in_an_override_leaves_it_known(self) -> None:
        other = f"{{ region: us-east-2, role_arn: arn:aws:iam::{TWO}:role/other }}"
        more = f'    overrides: [{other}]\n    exclude: [{{ account: "{TWO}", region: us-west-2 }}]\n'
        assert names_of(PLAIN + IN_TWO + more) == ["us-east-2"]

    def test_the_written_one_selects(self) -> None:
        more = f'    account: "{ONE}"\n    exclude: [{{ account: "{ONE}", region: us-west-2 }}]\n'
        assert names_of(PLAIN + more) == ["us-east-2"]


class TestOverrides:
    def test_a_key_replaces_that_of_the_matrix_and_the_last_entry_counts(self) -> None:
        overrides = f"""\
    tier: keep
    overrides:
      - {{ account: "{TWO}", frozen: true, tier: advanced }}
      - {{ account: "{TWO}", region: us-east-2, tier: same, name: "dr-{{target.region}}" }}
"""
        first, second, third = spec_of(MATRIX + overrides).targets
        assert (first.frozen, first.tier, first.name) == (False, TierMode.KEEP, f"{ONE}-us-east-2")
        assert (second.frozen, second.tier, second.name) == (True, TierMode.ADVANCED, f"{TWO}-us-east-1")
        assert (third.frozen, third.tier, third.name) == (True, TierMode.SAME, "dr-us-east-2")

    def test_a_role_and_keys_may_differ(self) -> None:
        override = (
            f'    overrides: [{{ account: "{TWO}", role_arn: "arn:aws:iam::{TWO}:role/other",'
            " external_id: two,"
            ' kms: { keys: { alias/app: "alias/app-{target.region}" } } }]\n'
        )
        first, second, _ = spec_of(MATRIX + override).targets
        assert (first.access.external_id, first.keys) == (None, ())
        assert second.access.role_arn == f"arn:aws:iam::{TWO}:role/other"
        assert (second.access.external_id, second.keys) == ("two", (("alias/app", "alias/app-us-east-1"),))

    @pytest.mark.parametrize(
        ("entry", "piece"),
        [
            (f'account: "{THREE}", frozen: true', f"no target in {THREE}"),
            ("region: eu-west-1, frozen: true", "no target in eu-west-1"),
            ("frozen: true", "needs `account`, `region` or both"),
            (f'account: "{TWO}"', "changes nothing"),
        ],
    )
    def test_an_override_without_effect_is_an_error(self, entry: str, piece: str) -> None:
        code, where, message = error_of(MATRIX + f"    overrides:\n      - {{ {entry} }}\n")
        assert (code, where) == ("override-without-effect", "10:9")
        assert piece in message

    def test_an_override_of_an_excluded_place_is_an_error(self) -> None:
        more = (
            f'    exclude: [{{ account: "{TWO}" }}]\n    overrides: [{{ account: "{TWO}", frozen: true }}]\n'
        )
        assert error_of(MATRIX + more)[0] == "override-without-effect"

    def test_an_unknown_key_of_an_override_is_an_error(self) -> None:
        code, _, message = error_of(MATRIX + f'    overrides: [{{ account: "{TWO}", froze: true }}]\n')
        assert code == "unknown-property"
        assert "did you mean `frozen`" in message


class TestTheSource:
    def test_its_place_is_left_out_with_a_notice(self) -> None:
        found = loaded(MATRIX)
        assert f"{ONE}-us-east-1" not in [one.name for one in found.replications[0].targets]
        (notice,) = found.findings
        assert (notice.severity, notice.code) == (Severity.NOTICE, "source-left-out")
        assert (notice.where, f"{ONE}/us-east-1" in notice.message) == ("spec.yaml:5:5", True)

    def test_it_is_known_by_the_default_credentials_or_its_role(self) -> None:
        default = spec_of("  - regions: [us-east-1, us-east-2]\n", source="")
        assert [one.name for one in default.targets] == ["us-east-2"]
        by_role = spec_of(MATRIX, source=f"role_arn: arn:aws:iam::{ONE}:role/home")
        assert len(by_role.targets) == 3

    @pytest.mark.parametrize("selector", [f'account: "{ONE}", region: us-east-1', "region: us-east-1"])
    def test_an_override_for_it_alone_is_an_error(self, selector: str) -> None:
        matrix = PLAIN.replace("us-west-2", "us-east-1") + f'    account: "{ONE}"\n'
        code, where, message = error_of(matrix + f"    overrides:\n      - {{ {selector}, frozen: true }}\n")
        assert (code, where) == ("override-without-effect", "8:9")
        assert f"the source only, {ONE}/us-east-1" in message

    def test_an_override_for_other_places_too_is_not_reported(self) -> None:
        more = (
            f'    overrides: [{{ account: "{ONE}", frozen: true }}, {{ region: us-east-1, frozen: true }}]\n'
        )
        assert [one.code for one in loaded(MATRIX + more).findings] == ["source-left-out"]

    def test_an_override_is_not_reported_for_another_error_in_its_targets(self) -> None:
        name = "x" * 45 + "{target.region}"
        more = f'    overrides: [{{ account: "{ONE}", name: "{name}" }}]\n'
        code, _, message = error_of(MATRIX.replace("us-east-2", "us-faraway-somewhere-1") + more)
        assert (code, "gives 67 characters" in message) == ("too-long", True)

    def test_a_source_of_an_unknown_account_stays_in_with_a_notice(self) -> None:
        found = loaded(MATRIX, source="")
        assert len(found.replications[0].targets) == 4
        (notice,) = found.findings
        assert notice.code == "source-account-unknown"
        assert f"{ONE}/us-east-1 and 1 more place in its region stay targets" in notice.message
        assert {one.severity for one in found.findings} == {Severity.NOTICE}

    def test_its_place_may_be_excluded_without_a_finding(self) -> None:
        more = f'    exclude: [{{ account: "{ONE}", region: us-east-1 }}]\n'
        assert loaded(MATRIX + more).findings == ()

    def test_a_matrix_of_the_source_alone_is_an_error(self) -> None:
        code, where, message = error_of("  - regions: [us-east-1]\n")
        assert (code, where) == ("matrix-without-target", "5:5")
        assert "no place but the source" in message

    def test_a_plain_target_that_is_the_source_is_still_an_error(self) -> None:
        assert error_of("  - region: us-east-1\n")[0] == "target-is-source"


class TestDuplicates:
    def test_a_place_in_two_entries_names_both_lines(self) -> None:
        code, where, message = error_of(PLAIN + "  - { name: dr, region: us-west-2 }\n")
        assert (code, where) == ("same-place", "6:25")
        assert "`us-west-2` (line 5)" in message

    def test_a_matrix_of_one_place_that_is_listed(self) -> None:
        role = f"arn:aws:iam::{TWO}:role/r"
        listed = f'  - {{ name: dr, region: us-east-2, account: "{TWO}", role_arn: "{role}" }}\n'
        matrix = f'  - {{ name: m, regions: [us-east-2], accounts: ["{TWO}"], role_arn: "{ROLE}" }}\n'
        code, where, message = error_of(listed + matrix)
        assert (code, where.split(":")[0]) == ("same-place", "6")
        assert "`dr` (line 5)" in message

    def test_a_name_in_two_entries_names_both_lines(self) -> None:
        code, where, message = error_of(PLAIN + "  - { name: us-west-2, region: eu-west-1 }\n")
        assert (code, where.split(":")[0]) == ("duplicate-target", "6")
        assert "(line 5)" in message

    def test_a_name_that_several_targets_of_one_matrix_get_is_one_error(self) -> None:
        code, where, message = error_of(MATRIX.replace(NAME, "{target.region}"))
        assert (code, where) == ("duplicate-target", "7:11")
        assert "2 targets of this matrix get the name `us-east-2`" in message
        assert error_of(MATRIX.replace(NAME, "dr"))[0] == "duplicate-target"
        override = f'    overrides: [{{ account: "{TWO}", name: dr }}]\n'
        assert error_of(MATRIX + override)[:2] == ("duplicate-target", "9:50")

    def test_several_accounts_need_a_name(self) -> None:
        code, where, message = error_of(MATRIX.replace(f'    name: "{NAME}"\n', ""))
        assert (code, where) == ("target-name-required", "5:5")
        assert f'`name: "{NAME}"`' in message

    def test_a_matrix_that_is_listed_twice_repeats_its_places(self) -> None:
        """An alias has the position of its anchor: the names of both are not those of one matrix."""
        text = text_of("  - *m\n  - *m\n")
        matrix = f'x-m: &m {{ regions: [us-east-2, us-west-2], account: "{ONE}" }}\n'
        with pytest.raises(SpecError) as refused:
            load_text(matrix + text)
        assert [one.code for one in refused.value.findings] == ["same-place"] * 2
        named = matrix.replace("regions", 'name: "{target.region}", regions')
        with pytest.raises(SpecError) as refused:
            load_text(named + text)
        assert [one.code for one in refused.value.findings] == ["same-place"] * 2
