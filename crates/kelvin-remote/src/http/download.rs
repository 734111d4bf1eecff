//! Files, which a server may say lie elsewhere.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, Url, header::LOCATION};

use super::{Failure, Http};
use crate::address::is_loopback;

impl Http {
    /// Asks for a file, once. Where the server says that it lies elsewhere it is asked for there; another server is not shown the
    /// key, and is not asked in plain text.
    pub(crate) async fn download(&self, path: &str, deadline: Duration) -> Result<Bytes, Failure> {
        let downloads = async {
            let response = self.sent(self.own(Method::GET, self.url(path))).await?;
            let status = response.status();
            let elsewhere = response.headers().get(LOCATION).and_then(|it| it.to_str().ok());
            let Some(elsewhere) = elsewhere.filter(|_| status.is_redirection()) else {
                return Ok(self.read(response).await?.bytes);
            };
            let refused = |words| Failure::Refused { status: status.as_u16(), words };
            let url = response.url().join(elsewhere).map_err(|_| refused("it lies nowhere".into()))?;
            let request = match at_home(&self.base, &url) {
                Some(url) => self.own(Method::GET, url),
                None if url.scheme() == "https" && !is_loopback(&url) => self.client.get(url),
                None => {
                    let host = url.host_str().unwrap_or_default();
                    return Err(refused(self.told(&format!("it lies at {host}, which is not asked"))));
                }
            };
            Ok(self.read(self.sent(request).await?).await?.bytes)
        };
        tokio::time::timeout(deadline, downloads).await.unwrap_or(Err(Failure::Late))
    }
}

/// The address at the server itself of what it says lies at `url`, if it does. A server behind a proxy that ends TLS may not know
/// that it is asked over https, and say http: that is never asked for in plain text.
fn at_home(base: &Url, url: &Url) -> Option<Url> {
    let mut home = url.clone();
    let is_misnamed = base.scheme() == "https"
        && url.scheme() == "http"
        && url.host() == base.host()
        && url.port().is_none_or(|it| Some(it) == base.port_or_known_default());
    if is_misnamed {
        home.set_scheme(base.scheme()).ok()?;
        home.set_port(base.port()).ok()?;
    }
    (home.origin() == base.origin()).then_some(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only there is the key shown: nothing is asked for in plain text that would go to a server over https, nor of another port.
    #[test]
    fn a_server_that_does_not_know_of_its_tls_is_itself() {
        let home = |base: &str, url: &str| {
            at_home(&base.parse().unwrap(), &url.parse().unwrap()).map(|it| it.to_string())
        };
        let (plain, ported) = ("https://host/", "https://host:8443/");
        for (base, url, expected) in [
            (plain, "https://host/a?b=c", "https://host/a?b=c"),
            (plain, "http://host/a?b=c", "https://host/a?b=c"),
            (plain, "http://host:443/a", "https://host/a"),
            (ported, "http://host:8443/a", "https://host:8443/a"),
            (ported, "http://host/a", "https://host:8443/a"),
            ("http://host:8000/", "http://host:8000/a", "http://host:8000/a"),
        ] {
            assert_eq!(home(base, url).as_deref(), Some(expected), "{base} {url}");
        }
        for (base, url) in [
            (plain, "http://other/a"),
            (plain, "http://host.other/a"),
            (plain, "http://host:8080/a"),
            (plain, "https://host:8443/a"),
            (plain, "ftp://host/a"),
            (ported, "https://host/a"),
            ("http://host:8000/", "http://host/a"),
            ("http://host:8000/", "https://host:8000/a"),
        ] {
            assert_eq!(home(base, url), None, "{base} {url}");
        }
    }
}
