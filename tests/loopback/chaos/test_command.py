"""The chaos mode of `smallest-proto serve`."""

from contextlib import suppress

import pytest

from loopback.chaos.ends import converse
from serve_command import serve_command
from smallest_proto.errors import ProtocolError
from smallest_transports.loopback.chaos_schedule import ChaosSchedule, Kind
from sockets import WITHIN, free_port, run


def test_serve_has_a_chaos_mode() -> None:
    port = free_port()
    with serve_command("--port", str(port), "--chaos", "1", "--chaos-drops", "2") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port}/waves/v1" in line
        assert "chaos of seed 1" in line
        url = f"http://127.0.0.1:{port}/waves/v1"

        async def main() -> None:
            while True:  # until the two drops are over
                with suppress(ProtocolError):
                    for _ in range(8):
                        await converse(url)
                    return

        run(main())
        process.terminate()
        _, told = process.communicate(timeout=WITHIN)
        assert process.returncode == 0
        for mishap in ChaosSchedule.from_seed(1, drops=2).mishaps:
            if mishap.kind is Kind.CLOSE_AT_ONCE:
                assert f"connection {mishap.connection}: {mishap}" in told
        assert "connection 2: accepted" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--chaos-drops", "3"], "--chaos"),
        (["--chaos", "-1"], "seed=-1"),
        (["--chaos", "1", "--chaos-drops", "-1"], "drops=-1"),
        (["--chaos", "1", "--port", "70000"], "port=70000"),
    ],
)
def test_bad_settings_of_the_command_are_one_line(arguments: list[str], words: str) -> None:
    with serve_command(*arguments) as process:
        _, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err.count("\n")) == (2, 1)
    assert words in err
