//! How a connection is encrypted, as its URL says.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::error::{Error, Kind, Result};

/// What a URL's parameters say of TLS (<https://www.rabbitmq.com/docs/uri-query-parameters>).
#[derive(Clone, Debug, Default)]
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

/// What does the handshakes of one connection.
pub(super) struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the file.
    pub(super) fn load(parameters: TlsParameters) -> Result<Self> {
        let TlsParameters { trusted, certificate, key, unverified, server_name } = parameters;
        let trusted = trusted.map(|file| certificates("cacertfile", &file)).transpose()?.unwrap_or_default();
        let identity = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                Some((certificates("certfile", &certificate)?, private_key("keyfile", &key)?))
            }
            _ => {
                let reason = "certfile and keyfile belong together";
                return Err(Error::new(Kind::InvalidArgument, "connect", reason));
            }
        };
        let config = configure(trusted, identity, unverified).map_err(|error| {
            let reason = format!("these certificates cannot be used: {error}");
            Error::new(Kind::InvalidArgument, "connect", reason).caused_by(error)
        })?;
        Ok(ClientTls { config: Arc::new(config), server_name })
    }

    /// A session with the broker at this host.
    ///
    /// # Errors
    /// When it has no name that a certificate could be for.
    pub(super) fn session(&self, host: &str) -> io::Result<rustls::Connection> {
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let session = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
        Ok(session.into())
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn configure(
    trusted: Vec<CertificateDer<'static>>,
    identity: Option<Identity>,
    unverified: bool,
) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match unverified {
        true => Arc::new(Anybody(provider.clone())),
        false => Arc::new(Verifier::new_with_extra_roots(trusted, provider.clone())?),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn certificates(parameter: &str, file: &str) -> Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match chain {
        Ok(chain) if chain.is_empty() => Err(unreadable(parameter, file, pem::Error::NoItemsFound)),
        chain => chain.map_err(|error| unreadable(parameter, file, error)),
    }
}

fn private_key(parameter: &str, file: &str) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| unreadable(parameter, file, error))
}

fn unreadable(parameter: &str, file: &str, error: pem::Error) -> Error {
    Error::new(Kind::InvalidArgument, "connect", format!("cannot read the certificates: {error}"))
        .on(format!("'{file}'"))
        .advise(format!("give {parameter} the path of a PEM file"))
        .caused_by(error)
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
