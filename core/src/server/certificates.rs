//! What a listener with TLS is told: its certificate, whose clients it admits, and by which name.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::distinguished_name;
use crate::error::{Error, Kind, Result};

/// Files, in PEM, and rules of a listener with TLS.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// The certificate that it shows, and those between it and the authority.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
    /// The authorities that sign clients' certificates.
    pub authorities: Option<PathBuf>,
    /// Whether clients have to show a certificate.
    pub verify: Verify,
    /// The user's name in a client's certificate, for the login mechanism EXTERNAL.
    pub login_from: LoginFrom,
}

/// Whether clients have to show a certificate (RabbitMQ's `verify` and `fail_if_no_peer_cert`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Verify {
    /// They are not asked for one.
    #[default]
    None,
    /// They are asked; one that is shown has to be valid.
    Peer,
    /// Without a valid one nobody comes in.
    Require,
}

/// What names the user in a certificate (RabbitMQ's `ssl_cert_login_from`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LoginFrom {
    /// Its subject as a whole: `CN=me,O=us`.
    #[default]
    DistinguishedName,
    /// The common name in its subject: `me`.
    CommonName,
}

/// A listener's TLS, ready for use. Clones share it.
#[derive(Clone)]
pub struct Tls {
    pub(super) config: Arc<ServerConfig>,
    verify: Verify,
    login_from: LoginFrom,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the file that cannot be used.
    pub fn load(options: &TlsOptions) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&options.certificate, &error))?;
        let builder = match (options.verify, &options.authorities) {
            (Verify::None, _) => builder.with_no_client_auth(),
            (_, None) => {
                let reason = "no authority is given that would sign clients' certificates";
                return Err(Error::new(Kind::InvalidArgument, "listen", reason).advise("give --tls-ca FILE"));
            }
            (verify, Some(file)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(file)? {
                    roots.add(certificate).map_err(|error| unusable(file, &error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                let verifier = match verify {
                    Verify::Require => verifier,
                    _ => verifier.allow_unauthenticated(),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(file, &error))?)
            }
        };
        let key =
            PrivateKeyDer::from_pem_file(&options.key).map_err(|error| unusable(&options.key, &error))?;
        let config = builder
            .with_single_cert(certificates(&options.certificate)?, key)
            .map_err(|error| unusable(&options.certificate, &error))?;
        Ok(Tls { config: Arc::new(config), verify: options.verify, login_from: options.login_from })
    }

    /// The user that a client's certificate names.
    ///
    /// # Errors
    /// Why it names none, in the words of `rabbit_auth_mechanism_ssl`.
    pub(super) fn user(&self, certificate: Option<&CertificateDer<'_>>) -> Result<String, &'static str> {
        if self.verify == Verify::None {
            return Err("TLS configuration is unsafe");
        }
        let certificate = certificate.ok_or("connection peer presented no TLS (x.509) certificate")?;
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| "no name found")?;
        match self.login_from {
            LoginFrom::DistinguishedName => Ok(distinguished_name::text(certificate.subject())),
            LoginFrom::CommonName => {
                let names = certificate.subject().iter_common_name();
                let names: Vec<String> =
                    names.map(|name| distinguished_name::value(name.attr_value())).collect();
                if names.is_empty() { Err("no name found") } else { Ok(names.join(",")) }
            }
        }
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(file, &error))?;
    match certificates.is_empty() {
        true => Err(unusable(file, &"it holds no certificate")),
        false => Ok(certificates),
    }
}

fn unusable(file: &Path, why: &dyn fmt::Display) -> Error {
    Error::new(Kind::InvalidArgument, "listen", format!("cannot be used for TLS: {why}"))
        .on(format!("'{}'", file.display()))
        .advise("give PEM files, with the key that belongs to the certificate")
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("login_from", &self.login_from).finish_non_exhaustive()
    }
}
