"""Tests of publishing, against a real local S3."""
