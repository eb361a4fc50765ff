"""The command `init`: its proposal for an account in use for years, and the plan of that proposal."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from ssm_reconcile.cli import terminal
from ssm_reconcile.cli.init import InitOptions, propose_name
from ssm_reconcile.errors import Trouble
from ssm_reconcile.load import load_text
from ssm_reconcile.model import Place, SealedText
from ssm_reconcile.skip_sync import SkipMode
from ssm_reconcile.spec import AdoptMode, Replication
from ssm_reconcile.stores.base import Put
from tests.fake_aws import rules
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET, Cli

LOOK = ("init", "--source-region", "us-east-1", "--target", "us-east-2", "--force")


@pytest.fixture
def source(aws: SimulatedAws) -> Place:
    return aws.world.place("us-east-1")


@pytest.fixture
def target(aws: SimulatedAws) -> Place:
    return aws.world.place("us-east-2")


@pytest.fixture
def years(aws: SimulatedAws, source: Place, target: Place) -> SimulatedAws:
    """The parameters of a team after some years: keys, opt-outs, regional values, tags of a copy script."""
    world = aws.world
    world.delete(source, "/app/url", "/app/hosts", "/app/key")
    for place in (source, target):
        world.add_key(place, "alias/app")
    world.add_key(source, "alias/only-here")
    shared = world.add_key(source, "alias/shared", multi_region=True)
    world.add_key(target, "alias/shared", multi_region=True)
    world.put(source, "/prod/db/password", SECRET, "SecureString", key_id="alias/app", tags={"team": "db"})
    world.put(source, "/prod/db/token", SECRET + "2", "SecureString", key_id="alias/only-here")
    world.put(source, "/prod/db/salt", SECRET + "3", "SecureString", key_id=shared)
    world.put(source, "/prod/db/pin", SECRET + "4", "SecureString")
    for name in ("a", "b", "c"):
        world.put(source, f"/prod/plain/{name}", name, tags={"team": "x"}, description="set by hand")
    world.put(source, "/prod/net/vpc", "vpc-0a1b2c3d4e5f60718")
    world.put(source, "/prod/net/subnets", "subnet-0a1b2c3d,subnet-0a1b2c3e", "StringList")
    world.put(source, "/prod/url", "https://x.us-east-1.example.org")
    world.put(source, "/prod/queue", "arn:aws:sqs:us-east-1:123456789012:orders")
    world.put(
        source,
        "/prod/cert",
        "arn:aws:acm:us-east-1:123456789012:certificate/0f3c1c52-6a3e-4d0b-9d0e-1a2b3c4d5e03",
    )
    world.put(source, "/prod/us-east-1/edge", "x")
    world.put(source, "/prod/local", "x", tags={"skip_sync": "yes"})
    world.put(source, "/staging/url", "https://staging.example.org")
    world.put(source, "bare", "x")
    world.put(target, "/prod/plain/a", "a", tags={"team": "x"}, description="set by hand")
    world.put(target, "/prod/plain/b", "b", tags={"team": "x"})
    world.put(target, "/prod/plain/c", "other")
    world.put(target, "/prod/url", "https://x.us-east-2.example.org")
    world.put(target, "/prod/db/password", SECRET, "SecureString", tags={"team": "db"})
    world.put(target, "/native", "theirs")
    return aws


def spec() -> Replication:
    (one,) = load_text(Path("replication.yaml").read_text()).replications
    return one


def test_the_written_spec_validates_and_plans_without_an_error(years: SimulatedAws, cli: Cli) -> None:
    result = cli(*LOOK)
    assert result.exit_code == 0, result.output
    assert cli("validate").exit_code == 0
    planned = cli("plan")
    assert planned.exit_code == 0, planned.output
    assert "Invalid" not in planned.stdout


def test_the_comments_beside_the_keys_of_a_new_spec_are_in_one_column(years: SimulatedAws, cli: Cli) -> None:
    assert cli(*LOOK).exit_code == 0
    found = [re.search(r"\S {2,}# ", line) for line in Path("replication.yaml").read_text().splitlines()]
    assert {one.end() - len("# ") for one in found if one} == {32}


def test_the_commands_after_a_new_spec_run_as_they_are_printed(years: SimulatedAws, cli: Cli) -> None:
    steps = cli(*LOOK, "--output", "a.yaml").stderr.split("on GitHub", 1)[1].splitlines()[1:]
    first, stack, deploy, push, settings, check = (
        shlex.split(re.sub(r'"\$\(.*\)"', "1234/5678", line.partition(">")[0])) for line in steps
    )
    assert first == ["ssm-reconcile", "init", "--github", "OWNER/REPO", "a.yaml"]
    written = cli(*first[1:], "--ref", "0" * 40)
    assert written.exit_code == 0, written.output
    template = cli(*stack[1:])
    assert template.exit_code == 0, template.output
    assert "PlanRole" in json.loads(template.stdout)["Resources"]
    assert deploy[:3] == ["aws", "cloudformation", "deploy"]
    assert deploy[deploy.index("--template-file") + 1] == "roles.json"
    assert push[:3] == ["git", "add", ".github/workflows/ssm-reconcile.yml"]
    assert settings == ["ssm-reconcile", "init", "--github", "OWNER/REPO", "--apply", "a.yaml"]
    assert check == ["ssm-reconcile", "doctor", "--github", "a.yaml"]
    assert "GitHub" not in cli(*LOOK, "--quiet").output
    assert "GitHub" not in cli(*LOOK, "--output", "-").stdout


def test_the_commands_after_a_new_spec_name_the_repository_of_the_remote(
    years: SimulatedAws, cli: Cli
) -> None:
    git = Path(".git")
    git.mkdir()
    url = '[remote "origin"]\n\turl = git@github.com:acme/params.git\n'
    (git / "config").write_text(url)
    assert "init --github acme/params\n" in cli(*LOOK).stderr
    (git / "config").write_text(url.replace("github.com", "git.example.com"))
    assert "init --github OWNER/REPO\n" in cli(*LOOK).stderr


def test_nothing_is_written_in_aws_and_no_secret_is_read_or_shown(years: SimulatedAws, cli: Cli) -> None:
    before = years.world.state()
    years.world.calls.clear()
    result = cli(*LOOK)
    assert years.world.state() == before
    secrets = {"/prod/db/password", "/prod/db/token", "/prod/db/salt", "/prod/db/pin"}
    read = {name for call in years.world.calls if call.operation == "GetParameters" for name in call.names}
    assert not read & secrets
    assert SECRET not in result.output + Path("replication.yaml").read_text()


def test_paths_are_included_with_their_counts(years: SimulatedAws, cli: Cli) -> None:
    cli(*LOOK)
    text = Path("replication.yaml").read_text()
    assert [glob.text for glob in spec().include] == ["/*", "/prod/**", "/staging/**"]
    assert '    - "/prod/**"' in text
    line = next(line for line in text.splitlines() if '"/staging/**"' in line)
    assert line.split("#")[1].strip() == "1"


def test_only_what_is_asked_for_is_included_and_the_rest_is_mentioned(years: SimulatedAws, cli: Cli) -> None:
    cli(*LOOK, "--include", "/prod/**")
    assert [glob.text for glob in spec().include] == ["/prod/**"]
    assert spec().name == propose_name(Path.cwd())
    assert '# - "/staging/**"' in Path("replication.yaml").read_text()


def test_a_key_is_mapped_to_its_namesake_and_a_multi_region_key_to_itself(
    years: SimulatedAws, cli: Cli
) -> None:
    cli(*LOOK)
    (named,) = [rule for rule in spec().kms if rule.source == "alias/app"]
    assert named.targets == (("us-east-2", "alias/app"),)
    (shared,) = [rule for rule in spec().kms if "mrk-" in rule.source]
    assert shared.targets[0][1].startswith("mrk-")


def test_a_secret_whose_key_has_no_namesake_is_left_out_until_one_is_named(
    years: SimulatedAws, cli: Cli
) -> None:
    cli(*LOOK)
    assert spec().rule_for("/prod/db/token", "SecureString") is None
    assert "alias/only-here has no counterpart" in Path("replication.yaml").read_text()
    cli(*LOOK, "--key", "alias/only-here=alias/app")
    assert spec().rule_for("/prod/db/token", "SecureString") is not None
    assert cli("plan").exit_code == 0


def test_regional_parameters_are_excluded_and_names_with_the_region_are_rewritten(
    years: SimulatedAws, cli: Cli
) -> None:
    cli(*LOOK)
    for name in ("/prod/net/vpc", "/prod/net/subnets", "/prod/cert", "/prod/us-east-1/edge"):
        assert spec().rule_for(name, "String") is None, name
    assert sorted(rule.match.text for rule in spec().rewrites) == ["/prod/queue", "/prod/url"]
    assert {(rule.old, rule.new) for rule in spec().rewrites} == {("us-east-1", "{target.region}")}


def test_leavings_of_a_copy_script_are_counted_and_a_mode_is_proposed(years: SimulatedAws, cli: Cli) -> None:
    cli(*LOOK)
    text = Path("replication.yaml").read_text()
    assert spec().adopt is AdoptMode.SAME_VALUE
    assert "us-east-2 has 5 of these names already" in text
    for sentence in (
        "* 1 identical",
        "* 1 with the same value, and",
        "* 1 with the same value except for the name of the region",
    ):
        assert sentence in text
    assert "* 1 with another value or type" in text
    assert "* 1 not compared: opted out, or a SecureString" in text


def test_secrets_are_compared_only_where_that_is_asked_for(years: SimulatedAws, cli: Cli) -> None:
    cli(*LOOK, "--compare-secrets")
    text = Path("replication.yaml").read_text()
    assert "* 2 with the same value, and other" in text
    assert "not compared" not in text


def test_identical_parameters_need_no_wider_mode(aws: SimulatedAws, cli: Cli) -> None:
    aws.put("/app/url", "https://example.org", region="us-east-2")
    cli(*LOOK)
    assert spec().adopt is AdoptMode.IDENTICAL


def test_a_tag_whose_values_name_targets_is_read_like_that(
    aws: SimulatedAws, cli: Cli, source: Place
) -> None:
    aws.world.tag(source, "/app/url", {"skip_sync": "us-east-2"})
    cli(*LOOK)
    assert spec().skip_sync.mode is SkipMode.TARGETS
    aws.world.tag(source, "/app/hosts", {"skip_sync": "true"})
    cli(*LOOK)
    assert spec().skip_sync.mode is SkipMode.ANY


def test_tags_that_are_almost_the_skip_tag_are_reported_and_left_out(
    aws: SimulatedAws, cli: Cli, source: Place
) -> None:
    aws.world.tag(source, "/app/url", {"Skip-Sync": "yes"})
    result = cli(*LOOK)
    assert "1 parameter with the tag Skip-Sync, which is almost skip_sync: left out" in result.stderr
    text = Path("replication.yaml").read_text()
    assert "# These tags are almost the skip tag: Skip-Sync (1)." in text
    assert spec().rule_for("/app/url", "String") is None
    assert cli("plan").exit_code == 0


def test_invalid_parameters_of_a_target_are_excluded_with_the_reason(
    aws: SimulatedAws, cli: Cli, source: Place
) -> None:
    tags = {f"tag-{number}": "x" for number in range(50)}
    aws.world.put(source, "/app/many-tags", "x", tags=tags)
    assert cli(*LOOK).exit_code == 0
    assert spec().rule_for("/app/many-tags", "String") is None
    assert cli("plan").exit_code == 0


def test_names_that_no_rule_may_hold_are_left_out_and_the_rest_plans(
    aws: SimulatedAws, cli: Cli, source: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS has none of these; what imitates it takes them."""
    monkeypatch.setattr(rules, "check_name", lambda *_: None)
    hostile = ('/app/"q" $(rm)', "/app/nl\n- delete: never", "/&a !!b {}/x", "/app/deep/x y")
    for name in hostile:
        aws.world.put(source, name, "s3.us-east-1.example.org")
    result = cli(*LOOK)
    assert result.exit_code == 0, result.output
    assert not [name for name in hostile if spec().rule_for(name, "String")]
    assert spec().rule_for("/app/url", "String") is not None
    result = cli("plan")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("kind", [Trouble.DENIED, Trouble.UNREACHABLE])
def test_without_bulk_tag_reads_the_tags_are_read_one_by_one(
    years: SimulatedAws, cli: Cli, kind: Trouble
) -> None:

    def proposed() -> str:
        assert cli(*LOOK).exit_code == 0
        return re.sub(r"\nid: .*", "", Path("replication.yaml").read_text())  # random

    expected = proposed()
    years.world.faults = at_call("GetResources", refused(kind))
    assert proposed() == expected


def test_replicas_are_not_proposed_as_sources(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes").exit_code == 0
    result = cli("init", "--source-region", "us-east-2", "--target", "us-west-2", "--force")
    assert result.exit_code == 64
    assert "no parameter is selected" in result.stderr


def test_a_file_that_is_there_is_not_written_over(aws: SimulatedAws, cli: Cli) -> None:
    before = Path("replication.yaml").read_text()
    result = cli("init", "--source-region", "us-east-1", "--target", "us-east-2")
    assert result.exit_code == 64
    assert "--force" in result.stderr
    assert Path("replication.yaml").read_text() == before
    assert cli("init", *LOOK[1:-1], "--output", "other.yaml").exit_code == 0
    assert cli("init", *LOOK[1:-1], "--output", "-").stdout.startswith("# yaml-language-server")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--source-region", "us-east-1"), "--target us-east-2"),
        (("--target", "us-east-2"), "--source-region us-east-1"),
        (("--source-region", "us-east-1", "--target", "mars"), "not an AWS region"),
        (
            ("--source-region", "us-east-1", "--target", "us-east-2", "--role-arn", "dr=arn:x"),
            "the spec has: us-east-2",
        ),
        (("--source-region", "us-east-1", "--target", "us-east-2", "--key", "alias/app"), "SOURCE=KEY"),
        (("--source-region", "us-east-1", "--target", "us-east-2", "--include", "/nope/**"), "no parameter"),
        (
            ("--source-region", "us-east-1", "--target", "us-east-2", "--name", "No!"),
            "these choices do not make a valid spec",
        ),
    ],
)
def test_a_missing_or_wrong_answer_is_reported_with_the_option_to_use(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    result = cli("init", "--output", "new.yaml", *words)
    assert result.exit_code == 64
    assert message in result.stderr
    assert not Path("new.yaml").exists()


def test_on_a_terminal_it_asks_for_what_no_option_says(
    years: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "can_ask", lambda *_: True)
    result = cli("init", "--force", stdin="us-east-1\nus-east-2\n2\nlive\nalias/app\n")
    assert result.exit_code == 0, result.output
    assert "/prod/**" in result.stderr
    assert [glob.text for glob in spec().include] == ["/prod/**"]
    assert spec().name == "live"
    assert {rule.source: rule.targets for rule in spec().kms}["alias/only-here"] == (
        ("us-east-2", "alias/app"),
    )


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_number_that_stands_before_a_path_chooses_it(
    years: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(terminal, "can_ask", lambda *_: True)
    result = cli("init", "--force", stdin=f"us-east-1\nus-east-2\n{number}\nlive\n\n")
    assert result.exit_code == 0, result.output
    offered = dict(re.findall(r"^ +(\d+)  (/\S+) +[\d,]+$", result.stderr, re.MULTILINE))
    assert list(offered) == ["1", "2", "3"]
    assert [glob.text for glob in spec().include] == [offered[str(number)]]


def test_numbers_and_patterns_may_be_mixed_and_a_comma_may_follow_the_last_word(
    years: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "can_ask", lambda *_: True)
    result = cli("init", "--force", stdin="us-east-1\nus-east-2, eu-west-1,\n1, /staging/** ,\nlive\n\n")
    assert result.exit_code == 0, result.output
    assert [target.name for target in spec().targets] == ["us-east-2", "eu-west-1"]
    (first,) = re.findall(r"^ +1  (/\S+) ", result.stderr, re.MULTILINE)
    assert {glob.text for glob in spec().include} == {first, "/staging/**"}


def test_the_counts_of_selected_and_skipped_are_those_of_the_plan(years: SimulatedAws, cli: Cli) -> None:
    result = cli(*LOOK, "--target", "eu-west-1", "--force")
    assert result.exit_code == 0, result.stderr
    counts = r"([\d,]+) selected.*?([\d,]+) skipped by skip_sync"
    (proposed,) = re.findall(counts, " ".join(result.stderr.split()))
    (planned,) = re.findall(counts, " ".join(cli("plan", "--no-decrypt").stdout.split()))
    assert proposed == planned


def test_the_counts_on_the_terminal_are_those_of_the_places(years: SimulatedAws, cli: Cli) -> None:
    result = cli(*LOOK)
    here, there = (len(years.names(region)) for region in ("us-east-1", "us-east-2"))
    (line,) = [one for one in result.stderr.splitlines() if "us-east-1: " in one and " selected" in one]
    assert f": {here} parameters, " in line
    left_out = [n for n in years.names("us-east-1") if any(glob.matches(n) for glob in spec().exclude)]
    assert f" selected, {len(left_out)} excluded (the file says why), " in line
    (line,) = [one for one in result.stderr.splitlines() if one.startswith("us-east-2: ")]
    assert line.startswith(f"us-east-2: {there} parameters, 5 of the selected: ")
    kinds = ("identical", "same value", "same value but for the region", "different", "not compared")
    assert set(line.rpartition(": ")[2].split(", ")) == {f"1 {kind}" for kind in kinds}


def test_other_accounts_are_reached_by_their_roles(aws: SimulatedAws, cli: Cli) -> None:
    role = "arn:aws:iam::210987654321:role/ssm-reconcile"
    words = (
        "init",
        "--force",
        "--source-region",
        "us-east-1",
        "--target",
        "dr=us-east-1",
        "--role-arn",
        f"dr={role}",
    )
    assert cli(*words).exit_code == 0
    (one,) = spec().targets
    assert (one.name, one.account, one.access.role_arn) == ("dr", "210987654321", role)
    assert cli("plan").exit_code == 0


def test_a_wish_beyond_what_aws_takes_stays_text(aws: SimulatedAws, cli: Cli) -> None:
    store = aws.store("us-east-1")
    store.put(
        Put("/app/odd", SealedText("# not: [yaml"), "String", overwrite=False, description="\n- x: y\u202e")
    )
    assert cli(*LOOK).exit_code == 0
    assert cli("plan").exit_code == 0


@pytest.mark.large
def test_hundreds_of_regional_values_make_a_spec_that_can_be_read(
    aws: SimulatedAws, cli: Cli, source: Place
) -> None:
    for number in range(260):
        aws.world.put(source, f"/many/p{number}/endpoint", f"https://{number}.us-east-1.example.org")
        aws.world.put(source, f"/many/p{number}/vpc", f"vpc-a{number:07x}")
        aws.world.put(source, f"/many/p{number}/name", "x")
    assert cli(*LOOK).exit_code == 0
    assert [rule.match.text for rule in spec().rewrites] == ["/**/endpoint"]
    assert [glob.text for glob in spec().exclude] == ["/**/vpc"]
    assert cli("plan", "-q").exit_code == 0


@pytest.mark.large
def test_regional_values_without_a_pattern_are_reported_and_included(
    aws: SimulatedAws, cli: Cli, source: Place
) -> None:
    for number in range(260):
        aws.world.put(source, f"/many/p{number}/k{number}", f"https://{number}.us-east-1.example.org")
        aws.world.put(source, f"/many/p{number}/v{number}", f"vpc-a{number:07x}")
        aws.world.put(source, f"/many/p{number}/x", "x")
    result = cli(*LOOK)
    assert result.exit_code == 0
    assert "783 parameters, 783 selected\n" in result.stderr
    assert [rule.match.text for rule in spec().rewrites] == ["/**"]
    assert spec().exclude == ()
    comments = " ".join(Path("replication.yaml").read_text().replace("#", " ").split())
    assert "(260): too many to list here, so NOT excluded" in comments
    assert cli("plan", "-q").exit_code == 0


def test_the_sts_of_the_source_region_is_asked_first_for_the_role_of_a_target() -> None:
    given = InitOptions("us-east-1", ("us-east-2",), roles=("arn:aws:iam::123456789012:role/sync",))
    (access,) = given.target_accesses().values()
    assert (access.region, access.sts_region) == ("us-east-2", "us-east-1")


@pytest.mark.parametrize(
    ("spec_id", "name", "is_warned"),
    [
        ("", "prod", False),
        ("", "other", True),
        ("id: h5t8w4p2zc", "prod", True),
        ("id: h5t8w4p2zc", "other", True),
    ],
)
def test_init_warns_of_replicas_that_the_new_spec_would_report_as_foreign(
    aws: SimulatedAws, cli: Cli, spec_id: str, name: str, is_warned: bool
) -> None:
    path = Path("replication.yaml")
    path.write_text(f"{path.read_text()}\n{spec_id}\n")
    assert cli("apply", "--yes", "-q").exit_code == 0
    result = cli(*LOOK, "--name", name)
    assert result.exit_code == 0
    warning = "The targets hold 3 replicas of prod from this source."
    written = " ".join(path.read_text().replace("\n#", " ").split())
    assert (warning in result.stderr, warning in written) == (is_warned, is_warned)
    assert ("list prod in `previous_names`" in result.stderr) == (name == "other")
