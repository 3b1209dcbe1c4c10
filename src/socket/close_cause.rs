//! Why and how a socket ended, kept exactly.
//!
//! 1006 is never on the wire (RFC 6455 §7.4.1): what lies beneath it, a FIN, an RST, a missing pong or
//! an alert, is told apart here. Pure.

use std::fmt;
use std::io;

use rustls::AlertDescription;
use serde::Serialize;

use super::frame::Violation;

/// Why and how a socket ended, kept exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CloseCause {
    /// Close frame received.
    CloseFrame {
        /// Status code on the wire, also a reserved one; `None` = empty close (1005).
        code: Option<u16>,
        /// Reason text; what is no UTF-8 in it is replaced.
        reason: String,
    },
    /// We sent close first and the peer answered (or not).
    ClosedByUs {
        /// Status we sent; 1005 where we sent none.
        code: u16,
    },
    /// TCP FIN or TLS `close_notify` without a close frame (equivalent code 1006).
    Fin,
    /// TCP RST (1006).
    Reset,
    /// Nothing came within the deadline after a ping (1006).
    PingTimeout {
        /// Silence in ms.
        silent_ms: u64,
    },
    /// TLS alert received (1006, RFC 8446 §6).
    TlsAlert {
        /// Alert name as in the RFC, `bad_record_mac`.
        alert: String,
    },
    /// The peer broke the protocol; we closed with 1002, 1007 or 1009.
    Protocol {
        /// What it did.
        detail: String,
    },
    /// Other I/O error (1006).
    Io {
        /// errno.
        errno: Option<i32>,
        /// Text.
        detail: String,
    },
    /// The owner's scope ended: the last handle was dropped.
    ScopeEnded,
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CloseFrame { code: Some(code), reason } if reason.is_empty() => {
                write!(f, "the server closed with status {code}")
            }
            Self::CloseFrame { code: Some(code), reason } => {
                write!(f, "the server closed with status {code} and reason '{reason}'")
            }
            Self::CloseFrame { code: None, .. } => write!(f, "the server closed without a status (1005)"),
            Self::ClosedByUs { code } => write!(f, "closed by us with status {code}"),
            Self::Fin => write!(f, "the server ended TCP without a close frame (FIN, 1006)"),
            Self::Reset => write!(f, "the connection was reset (RST, 1006)"),
            Self::PingTimeout { silent_ms } => {
                write!(f, "no answer to a ping, silence for {silent_ms} ms (1006)")
            }
            Self::TlsAlert { alert } => write!(f, "the server sent the TLS alert {alert} (1006)"),
            Self::Protocol { detail } => write!(f, "the server broke the WebSocket protocol: {detail}"),
            Self::Io { detail, .. } => write!(f, "{detail} (1006)"),
            Self::ScopeEnded => write!(f, "the scope it belonged to ended"),
        }
    }
}

impl From<Violation> for CloseCause {
    fn from(violation: Violation) -> Self {
        Self::Protocol { detail: violation.detail }
    }
}

impl CloseCause {
    /// What an error of a read or write says about the end of the connection.
    pub(super) fn of_io(error: &io::Error) -> Self {
        if let Some(tls) = tls_error(error) {
            return Self::of_tls(tls);
        }
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
                Self::Reset
            }
            io::ErrorKind::UnexpectedEof => Self::Fin,
            _ => Self::Io { errno: error.raw_os_error(), detail: error.to_string() },
        }
    }

    pub(super) fn of_tls(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::AlertReceived(alert) => Self::TlsAlert { alert: alert_name(*alert) },
            other => Self::Io { errno: None, detail: format!("TLS: {other}") },
        }
    }
}

/// The rustls error inside of an I/O error, if there is one.
pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

/// The name of an alert as RFC 8446 §6 and its predecessors spell it.
pub(super) fn alert_name(alert: AlertDescription) -> String {
    let name = match alert {
        AlertDescription::CloseNotify => "close_notify",
        AlertDescription::UnexpectedMessage => "unexpected_message",
        AlertDescription::BadRecordMac => "bad_record_mac",
        AlertDescription::RecordOverflow => "record_overflow",
        AlertDescription::HandshakeFailure => "handshake_failure",
        AlertDescription::BadCertificate => "bad_certificate",
        AlertDescription::UnsupportedCertificate => "unsupported_certificate",
        AlertDescription::CertificateRevoked => "certificate_revoked",
        AlertDescription::CertificateExpired => "certificate_expired",
        AlertDescription::CertificateUnknown => "certificate_unknown",
        AlertDescription::IllegalParameter => "illegal_parameter",
        AlertDescription::UnknownCA => "unknown_ca",
        AlertDescription::AccessDenied => "access_denied",
        AlertDescription::DecodeError => "decode_error",
        AlertDescription::DecryptError => "decrypt_error",
        AlertDescription::ProtocolVersion => "protocol_version",
        AlertDescription::InsufficientSecurity => "insufficient_security",
        AlertDescription::InternalError => "internal_error",
        AlertDescription::InappropriateFallback => "inappropriate_fallback",
        AlertDescription::UserCanceled => "user_canceled",
        AlertDescription::NoRenegotiation => "no_renegotiation",
        AlertDescription::MissingExtension => "missing_extension",
        AlertDescription::UnsupportedExtension => "unsupported_extension",
        AlertDescription::UnrecognisedName => "unrecognized_name",
        AlertDescription::BadCertificateStatusResponse => "bad_certificate_status_response",
        AlertDescription::UnknownPSKIdentity => "unknown_psk_identity",
        AlertDescription::CertificateRequired => "certificate_required",
        AlertDescription::NoApplicationProtocol => "no_application_protocol",
        other => return format!("alert {}", u8::from(other)),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_errors_keep_what_lies_beneath_1006() {
        let of = |errno| CloseCause::of_io(&io::Error::from_raw_os_error(errno));
        assert_eq!(of(libc::ECONNRESET), CloseCause::Reset);
        assert_eq!(of(libc::EPIPE), CloseCause::Reset);
        assert!(matches!(of(libc::EHOSTUNREACH), CloseCause::Io { errno: Some(libc::EHOSTUNREACH), .. }));
        let alert = rustls::Error::AlertReceived(AlertDescription::UnknownCA);
        let alert = CloseCause::of_io(&io::Error::other(alert));
        assert_eq!(alert, CloseCause::TlsAlert { alert: "unknown_ca".to_owned() });
    }

    #[test]
    fn a_cause_crosses_as_json_with_its_kind() {
        let cause = CloseCause::CloseFrame { code: Some(1006), reason: "odd".to_owned() };
        let json = serde_json::to_string(&cause).expect("plain values");
        assert_eq!(json, r#"{"kind":"closeFrame","code":1006,"reason":"odd"}"#);
        let json = serde_json::to_string(&CloseCause::PingTimeout { silent_ms: 7 }).expect("plain values");
        assert_eq!(json, r#"{"kind":"pingTimeout","silentMs":7}"#);
    }
}
