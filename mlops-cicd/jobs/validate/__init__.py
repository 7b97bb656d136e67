"""Check a project before anything is built: configuration, Dockerfiles, unit tests."""
