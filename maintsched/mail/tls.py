"""Encryption that proves who the server is, or none is accepted."""

import ssl

from maintsched.mail.settings import MailSettings


def verified_context(settings: MailSettings) -> ssl.SSLContext:
    """Return a context that takes TLS 1.2 or later and a certificate that is valid for the server's name.

    Raises `OSError` where `ca_file` cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def tls_fault(error: BaseException | None) -> ssl.SSLError | None:
    """Return the fault of encryption behind `error`, which libraries wrap in faults of the connection; or None."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__
    return error


def tls_words(fault: ssl.SSLError) -> str:
    """Say what is wrong with the encryption, without the numbers of OpenSSL's source lines."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"the server's certificate was not accepted: {fault.verify_message}"
    return f"no encryption could be agreed on: {fault.reason or fault}"
