//! Who may come from a browser (RFC 6455, section 10.2; RFC 6454).

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue};

/// Which origins may come in besides the server's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    pub(crate) any: bool,
    pub(crate) listed: Vec<String>,
}

impl Origins {
    /// Whether a request may come in. Without an `Origin` it does not come from a browser's page, and a check of the
    /// header would keep nobody out.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Verdict {
        let mut origins = headers.get_all(ORIGIN).iter();
        let (origin, more) = (origins.next(), origins.next());
        let Some(value) = origin else { return Verdict::Own };
        if self.any {
            return Verdict::Shared(HeaderValue::from_static("*"));
        }
        match value.to_str() {
            Ok(_) | Err(_) if more.is_some() => Verdict::Foreign,
            Ok(origin) if is_same(origin, headers) => Verdict::Own,
            Ok(origin) if self.lists(origin) => Verdict::Shared(value.clone()),
            Ok(_) | Err(_) => Verdict::Foreign,
        }
    }

    pub(crate) fn list(&mut self, origin: &str) {
        self.listed.push(origin.trim_end_matches('/').to_owned());
    }

    fn lists(&self, origin: &str) -> bool {
        let origin = origin.trim_end_matches('/');
        self.listed.iter().any(|listed| listed.eq_ignore_ascii_case(origin))
    }
}

/// Where a request comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A page of the same host, or no page.
    Own,
    /// A page of another host, which is let in: what may stand in `Access-Control-Allow-Origin`.
    Shared(HeaderValue),
    /// A page of another host, which stays out.
    Foreign,
}

/// Whether the page came from the host that the request goes to. The schemes are not compared: behind a proxy that
/// ends TLS the server does not know its own.
fn is_same(origin: &str, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = host.to_str() else { return false };
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |name: &str| name.strip_suffix(default_port).unwrap_or(name).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(origins: &Origins, host: &str, origin: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        headers.insert(ORIGIN, origin.parse().unwrap());
        origins.check(&headers) != Verdict::Foreign
    }

    #[test]
    fn a_page_of_the_same_host_comes_in() {
        let own = Origins::default();
        assert!(allows(&own, "example.com", "https://example.com"));
        assert!(allows(&own, "Example.com:443", "https://example.COM"));
        assert!(allows(&own, "example.com", "http://example.com:80"));
        assert!(allows(&own, "[::1]:8080", "http://[::1]:8080"));
    }

    #[test]
    fn a_foreign_page_stays_out() {
        let own = Origins::default();
        assert!(!allows(&own, "example.com", "https://evil.example"));
        assert!(!allows(&own, "example.com", "https://example.com.evil.example"));
        assert!(!allows(&own, "example.com:8080", "https://example.com"));
        assert!(!allows(&own, "example.com", "null"));
        assert!(!allows(&own, "", "http://"));
        assert!(!allows(&own, "example.com", "file://example.com"));
    }

    #[test]
    fn a_listed_origin_comes_in_whole_only() {
        let listed = Origins { any: false, listed: vec!["https://app.example".into()] };
        assert!(allows(&listed, "api.example", "https://app.example"));
        assert!(!allows(&listed, "api.example", "http://app.example"));
        assert!(!allows(&listed, "api.example", "https://app.example:8443"));
    }

    #[test]
    fn only_a_page_of_another_host_has_to_be_let_read() {
        let listed = Origins { any: false, listed: vec!["https://app.example".into()] };
        let any = Origins { any: true, listed: Vec::new() };
        let mut headers = HeaderMap::new();
        assert_eq!(any.check(&headers), Verdict::Own);
        headers.insert(HOST, "api.example".parse().unwrap());
        headers.insert(ORIGIN, "https://app.example".parse().unwrap());
        let origin = headers[ORIGIN].clone();
        assert_eq!(listed.check(&headers), Verdict::Shared(origin));
        assert_eq!(any.check(&headers), Verdict::Shared("*".parse().unwrap()));
        headers.insert(HOST, "app.example".parse().unwrap());
        assert_eq!(listed.check(&headers), Verdict::Own);
    }

    #[test]
    fn two_origins_are_none() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "example.com".parse().unwrap());
        headers.append(ORIGIN, "https://example.com".parse().unwrap());
        headers.append(ORIGIN, "https://evil.example".parse().unwrap());
        assert_eq!(Origins::default().check(&headers), Verdict::Foreign);
    }
}
