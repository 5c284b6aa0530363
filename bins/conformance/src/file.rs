//! Case files: where they are found, and what holds for each of their cases.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::level::Circumstances;
use crate::suite::{Case, Cluster, Family, LevelName, Suite};

/// A file of cases that was read.
#[derive(Clone, Debug)]
pub struct SuiteFile {
    /// Where it is.
    pub path: PathBuf,
    /// What is in it.
    pub suite: Suite,
}

impl SuiteFile {
    /// Reads one file.
    ///
    /// # Errors
    /// When it cannot be read or is not of the format: then the error names the field.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text =
            fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let malformed = |field, source| Error::Format { path: path.to_owned(), field, source };
        let suite: Suite = serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| malformed(error.path().to_string(), error.into_inner()))?;
        deserializer.end().map_err(|source| malformed(".".into(), source))?;
        let file = Self { path: path.to_owned(), suite };
        for (index, case) in file.suite.cases.iter().enumerate() {
            if file.suite.cases[..index].iter().any(|earlier| earlier.name == case.name) {
                return Err(Error::SameName { path: file.path, name: case.name.clone() });
            }
        }
        Ok(file)
    }

    /// Reads files, and all `.json` files of directories and of those in them, in the order of their names.
    ///
    /// # Errors
    /// As [`SuiteFile::read`], and where a directory has no cases.
    pub fn read_all(paths: &[impl AsRef<Path>]) -> Result<Vec<Self>, Error> {
        let mut files = Vec::new();
        for path in paths {
            let path = path.as_ref();
            if path.is_dir() {
                let before = files.len();
                find(path, &mut files)?;
                if files.len() == before {
                    return Err(Error::NoCases { path: path.to_owned() });
                }
            } else {
                files.push(path.to_owned());
            }
        }
        files.iter().map(|path| Self::read(path)).collect()
    }

    /// The cluster of one of its cases.
    #[must_use]
    pub fn cluster(&self, case: &Case) -> Cluster {
        case.cluster.clone().or_else(|| self.suite.cluster.clone()).unwrap_or_default()
    }

    /// The families of one of its cases.
    #[must_use]
    pub fn families(&self, case: &Case) -> Vec<Family> {
        let said = case.families.clone().or_else(|| self.suite.families.clone());
        said.unwrap_or_else(|| vec![Family::V4])
    }

    /// What holds throughout one of its cases.
    #[must_use]
    pub fn circumstances(&self, case: &Case) -> Circumstances {
        let settings = case.settings.or(self.suite.settings).unwrap_or_default();
        let mut circumstances = Circumstances { settings, ..Circumstances::default() };
        for (name, addresses) in case.names.as_ref().or(self.suite.names.as_ref()).into_iter().flatten() {
            for address in addresses {
                circumstances.names.entry(*address).or_default().insert(name.clone());
            }
        }
        circumstances
    }

    /// Whether one of its cases is meant for a level.
    #[must_use]
    pub fn is_for(&self, case: &Case, level: LevelName) -> bool {
        case.levels.as_ref().or(self.suite.levels.as_ref()).is_none_or(|levels| levels.contains(&level))
    }
}

/// Case files below a directory.
fn find(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |source| Error::Read { path: directory.to_owned(), source };
    let mut entries = fs::read_dir(directory)
        .and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
        })
        .map_err(failed)?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(())
}
