"""Which Python 2.7 is taken, and what is said when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.autobahn.interpreter import NoPython27Error, find_python27

PYTHON_27 = "echo 2.7"
PYTHON_3 = "echo 3.12"
SHIM = "echo 'pyenv: python2.7: command not found' >&2; exit 127"


def program(path: Path, script: str) -> Path:
    """An executable that does only this."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"PATH": str(tmp_path / "path"), "HOME": str(tmp_path / "home"), **more}


def test_the_one_that_is_named_goes_before_all_others(tmp_path: Path) -> None:
    program(tmp_path / "path" / "python2.7", PYTHON_27)
    named = program(tmp_path / "mine", PYTHON_27)
    assert find_python27(environment(tmp_path, AUTOBAHN_PYTHON=str(named))) == named


@pytest.mark.parametrize("script", [PYTHON_3, SHIM])
def test_the_one_that_is_named_must_be_a_python_27(tmp_path: Path, script: str) -> None:
    program(tmp_path / "path" / "python2.7", PYTHON_27)
    named = program(tmp_path / "mine", script)
    with pytest.raises(NoPython27Error, match=r"AUTOBAHN_PYTHON=.*mine: this is no Python 2.7"):
        find_python27(environment(tmp_path, AUTOBAHN_PYTHON=str(named)))


def test_one_that_is_named_and_missing_is_not_replaced_by_another(tmp_path: Path) -> None:
    program(tmp_path / "path" / "python2.7", PYTHON_27)
    with pytest.raises(NoPython27Error, match="AUTOBAHN_PYTHON=nowhere"):
        find_python27(environment(tmp_path, AUTOBAHN_PYTHON="nowhere"))


def test_pypy_does_when_it_is_a_27(tmp_path: Path) -> None:
    program(tmp_path / "path" / "pypy2", PYTHON_3)
    pypy = program(tmp_path / "path" / "pypy", PYTHON_27)
    assert find_python27(environment(tmp_path)) == pypy


def test_a_shim_that_runs_nothing_is_passed_over_for_what_pyenv_has(tmp_path: Path) -> None:
    program(tmp_path / "path" / "python2.7", SHIM)
    program(tmp_path / "path" / "pyenv", f"echo {tmp_path / 'root'}")
    program(tmp_path / "root" / "versions" / "3.12.7" / "bin" / "python", PYTHON_3)
    python = program(tmp_path / "root" / "versions" / "2.7.18" / "bin" / "python2.7", PYTHON_27)
    assert find_python27(environment(tmp_path)) == python


def test_pyenv_is_found_in_the_home_folder_too(tmp_path: Path) -> None:
    python = program(tmp_path / "home" / ".pyenv" / "versions" / "pypy2.7-7.3.22" / "bin" / "pypy", PYTHON_27)
    assert find_python27(environment(tmp_path)) == python


def test_where_there_is_none_it_is_said_what_to_install(tmp_path: Path) -> None:
    shim = program(tmp_path / "path" / "python2.7", SHIM)
    with pytest.raises(NoPython27Error) as caught:
        find_python27(environment(tmp_path))
    assert "pyenv install 2.7.18" in str(caught.value)
    assert "make autobahn AUTOBAHN_PYTHON=" in str(caught.value)
    assert str(shim) in str(caught.value)
