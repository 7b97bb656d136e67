"""An emulated account on this machine: ministack, AWS's registry schemas as the provider of every type it lacks, and the
part of SageMaker, Service Catalog and CodePipeline that the platform's people and functions call.

Start it with `rehearsal.client.emulator` or `python -m rehearsal.server`; `rehearsal.stack_trial` plays a template.
A resource is *live* when code of the emulator stands behind it, *recorded* when it was validated and stored. Every call is
held against the policies and the boundary of whoever signs it; the account id as access key is the administrator."""
