"""An emulated account on this machine: ministack, and AWS's registry schemas as the provider of every type it lacks.

Start it with `rehearsal.client.emulator` or `python -m rehearsal.server`; `rehearsal.stack_trial` plays a template.
A resource is *live* when code of the emulator stands behind it, *recorded* when it was validated and stored."""
