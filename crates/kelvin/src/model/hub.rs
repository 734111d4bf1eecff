//! Models in the cache that the Hugging Face libraries keep on this machine.

use std::{
    env,
    ffi::OsString,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::holds_model;

/// `owner/model`, as the hub names models.
pub(super) fn hub_name(name: &str) -> Option<(&str, &str)> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
    };
    name.split_once('/').filter(|(owner, model)| plain(owner) && plain(model))
}

/// The folder in which the Hugging Face libraries keep models on this machine.
pub(crate) fn hub_cache() -> Option<PathBuf> {
    hub_cache_of(|name| env::var_os(name), env::home_dir())
}

/// `HF_HUB_CACHE` (`HUGGINGFACE_HUB_CACHE` in older set-ups), else `hub` in `HF_HOME`, which is `huggingface` in
/// `XDG_CACHE_HOME` or `~/.cache` unless it is set. A `~` at the start of a variable is the home folder.
fn hub_cache_of(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let set = |name: &str| {
        let path = variable(name).filter(|value| !value.is_empty()).map(PathBuf::from)?;
        match (path.strip_prefix("~"), &home) {
            (Ok(rest), Some(home)) => Some(home.join(rest)),
            _ => Some(path),
        }
    };
    set("HF_HUB_CACHE").or_else(|| set("HUGGINGFACE_HUB_CACHE")).or_else(|| {
        let hf_home = set("HF_HOME")
            .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| home.clone().map(|home| home.join(".cache/huggingface")))?;
        Some(hf_home.join("hub"))
    })
}

/// The snapshot that `refs/main` of the repository in the cache names. `HF_HUB_OFFLINE` makes no difference: nothing
/// is ever downloaded.
pub(super) fn in_cache(cache: Option<&Path>, owner: &str, model: &str) -> anyhow::Result<PathBuf> {
    let name = format!("{owner}/{model}");
    let Some(cache) = cache else {
        bail!(
            "{name} is no folder here, and there is no Hugging Face cache\nhint: set HF_HOME, or name a folder"
        );
    };
    let fetch = format!("fetch it with `hf download {name}`, or name a model folder");
    let repo = cache.join(format!("models--{owner}--{model}"));
    if !repo.is_dir() {
        bail!(
            "{name} is no folder here and not in the Hugging Face cache {}\nhint: kelvin downloads nothing; {fetch}",
            cache.display()
        );
    }
    let main = repo.join("refs/main");
    let revision = match fs::read_to_string(&main) {
        Ok(revision) => revision.trim().to_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "{name} is in the Hugging Face cache {}, but not its branch main\nhint: {fetch}, such as a folder in {}",
            cache.display(),
            repo.join("snapshots").display()
        ),
        Err(error) => {
            return Err(error).with_context(|| format!("reading {}\nhint: {fetch}", main.display()));
        }
    };
    let snapshot = repo.join("snapshots").join(&revision);
    let one_folder = Path::new(&revision).file_name().is_some_and(|name| name == revision.as_str());
    if !one_folder || !holds_model(&snapshot) {
        bail!("{name} was not fetched whole: {} has no config.json\nhint: {fetch}", snapshot.display());
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{}").unwrap();
    }

    #[test]
    fn the_cache_is_where_the_libraries_look_for_it() {
        let home = Some(PathBuf::from("/me"));
        let found = |set: &[(&str, &str)]| {
            let variable =
                |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, it)| (*it).into());
            hub_cache_of(variable, home.clone()).unwrap()
        };
        assert_eq!(found(&[]), Path::new("/me/.cache/huggingface/hub"));
        assert_eq!(found(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(found(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")]), Path::new("/me/hf/hub"));
        assert_eq!(found(&[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")]), Path::new("/old"));
        assert_eq!(found(&[("HF_HUB_CACHE", "/new"), ("HUGGINGFACE_HUB_CACHE", "/old")]), Path::new("/new"));
        assert_eq!(found(&[("HF_HUB_CACHE", "")]), Path::new("/me/.cache/huggingface/hub"));
        assert_eq!(hub_cache_of(|_| None, None), None);
    }

    /// As `hf download` leaves it: files are links to blobs.
    #[test]
    fn a_hub_name_is_the_snapshot_of_main() {
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("models--Qwen--Qwen2.5-3B");
        let found = || in_cache(Some(dir.path()), "Qwen", "Qwen2.5-3B").map_err(|error| format!("{error:#}"));
        let complains = |named: &str| {
            let message = found().unwrap_err();
            assert!(message.contains(named) && message.contains("hint: "), "{message}");
        };
        complains("not in the Hugging Face cache");
        touch(&repo.join("blobs/77"));
        complains("not its branch main");
        touch(&repo.join("refs/main"));
        fs::write(repo.join("refs/main"), "abc\n").unwrap();
        complains("was not fetched whole");
        let snapshot = repo.join("snapshots/abc");
        fs::create_dir_all(&snapshot).unwrap();
        std::os::unix::fs::symlink("../../blobs/78", snapshot.join("config.json")).unwrap();
        complains("was not fetched whole");
        fs::rename(repo.join("blobs/77"), repo.join("blobs/78")).unwrap();
        assert_eq!(found(), Ok(snapshot));
        fs::write(repo.join("refs/main"), "../../elsewhere").unwrap();
        complains("was not fetched whole");
        assert!(
            in_cache(None, "Qwen", "Qwen2.5-3B").unwrap_err().to_string().contains("no Hugging Face cache")
        );
    }

    #[test]
    fn hub_names_are_two_plain_words() {
        assert_eq!(hub_name("Qwen/Qwen2.5-3B"), Some(("Qwen", "Qwen2.5-3B")));
        for other in ["runs/a/b", "../x", "/etc", "plain", "a/", "a/.."] {
            assert_eq!(hub_name(other), None, "{other}");
        }
    }
}
