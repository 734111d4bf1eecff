//! Which servers there are: those that the configuration names, and those of a file that is read again while a run goes.

use std::{
    fs,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::{Context, ensure};

use super::{server::Server, settings::RolloutSettings};
use crate::http::Secret;

/// The most servers of a run, those that are gone for good included.
const SERVERS_MAX: usize = 4096;

/// Servers, each under the number that it was met as.
pub(super) struct Roster {
    settings: RolloutSettings,
    key: Option<Secret>,
    /// With their addresses as they were written. None is ever taken out.
    met: RwLock<Vec<(String, Arc<Server>)>>,
}

impl Roster {
    /// Clients of the servers. Nothing is asked yet.
    ///
    /// # Errors
    /// If the file cannot be read; if an address is none, or would send keys in plain text to another machine.
    pub(super) fn new(settings: RolloutSettings, key: Option<&str>) -> anyhow::Result<Roster> {
        let key = key.map(|it| Secret::new(it.to_owned()));
        let roster = Roster { settings, key, met: RwLock::default() };
        let listed = roster.look()?;
        ensure!(
            !listed.is_empty(),
            "there is no server in {}\nhint: write the address of one into each line",
            roster.settings.servers_file.display()
        );
        Ok(roster)
    }

    /// The server of this number.
    pub(super) fn get(&self, idx: usize) -> Arc<Server> {
        Arc::clone(&self.met.read().unwrap_or_else(PoisonError::into_inner)[idx].1)
    }

    /// How many were ever met.
    pub(super) fn n_met(&self) -> usize {
        self.met.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether the list may become another one.
    pub(super) fn is_fixed(&self) -> bool {
        self.settings.servers_file.as_os_str().is_empty()
    }

    /// Reads the file, if there is one; gives the numbers of the servers that there are now.
    ///
    /// # Errors
    /// If it cannot be read or a line is no address: the servers are those that they were.
    pub(super) fn look(&self) -> anyhow::Result<Vec<usize>> {
        let RolloutSettings { servers, servers_file, .. } = &self.settings;
        let mut named = servers.clone();
        if !self.is_fixed() {
            named.extend(read(servers_file)?);
        }
        let mut met = self.met.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = |url: &&String| met.iter().all(|it| it.0 != **url);
        let mut new: Vec<(String, Arc<Server>)> = Vec::new();
        for url in named.iter().filter(is_new) {
            if new.iter().all(|it| it.0 != *url) {
                let key = self.key.as_ref().map(Secret::shown);
                new.push((url.clone(), Arc::new(Server::new(url, &self.settings, key)?)));
            }
        }
        ensure!(met.len() + new.len() <= SERVERS_MAX, "a run meets at most {SERVERS_MAX} servers");
        met.extend(new);
        Ok((0..met.len()).filter(|&idx| named.contains(&met[idx].0)).collect())
    }
}

/// Addresses, one in each line; what follows `#` is a remark.
fn read(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "{} cannot be read\nhint: policy.rollouts.servers_file lists servers, one in each line",
            path.display()
        )
    })?;
    let lines = text.lines().map(|it| it.split('#').next().unwrap_or_default().trim());
    Ok(lines.filter(|it| !it.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use crate::rollouts::Engine;

    use super::*;

    #[test]
    fn servers_come_and_go_and_keep_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let servers_file = dir.path().join("servers");
        let settings = RolloutSettings {
            engine: Engine::Vllm,
            servers: vec!["http://127.0.0.1:1".into()],
            servers_file: servers_file.clone(),
            ..RolloutSettings::default()
        };
        let told = format!("{:#}", Roster::new(settings.clone(), None).err().unwrap());
        assert!(told.contains("hint: policy.rollouts.servers_file"), "{told}");
        fs::write(&servers_file, "# ours\n\nhttp://127.0.0.1:2 # the second\nhttp://127.0.0.1:2\n").unwrap();
        let roster = Roster::new(settings, Some("hidden")).unwrap();
        for (lines, there) in [
            ("http://127.0.0.1:3\n", vec![0, 2]),
            ("http://127.0.0.1:1\nhttp://127.0.0.1:2\nhttp://127.0.0.1:3", vec![0, 1, 2]),
            ("", vec![0]),
        ] {
            fs::write(&servers_file, lines).unwrap();
            assert_eq!(roster.look().unwrap(), there, "{lines}");
        }
        // Keys go nowhere in plain text because a file says so, and nothing is taken from a list that is refused.
        fs::write(&servers_file, "http://127.0.0.1:4\nhttp://192.168.0.9:8000\n").unwrap();
        assert!(roster.look().unwrap_err().to_string().contains("hint: "));
        assert_eq!(roster.n_met(), 3);
    }
}
