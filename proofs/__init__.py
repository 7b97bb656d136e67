"""What can be proved from AWS's own data before anything is launched: one proof is one module here with a NAME and a `run`."""
