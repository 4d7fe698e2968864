"""Entry point for installers that predate build back ends; see setup.cfg."""

from setuptools import setup

setup()
