"""The fixtures of the other folders, all of them: a test that imports one by name lacks those that it asks for."""

from __future__ import annotations

from tests.browser.conftest import browser, context, desk, lab  # noqa: F401
from tests.clusters.conftest import kinds_lab, ray_cluster, s3, s3_server, slurm_cluster  # noqa: F401
from tests.engine.conftest import digits, digits_source, make_config, tiny_model, tiny_vit  # noqa: F401
from tests.engine.test_distributed import shared, still_vit  # noqa: F401
