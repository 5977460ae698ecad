"""What the tests of atlas-tee ask of it."""

import hashlib
import json
import pathlib
import ssl

# Every part of the sandbox must be there. What a sanitizer's run-time needs is let pass by the filter.
CONFINED = ("--seccomp", "required", "--landlock", "required")


def leaf_of(path):
    """SHA-256 of the first certificate of a PEM file."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pathlib.Path(path).read_text().partition("-----END CERTIFICATE-----")[0]
                                                   + "-----END CERTIFICATE-----\n")).hexdigest()


def measured(answer):
    """The certificates that the event log of an answer to /tdx_quote names."""
    assert answer.status == 200, answer.body
    log = json.loads(json.loads(answer.body)["quote"]["event_log"])
    return [bytes.fromhex(e["event_payload"]).decode() for e in log if e["event"] == "New TLS Certificate"]


def served(world):
    """The leaf that the endpoint shows, in PEM."""
    return ssl.get_server_certificate(("127.0.0.1", world.port)).encode()
