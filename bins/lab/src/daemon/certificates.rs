//! Who the API server is, and who may change everything: keys, certificates and a token, made once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::paths::Paths;
use crate::plan;
use crate::random;

/// The files below the API server's directory.
#[derive(Clone, Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    pub(super) fn of(paths: &Paths) -> Self {
        Self { directory: paths.api() }
    }

    /// The certificate that clients trust.
    pub(super) fn authority(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// The server's certificate.
    pub(super) fn certificate(&self) -> PathBuf {
        self.directory.join("server.crt")
    }

    /// Its key.
    pub(super) fn key(&self) -> PathBuf {
        self.directory.join("server.key")
    }

    /// The key that signs the tokens of service accounts.
    pub(super) fn accounts_key(&self) -> PathBuf {
        self.directory.join("sa.key")
    }

    /// What checks them.
    pub(super) fn accounts_public_key(&self) -> PathBuf {
        self.directory.join("sa.pub")
    }

    /// The token of who may do everything, as kube-apiserver reads it.
    pub(super) fn tokens(&self) -> PathBuf {
        self.directory.join("tokens.csv")
    }

    /// Makes what is not there yet.
    pub(super) fn make(&self) -> Result<()> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot make {}", self.directory.display()))?;
        if self.tokens().exists() {
            return Ok(());
        }
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "netloom-lab");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let mut names =
            vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "kubernetes.default.svc".to_owned()];
        names.extend(plan::api().map(|address| address.ip().to_string()));
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &authority)?;
        write(&self.authority(), &authority.pem())?;
        write(&self.certificate(), &certificate.pem())?;
        write(&self.key(), &key.serialize_pem())?;
        let accounts = KeyPair::generate()?;
        write(&self.accounts_key(), &accounts.serialize_pem())?;
        write(&self.accounts_public_key(), &accounts.public_key_pem())?;
        // Last: with it everything is there.
        let token = random::hex(&random::bytes::<16>()?);
        write(&self.tokens(), &format!("{token},admin,admin,\"system:masters\"\n"))
    }

    /// The token of who may do everything.
    pub(super) fn token(&self) -> Result<String> {
        let line = fs::read_to_string(self.tokens())
            .with_context(|| format!("cannot read {}", self.tokens().display()))?;
        Ok(line.split(',').next().unwrap_or_default().to_owned())
    }
}

/// Writes a file that is root's alone.
fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .with_context(|| format!("cannot write {}", path.display()))
}
