//! Who we are to a source and whom we trust: read from files at every connect, so that a new password needs no restart.

use std::{
    fs,
    path::{Path, PathBuf},
};

use iot_connector_settings::SECRET_FILES;

use super::SourceError;

/// Files that the settings name.
#[derive(Clone, Copy, Default)]
pub(super) struct Named<'a> {
    /// Files with fixed names, for what isn't named below.
    pub folder: Option<&'a Path>,
    pub username: Option<&'a Path>,
    pub password: Option<&'a Path>,
    pub token: Option<&'a Path>,
    pub credentials: Option<&'a Path>,
    pub authorities: Option<&'a Path>,
}

/// What they held when they were read.
#[derive(Default)]
pub(super) struct Secrets {
    pub username: Option<String>,
    pub password: Option<String>,
    pub token: Option<String>,
    /// A user's JWT and key, as NATS writes them.
    pub credentials: Option<String>,
    /// Where the authorities are that are trusted instead of the system's.
    pub authorities: Option<PathBuf>,
}

impl Named<'_> {
    pub fn read(self) -> Result<Secrets, SourceError> {
        if let Some(folder) = self.folder
            && !SECRET_FILES.all().iter().any(|file| folder.join(file).exists())
        {
            let names = SECRET_FILES.all().map(|file| format!("`{file}`")).join(", ");
            return Err(SourceError(format!(
                "`{}` holds none of {names}: is the Secret there?",
                folder.display()
            )));
        }
        let find = |named: Option<&Path>, file: &str| {
            let inside = || self.folder.map(|folder| folder.join(file)).filter(|path| path.exists());
            named.map(Path::to_owned).or_else(inside)
        };
        let text = |named, file| find(named, file).as_deref().map(text).transpose();
        Ok(Secrets {
            username: text(self.username, SECRET_FILES.username)?,
            password: text(self.password, SECRET_FILES.password)?,
            token: text(self.token, SECRET_FILES.token)?,
            credentials: text(self.credentials, SECRET_FILES.credentials)?,
            authorities: find(self.authorities, SECRET_FILES.authorities),
        })
    }
}

/// What a file holds.
fn bytes(path: &Path) -> Result<Vec<u8>, SourceError> {
    fs::read(path).map_err(|error| SourceError(format!("`{}` can't be read: {error}", path.display())))
}

/// The authorities of a file, as PEM.
pub(super) fn authorities(path: &Path) -> Result<Vec<u8>, SourceError> {
    daemon::tls::authorities(path).map_err(|error| SourceError(daemon::process::describe(&error)))
}

/// The text of a file, without the end of its line.
fn text(path: &Path) -> Result<String, SourceError> {
    let text =
        String::from_utf8(bytes(path)?).map_err(|_| SourceError(format!("`{}` isn't UTF-8 text", path.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_named_comes_before_one_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("username"), "ward\r\n").unwrap();
        fs::write(at("password"), "old").unwrap();
        fs::write(at("other"), "new\n").unwrap();
        let other = at("other");
        let named = Named {
            folder: Some(folder.path()),
            password: Some(&other),
            ..Named::default()
        };
        let secrets = named.read().unwrap();
        assert_eq!(secrets.username.as_deref(), Some("ward"));
        assert_eq!(secrets.password.as_deref(), Some("new"));
        assert_eq!(
            (secrets.token, secrets.credentials, secrets.authorities),
            (None, None, None)
        );
    }

    #[test]
    fn an_empty_folder_and_a_missing_file_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let of_folder = Named {
            folder: Some(folder.path()),
            ..Named::default()
        };
        let told = of_folder.read().err().unwrap().0;
        assert!(
            told.ends_with(
                "holds none of `username`, `password`, `token`, `user.creds`, `ca.crt`: is the Secret there?"
            ),
            "{told}"
        );
        let missing = folder.path().join("password");
        let named = Named {
            password: Some(&missing),
            ..Named::default()
        };
        let told = named.read().err().unwrap().0;
        assert!(told.contains("password` can't be read: No such file"), "{told}");
    }
}
