"""The parts of the OCSF 1.5.0 schema that our events use, and a check of an event against them.

Classes, categories, activities and requirements are those of the published schema; `py_ocsf_models` has models of the
base event, of findings and of shared objects, but no class of the categories IAM and Application Activity.
"""

from typing import Any, Final

from py_ocsf_models.events.base_event import BaseEvent
from py_ocsf_models.events.findings.detection_finding import DetectionFinding
from py_ocsf_models.objects.api import API
from py_ocsf_models.objects.metadata import Metadata
from py_ocsf_models.objects.product import Product
from py_ocsf_models.objects.resource_details import ResourceDetails
from pydantic import BaseModel

__all__ = ["require_valid"]

_BASE: Final = frozenset(
    (
        *("activity_id", "activity_name", "category_name", "category_uid", "class_name", "class_uid", "count"),
        *("duration", "end_time", "enrichments", "message", "metadata", "observables", "raw_data", "severity"),
        *("severity_id", "start_time", "status", "status_code", "status_detail", "status_id", "time"),
        *("timezone_offset", "type_name", "type_uid", "unmapped"),
    )
)
_REQUIRED: Final = frozenset(
    ("activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid")
)
# by class: category, its activities, attributes of its own that are required, and those that are not
_CRUD: Final = {0: "Unknown", 1: "Create", 2: "Read", 3: "Update", 4: "Delete"}
_CLASSES: Final[dict[int, tuple[int, dict[int, str], set[str], set[str]]]] = {
    2004: (2, {0: "Unknown", 1: "Create", 2: "Update", 3: "Close"}, {"finding_info"}, {"resources", "is_alert"}),
    3004: (3, _CRUD, {"entity"}, {"actor", "comment", "src_endpoint"}),
    6002: (
        6,
        dict(enumerate(["Unknown", "Install", "Remove", "Start", "Stop", "Restart", "Enable", "Disable", "Update"])),
        {"app"},
        set(),
    ),
    6003: (6, _CRUD, {"actor", "api", "src_endpoint"}, {"dst_endpoint", "resources"}),
}
_ACTOR: Final = {"app_name", "app_uid", "authorizations", "idp", "process", "session", "user"}
_ENDPOINT: Final = {"ip", "port", "name", "uid", "hostname", "svc_name"}


def require_valid(event: dict[str, Any]) -> None:
    """Assert that an event is one of its class in OCSF 1.5.0."""
    category, activities, required, optional = _CLASSES[event["class_uid"]]
    assert event.keys() >= _REQUIRED | required
    assert event.keys() <= _BASE | required | optional
    assert event["category_uid"] == category
    number = event["activity_id"]
    assert number == 99 or activities[number] == event["activity_name"]
    assert event["type_uid"] == event["class_uid"] * 100 + number
    assert event["time"] > 0
    _whole(Metadata, event["metadata"])
    assert event["metadata"]["version"] == "1.5.0"
    BaseEvent.model_validate({key: value for key, value in event.items() if key != "status_id"}, strict=False)
    for resource in event.get("resources", ()):
        _whole(ResourceDetails, resource)
    if "api" in event:
        _whole(API, event["api"])
    if "app" in event:
        _whole(Product, event["app"])
    if "actor" in event:
        _some_of(event["actor"], _ACTOR)
        if "user" in event["actor"]:
            _some_of(event["actor"]["user"], {"name", "uid"})
    if "src_endpoint" in event:
        _some_of(event["src_endpoint"], _ENDPOINT)
        assert event["src_endpoint"].keys() - {"port"}
    if "entity" in event:
        _some_of(event["entity"], {"name", "uid", "type", "data", "version"})
        assert event["entity"].keys() & {"name", "uid"}
    if event["class_uid"] == 2004:
        _whole(DetectionFinding, {key: value for key, value in event.items() if key != "is_alert"})
    else:
        assert event["status_id"] in {0, 1, 2}


def _whole(model: type[BaseModel], value: dict[str, Any]) -> None:
    """The value is one of the model, and has no member that the model does not know."""
    kept = model.model_validate(value).model_dump(exclude_unset=True, mode="json")
    assert kept.keys() == value.keys()


def _some_of(value: dict[str, Any], names: set[str]) -> None:
    assert value
    assert value.keys() <= names
