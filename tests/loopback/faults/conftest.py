"""The cases are plain modules: a failing `assert` in them tells its values all the same."""

import pytest

pytest.register_assert_rewrite("loopback.faults")
