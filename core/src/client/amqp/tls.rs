//! How a connection is encrypted, as its URL says.

use std::path::Path;
use std::sync::Arc;

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig, RustlsConnector};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::error::{Error, Kind, Result};

/// What a URL's parameters say of TLS (<https://www.rabbitmq.com/docs/uri-query-parameters>).
#[derive(Debug, Default)]
pub(super) struct TlsParameters {
    /// A file with certificates to trust besides the system's: `cacertfile`.
    pub(super) trusted: Option<String>,
    /// Files with our own certificate and its key: `certfile` and `keyfile`.
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    /// The broker's certificate is taken whatever it is: `verify=verify_none`.
    pub(super) unverified: bool,
    /// The name that the certificate must be for, if not the host's: `server_name_indication`.
    pub(super) server_name: Option<String>,
}

/// The parameters with the files' contents.
pub(super) struct ClientTls {
    config: OwnedTLSConfig,
    unverified: bool,
    server_name: Option<String>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the file.
    pub(super) fn load(parameters: TlsParameters) -> Result<Self> {
        let TlsParameters { trusted, certificate, key, unverified, server_name } = parameters;
        let cert_chain = trusted.map(|file| read("cacertfile", &file)).transpose()?;
        let identity = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(OwnedIdentity::PKCS8 {
                pem: read("certfile", &certificate)?.into_bytes(),
                key: read("keyfile", &key)?.into_bytes(),
            }),
            _ => {
                let reason = "certfile and keyfile belong together";
                return Err(Error::new(Kind::InvalidArgument, "connect", reason));
            }
        };
        Ok(ClientTls { config: OwnedTLSConfig { identity, cert_chain }, unverified, server_name })
    }

    /// Whose certificate the broker's has to be, when this is its host.
    pub(super) fn name<'a>(&'a self, host: &'a str) -> &'a str {
        self.server_name.as_deref().unwrap_or(host)
    }

    pub(super) fn config(&self) -> &OwnedTLSConfig {
        &self.config
    }

    /// What does the handshake in place of the usual, where the broker's certificate does not matter.
    pub(super) fn credulous(&self) -> std::io::Result<Option<RustlsConnector>> {
        if !self.unverified {
            return Ok(None);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)));
        let config = match &self.config.identity {
            Some(OwnedIdentity::PKCS8 { pem, key }) => {
                let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
                let key = PrivateKeyDer::from_pem_slice(key).map_err(std::io::Error::other)?;
                builder
                    .with_client_auth_cert(chain.map_err(std::io::Error::other)?, key)
                    .map_err(std::io::Error::other)?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Some(config.into()))
    }
}

fn read(parameter: &str, file: &str) -> Result<String> {
    std::fs::read_to_string(Path::new(file)).map_err(|error| {
        Error::new(Kind::InvalidArgument, "connect", format!("cannot read the certificates: {error}"))
            .on(format!("'{file}'"))
            .advise(format!("give {parameter} the path of a PEM file"))
            .caused_by(error)
    })
}

/// Takes every certificate; what it signs must be signed with it even so.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
