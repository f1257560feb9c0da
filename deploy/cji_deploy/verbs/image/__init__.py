"""`cji image`: an image of the worker, at the desk."""
