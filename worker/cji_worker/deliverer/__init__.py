"""The deliverer, a process of its own: it takes the trail to sinks and witnesses."""
