"""The base of the errors of the engine, which imports nothing of the worker."""


class EngineError(Exception):
    """A job that the engine does not finish; `code` names the kind and never changes, `remedy` is what to do."""

    code = "engine"
    remedy = "Read the message."
