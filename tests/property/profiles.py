"""Number of examples of the laws: `ci` (the default) is modest and always the same, `thorough` is neither.

HYPOTHESIS_PROFILE=thorough python -m pytest tests
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

THOROUGH = 40
"""Factor of the profile `thorough` over the examples of `ci`."""
SLOW_STARTS = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,  # a deadline measures the machine
    database=None,
    print_blob=True,
    suppress_health_check=SLOW_STARTS,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
settings.register_profile("thorough", parent=settings.get_profile("ci"), derandomize=False)


def load() -> None:
    """Takes the profile that the environment asks for."""
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def examples(modest: int) -> settings:
    """So many examples in `ci`, many times as many in `thorough`."""
    thorough = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
    return settings(max_examples=modest * THOROUGH if thorough else modest)
