//! The file format of a run's rows, and how `--out` selects it.

use super::{Error, PARQUET, RECORDS};
use std::path::{Path, PathBuf};

/// The file format of a run's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `records.csv`.
    #[default]
    Csv,
    /// `records.parquet`, in a build with the feature `parquet`.
    Parquet,
}

impl Format {
    /// Checks that this build has the format, for rows in `dir`.
    ///
    /// # Errors
    /// [`Error::NoParquet`], which names the feature.
    pub fn available(self, dir: &Path) -> Result<(), Error> {
        if self == Self::Csv || cfg!(feature = "parquet") {
            return Ok(());
        }
        Err(Error::NoParquet { path: dir.join(PARQUET) })
    }
}

/// A run's directory and the format of its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The run's directory.
    pub dir: PathBuf,
    /// The file format of its rows.
    pub format: Format,
}

impl Destination {
    /// Parses `--out`: a directory (CSV), or the file of rows in one.
    ///
    /// # Errors
    /// A name that has the suffix of a file of rows but is none, or a format that this build lacks.
    pub fn new(path: PathBuf) -> Result<Self, Error> {
        let ends_in = |end: &str| path.extension().is_some_and(|it| it.eq_ignore_ascii_case(end));
        let format = match path.file_name() {
            Some(name) if name == RECORDS => Format::Csv,
            Some(name) if name == PARQUET => Format::Parquet,
            // `--out x.csv` means a file: do not create a directory of that name.
            _ if ends_in("csv") || ends_in("parquet") => return Err(Error::Name { path }),
            _ => return Ok(Self { dir: path, format: Format::default() }),
        };
        let dir = path.parent().filter(|it| !it.as_os_str().is_empty());
        let dir = dir.unwrap_or(Path::new(".")).to_owned();
        format.available(&dir)?;
        Ok(Self { dir, format })
    }

    /// The directory's name; `None` for the root.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let dir = std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone());
        dir.file_name().map(|name| name.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_names_the_rows_or_their_directory() {
        let new = |path: &str| Destination::new(path.into()).map_err(|error| error.to_string());
        let csv = |dir: &str| Ok(Destination { dir: dir.into(), format: Format::Csv });
        assert_eq!(new("a/b"), csv("a/b"));
        assert_eq!(new("a/b/records.csv"), csv("a/b"));
        assert_eq!(new("records.csv"), csv("."));
        assert_eq!(new("v1.2"), csv("v1.2"));
        for wrong in ["a/b.csv", "b.parquet", "a/RECORDS.csv", "a/records.PARQUET", "x.csv/"] {
            let error = new(wrong).unwrap_err();
            assert!(error.contains("name the rows records.csv or records.parquet"), "{error}");
        }
        let parquet = new("a/b/records.parquet");
        if cfg!(feature = "parquet") {
            assert_eq!(parquet, Ok(Destination { dir: "a/b".into(), format: Format::Parquet }));
        } else {
            assert!(parquet.unwrap_err().contains("--features parquet"));
        }
    }

    #[test]
    fn a_run_is_named_after_its_directory() {
        let name = |path: &str| Destination::new(path.into()).ok().and_then(|it| it.name());
        let here = std::env::current_dir().unwrap();
        let here = here.file_name().map(|it| it.to_string_lossy().into_owned());
        for (path, meant) in [
            ("a/night", Some("night".to_owned())),
            ("a/night/records.csv", Some("night".to_owned())),
            ("night/", Some("night".to_owned())),
            ("records.csv", here.clone()),
            (".", here),
            ("/", None),
        ] {
            assert_eq!(name(path), meant, "{path}");
        }
        #[cfg(feature = "parquet")]
        assert_eq!(name("a/night/records.parquet"), Some("night".to_owned()));
    }
}
