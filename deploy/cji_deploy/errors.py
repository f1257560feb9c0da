"""The base of the errors of an operator's tools."""

from cji_core.errors import CjiError


class DeploymentError(CjiError):
    """A deployment, or an input for one, that cannot be used."""

    code = "deploy"
