"""The AWS account of the demo, written with plain boto3: its parameters, and the changes of other people.

The source region has forty parameters: all three types, tags, two KMS keys, and some with the tag skip_sync.
The target region has four parameters that other teams created before.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SOURCE = "us-east-1"
TARGET = "us-east-2"
SERVICES = ("orders", "payments", "search", "users")


@dataclass
class DemoAccount:
    """Both regions of one account, and their secret values, which the demo must not print."""

    endpoint: str
    secrets: list[str] = field(default_factory=list)

    def client(self, service: str, region: str) -> Any:
        """Return a client of the simulated AWS, with credentials that are valid only there."""
        import boto3

        connect: Callable[..., Any] = boto3.client  # the stubs have no overload for a str
        return connect(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id="demo",
            aws_secret_access_key="demo",  # noqa: S106 - moto accepts any
        )

    def fill(self) -> None:
        """Create keys and parameters."""
        for region in (SOURCE, TARGET):
            for alias in ("alias/app", "alias/payments"):
                self._key(region, alias)
        source = self.client("ssm", SOURCE)
        for service in SERVICES:
            self._service(source, service)
        for i in range(4):
            self._put(source, f"/shared/flag-{i}", "on" if i % 2 else "off", tags={"team": "platform"})
        self._put(source, "/prod/search/cache", "cache.us-east-1.internal", tags={"skip_sync": "regional"})
        self._put(source, "/prod/orders/bucket", "orders-us-east-1", tags={"skip_sync": "regional"})
        self._put(source, "/staging/orders/url", "https://staging.example.com")
        self._put(source, "/staging/users/url", "https://staging.example.com")
        target = self.client("ssm", TARGET)
        self._put(target, "/prod/search/cache", "cache.us-east-2.internal", tags={"team": "search"})
        self._put(target, "/native/us-east-2/only", "created before the demo", tags={"team": "network"})
        self._put(target, "/shared/flag-0", "off", tags={"team": "platform"})
        self._put(target, "/shared/flag-1", "value of the platform team", tags={"team": "platform"})

    def _service(self, ssm: Any, service: str) -> None:
        tags = {"team": service, "tier": "backend"}
        base = f"/prod/{service}"
        url = f"https://{service}.example.com"
        self._put(ssm, f"{base}/url", url, tags=tags, Description=f"Entry of {service}")
        self._put(ssm, f"{base}/hosts", f"{service}-a,{service}-b", "StringList", tags=tags)
        self._put(ssm, f"{base}/log-level", "info", tags=tags, AllowedPattern="^(debug|info|warn)$")
        self._put(ssm, f"{base}/limits", '{"max": 100, "burst": 20}', tags=tags)
        key = "alias/payments" if service == "payments" else "alias/app"
        self._secret(ssm, f"{base}/db/password", KeyId=key, tags=tags)
        self._secret(ssm, f"{base}/api/key", KeyId=key, tags=tags)
        self._secret(ssm, f"{base}/session/seed", tags=tags)
        self._put(ssm, f"{base}/region-note", "any region", tags=tags)

    def _key(self, region: str, alias: str) -> None:
        kms = self.client("kms", region)
        key = kms.create_key(Description=f"demo {alias}")["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=alias, TargetKeyId=key)

    def _secret(self, ssm: Any, name: str, *, tags: dict[str, str], **fields: str) -> None:
        value = secrets.token_urlsafe(18)
        self.secrets.append(value)
        self._put(ssm, name, value, "SecureString", tags=tags, **fields)

    def _put(
        self,
        ssm: Any,
        name: str,
        value: str,
        kind: str = "String",
        *,
        tags: dict[str, str] | None = None,
        **fields: str,
    ) -> None:
        listed = [{"Key": key, "Value": text} for key, text in (tags or {}).items()]
        ssm.put_parameter(Name=name, Value=value, Type=kind, Tags=listed, **fields)

    def change_source(self) -> None:
        """Change a setting, rotate a password and delete a parameter in the source."""
        ssm = self.client("ssm", SOURCE)
        ssm.put_parameter(Name="/prod/orders/limits", Value='{"max": 250, "burst": 20}', Overwrite=True)
        rotated = secrets.token_urlsafe(18)
        self.secrets.append(rotated)
        ssm.put_parameter(
            Name="/prod/users/db/password",
            Value=rotated,
            Type="SecureString",
            KeyId="alias/app",
            Overwrite=True,
        )
        ssm.delete_parameter(Name="/shared/flag-3")

    def edit_target(self) -> None:
        """Edit a replica in the target by hand."""
        ssm = self.client("ssm", TARGET)
        ssm.put_parameter(Name="/prod/payments/log-level", Value="debug", Overwrite=True)

    def values(self, region: str) -> dict[str, str]:
        """Return every value of a region by name."""
        ssm = self.client("ssm", region)
        names = [
            parameter["Name"]
            for page in ssm.get_paginator("describe_parameters").paginate()
            for parameter in page["Parameters"]
        ]
        found = {}
        for start in range(0, len(names), 10):
            answer = ssm.get_parameters(Names=names[start : start + 10], WithDecryption=True)
            found.update({one["Name"]: one["Value"] for one in answer["Parameters"]})
        return found
