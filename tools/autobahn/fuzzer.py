# Run by Python 2.7, in the environment that `installation.py` makes: fuzzer.py server|client SPEC SECONDS
#
# The suite's own command would listen on every address of the machine; this listens on one. Nor does it end by
# itself as a server: SIGALRM ends it here, whatever becomes of the process that started it.
import json
import signal
import sys
import types

import twisted.internet  # type: ignore[import-not-found] # it is there where this runs, not where mypy does

# the suite imports TLS and does not use it here: a stand-in spares everybody an old OpenSSL to build against
tls = types.ModuleType("twisted.internet.ssl")
vars(tls)["ClientContextFactory"] = object
sys.modules[tls.__name__] = twisted.internet.ssl = tls

from autobahntestsuite import fuzzing  # type: ignore[import-not-found] # noqa: E402 # chooses the reactor
from twisted.internet import reactor  # noqa: E402 # which comes after that

mode, path, seconds = sys.argv[1:]
signal.alarm(int(seconds))
with open(path) as file:
    spec = json.load(file)
if mode == "server":
    factory = fuzzing.FuzzingServerFactory(spec)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
    factory.port = factory.externalPort = port  # it refuses a Host header that names another one
    print("listening on %d for %d cases" % (port, len(factory.specCases)))  # noqa: UP031 # 2.7 has no f-strings
else:
    fuzzing.startClient(spec)
reactor.run()
