"""Refusals of AWS: a request + the existing parameter -> the attributes after the write, or a `Refusal`.

Pure. Used by the memory store, and put in front of moto for the tests, which enforces little of this.
Source: API reference of SSM and of the Tagging API. Where a fact is open, `readings` decides.

    admit                PutParameter
    admit_tags           AddTagsToResource; also the tags of a create
    admit_untag          RemoveTagsFromResource
    admit_names          GetParameters, DeleteParameters: ten names, no name twice
    admit_page           DescribeParameters, GetResources: the size of a page

A refusal's `reason` never quotes a value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from ssm_reconcile.aws_limits import PARAMETER_LIMITS
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import (
    ADVANCED,
    IMAGE,
    INTELLIGENT,
    MANAGED_KEY,
    SECURE,
    STANDARD,
    STRING_LIST,
    TEXT,
    KeyState,
    Place,
    canonical,
)
from tests.fake_aws.behaviour import AwsBehaviour, Duplicates, InPlace, Match, Recreate, Unasked
from tests.fake_aws.policies import check_policies
from tests.fake_aws.refusal import Refusal, invalid
from tests.fake_aws.request import ADVANCED_BYTES, CLEAR, STANDARD_BYTES, Request, Settled, settle

NAME_CHARACTERS = 1011
"""Of a name, including the ARN prefix of its place."""
NAME_LEVELS = 15
TEXT_CHARACTERS = 1024
"""Of a description, and of an AllowedPattern."""
USER_TAGS = 50
"""Tags of one parameter, those of AWS not counted."""
VERSIONS = 100
"""Number of versions that are kept."""
STANDARD_PARAMETERS = PARAMETER_LIMITS[STANDARD]
"""Number of Standard parameters that a region of an account may hold."""
PAGE = 50
"""MaxResults of DescribeParameters."""
BATCH = 10
"""Names of one GetParameters or DeleteParameters."""
RESOURCES_PAGE = 100
"""ResourcesPerPage of tag:GetResources."""
REST = timedelta(seconds=30)
"""Time after a delete before the name can be created again."""
INTEGRATION = "aws:ssm:integration"
INTEGRATION_PATH = "/d9d01087-4a3f-49e0-b0b4-d568d7826553/ssm/integrations/webhook/"


@dataclass(frozen=True, slots=True)
class Ground:
    """The surroundings of a put in its place, without the parameter itself.

    `key_state` tells what a key reference is good for there; `deleted` when the name was deleted
    last; `versions` how many are kept, `oldest_labelled` whether the oldest may not be dropped;
    `crowded` that no more Standard parameters fit.
    """

    place: Place
    now: datetime
    readings: AwsBehaviour
    key_state: Callable[[str], KeyState]
    deleted: datetime | None = None
    versions: int = 0
    oldest_labelled: bool = False
    crowded: bool = False


def admit(request: Request, present: Settled | None, ground: Ground) -> Settled:
    """Return the attributes after a PutParameter, or raise the refusal. Outer spaces are legal."""
    check_name(request.name, ground.place)
    _check_shape(request, present)
    if present is not None and not request.overwrite:
        raise Refusal("ParameterAlreadyExists", "the name is taken", Trouble.EXISTS)
    settled = settle(request, present, ground.readings, crowded=ground.crowded)
    if present is None:
        _check_new(request, settled, ground)
    else:
        _check_change(request, settled, present, ground)
    _check_size(settled)
    _check_data_type(request, settled, ground.readings)
    _check_pattern(settled, ground.readings)
    _check_key(request, settled, ground)
    if request.policies is not None:
        if request.policies == CLEAR and settled.tier != ADVANCED:
            if ground.readings.clear_on_standard is Unasked.REFUSED:
                raise invalid("a Standard parameter has no policies to clear")
        else:
            check_policies(request.policies, settled.tier, ground.now, ground.readings)
    return settled


def check_name(name: str, place: Place) -> None:
    """Refuses a name that AWS does not take in that place."""
    name = name.strip(" ")
    if not re.fullmatch(r"[A-Za-z0-9_./-]+", name):
        raise invalid("a name takes letters, digits, and the characters _ . - /")
    if "/" in name and not name.startswith("/"):
        raise invalid("a name with a slash must begin with one")
    if "//" in name or name.endswith("/"):
        raise invalid("a name has no empty levels")
    if len(place.arn("")) + len(name) > NAME_CHARACTERS:  # the prefix ends in a slash of its own
        raise invalid("the name is too long with the ARN of its place")
    if re.match(r"/aws/", name, re.IGNORECASE):
        raise Refusal("AccessDeniedException", "no access to a reserved name", Trouble.DENIED)
    if re.match(r"/?(aws|ssm)", name, re.IGNORECASE):
        raise invalid("a name cannot begin with aws or ssm")
    if len(canonical(name)[1:].split("/")) > NAME_LEVELS:
        raise Refusal("HierarchyLevelLimitExceededException", "a name has at most fifteen levels")


def _check_shape(request: Request, present: Settled | None) -> None:
    """Refuse a request that is invalid in every place."""
    if request.overwrite and request.tags:
        raise invalid("tags and overwrite can't be used together")
    if not request.value.reveal():
        raise invalid("a value has at least one character")
    _, opening, rest = request.value.reveal().partition("{{")
    if opening and "}}" in rest:
        raise invalid("a value cannot refer to other parameters")
    if request.type is None and present is None:
        raise invalid("a parameter type is required to create a parameter")
    _check_enum("Type", request.type, ("String", STRING_LIST, SECURE))
    _check_enum("Tier", request.tier, (STANDARD, ADVANCED, INTELLIGENT))
    _check_enum("DataType", request.data_type, (TEXT, IMAGE, INTEGRATION))
    for field, text in (("Description", request.description), ("AllowedPattern", request.allowed_pattern)):
        if text is not None and len(text) > TEXT_CHARACTERS:
            raise invalid(f"{field} has at most {TEXT_CHARACTERS} characters")
    if request.key_id is not None and not re.fullmatch(r"[a-zA-Z0-9:/_-]{1,256}", request.key_id):
        raise invalid("KeyId has characters that no key has, or more than 256")


def _check_enum(field: str, given: str | None, known: Sequence[str]) -> None:
    if given is not None and given not in known:
        raise invalid(f"{field} is not one of {', '.join(known)}")


def _check_new(request: Request, settled: Settled, ground: Ground) -> None:
    """Refuse a request that is invalid as a create."""
    rested = ground.deleted is None or ground.now - ground.deleted >= REST
    match ground.readings.recreate:
        case Recreate.BUSY if not rested:
            raise Refusal("TooManyUpdates", "the name was deleted a moment ago", Trouble.THROTTLED)
        case Recreate.EXISTS if not rested:
            raise Refusal("ParameterAlreadyExists", "the name was deleted a moment ago", Trouble.EXISTS)
        case _:
            pass
    if ground.crowded and settled.tier == STANDARD:
        raise Refusal("ParameterLimitExceeded", "no more Standard parameters fit into this region")
    pairs = request.tags or ()
    if len({key for key, _ in pairs}) < len(pairs):
        raise invalid("a tag key is given twice")
    admit_tags({}, dict(pairs))


def _check_change(request: Request, settled: Settled, present: Settled, ground: Ground) -> None:
    """Refuse a change that AWS does not make in place."""
    if settled.type != present.type and ground.readings.type_change is InPlace.REFUSED:
        raise Refusal("HierarchyTypeMismatchException", "the type cannot be changed", Trouble.TYPE)
    if present.tier == ADVANCED and settled.tier == STANDARD:
        reason = "this parameter uses the advanced-parameter tier. You can't downgrade a parameter"
        raise Refusal("ValidationException", reason, Trouble.DOWNGRADE)
    named = request.data_type not in (None, present.data_type)
    if named and ground.readings.data_type_change is InPlace.REFUSED:
        raise invalid("the data type of a parameter cannot be changed")
    if ground.versions >= VERSIONS and ground.oldest_labelled:
        raise Refusal("ParameterMaxVersionLimitExceeded", "the oldest version carries a label")


def _check_size(settled: Settled) -> None:
    limit = ADVANCED_BYTES if settled.tier == ADVANCED else STANDARD_BYTES
    if len(settled.value.reveal().encode("utf-8", "surrogatepass")) > limit:
        raise invalid(f"the value is too large for the tier {settled.tier}")


def _check_data_type(request: Request, settled: Settled, readings: AwsBehaviour) -> None:
    """Data types and where they may stand; an image id is checked after the write, not here."""
    refuses = readings.text_with_secret is Unasked.REFUSED
    if request.data_type == TEXT and settled.type == SECURE and refuses:
        raise invalid("DataType text is not supported with SecureString here")
    if settled.data_type == IMAGE and settled.type != "String":
        raise invalid("aws:ec2:image takes the type String")
    if settled.data_type == INTEGRATION and settled.type != SECURE:
        raise invalid("aws:ssm:integration takes the type SecureString")
    if settled.data_type == INTEGRATION and not request.name.startswith(INTEGRATION_PATH):
        raise invalid("an integration has a name of its own kind")


def _check_pattern(settled: Settled, readings: AwsBehaviour) -> None:
    if not settled.allowed_pattern:
        return
    try:
        pattern = _compiled(settled.allowed_pattern)
    except re.error:
        reason = "AllowedPattern is not a regular expression"
        raise Refusal("InvalidAllowedPatternException", reason) from None
    text = settled.value.reveal()
    found = pattern.fullmatch(text) if readings.pattern_match is Match.WHOLE else pattern.search(text)
    if found is None:
        raise Refusal("ParameterPatternMismatchException", "the value does not match AllowedPattern")


def _compiled(text: str) -> Any:
    """A compiled pattern: RE2 where it can, since Python's engine may take years for one match."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except (re2.error, UnicodeError):
        return re.compile(text)


def _check_key(request: Request, settled: Settled, ground: Ground) -> None:
    """Keys are of one region; a SecureString cannot be written under one that is not usable."""
    if settled.type != SECURE:
        if request.key_id is not None and ground.readings.key_on_plain is Unasked.REFUSED:
            raise invalid(f"KeyId can't be given with the type {settled.type}")
        return
    key = settled.key_id or MANAGED_KEY
    state = ground.key_state(key)
    if state is not KeyState.USABLE:
        raise Refusal("InvalidKeyId", f"KMS cannot use the key: {state}", Trouble.KEY)


def admit_tags(present: Mapping[str, str], added: Mapping[str, str]) -> None:
    """Refuses tags that AWS does not take beside those that are there."""
    for key, value in added.items():
        if not 1 <= len(key) <= 128 or not _taggable(key):
            raise invalid("a tag key has characters that tags do not take, or not 1 to 128 of them")
        if len(value) > 256 or not _taggable(value):
            raise invalid("a tag value has characters that tags do not take, or more than 256")
        if key.lower().startswith("aws:"):
            raise invalid("tag keys that begin with aws: belong to AWS")
    users = {key for key in (*present, *added) if not key.lower().startswith("aws:")}
    if len(users) > USER_TAGS:
        raise Refusal("TooManyTagsError", f"a parameter has at most {USER_TAGS} tags")


def admit_untag(keys: Iterable[str]) -> None:
    """Refuses to remove what belongs to AWS."""
    if any(key.lower().startswith("aws:") for key in keys):
        raise invalid("tag keys that begin with aws: belong to AWS")


@lru_cache(4096)
def _taggable(text: str) -> bool:
    r"""Whether a text is `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`."""
    return all(char in "_.:/=+-@" or unicodedata.category(char)[0] in "LZN" for char in text)


def admit_names(names: Sequence[str], readings: AwsBehaviour) -> None:
    """Refuses a batch that is empty, larger than ten, or names one thing twice."""
    if not 1 <= len(names) <= BATCH:
        raise invalid(f"one call takes 1 to {BATCH} names")
    twice = len({canonical(name).partition(":")[0] for name in names}) < len(names)
    if twice and readings.duplicate_names is Duplicates.REFUSED:
        raise invalid("a name is given twice")


def admit_page(size: int, limit: int) -> None:
    """Refuses a page that is larger than the operation gives."""
    if not 1 <= size <= limit:
        raise invalid(f"a page has 1 to {limit} entries")
