"""The support bundle: facts about a worker that its agency may hand to others, without records, names or free text."""

from cji_worker.support.bundle import deployment_facts, encoded, made, status_facts, trail_facts

__all__ = ["deployment_facts", "encoded", "made", "status_facts", "trail_facts"]
