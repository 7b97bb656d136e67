"""What `./inv` runs around the generators: environments, lint, publish, links, releases, bench."""
