"""What the jobs of a project share: its configuration, its images, its SageMaker pipeline, and that pipeline on a laptop."""
