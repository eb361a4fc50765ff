"""The text of a proposed spec: the whole file, with its comments."""

from __future__ import annotations

from ssm_reconcile.init import InitChoices, propose_valid
from ssm_reconcile.init.survey import survey
from ssm_reconcile.init.text import spec_text
from ssm_reconcile.model import SECURE, Access
from ssm_reconcile.session import Places, Session
from ssm_reconcile.spec import Run
from tests.fake_aws.store import Memory
from tests.simulated_aws import SimulatedAws, unwatched

ROLE = "arn:aws:iam::210987654321:role/sync"


def proposed(aws: SimulatedAws, choices: InitChoices, targets: dict[str, Access]) -> str:
    memory, here = Memory(aws.world), Access("us-east-1", read_only=True)
    places = Places({access: memory.connect(access) for access in (here, *targets.values())})
    session = Session(places, Run(), aws.clock, unwatched)
    found = survey(here, targets, places, unwatched)
    return spec_text(propose_valid(found, choices, session), aws.clock.now())


FULL = """\
# yaml-language-server: $schema=./replication.schema.json
# (your editor completes and checks this file: ssm-reconcile schema > replication.schema.json)
#
# Proposed by `ssm-reconcile init` on 2026-11-23 12:00 UTC from 123456789012/us-east-1,
# 123456789012/us-east-2, 210987654321/eu-west-1.
# Read it, change it, then: ssm-reconcile validate, and ssm-reconcile plan.

version: 1
name: prod                      # in the ownership tag of every replica
id: k3v9x2m7qa                  # random; a copy of this file needs another one

source:
  region: us-east-1             # holds 11 parameters now
  account: "123456789012"       # refuse to work in any other account
targets:
  - region: us-east-2           # holds 3 parameters now
    account: "123456789012"     # refuse to work in any other account
  - name: dr
    region: eu-west-1           # holds 0 parameters now
    account: "210987654321"     # refuse to work in any other account
    role_arn: "arn:aws:iam::210987654321:role/sync"

parameters:
  include:                      # `*` within a level, `**` any depth; the number of names at the source
    - "/p/**"                   # 10
    # - "/q/**"                 # 1, not included, or in part only
  exclude:                      # takes precedence over include
    # values with ids of one region (AMI, VPC, subnet, ...), which differ in other regions (2)
    - "/p/net/**"               # 2
    # alias/app has no counterpart in every target: map one under kms, then remove these lines (1)
    - "/p/secret"
    # alias/only-here has no counterpart in every target: map one under kms, then remove these lines
    # (1)
    - "/p/token"
    # its source in 123456789012/us-east-1 carries the tag `Skip-Sync`, which is almost the skip tag
    # `skip_sync`: rename the tag, or list its key under `skip_sync.ignore` (1)
    - "/p/odd"

skip_sync:                      # 1 parameter carries this tag and will not be replicated
  tag: skip_sync
  values: any                   # whatever its value
  # These tags are almost the skip tag: Skip-Sync (1). Parameters with one of them are not
  # replicated. Rename the tag to skip_sync, or list its key under `ignore` and remove the exclude
  # above.

kms:                            # the key of each target for each key of the source
  - source: "alias/app"         # 1 SecureString
    targets:
      us-east-2: "alias/app"    # has the same name there
  #     dr: alias/...           # no usable key has that name there
  # - source: "alias/only-here" # 1 SecureString
  #   targets:
  #     us-east-2: alias/...    # no usable key has that name there
  #     dr: alias/...           # no usable key has that name there

# 3 plain values hold the name of the region: in a target it becomes the name of the target's
# region. Exclude values that must not change. SecureString values were not read.
# us-east-2 already has 1 of them with its own region.
rewrite:
  - match: "/p/queue"
    from: us-east-1
    to: "{target.region}"
  - match: "/p/url/**"          # 2
    from: us-east-1
    to: "{target.region}"

# us-east-2 has 3 of these names already:
#   * 1 identical
#   * 1 with the same value except for the name of the region
#   * 1 with another value or type: conflicts, reported and never overwritten
# dr has none of these names yet: all of them will be created.
adopt: same_value               # an existing parameter with the same value is adopted, and updated
delete:
  mode: owned                   # owned | created | never: the replicas to delete after their source
  after: 7d                     # the time until then, in hours (12h) or days; 0 deletes at once
changed_outside: withhold       # a replica that was changed by others is not overwritten
guards:                         # larger changes of one target in one run are withheld
  max_deletes: 10
  max_change_percent: 30        # updates in percent of the replicas, from ten replicas
"""
SMALL = """\
# yaml-language-server: $schema=./replication.schema.json
# (your editor completes and checks this file: ssm-reconcile schema > replication.schema.json)
#
# Proposed by `ssm-reconcile init` on 2026-11-23 12:00 UTC from 123456789012/us-east-1,
# 123456789012/us-east-2.
# Read it, change it, then: ssm-reconcile validate, and ssm-reconcile plan.

version: 1
name: main                      # in the ownership tag of every replica

source:
  region: us-east-1             # holds 3 parameters now
  account: "123456789012"       # refuse to work in any other account
targets:
  - region: us-east-2           # holds 1 parameter now
    account: "123456789012"     # refuse to work in any other account

parameters:
  include:                      # `*` within a level, `**` any depth; the number of names at the source
    - "/p/**"                   # 3
    #   /p/*                    # 1 of them
    #   /p/a/**                 # 2 of them

skip_sync:                      # 2 parameters carry this tag and will not be replicated
  tag: skip_sync
  values: targets               # its value names the targets to skip

# No customer KMS key is in use: secrets go to the AWS managed key of each target.

# us-east-2 has 1 of these names already:
#   * 1 identical
adopt: identical                # an existing parameter is adopted if identical, otherwise reported
delete:
  mode: owned                   # owned | created | never: the replicas to delete after their source
  after: 7d                     # the time until then, in hours (12h) or days; 0 deletes at once
changed_outside: withhold       # a replica that was changed by others is not overwritten
guards:                         # larger changes of one target in one run are withheld
  max_deletes: 10
  max_change_percent: 30        # updates in percent of the replicas, from ten replicas
"""


def test_each_key_of_a_proposed_spec_has_its_reason_and_its_numbers_beside_it() -> None:
    aws = SimulatedAws()
    for place in (aws.here, aws.there):
        aws.world.add_key(place, "alias/app")
    aws.world.add_key(aws.here, "alias/only-here")
    aws.put("/p/secret", "s", SECURE, key_id="alias/app")
    aws.put("/p/token", "s", SECURE, key_id="alias/only-here")
    for number in range(2):
        aws.put(f"/p/url/{number}", "https://us-east-1.example.org")
    aws.put("/p/net/subnet", "subnet-1234567a")
    aws.put("/p/net/ami", "ami-1234567a")
    aws.put("/p/queue", "https://us-east-1.example.org")
    aws.put("/p/a", "1")
    aws.put("/p/local", "1", tags={"skip_sync": "x"})
    aws.put("/p/odd", "1", tags={"Skip-Sync": "x"})
    aws.put("/q/x", "1")
    aws.put("/p/a", "1", region="us-east-2")
    aws.put("/p/url/0", "https://us-east-2.example.org", region="us-east-2")
    aws.put("/p/url/1", "x", region="us-east-2")
    targets = {"us-east-2": Access("us-east-2"), "dr": Access("eu-west-1", ROLE)}
    assert proposed(aws, InitChoices("prod", "k3v9x2m7qa", ("/p/**",)), targets) == FULL


def test_a_proposed_spec_has_no_section_without_content() -> None:
    aws = SimulatedAws()
    for name in ("/p/a/1", "/p/a/2", "/p/b"):
        aws.put(name, "1")
    aws.put("/p/b", "1", region="us-east-2")
    for name in ("/p/a/1", "/p/a/2"):
        aws.world.tag(aws.here, name, {"skip_sync": "us-east-2"})
    assert proposed(aws, InitChoices(), {"us-east-2": Access("us-east-2")}) == SMALL


def test_a_map_without_a_known_key_is_a_comment() -> None:
    aws = SimulatedAws()
    aws.world.add_key(aws.here, "alias/only-here")
    aws.put("/p/a", "1")
    for number in range(2):
        aws.put(f"/p/token/{number}", "s", SECURE, key_id="alias/only-here")
    text = proposed(aws, InitChoices(), {"us-east-2": Access("us-east-2")})
    assert (
        """
# kms:                          # the key of each target for each key of the source
  # - source: "alias/only-here" # 2 SecureStrings
  #   targets:
  #     us-east-2: alias/...    # no usable key has that name there

"""
        in text
    )


def test_a_key_that_the_user_names_and_a_multi_region_key_are_mapped_with_their_reason() -> None:
    aws = SimulatedAws()
    shared = aws.world.add_key(aws.here, "alias/shared", multi_region=True)
    aws.world.add_key(aws.there, "alias/shared", multi_region=True)
    aws.world.add_key(aws.there, "alias/app")
    aws.world.add_key(aws.here, "alias/only-here")
    aws.put("/p/a", "s", SECURE, key_id=shared)
    aws.put("/p/b", "s", SECURE, key_id="alias/only-here")
    choices = InitChoices(keys={"alias/only-here": "alias/app"})
    text = proposed(aws, choices, {"us-east-2": Access("us-east-2")})
    assert (
        f"""
kms:                            # the key of each target for each key of the source
  - source: "alias/only-here"   # 1 SecureString
    targets:
      us-east-2: "alias/app"    # given
  - source: "{shared}" # 1 SecureString
    targets:
      us-east-2: "{shared.rpartition("/")[2]}" # a multi-Region key

"""
        in text
    )
