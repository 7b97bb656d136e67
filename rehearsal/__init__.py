"""An emulated account on this machine: ministack, and for every type it lacks AWS's own registry schema as the provider.

Run with `python -m rehearsal.server`, from code with `rehearsal.client.emulator`, a whole template with `rehearsal.stack_trial`.
A resource is *live* when code in the emulator stands behind it and *recorded* when its properties were validated and stored."""
