//! The profiles that can be chosen by name: the user's own files, then those that are shipped.
//!
//! A profile is compiled once in a process and shared; a file of the user's that changes is compiled again.
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::signaling::profile::{Profile, ProfileError};

/// What is shipped, by name.
const SHIPPED: [(&str, &str); 6] = [
    ("genesys", include_str!("../../../profiles/genesys.json")),
    ("janus", include_str!("../../../profiles/janus.json")),
    ("json", include_str!("../../../profiles/json.json")),
    ("sip", include_str!("../../../profiles/sip.json")),
    ("whep", include_str!("../../../profiles/whep.json")),
    ("whip", include_str!("../../../profiles/whip.json")),
];

/// A file and its state, or a shipped profile's name.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Origin {
    File(PathBuf),
    Shipped(&'static str),
}

type Compiled = (Option<(SystemTime, u64)>, Arc<Profile>);

static COMPILED: LazyLock<Mutex<HashMap<Origin, Compiled>>> = LazyLock::new(Mutex::default);

/// Why there is no such profile.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LibraryError {
    /// Nobody has it.
    #[error("there is no profile '{name}'; there is {known}")]
    NotFound {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Its file cannot be read.
    #[error("{path}: {detail}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        detail: String,
    },
    /// It cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

/// The profile that a user chose: the file of a path (whatever has a `/`, a `\\` or ends with `.json`), else that of a name.
///
/// # Errors
/// As [`find`].
pub fn open(profile: &str, folder: Option<&Path>) -> Result<Arc<Profile>, LibraryError> {
    if profile.contains(['/', '\\']) || profile.ends_with(".json") {
        return of_file(Path::new(profile));
    }
    find(profile, folder)
}

/// The profile `name`: the file `name.json` in the user's `folder` if there is one, else the shipped one.
///
/// # Errors
/// [`LibraryError`]: with line and column where the profile cannot be used, with all names where there is none.
pub fn find(name: &str, folder: Option<&Path>) -> Result<Arc<Profile>, LibraryError> {
    // A name is no path: it stays in the folder.
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if let (Some(folder), true) = (folder, is_name) {
        let path = folder.join(format!("{name}.json"));
        if path.exists() {
            return of_file(&path);
        }
    }
    let Some((name, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) else {
        let mut known: Vec<String> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
        known.extend(folder.into_iter().flat_map(names_in));
        return Err(LibraryError::NotFound { name: name.to_owned(), known: known.join(", ") });
    };
    compiled(Origin::Shipped(name), None, || Ok(Profile::parse(&format!("{name}.json"), text)?))
}

fn of_file(path: &Path) -> Result<Arc<Profile>, LibraryError> {
    let unreadable = |error: std::io::Error| LibraryError::Unreadable {
        path: path.display().to_string(),
        detail: error.to_string(),
    };
    let metadata = path.metadata().map_err(unreadable)?;
    let state = (metadata.modified().map_err(unreadable)?, metadata.len());
    compiled(Origin::File(path.to_owned()), Some(state), || {
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Ok(Profile::parse(&path.display().to_string(), &text)?)
    })
}

fn compiled(
    origin: Origin,
    state: Option<(SystemTime, u64)>,
    compile: impl FnOnce() -> Result<Profile, LibraryError>,
) -> Result<Arc<Profile>, LibraryError> {
    let mut all = COMPILED.lock();
    if let Some((known, profile)) = all.get(&origin)
        && *known == state
    {
        return Ok(Arc::clone(profile));
    }
    let profile = Arc::new(compile()?);
    all.insert(origin, (state, Arc::clone(&profile)));
    Ok(profile)
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let names = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_profile = path.extension().is_some_and(|extension| extension == "json")
            && path.file_name().is_some_and(|name| name != "profile.schema.json");
        is_profile.then(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned())).flatten()
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test alone, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("webrtc-profiles-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("writable");
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    const OWN: &str = r#"{"profile": 1, "name": "own", "socket": {"url": "ws://127.0.0.1:9/"}}"#;

    #[test]
    fn shipped_profiles_are_compiled_once() {
        for (name, _) in SHIPPED {
            let profile = find(name, None).unwrap_or_else(|error| panic!("{error}"));
            assert!(Arc::ptr_eq(&profile, &find(name, None).expect("known")));
        }
    }

    #[test]
    fn a_file_of_the_user_comes_first_and_is_read_again_when_it_changes() {
        let folder = Folder::new("first");
        let path = folder.0.join("json.json");
        std::fs::write(&path, OWN).expect("writable");
        let own = find("json", Some(&folder.0)).expect("usable");
        assert_eq!(own.name, "own");
        assert!(Arc::ptr_eq(&own, &find("json", Some(&folder.0)).expect("known")));
        std::fs::write(&path, OWN.replace("own", "changed")).expect("writable");
        assert_eq!(find("json", Some(&folder.0)).expect("usable").name, "changed");
        assert_eq!(find("json", None).expect("shipped").name, "json");
    }

    #[test]
    fn a_path_is_the_file_itself_wherever_it_is() {
        let folder = Folder::new("path");
        let path = folder.0.join("mine.json");
        std::fs::write(&path, OWN).expect("writable");
        let path = path.display().to_string();
        assert_eq!(open(&path, None).expect("usable").name, "own");
        assert_eq!(open("json", None).expect("shipped").name, "json");
        let error = open(&format!("{path}/none.json"), None).expect_err("no file").to_string();
        assert!(error.contains("mine.json/none.json: "), "{error}");
    }

    #[test]
    fn what_is_not_there_or_not_usable_is_said_with_what_helps() {
        let folder = Folder::new("helps");
        std::fs::write(folder.0.join("mine.json"), "{\n  \"profile\": 2}").expect("writable");
        std::fs::write(folder.0.join("profile.schema.json"), "{}").expect("writable");
        let error = find("nobody", Some(&folder.0)).expect_err("nobody").to_string();
        assert_eq!(error, "there is no profile 'nobody'; there is genesys, janus, json, sip, whep, whip, mine");
        let error = find("mine", Some(&folder.0)).expect_err("not usable").to_string();
        assert!(error.contains("mine.json:1:1: missing field `name`"), "{error}");
        assert!(matches!(find("../mine", Some(&folder.0)), Err(LibraryError::NotFound { .. })), "a name is no path");
    }
}
