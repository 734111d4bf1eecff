//! Which servers there are: those that the configuration names, and those of a file that is read again while a run goes.

use std::{
    fs,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::{Context, ensure};
use reqwest::Url;

use super::{server::Server, settings::RolloutSettings};
use crate::{address::address, http::Secret};

/// The most servers that a process meets, those that are gone for good included.
const SERVERS_MAX: usize = 4096;

/// Servers, each under the number that it was met as.
pub(super) struct Roster {
    settings: RolloutSettings,
    key: Option<Secret>,
    /// By their addresses, of which one may be written in several ways. None is ever taken out.
    met: RwLock<Vec<(Url, Arc<Server>)>>,
    met_max: usize,
}

/// What a look at the list came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// The numbers of the servers that there are now.
    pub(super) there: Vec<usize>,
    /// How many more are named, for which there is no number.
    pub(super) n_left_out: usize,
}

impl Roster {
    /// Clients of the servers. Nothing is asked yet.
    ///
    /// # Errors
    /// If the file cannot be read or may be half written; if an address is none, or would send keys in plain text to another
    /// machine.
    pub(super) fn new(settings: RolloutSettings, key: Option<&str>) -> anyhow::Result<Roster> {
        let key = key.map(|it| Secret::new(it.to_owned()));
        let roster = Roster { settings, key, met: RwLock::default(), met_max: SERVERS_MAX };
        let listed = roster.look()?;
        ensure!(
            listed.n_left_out == 0,
            "there are over {SERVERS_MAX} servers\nhint: put a router in front of them, and name that"
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

    /// Reads the file, if there is one; gives the servers that there are now.
    ///
    /// # Errors
    /// If it cannot be read or may be half written, if a line is no address, or if nobody is left: the servers are those that
    /// they were.
    pub(super) fn look(&self) -> anyhow::Result<Listed> {
        let RolloutSettings { servers, servers_file, plain_http, .. } = &self.settings;
        let mut written = servers.clone();
        if !self.is_fixed() {
            written.extend(read(servers_file)?);
        }
        ensure!(
            !written.is_empty(),
            "{} names no server\nhint: write the address of one into each line",
            servers_file.display()
        );
        let named: Vec<Url> = written.iter().map(|it| address(it, *plain_http)).collect::<Result<_, _>>()?;
        let mut met = self.met.write().unwrap_or_else(PoisonError::into_inner);
        let mut new: Vec<(Url, Arc<Server>)> = Vec::new();
        let mut n_left_out = 0;
        for (idx, url) in named.iter().enumerate() {
            if met.iter().any(|it| it.0 == *url) || named[..idx].contains(url) {
                continue;
            }
            if met.len() + new.len() == self.met_max {
                n_left_out += 1;
                continue;
            }
            let key = self.key.as_ref().map(Secret::shown);
            new.push((url.clone(), Arc::new(Server::new(&written[idx], &self.settings, key)?)));
        }
        met.extend(new);
        let there = (0..met.len()).filter(|&idx| named.contains(&met[idx].0)).collect();
        Ok(Listed { there, n_left_out })
    }
}

/// Addresses, one in each line; what follows `#` is a remark. A list that ends within a line, or before its first, may be one that
/// somebody writes just now: the address that is cut off could be that of another machine.
fn read(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "{} cannot be read\nhint: policy.rollouts.servers_file lists servers, one in each line",
            path.display()
        )
    })?;
    ensure!(
        text.ends_with('\n'),
        "{} {}: it may be half written\nhint: end every line with a newline, and to change the list write it anew and rename it \
         into place",
        path.display(),
        if text.is_empty() { "is empty" } else { "ends within a line" }
    );
    let lines = text.lines().map(|it| it.split('#').next().unwrap_or_default().trim());
    Ok(lines.filter(|it| !it.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use crate::rollouts::Engine;

    use super::*;

    fn settings(servers: &[&str], servers_file: &Path) -> RolloutSettings {
        RolloutSettings {
            engine: Engine::Vllm,
            servers: servers.iter().map(|it| (*it).to_owned()).collect(),
            servers_file: servers_file.to_owned(),
            ..RolloutSettings::default()
        }
    }

    fn told<T>(ended: anyhow::Result<T>) -> String {
        format!("{:#}", ended.err().expect("it is an error"))
    }

    #[test]
    fn servers_come_and_go_and_keep_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("servers");
        let settings = settings(&["http://127.0.0.1:1"], &file);
        assert!(told(Roster::new(settings.clone(), None)).contains("hint: policy.rollouts.servers_file"));
        fs::write(&file, "# ours\n\nhttp://127.0.0.1:2 # the second\nhttp://127.0.0.1:2\n").unwrap();
        let roster = Roster::new(settings, Some("hidden")).unwrap();
        for (lines, there) in [
            ("http://127.0.0.1:3\n", vec![0, 2]),
            ("http://127.0.0.1:1\nhttp://127.0.0.1:2\r\nhttp://127.0.0.1:3\n", vec![0, 1, 2]),
            // The same servers, written in other ways.
            ("http://127.0.0.1:2/\nHTTP://127.0.0.1:0003//\n", vec![0, 1, 2]),
            ("# none\n", vec![0]),
        ] {
            fs::write(&file, lines).unwrap();
            assert_eq!(roster.look().unwrap(), Listed { there, n_left_out: 0 }, "{lines}");
        }
        // Keys go nowhere in plain text because a file says so, and nothing is taken from a list that is refused.
        fs::write(&file, "http://127.0.0.1:4\nhttp://192.168.0.9:8000\n").unwrap();
        assert!(told(roster.look()).contains("hint: "));
        assert_eq!(roster.n_met(), 3);
    }

    /// Of a list that somebody writes just now nothing is taken: neither that there is nobody, nor an address that is cut off.
    #[test]
    fn a_list_that_may_be_half_written_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("servers");
        for (lines, why) in [
            ("", "is empty"),
            ("# ours\nhttp://127.0.0.1:8", "ends within a line"),
            ("# ours\n", "names no server"),
        ] {
            fs::write(&file, "http://127.0.0.1:80\n").unwrap();
            let roster = Roster::new(settings(&[], &file), None).unwrap();
            fs::write(&file, lines).unwrap();
            for told in [told(roster.look()), told(Roster::new(settings(&[], &file), None))] {
                assert!(told.contains(why) && told.contains("\nhint: "), "{told}");
            }
            assert_eq!(roster.n_met(), 1);
        }
    }

    /// Where no more can be met, those that are known still come and go.
    #[test]
    fn who_is_one_too_many_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("servers");
        fs::write(&file, "http://127.0.0.1:1\nhttp://127.0.0.1:2\n").unwrap();
        let roster = Roster { met_max: 2, ..Roster::new(settings(&[], &file), None).unwrap() };
        fs::write(&file, "http://127.0.0.1:3\nhttp://127.0.0.1:2\n").unwrap();
        assert_eq!(roster.look().unwrap(), Listed { there: vec![1], n_left_out: 1 });
        fs::write(&file, "http://127.0.0.1:1\n").unwrap();
        assert_eq!(roster.look().unwrap(), Listed { there: vec![0], n_left_out: 0 });
    }
}
