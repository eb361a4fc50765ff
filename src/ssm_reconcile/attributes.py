"""The attributes of a parameter: one row each.

Readers of the table: `stores/wire.py` (read and write), `diff/compare.py`, the plan id (`change.py`), and
every output. To add an attribute that replicas take over from their source, add a row here and a field of
the same name to `model.Parameter` and `stores.base.Put`. `type`, `value`, `tier`, `KeyId` and `tags`
have rules of their own in `diff`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ssm_reconcile.model import TEXT, Parameter

FIRST = "1.0"
"""The first format version of a plan."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. Its value is a text, or a tuple of canonical JSON texts whose order does not matter.

    Attributes:
        name: The name in differences and in all outputs.
        field: The field of `model.Parameter` and of `stores.base.Put`, and the key in the plan id. Empty
            for an attribute with rules of its own.
        api: The key in the response of DescribeParameters and in the request of PutParameter.
        default: The value of a parameter that was created without it. Not sent with a create, not shown.
        in_place: Whether an overwrite changes it. If so, every overwrite sends it: AWS keeps what is omitted.
        is_private: Whether the value of a SecureString's attribute is not shown.
        since: The format version of the plan whose id covers it first. After `FIRST`: a default is left
            out of the id, so that approvals of earlier plans stay valid.
    """

    name: str
    field: str = ""
    api: str = ""
    default: str | tuple[str, ...] = ""
    in_place: bool = True
    is_private: bool = False
    since: str = FIRST

    def of(self, parameter: Parameter) -> str | tuple[str, ...]:
        """Return the value that a parameter has."""
        value: str | tuple[str, ...] = getattr(parameter, self.field)
        return value

    def text_of(self, parameter: Parameter) -> str:
        """Return the value as one text, to be compared and shown. Equal values have equal texts."""
        value = self.of(parameter)
        return value if isinstance(value, str) else "[" + ",".join(sorted(value)) + "]"


ATTRIBUTES = (
    Attribute("type"),
    Attribute("value"),
    Attribute("description", "description", "Description"),
    Attribute("AllowedPattern", "allowed_pattern", "AllowedPattern", is_private=True),
    Attribute("tier"),
    Attribute("policies", "policies", "Policies", default=()),
    # Some partitions refuse `text` (issue kubernetes-sigs/cluster-api-provider-aws#2636).
    Attribute("DataType", "data_type", "DataType", default=TEXT, in_place=False),
    Attribute("KeyId"),
    Attribute("tags"),
)
"""In the order in which outputs list them."""
COPIED = tuple(one for one in ATTRIBUTES if one.field)
"""The attributes that a replica takes over from its source unchanged, and that a parameter can be without."""
