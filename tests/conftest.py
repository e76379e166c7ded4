"""Hypothesis profiles: `ci` is the default and repeatable; `pytest --hypothesis-profile=dev` explores."""

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=100,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is not a broken property
)
settings.register_profile("dev", deadline=None, max_examples=1000)
MUTANTS = settings(  # the first failure will do, and nobody reads it
    settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
)
settings.register_profile("mutants", MUTANTS, max_examples=10)
settings.register_profile("survivors", MUTANTS)
settings.load_profile("ci")
