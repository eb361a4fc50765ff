"""The places of the property tests: a source and two targets.

    source   123456789012/us-east-1
    near     123456789012/us-east-2    the target "us-east-2"
    far      210987654321/eu-west-1    the target "eu", in another account, by a role

Keys: every place has alias/app and alias/two; alias/many is multi-Region; alias/lonely is in the
source only.
"""

from __future__ import annotations

from datetime import timedelta

from ssm_reconcile.model import Access, Place
from ssm_reconcile.spec import Run, Source, Target
from tests.fake_aws.behaviour import AwsBehaviour
from tests.fake_aws.world import ACCOUNT
from tests.simulated_aws import SimulatedAws

SOURCE, NEAR, FAR = "source", "us-east-2", "eu"
FAR_ACCOUNT = "210987654321"
PLACES = {
    SOURCE: Place(ACCOUNT, "us-east-1"),
    NEAR: Place(ACCOUNT, "us-east-2"),
    FAR: Place(FAR_ACCOUNT, "eu-west-1"),
}
FROM = Source(Access("us-east-1"))
TO_NEAR = Target(NEAR, Access("us-east-2"))
TO_FAR = Target(FAR, Access("eu-west-1", role_arn=f"arn:aws:iam::{FAR_ACCOUNT}:role/ssm-reconcile"))
ALL = 10**6
"""More than any limit of a guard."""
LIFTED = Run(
    overwrite_outside=True,
    allow_replace=True,
    allow_empty_source=True,
    allow_reversed=True,
    allow_exposure=True,
    max_deletes=ALL,
    max_change_percent=ALL,
    parallelism=1,
)
"""A run in whose way no guard stands but a frozen target and what could not be confirmed."""


def three_places(behaviour: AwsBehaviour | None = None) -> SimulatedAws:
    """Return an AWS with the keys of scenarios, on which time stands still during a run."""
    aws = SimulatedAws(run=LIFTED, behaviour=behaviour, pause=timedelta())
    for place in PLACES.values():
        aws.world.add_key(place, "alias/app")
        aws.world.add_key(place, "alias/two")
        aws.world.add_key(place, "alias/many", multi_region=True)
    aws.world.add_key(aws.here, "alias/lonely")
    return aws
