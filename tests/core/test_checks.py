"""Checks of options, limits, and the warnings for what the vendor may know better."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto import checks
from smallest_proto.limits import Limits
from smallest_proto.vendor import (
    INDIA_ONLY_LANGUAGES,
    PULSE_STREAMING_LANGUAGES,
    US_ONLY_LANGUAGES,
    UnknownValueWarning,
    warn_unknown,
)

HUGE = 10**400


@pytest.mark.parametrize(
    ("check", "good"),
    [
        (checks.choice(1, "a"), [1, "a"]),
        (checks.boolean, [True, False]),
        (checks.whole(1, 3), [1, 2, 3]),
        (checks.whole(0), [0, 2**31 - 1]),
        (checks.at_least(0), [0, 0.0, 1.5, 7]),
        (lambda f, v: checks.number(f, v, 0.5, 2.0), [0.5, 1, 2, 2.0]),
        (checks.positive, [0.1, 3]),
        (checks.text, ["a", " a ", "é", "😀"]),
        (checks.correlation_id, ["a", "A_9-.z", "x" * 128]),
    ],
)
def test_good_values(check: checks.Check, good: list[object]) -> None:
    for value in good:
        assert check("field", value) is None


@pytest.mark.parametrize(
    ("check", "bad", "accepted"),
    [
        (checks.choice(1, "a"), [True, 1.0, "1", "b", None], "one of 1, 'a'"),
        (checks.boolean, [1, 0, "true", None], "True or False"),
        (checks.whole(1, 3), [0, 4, 2.0, True, "2", None], "a whole number from 1 to 3"),
        (checks.whole(2), [1, 2**31], "a whole number from 2 to 2147483647"),
        (checks.at_least(0), ["1", True, None, float("nan"), float("-inf"), HUGE, -HUGE], "a finite number"),
        (checks.at_least(0), [-1, -0.1], "a number from 0"),
        (lambda f, v: checks.number(f, v, 0.5, 2.0), [0.4, 2.1, 3], "a number from 0.5 to 2"),
        (checks.positive, [0, 0.0, -0.0, -1, -0.5], "a number above 0, or None"),
        (checks.text, ["", " \n", None, 5, b"a", "a\ud800", "\udfff"], "a non-empty string"),
        (
            checks.correlation_id,
            ["", "a b", "a/b", "é", "x" * 129, "a\n", 5, None],
            "1 to 128 characters of a-z",
        ),
    ],
)
def test_bad_values_are_named(check: checks.Check, bad: list[object], accepted: str) -> None:
    for value in bad:
        with pytest.raises(ValueError, match=r"^field=") as caught:
            check("field", value)
        assert str(caught.value).startswith(f"field={value!r}: expected {accepted}")


@given(st.text())
def test_text_that_passes_can_be_sent(value: str) -> None:
    try:
        checks.text("field", value)
    except ValueError:
        assert not value.strip()
    else:
        value.encode()


@pytest.mark.parametrize("field", Limits.__struct_fields__)
def test_limits(field: str) -> None:
    optional = field.endswith("timeout")
    bad: list[Any] = [0, -1, float("nan"), "1", True] + ([] if optional else [None, 1.5])
    for value in bad:
        with pytest.raises(ValueError, match=f"^{field}={value!r}: expected"):
            Limits(**{field: value})
    assert getattr(Limits(**{field: 1}), field) == 1
    if optional:
        none: dict[str, Any] = {field: None}
        assert getattr(Limits(**none), field) is None


def test_the_default_limits_pass_their_own_checks() -> None:
    assert msgspec.structs.replace(Limits()) == Limits()


def test_what_is_known_is_not_warned_about() -> None:
    warn_unknown("language", "en", PULSE_STREAMING_LANGUAGES)
    with pytest.warns(
        UnknownValueWarning, match="^language='xx' is not known here and is sent as it is; known: en, hi"
    ):
        warn_unknown("language", "xx", PULSE_STREAMING_LANGUAGES)


def test_languages_of_one_region_are_languages() -> None:
    assert set(PULSE_STREAMING_LANGUAGES) > US_ONLY_LANGUAGES | INDIA_ONLY_LANGUAGES
    assert not US_ONLY_LANGUAGES & INDIA_ONLY_LANGUAGES
    assert len(set(PULSE_STREAMING_LANGUAGES)) == len(PULSE_STREAMING_LANGUAGES) == 26


def nested() -> list[object]:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize("value", [10**5000, nested()], ids=["digits", "nested"])
def test_a_value_that_cannot_be_shown_is_still_refused_by_name(value: object) -> None:
    kind = type(value).__name__
    assert str(checks.refuse("field", value, "this")) == f"field={kind} that cannot be shown: expected this"
