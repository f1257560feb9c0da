"""The verbs of `cji job`: sealed jobs, to one worker at once or to a pool by reference."""
