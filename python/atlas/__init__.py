"""Attested TLS: connections that carry nothing before the endpoint has proved what it runs."""

import json
import os
import pathlib

from ._atlas import AtlsVerificationError, Connection, atls_connect, merge_app_compose, version

__all__ = ["AtlsVerificationError", "Connection", "connect", "dev_policy", "dstack_tdx_policy", "merge_with_default_app_compose", "version"]

DEFAULTS_VARIABLE = "ATLS_APP_COMPOSE_DEFAULTS"


def dstack_tdx_policy(app_compose=None, expected_bootchain=None, os_image_hash=None, allowed_tcb_status=None, disable_runtime_verification=False,
                      app_compose_docker_compose_file=None, app_compose_allowed_envs=None, pccs_url=None, cache_collateral=None, **more):
    """A policy of type dstack_tdx as a dict. app_compose: a dict, or the file's exact text. more: its other members."""
    if (expected_bootchain is None) != (os_image_hash is None):
        raise ValueError("expected_bootchain and os_image_hash must be provided together")
    if isinstance(app_compose, dict) or app_compose is None:
        changes = {"docker_compose_file": app_compose_docker_compose_file, "allowed_envs": app_compose_allowed_envs}
        changes = {name: value for name, value in changes.items() if value is not None}
        if changes:
            app_compose = {**(app_compose or {}), **changes}
    elif app_compose_docker_compose_file is not None or app_compose_allowed_envs is not None:
        raise ValueError("app_compose is a file's exact text: its members cannot be changed")
    members = {
        "app_compose": app_compose,
        "expected_bootchain": expected_bootchain,
        "os_image_hash": os_image_hash,
        "allowed_tcb_status": allowed_tcb_status,
        "disable_runtime_verification": disable_runtime_verification or None,
        "pccs_url": pccs_url,
        "cache_collateral": cache_collateral,
        **more,
    }
    return {"type": "dstack_tdx", **{name: value for name, value in members.items() if value is not None}}


def dev_policy():
    """For development: a genuine quote of a machine that may be badly patched, and no look at what runs there."""
    return dstack_tdx_policy(allowed_tcb_status=["UpToDate", "SWHardeningNeeded", "OutOfDate"], disable_runtime_verification=True)


def merge_with_default_app_compose(app_compose, defaults=None):
    """The defaults with the members of app_compose; a known name keeps its place.

    The defaults are somebody else's text, so they are not here: give them, or name their file in ATLS_APP_COMPOSE_DEFAULTS ("atls
    policy from-endpoint" shows those of a running deployment).
    """
    if defaults is None:
        path = os.environ.get(DEFAULTS_VARIABLE)
        if not path:
            raise ValueError(f"no defaults: give them, or name their file in {DEFAULTS_VARIABLE}")
        defaults = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    return json.loads(merge_app_compose(json.dumps(defaults, ensure_ascii=False), json.dumps(app_compose, ensure_ascii=False)))


def connect(host, port=443, *, policy, server_name=None, **options):
    """An attested connection. policy: a dict, or JSON. options: bridge, ca_file, pccs_url, cache, timeout."""
    text = policy if isinstance(policy, str) else json.dumps(policy, ensure_ascii=False)
    return atls_connect(host, port, server_name or host, text, **options)
