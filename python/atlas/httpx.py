"""An httpx client whose connections to listed hosts are attested."""

import ssl
import typing

import httpcore
import httpx

from . import AtlsVerificationError, connect

try:
    from httpcore import NetworkBackend, NetworkStream
except ImportError:  # httpcore before 0.17
    from httpcore.backends.base import NetworkBackend, NetworkStream

__all__ = ["AtlsTransport", "Client"]


class _Stream(NetworkStream):
    def __init__(self, connection):
        self._connection = connection

    def read(self, max_bytes, timeout=None):
        try:
            return self._connection.read(max_bytes, timeout)
        except TimeoutError as why:
            raise httpcore.ReadTimeout(str(why)) from why
        except OSError as why:
            raise httpcore.ReadError(str(why)) from why

    def write(self, buffer, timeout=None):
        try:
            self._connection.write(buffer)
        except OSError as why:
            raise httpcore.WriteError(str(why)) from why

    def close(self):
        self._connection.close()

    def start_tls(self, ssl_context, server_hostname=None, timeout=None):
        return self  # it is TLS already, and attested

    def get_extra_info(self, info):
        if info == "attestation":
            return self._connection.attestation
        if info == "is_readable":
            return self._connection.due  # the pool takes it for closed, and connects again
        return None


class _Backend(NetworkBackend):
    def __init__(self, policies, options):
        self._policies, self._options = policies, options

    def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        options = dict(self._options)
        if timeout is not None:
            options["timeout"] = timeout
        try:
            return _Stream(connect(host, port, policy=self._policies[host.lower()], **options))
        except AtlsVerificationError as why:
            raise AtlsVerificationError(f"aTLS connection to {host}:{port} failed: {why}", why.code, why.category) from why
        except TimeoutError as why:
            raise httpcore.ConnectTimeout(f"aTLS connection to {host}:{port} failed: {why}") from why
        except ConnectionError as why:
            raise httpcore.ConnectError(f"aTLS connection to {host}:{port} failed: {why}") from why


class AtlsTransport(httpx.BaseTransport):
    """Attested connections for the hosts of policies, the other transport for all others."""

    def __init__(self, policies: typing.Dict[str, typing.Union[dict, str]], other: httpx.BaseTransport,
                 limits=httpx.Limits(max_connections=100, max_keepalive_connections=20), **options):
        self._policies = {host.lower(): policy for host, policy in policies.items()}
        self._other = other
        self._attested = httpx.HTTPTransport()
        self._attested._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(), max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections, keepalive_expiry=limits.keepalive_expiry, http1=True, http2=False,
            network_backend=_Backend(self._policies, options))

    def handle_request(self, request):
        if request.url.host.lower() not in self._policies:
            return self._other.handle_request(request)
        if request.url.scheme != "https":
            raise httpx.UnsupportedProtocol(f"{request.url.host} has a policy: it is reached over https alone", request=request)
        response = self._attested.handle_request(request)
        stream = response.extensions.get("network_stream")
        response.extensions["attestation"] = stream.get_extra_info("attestation") if stream else None
        return response

    def close(self):
        self._attested.close()
        self._other.close()


class Client(httpx.Client):
    """httpx.Client; hosts in atls_policy_per_hostname are attested, and response.extensions["attestation"] tells how."""

    def __init__(self, *, atls_policy_per_hostname, atls_bridge=None, atls_ca_file=None, atls_cache=None, **options):
        if "transport" in options:
            raise ValueError("transport cannot be given: the client has its own")
        if not atls_policy_per_hostname:
            raise ValueError("atls_policy_per_hostname names no host")
        given = {"bridge": atls_bridge, "ca_file": atls_ca_file, "cache": atls_cache}
        if "limits" in options:
            given["limits"] = options["limits"]
        other = httpx.HTTPTransport(**{k: options[k] for k in ("verify", "cert", "http1", "http2", "limits", "trust_env") if k in options})
        super().__init__(transport=AtlsTransport(atls_policy_per_hostname, other, **{k: v for k, v in given.items() if v is not None}), **options)
