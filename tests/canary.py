"""An API key that must be seen nowhere but in the request that carries it."""

CANARY = "sk_canary_5dc2a6"
