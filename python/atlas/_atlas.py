"""libatls by ctypes. Calls release the GIL for as long as they take."""

import ctypes
import ctypes.util
import json
import math
import os
import time

_OK = 0
_CONFIGURATION = "configuration"


class _Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("message", ctypes.c_char * 512)]


class _DialOptions(ctypes.Structure):
    """struct atls_dial_options."""

    _fields_ = [
        ("size", ctypes.c_size_t),
        ("host", ctypes.c_char_p),
        ("port", ctypes.c_uint16),
        ("server_name", ctypes.c_char_p),
        ("policy", ctypes.c_void_p),
        ("proxy", ctypes.c_char_p),
        ("ca_file", ctypes.c_char_p),
        ("pccs_url", ctypes.c_char_p),
        ("cache", ctypes.c_char_p),
        ("timeout_ms", ctypes.c_uint64),
        ("verifier", ctypes.c_void_p),
    ]


def _load():
    path = os.environ.get("ATLS_LIBRARY") or ctypes.util.find_library("atls") or "libatls.so.1"
    try:
        library = ctypes.CDLL(path)
    except OSError as why:
        raise ImportError(f"atlas needs libatls, which is not installed ({why}); ATLS_LIBRARY names another place") from None
    size, pointer, text, error = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(_Error)
    for name, result, *arguments in (
        ("atls_version", text),
        ("atls_free", None, pointer),
        ("atls_error_name", text, ctypes.c_int),
        ("atls_error_class", text, ctypes.c_int),
        ("atls_policy_parse", ctypes.c_int, text, size, ctypes.POINTER(pointer), error),
        ("atls_policy_free", None, pointer),
        ("atls_policy_reattest_after", ctypes.c_uint64, pointer),
        ("atls_compose_merge", ctypes.c_int, text, text, ctypes.POINTER(pointer), error),
        ("atls_dial", ctypes.c_int, ctypes.POINTER(_DialOptions), ctypes.POINTER(pointer), error),
        ("atls_stream_free", None, pointer),
        ("atls_stream_report", pointer, pointer),
        ("atls_stream_fd", ctypes.c_int, pointer),
        ("atls_stream_write", ctypes.c_int, pointer, text, size, error),
        ("atls_stream_read", ctypes.c_int, pointer, pointer, ctypes.POINTER(size), ctypes.c_uint64, error),
        ("atls_report_json", pointer, pointer),
        ("atls_report_status", text, pointer),
        ("atls_report_advisory", text, pointer, ctypes.c_uint),
        ("atls_report_simulated", ctypes.c_bool, pointer),
        ("atls_report_measurement", pointer, pointer, ctypes.c_int),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_lib = _load()


class AtlsVerificationError(OSError):
    """The endpoint was refused. code: the stable name of the reason; category: its class."""

    def __init__(self, message, code=None, category=None):
        super().__init__(message)
        self.code, self.category = code, category


def _reason(error):
    return error.message.decode("utf-8", "replace"), _lib.atls_error_name(error.code).decode(), _lib.atls_error_class(error.code).decode()


def _text(pointer):
    try:
        return ctypes.string_at(pointer).decode()
    finally:
        _lib.atls_free(pointer)


class _Policy:
    """A parsed policy, freed with the last connection that needs it."""

    def __init__(self, policy_json):
        text, error = policy_json.encode(), _Error()
        self.pointer = ctypes.c_void_p()
        if _lib.atls_policy_parse(text, len(text), ctypes.byref(self.pointer), ctypes.byref(error)) != _OK:
            raise ValueError(f"invalid policy JSON: {_reason(error)[0]}")

    @property
    def reattest_after(self):
        """Seconds; for ever when the policy does not say."""
        return _lib.atls_policy_reattest_after(self.pointer) or math.inf

    def __del__(self):
        if self.pointer:
            _lib.atls_policy_free(self.pointer)


class Connection:
    """An attested connection. One thread at a time."""

    def __init__(self, stream, policy):
        self._stream, self._policy = stream, policy
        self._due = time.monotonic() + policy.reattest_after
        report = _lib.atls_stream_report(stream)
        measurement = _lib.atls_report_measurement(report, 0)
        advisories = []
        while (advisory := _lib.atls_report_advisory(report, len(advisories))) is not None:
            advisories.append(advisory.decode())
        self.attestation = {
            "trusted": True,
            "tee_type": "tdx",
            "measurement": ctypes.string_at(measurement, 48).hex() if measurement else None,
            "tcb_status": _lib.atls_report_status(report).decode(),
            "advisory_ids": advisories,
            "simulated": _lib.atls_report_simulated(report),
        }

    @property
    def due(self):
        """The policy's reattest_after is over: nothing can be sent any more. Connect again."""
        return time.monotonic() >= self._due

    def report(self):
        """Everything that was verified, as `atls verify --json` prints it under "report"."""
        return json.loads(_text(_lib.atls_report_json(_lib.atls_stream_report(self._open()))))

    def _open(self):
        if self._stream is None:
            raise OSError("connection closed")
        return self._stream

    def _failed(self, error, what):
        message, code, _ = _reason(error)
        if code == "timeout":
            raise TimeoutError(f"{what}: {message}")
        raise OSError(f"{what}: {message}")

    def read(self, size=16384, timeout=None):
        """At most size bytes; b"" when the other end said that there are no more. timeout: seconds."""
        room, length, error = ctypes.create_string_buffer(size), ctypes.c_size_t(size), _Error()
        timeout_ms = max(1, int(timeout * 1000)) if timeout is not None else 0
        if _lib.atls_stream_read(self._open(), room, ctypes.byref(length), timeout_ms, ctypes.byref(error)) != _OK:
            self._failed(error, "read error")
        return room.raw[: length.value]

    def write(self, data):
        """Sends all of it; the number of bytes."""
        data, error = bytes(data), _Error()
        if _lib.atls_stream_write(self._open(), data, len(data), ctypes.byref(error)) != _OK:
            self._failed(error, "write error")
        return len(data)

    def fileno(self):
        return _lib.atls_stream_fd(self._open())

    def close(self):
        if self._stream is not None:
            _lib.atls_stream_free(self._stream)
            self._stream = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()


def atls_connect(host, port, server_name, policy_json, *, bridge=None, ca_file=None, pccs_url=None, cache=None, timeout=30.0):
    """Connects, and returns when the endpoint has proved to be what the policy asks for."""
    policy, stream, error = _Policy(policy_json), ctypes.c_void_p(), _Error()

    def encoded(value):
        return None if value is None else os.fsencode(value)

    options = _DialOptions(ctypes.sizeof(_DialOptions), encoded(host), port, encoded(server_name), policy.pointer, encoded(bridge),
                           encoded(ca_file), encoded(pccs_url), encoded(cache), max(1, int(timeout * 1000)), None)
    if _lib.atls_dial(ctypes.byref(options), ctypes.byref(stream), ctypes.byref(error)) == _OK:
        return Connection(stream, policy)
    message, code, category = _reason(error)
    if code == "timeout":
        raise TimeoutError(f"tcp connect failed: {message}")
    if code in ("io", "connection_closed", "http_response", "http_status"):
        raise ConnectionError(f"tcp connect failed: {message}")
    if category == _CONFIGURATION:
        raise ValueError(message)
    raise AtlsVerificationError(f"atls handshake failed: {message}", code, category)


def merge_app_compose(defaults_json, user_json):
    """Canonical text of defaults with the members of user: a known name keeps its place."""
    out, error = ctypes.c_void_p(), _Error()
    if _lib.atls_compose_merge(defaults_json.encode(), user_json.encode(), ctypes.byref(out), ctypes.byref(error)) != _OK:
        raise ValueError(f"invalid app_compose: {_reason(error)[0]}")
    return _text(out)


def version():
    return _lib.atls_version().decode()
