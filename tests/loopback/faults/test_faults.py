"""Every fault of the local server: the switch, and what a client sees of it."""

import pytest

from loopback.faults import instead_of_an_answer, midway, pulse_streams, recordings, speech  # noqa: F401  # they fill the table
from loopback.faults.cases import CASES, Check
from loopback.faults.clients import (
    PATIENT,
    expected_pcm,
    failure,
    finals,
    hear,
    pcm_of,
    recognise,
    say,
    speak_http,
)
from smallest_proto.errors import ConnectionLost, HandshakeRejected
from smallest_proto.pulse import BatchResult
from smallest_transports.loopback import Faults, serve
from smallest_transports.loopback.faults import FAULTS, fault_list, read_faults
from sockets import run


@pytest.mark.parametrize(
    ("given", "check"), [pytest.param(*case, id=f"{case.check.__name__}: {case.faults}") for case in CASES]
)
def test_a_fault_is_what_it_says(given: str, check: Check) -> None:
    async def main() -> None:
        async with serve(faults=read_faults(given.split()), limits=PATIENT) as server:
            await check(server)

    run(main())


def test_without_faults_all_is_well() -> None:
    async def main() -> None:
        async with serve() as server:
            assert finals(await hear(server)) == ["heard 2.0 seconds", "heard 2.5 seconds"]
            assert pcm_of(await say(server)) == expected_pcm()
            assert pcm_of(await speak_http(server)) == expected_pcm()
            assert isinstance(await recognise(server), BatchResult)

    run(main())


def test_every_fault_has_a_case() -> None:
    tried = {name.partition("=")[0] for case in CASES for name in case.faults.split()}
    assert FAULTS.keys() - tried == {"too_many"}  # which needs a crowd


def test_the_nth_connection_has_the_nth_faults() -> None:
    async def main() -> None:
        several = [Faults(reject=503), Faults(hang_up=True), Faults()]
        async with serve(faults=several) as server:
            await failure(hear(server), HandshakeRejected)
            await failure(hear(server), ConnectionLost)
            for _ in range(2):  # the last one stays
                assert finals(await hear(server))

    run(main())


def test_no_faults_at_all_are_refused() -> None:
    async def main() -> None:
        async with serve(faults=[]):
            pass

    with pytest.raises(ValueError, match="faults"):
        run(main())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["what"], "stop_pongs"),
        (["error=E99"], "E20"),
        (["reject=200"], "400"),
        (["reset=perhaps"], "no value"),
        (["close"], "expected N"),
        (["idle_timeout=0"], "SECONDS"),
        (["redirect=two words"], "TEXT"),
    ],
)
def test_bad_faults_are_refused(given: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=given[0].partition("=")[0]) as caught:
        read_faults(given)
    assert words in str(caught.value)
    name, _, value = given[0].partition("=")
    if name in FAULTS:
        with pytest.raises(ValueError, match=name):
            Faults(**{name: value})  # type: ignore[arg-type]  # that is the point


def test_faults_can_be_written_with_hyphens_and_switched_off() -> None:
    assert read_faults(["stop-pongs", "reset=false", "after-seconds=1.5"]) == Faults(
        stop_pongs=True, after_seconds=1.5
    )


def test_the_list_has_every_fault_and_its_meaning() -> None:
    text = fault_list()
    for name, fault in FAULTS.items():
        assert f"{name}{fault.values}" in text
        assert fault.does in text
