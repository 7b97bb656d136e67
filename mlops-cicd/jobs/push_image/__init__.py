"""Build and push one image of a project, where AWS's own does not serve."""
