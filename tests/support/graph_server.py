"""A small Microsoft Graph on loopback: collections in memory, with the semantics that `cji_deploy.identity` relies on.

POST makes an object with an id and fields of Graph's own, PATCH changes the given properties of an object that exists,
actions change what PATCH must not, GET returns pages of two. A body must fit the schema of its version of Graph and
have no placeholder; groups to which an object is assigned are no part of the body that makes it. What PIM makes by
itself (role settings of a group) is there once the group is; methods of authentication are there from the beginning,
disabled.
"""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

from cji_deploy.check.graph_types import GraphTypes
from cji_deploy.identity.kinds import KINDS, PREFIX, TYPE
from tests.support.paths import ROOT

POLICIES: Final = "/beta/deviceManagement/configurationPolicies"
TOKEN: Final = "token-of-an-operator"
_TYPES: Final = {name: GraphTypes.load(ROOT / f"deploy/identity/schema/{name}.json") for name in ("v1.0", "beta")}
METHODS: Final = "/v1.0/policies/authenticationMethodsPolicy/authenticationMethodConfigurations"
_PAGE: Final = 2
_RULES: Final = (
    "Approval_EndUser_Assignment",
    "Enablement_EndUser_Assignment",
    "Expiration_EndUser_Assignment",
    "Expiration_Admin_Assignment",
    "Expiration_Admin_Eligibility",
)
# navigation properties, which an object does not return by itself
_NAVIGATION: Final = {"scheduledActionsForRule", "apps", "assignments", "settings"}
_ACTIONS: Final = {
    "updateAllowedCombinations": ("allowedCombinations", "allowedCombinations"),
    "scheduleActionsForRules": ("deviceComplianceScheduledActionForRules", "scheduledActionsForRule"),
    "targetApps": ("apps", "apps"),
}


class AccessToken(NamedTuple):
    token: str = TOKEN


class OperatorCredential:
    """A credential whose scopes are remembered."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str) -> AccessToken:
        self.scopes += scopes
        return AccessToken()


def _methods() -> dict[str, dict[str, Any]]:
    """As in a tenant that never used them, but for one group that has passkeys."""
    theirs = {"id": "a-group-of-others", "targetType": "group", "isRegistrationRequired": False}
    methods = {"Fido2": ("fido2", [theirs]), "X509Certificate": ("x509Certificate", [])}
    return {
        identifier: {
            TYPE: f"{PREFIX}{name}AuthenticationMethodConfiguration",
            "id": identifier,
            "state": "disabled",
            "includeTargets": targets,
        }
        for identifier, (name, targets) in methods.items()
    }


@dataclass
class Tenant:
    """The state of the tenant, and what was asked of it."""

    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {METHODS: _methods()})
    rules: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    members: dict[str, list[str]] = field(default_factory=dict)
    writes: list[tuple[str, str]] = field(default_factory=list)
    throttle: int = 0
    next_base: str | None = None

    def add(self, collection: str, body: dict[str, Any]) -> str:
        identifier = str(uuid.uuid4())
        rules = body.get("scheduledActionsForRule")
        if rules:  # as Graph returns it
            body = {**body, "scheduledActionsForRule": [{**each, "ruleName": None} for each in rules]}
        made = {"id": identifier, "createdDateTime": "2026-11-25T00:00:00Z", "description": None, **body}
        self.objects.setdefault(collection, {})[identifier] = made
        if collection == "/v1.0/groups":
            self.rules[identifier] = {rule: {"id": rule, "isExpirationRequired": False} for rule in _RULES}
        return identifier

    def named(self, title: str) -> dict[str, Any]:
        everything = [each for objects in self.objects.values() for each in objects.values()]
        found = [each for each in everything if title in (each.get("displayName"), each.get("name"))]
        assert len(found) == 1, title
        return found[0]


class GraphError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@contextmanager
def graph_server(tenant: Tenant) -> Iterator[str]:
    """The address of a server for this tenant."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            try:
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    raise GraphError(401, "no token")
                if tenant.throttle:
                    tenant.throttle -= 1
                    raise GraphError(429, "too many")
                status, found = _serve(tenant, self.command, self.path, body, f"http://{address}")
            except GraphError as error:
                status, found = error.status, {"error": {"code": "x", "message": error.message}}
            data = b"" if found is None else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", "7")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://{address}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _serve(tenant: Tenant, method: str, target: str, body: Any, base: str) -> tuple[int, Any]:
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if method != "GET":
        tenant.writes.append((method, parts.path))
        if "{{" in json.dumps(body):
            raise GraphError(400, "a placeholder")
    found = _special(tenant, method, parts.path, query, body)
    if found is None:
        found = _plain(tenant, method, parts.path, query, body)
    status, value = found
    if not isinstance(value, list):
        return status, value
    start = int(query.get("$skiptoken", 0))
    page: dict[str, Any] = {"value": value[start : start + _PAGE]}
    if start + _PAGE < len(value):
        rest = "&".join(f"{name}={quote(each)}" for name, each in query.items() if name != "$skiptoken")
        page["@odata.nextLink"] = f"{tenant.next_base or base}{parts.path}?{rest}&$skiptoken={start + _PAGE}"
    return status, page


def _special(tenant: Tenant, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any] | None:
    """Members, and what PIM has."""
    version, _, path = path.removeprefix("/").partition("/")
    if version != "v1.0":
        return None
    steps, path = path.split("/"), f"/{path}"
    if steps[0] == "groups" and steps[-1] == "members":
        return 200, [{"id": each} for each in tenant.members.get(steps[1], [])]
    if path == "/policies/roleManagementPolicyAssignments":
        group = query["$filter"].split("'")[1]
        return 200, [{"policyId": group}] if group in tenant.rules else []
    if path.startswith("/policies/roleManagementPolicies/"):
        rules = tenant.rules.get(steps[2], {})
        if steps[-1] not in rules:
            raise GraphError(404, "no rule")
        if method == "PATCH":
            _fits(f"/v1.0{path}", body, ("Approval", "Enablement", "Expiration"))
            rules[steps[-1]] |= body
        return 200, rules[steps[-1]]
    if path.endswith("/eligibilitySchedules"):
        group = query["$filter"].split("'")[1]
        return 200, [each for each in tenant.schedules if each["groupId"] == group]
    if path.endswith("/eligibilityScheduleRequests") and method == "POST":
        if any(each["principalId"] == body["principalId"] for each in tenant.schedules):
            raise GraphError(400, "the assignment exists")
        _fits(f"/v1.0{path}", body, ())
        tenant.schedules.append(dict(body))
        return 201, {"id": str(uuid.uuid4()), **body}
    return None


def _plain(tenant: Tenant, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
    """A collection, an object in it, a property or an action of the object."""
    collections = {each for kind in KINDS.values() for each in kind.collections.values()}
    collection = next((each for each in collections if path == each or path.startswith(f"{each}/")), None)
    if collection is None:
        raise GraphError(404, path)
    rest = path.removeprefix(collection).strip("/").split("/")
    objects = tenant.objects.setdefault(collection, {})
    if rest == [""]:
        if method == "POST":
            _fits(collection, body, ())
            if collection == METHODS or "assignments" in body:
                raise GraphError(400, "not by POST")
            return 201, objects[tenant.add(collection, body)]
        wanted = query.get("$filter", "").split("'")
        names = [each for each in objects.values() if len(wanted) < 2 or each.get("displayName") == wanted[1]]
        return 200, [_shown(each) for each in names]
    if rest[0] not in objects:
        raise GraphError(404, path)
    found = objects[rest[0]]
    if len(rest) == 2:
        if method == "GET":
            return 200, found.get(rest[1], [])
        if rest[1] == "assign":
            _assign(tenant, collection, found, body)
            return 200, None
        given, name = _ACTIONS[rest[1]]
        found[name] = [{**each, "ruleName": None} if "ruleName" in each else each for each in body[given]]
        return 204, None
    if method == "PUT":
        if collection != POLICIES or "assignments" in body:
            raise GraphError(400, "not by PUT")
        _fits(collection, body, ())
        for name in found.keys() - {"id", "createdDateTime", "assignments"}:
            del found[name]
        found |= body
        return 204, None
    if method == "PATCH":
        if body.keys() & {*_NAVIGATION, "allowedCombinations", "isAssignableToRole"}:
            raise GraphError(400, "not by PATCH")
        if TYPE in found and body.get(TYPE) != found[TYPE]:
            raise GraphError(400, "the type is missing")
        _fits(collection, body, ())
        _merge(found, body)
    elif method == "DELETE":
        del objects[rest[0]]
        return 204, None
    return 200, _shown(found)


def _assign(tenant: Tenant, collection: str, found: dict[str, Any], body: dict[str, Any]) -> None:
    """All groups of an object at once: who is not named loses it."""
    (name,) = body
    if (name == "enrollmentConfigurationAssignments") != ("deviceEnrollmentConfigurations" in collection):
        raise GraphError(400, "not the parameter of this action")
    for each in body[name]:
        if each.keys() != {"target"} or each["target"][TYPE] != f"{PREFIX}groupAssignmentTarget":
            raise GraphError(400, "not a group")
    filters = {"deviceAndAppManagementAssignmentFilterType": "none"}
    found["assignments"] = [
        {"id": f"{found['id']}_{each['target']['groupId']}", "target": {**each["target"], **filters}}
        for each in body[name]
    ]


def _shown(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in _NAVIGATION}


def _merge(found: dict[str, Any], body: dict[str, Any]) -> None:
    for name, value in body.items():
        if isinstance(value, dict) and isinstance(found.get(name), dict):
            _merge(found[name], value)
        else:
            found[name] = value


def _fits(path: str, body: dict[str, Any], rules: tuple[str, ...]) -> None:
    stated = str(body.get(TYPE, "")).removeprefix(PREFIX)
    known = [f"unifiedRoleManagementPolicy{each}Rule" for each in rules] or [
        name for kind in KINDS.values() for name, each in kind.collections.items() if each == path
    ]
    if stated and stated not in known:
        raise GraphError(400, f"not a type of {path}")
    problems = list(_TYPES["beta" if path.startswith("/beta/") else "v1.0"].problems(body, stated or known[0]))
    if problems:
        raise GraphError(400, str(problems[0]))
