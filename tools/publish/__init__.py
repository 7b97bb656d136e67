"""Publish a release: templates, function zips and seeds, to one bucket a region or to an embedded S3."""
