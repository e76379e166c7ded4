"""Hypothesis profiles: `ci` is the default and repeatable; `pytest --hypothesis-profile=dev` explores."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=100,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is not a broken property
)
settings.register_profile("dev", deadline=None, max_examples=1000)
settings.load_profile("ci")
