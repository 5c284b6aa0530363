use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::Error;

/// The names by which every server is reached, whatever its address.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "kubernetes.default.svc"];

/// Who the server is, and who may change everything: keys, certificates and a token in a directory.
#[derive(Clone, Debug)]
pub struct Files {
    directory: PathBuf,
}

impl Files {
    /// Those of a directory, whether they are there yet or not.
    #[must_use]
    pub fn of(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The certificate that clients trust.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// The server's certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("server.crt")
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.directory.join("server.key")
    }

    /// The key that signs the tokens of service accounts.
    #[must_use]
    pub fn accounts_key(&self) -> PathBuf {
        self.directory.join("sa.key")
    }

    /// What checks them.
    #[must_use]
    pub fn accounts_public_key(&self) -> PathBuf {
        self.directory.join("sa.pub")
    }

    /// The token of who may do everything, as kube-apiserver reads it.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.directory.join("tokens.csv")
    }

    /// Makes them, for a server at these addresses and an administrator with this token, unless they are there.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn make(&self, addresses: &[IpAddr], token: &str) -> Result<(), Error> {
        fs::create_dir_all(&self.directory).map_err(|source| failed(&self.directory, source))?;
        if self.tokens().exists() {
            return Ok(());
        }
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "netloom");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let mut names: Vec<String> = NAMES.map(str::to_owned).into();
        names.extend(addresses.iter().map(IpAddr::to_string));
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
        write(&self.tokens(), &format!("{token},admin,admin,\"system:masters\"\n"))
    }

    /// The token of who may do everything.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn token(&self) -> Result<String, Error> {
        let line = fs::read_to_string(self.tokens()).map_err(|source| failed(&self.tokens(), source))?;
        Ok(line.split(',').next().unwrap_or_default().to_owned())
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}

/// Writes a file that is its owner's alone.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .map_err(|source| failed(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::of(dir.path().join("api"));
        files.make(&["192.0.2.1".parse().unwrap()], "first").unwrap();
        let certificate = fs::read(files.certificate()).unwrap();
        files.make(&[], "second").unwrap();
        assert_eq!(files.token().unwrap(), "first");
        assert_eq!(fs::read(files.certificate()).unwrap(), certificate);
        assert_eq!(files.key().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
