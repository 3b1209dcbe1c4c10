//! Whom a `wss` connection trusts: one shared rustls configuration per distinct trust.
//!
//! Guarantees: sockets with the same trust and client certificate share one configuration, so memory
//! stays flat in their number; the system's store is read once. Sessions are not resumed: every
//! softphone stands for a machine of its own, and pays for a whole handshake as that would.
//! Nothing here does I/O but for reading the system's store.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::config::{ClientCertificate, SocketConfig, Trust};
use crate::config::ConfigError;

type Distinct = (Trust, Option<ClientCertificate>);

/// Configurations kept at most while nobody uses them.
const KEPT: usize = 64;

static CONFIGURATIONS: LazyLock<Mutex<HashMap<Distinct, Arc<ClientConfig>>>> = LazyLock::new(Mutex::default);

/// Refuses PEM texts without usable certificates or keys.
pub(super) fn check(config: &SocketConfig) -> Result<(), ConfigError> {
    if matches!(config.trust, Trust::Pem(_)) || config.client_certificate.is_some() {
        client_config(config)?;
    }
    Ok(())
}

/// The rustls configuration for the trust and the client certificate of `config`.
///
/// Reads the system's certificate store when [`Trust::System`] is asked for the first time.
pub(super) fn client_config(config: &SocketConfig) -> Result<Arc<ClientConfig>, ConfigError> {
    tls_config(&config.trust, config.client_certificate.as_ref())
}

/// The rustls configuration for a trust alone, for others than WebSockets.
pub(crate) fn tls_client(trust: &Trust) -> Result<Arc<ClientConfig>, ConfigError> {
    tls_config(trust, None)
}

/// The same for a connection that is no WebSocket.
///
/// # Errors
/// [`ConfigError`] for the field `trust` or `clientCertificate` that is not usable.
pub(crate) fn tls_config(
    trust: &Trust,
    client_certificate: Option<&ClientCertificate>,
) -> Result<Arc<ClientConfig>, ConfigError> {
    let distinct = (trust.clone(), client_certificate.cloned());
    let mut configurations = CONFIGURATIONS.lock();
    if let Some(known) = configurations.get(&distinct) {
        return Ok(Arc::clone(known));
    }
    if configurations.len() >= KEPT {
        configurations.retain(|_, configuration| Arc::strong_count(configuration) > 1);
    }
    let made = Arc::new(make(trust, client_certificate)?);
    configurations.insert(distinct, Arc::clone(&made));
    Ok(made)
}

fn make(trust: &Trust, client: Option<&ClientCertificate>) -> Result<ClientConfig, ConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of TLS 1.2 and 1.3");
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::All => Arc::new(Everybody(Arc::clone(&provider))),
        Trust::System | Trust::Pem(_) => {
            let roots = match trust {
                Trust::Pem(pem) => roots_of(pem)?,
                _ => system_roots()?,
            };
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| ConfigError::new("trust", "the certificates given", error.to_string()))?
        }
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut made = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let refuse = |field: &str, why: String| ConfigError::new(field, "***", why);
            let field = "clientCertificate.chainPem";
            let chain = CertificateDer::pem_slice_iter(client.chain_pem.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| refuse(field, format!("it is no PEM: {error}")))?;
            if chain.is_empty() {
                return Err(refuse(field, "it has no certificate".to_owned()));
            }
            let field = "clientCertificate.keyPem";
            let key = PrivateKeyDer::from_pem_slice(client.key_pem.as_bytes())
                .map_err(|error| refuse(field, format!("it has no usable PEM key: {error}")))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| refuse(field, format!("it does not go with the certificate: {error}")))?
        }
    };
    made.resumption = Resumption::disabled();
    Ok(made)
}

fn roots_of(pem: &str) -> Result<RootCertStore, ConfigError> {
    let refuse = |why: String| Err(ConfigError::new("trust.pem", "the PEM text", why));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let added = match certificate {
            Ok(certificate) => roots.add(certificate).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = added {
            return refuse(format!("certificate {} is not usable: {why}", roots.len() + 1));
        }
    }
    if roots.is_empty() {
        return refuse("it has no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(roots)
}

fn system_roots() -> Result<RootCertStore, ConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (_usable, _unusable) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let reason = format!(
            "this system has no certificate store: install its CA certificates, or give the issuer in trust.pem {}",
            errors.join(", ")
        );
        return Err(ConfigError::new("trust", "system", reason.trim_end()));
    }
    Ok(roots)
}

/// Accepts every certificate, also one that cannot be read, and one whose key is too weak or of an unknown kind. What the server
/// signs with its key is not looked at: who may be anybody proves nothing by having one.
#[derive(Debug)]
struct Everybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Everybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.0.signature_verification_algorithms.supported_schemes();
        // Nothing is verified, so a server may also have a key that could not be.
        schemes.extend([SignatureScheme::ECDSA_NISTP521_SHA512, SignatureScheme::ED448]);
        schemes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(trust: Trust) -> SocketConfig {
        SocketConfig { trust, ..SocketConfig::new("wss://h/") }
    }

    #[test]
    fn sockets_with_the_same_trust_share_one_configuration() {
        let first = client_config(&config(Trust::All)).expect("usable");
        let second = client_config(&config(Trust::All)).expect("usable");
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn pem_texts_without_certificates_are_refused_by_field() {
        for pem in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = check(&config(Trust::Pem(pem.to_owned()))).expect_err(pem);
            assert_eq!(error.field, "trust.pem", "{error}");
        }
    }

    #[test]
    fn a_client_certificate_without_its_key_is_refused_and_the_key_not_shown() {
        let made = rcgen::generate_simple_self_signed(vec!["h".to_owned()]).expect("a certificate");
        let mut config = config(Trust::All);
        config.client_certificate =
            Some(ClientCertificate { chain_pem: made.cert.pem(), key_pem: "secret".to_owned() });
        let error = check(&config).expect_err("no key");
        assert_eq!(error.field, "clientCertificate.keyPem");
        assert!(!error.to_string().contains("secret"));
        config.client_certificate = Some(ClientCertificate { chain_pem: String::new(), key_pem: String::new() });
        assert_eq!(check(&config).expect_err("no chain").field, "clientCertificate.chainPem");
    }
}
