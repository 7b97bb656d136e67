"""Build the project's SageMaker pipeline, start it and follow it."""
