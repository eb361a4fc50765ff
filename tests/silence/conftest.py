from __future__ import annotations

from tests.unit.cli.conftest import aws, cli  # noqa: F401 - fixtures of test_github.py
from tests.unit.conftest import empty_hub, fresh_hub  # noqa: F401 - fixtures of test_github.py
from tests.unit.github.conftest import merged  # noqa: F401 - a fixture of test_github.py
from tests.unit.publishers.conftest import hub  # noqa: F401 - a fixture of test_github.py
