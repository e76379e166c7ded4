"""Who is compared, in the order of the table, and what each needs to be installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple, cast

from bench.jobs import Client

OFFICIAL = "official LiveKit plugin"
SDK = "official SDK"
BY_HAND = "by hand: websockets, json"
BY_HAND_AIOHTTP = "by hand: aiohttp, json"
BY_HAND_PICOWS = "by hand: picows, msgspec"
ASYNCIO = "ours: asyncio"
FAST = "ours: fast"
FAST_UVLOOP = "ours: fast on uvloop"
WHOLE_TEXTS = f"{ASYNCIO}, whole texts"
FAST_WHOLE_TEXTS = f"{FAST}, whole texts"
TRIO = "ours: trio"
OUR_PLUGIN = "our LiveKit plugin"
OUR_PLUGIN_FAST = f"{OUR_PLUGIN}, fast"


class Peer(NamedTuple):
    """A client's name, where it is made, the modules it needs, and what to install for them.

    imports: what a program imports to use it, for the import time; without it nothing is measured there.
    """

    name: str
    factory: str
    needs: tuple[str, ...]
    install: str
    imports: str = ""
    ours: bool = False
    measures: frozenset[str] = frozenset()

    def missing(self) -> str:
        """The first module that is not there, "" when all are."""
        return next((name for name in self.needs if not _found(name)), "")

    def make(self) -> Client:
        """The client; imports what it needs."""
        module, _, name = self.factory.partition(":")
        return cast(Client, getattr(import_module(f"bench.clients.{module}"), name)())

    def takes(self, measure: str) -> bool:
        """Whether it is measured in this way."""
        return not self.measures or measure in self.measures


def _found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of its parent
        return False


_ALL = frozenset[str]()
_TTS = frozenset({"tts", "speech"})
_STT = frozenset({"stt", "paced", "streams", "memory", "heard"})
_EXTRA_FAST = ("pybase64", "websockets.speedups")
_LIVEKIT = "'livekit-plugins-smallestai==1.8.9'"

PEERS = (
    Peer(
        OFFICIAL,
        "livekit_plugins:OfficialPlugin",
        ("livekit.plugins.smallestai",),
        _LIVEKIT,
        "livekit.plugins.smallestai",
    ),
    Peer(
        f"{OFFICIAL}, continue/flush",
        "livekit_plugins:OfficialPluginContinue",
        ("livekit.plugins.smallestai",),
        _LIVEKIT,
        measures=_TTS,
    ),
    Peer(
        SDK,
        "vendor_sdk:VendorSdk",
        ("smallestai",),
        "'smallestai==5.14.*'",
        "smallestai.client,smallestai.waves.helpers",
    ),
    Peer(
        BY_HAND,
        "hand_websockets:HandWebsockets",
        ("websockets",),
        "websockets",
        "websockets.asyncio.client,json,base64",
    ),
    Peer(BY_HAND_AIOHTTP, "hand_aiohttp:HandAiohttp", ("aiohttp",), "aiohttp", "aiohttp,json,base64"),
    Peer("by hand: wsproto, msgspec", "hand_wsproto:HandWsproto", (), "", "asyncio,wsproto,msgspec"),
    Peer(BY_HAND_PICOWS, "hand_picows:HandPicows", ("picows",), "picows", "picows,msgspec"),
    Peer(ASYNCIO, "ours:asyncio_client", (), "", "smallest_transports.asyncio", ours=True),
    Peer(f"{ASYNCIO}, resume=False", "ours:asyncio_no_resume", (), "", ours=True, measures=_STT),
    Peer(WHOLE_TEXTS, "ours:asyncio_segment", (), "", ours=True, measures=_TTS),
    Peer(
        f"{ASYNCIO} on uvloop",
        "ours:uvloop_client",
        ("uvloop",),
        "uvloop",
        ours=True,
        measures=_STT | _TTS,
    ),
    Peer(FAST, "ours:fast_client", _EXTRA_FAST, "pybase64 websockets", "smallest_transports.fast", ours=True),
    Peer(
        FAST_UVLOOP,
        "ours:fast_uvloop_client",
        (*_EXTRA_FAST, "uvloop"),
        "pybase64 uvloop websockets",
        "uvloop,smallest_transports.fast",
        ours=True,
    ),
    Peer(
        FAST_WHOLE_TEXTS,
        "ours:fast_segment",
        _EXTRA_FAST,
        "pybase64 websockets",
        ours=True,
        measures=_TTS,
    ),
    Peer(
        "ours: aiohttp",
        "ours:aiohttp_client",
        ("aiohttp",),
        "aiohttp",
        "smallest_transports.aiohttp",
        ours=True,
    ),
    Peer(TRIO, "ours:trio_client", ("trio",), "trio", "smallest_transports.trio", ours=True),
    Peer(
        "ours: anyio on asyncio",
        "ours:anyio_client",
        ("anyio",),
        "anyio",
        "smallest_transports.anyio",
        ours=True,
    ),
    Peer(
        "ours: anyio on trio",
        "ours:anyio_trio_client",
        ("anyio", "trio"),
        "anyio trio",
        ours=True,
        measures=_STT | _TTS,
    ),
    Peer(
        OUR_PLUGIN,
        "livekit_plugins:OurPlugin",
        ("livekit.plugins.smallest", "livekit.agents"),
        "livekit-agents",
        "livekit.plugins.smallest",
        ours=True,
    ),
    Peer(
        OUR_PLUGIN_FAST,
        "livekit_plugins:OurPluginFast",
        ("livekit.plugins.smallest", "livekit.agents", *_EXTRA_FAST),
        "livekit-agents websockets",
        ours=True,
    ),
    Peer(
        f"{OUR_PLUGIN}, continue/flush",
        "livekit_plugins:OurPluginContinue",
        ("livekit.plugins.smallest", "livekit.agents"),
        "livekit-agents",
        ours=True,
        measures=_TTS,
    ),
)
BY_NAME = {peer.name: peer for peer in PEERS}
