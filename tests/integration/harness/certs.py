"""Certificates and signatures, made by the openssl command."""

import base64
import json
import pathlib
import subprocess
import time

from .base import run


class Certificate:
    def __init__(self, cert, key):
        self.cert = pathlib.Path(cert)
        self.key = pathlib.Path(key)

    @property
    def pair(self):
        return f"{self.cert}:{self.key}"

    def serial(self):
        return run("openssl", "x509", "-in", self.cert, "-noout", "-serial", text=True).stdout.strip().split("=")[1]


def self_signed(folder, name, sans=("DNS:localhost", "IP:127.0.0.1"), file=None):
    file = file or name.replace("*", "any")
    cert, key = pathlib.Path(folder) / f"{file}.pem", pathlib.Path(folder) / f"{file}.key"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-subj", f"/CN={name}", "-addext", "subjectAltName=" + ",".join(sans), "-keyout", key, "-out", cert)
    return Certificate(cert, key)


def authority(folder, name="test authority"):
    cert, key = pathlib.Path(folder) / "ca.pem", pathlib.Path(folder) / "ca.key"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", key, "-out", cert)
    return Certificate(cert, key)


def issued(folder, ca, name, usage="clientAuth"):
    folder = pathlib.Path(folder)
    cert, key, csr, ext = (folder / f"{name}.{end}" for end in ("pem", "key", "csr", "ext"))
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", f"/CN={name}", "-keyout", key, "-out", csr)
    ext.write_text(f"extendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n")
    run("openssl", "x509", "-req", "-in", csr, "-CA", ca.cert, "-CAkey", ca.key, "-CAcreateserial", "-days", "30",
        "-extfile", ext, "-out", cert)
    return Certificate(cert, key)


def server(folder, ca, name, file=None, sans=("DNS:localhost", "IP:127.0.0.1"), days=30):
    """A leaf for a server; in the past with negative days. The chain is the leaf alone."""
    folder, file = pathlib.Path(folder), file or name
    cert, key, csr, ext = (folder / f"{file}.{end}" for end in ("pem", "key", "csr", "ext"))
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", csr)
    ext.write_text(f"extendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\nsubjectAltName={','.join(sans)}\n")
    run("openssl", "x509", "-req", "-in", csr, "-CA", ca.cert, "-CAkey", ca.key, "-CAcreateserial", "-days", days, "-extfile", ext, "-out", cert)
    return Certificate(cert, key)


def b64url(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """A key that signs JSON Web Tokens: 'ES256' or 'EdDSA'."""

    def __init__(self, folder, algorithm="ES256", kid="k1"):
        self.algorithm, self.kid = algorithm, kid
        self.key = pathlib.Path(folder) / f"jwt-{algorithm}-{kid}.pem"
        if algorithm == "ES256":
            run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key)
        else:
            run("openssl", "genpkey", "-algorithm", "ed25519", "-out", self.key)

    def jwk(self):
        der = run("openssl", "pkey", "-in", self.key, "-pubout", "-outform", "DER").stdout
        out = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if self.algorithm == "ES256":
            return out | {"kty": "EC", "crv": "P-256", "x": b64url(der[-64:-32]), "y": b64url(der[-32:])}
        return out | {"kty": "OKP", "crv": "Ed25519", "x": b64url(der[-32:])}

    def jwks(self):
        return json.dumps({"keys": [self.jwk()]})

    def sign(self, message):
        if self.algorithm == "ES256":
            der = run("openssl", "dgst", "-sha256", "-sign", self.key, input=message).stdout
            return _raw_ecdsa(der)
        # openssl pkeyutl -rawin wants a file whose size it can see.
        path = self.key.with_suffix(".msg")
        path.write_bytes(message)
        return run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.key, "-in", path).stdout

    def token(self, lifetime=300, header=None, **claims):
        claims = {"sub": "tester", "iat": int(time.time()), "exp": int(time.time()) + lifetime} | claims
        claims = {k: v for k, v in claims.items() if v is not None}
        head = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT"} | (header or {})
        signed = f"{b64url(json.dumps(head))}.{b64url(json.dumps(claims))}"
        return f"{signed}.{b64url(self.sign(signed.encode()))}"


def _raw_ecdsa(der):
    """SEQUENCE { INTEGER r, INTEGER s } → r ‖ s, 32 bytes each."""
    at, out = 2, b""
    for _ in range(2):
        assert der[at] == 2
        size = der[at + 1]
        out += int.from_bytes(der[at + 2:at + 2 + size], "big").to_bytes(32, "big")
        at += 2 + size
    return out


def have_openssl():
    return subprocess.run(["which", "openssl"], capture_output=True).returncode == 0
