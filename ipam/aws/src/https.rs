//! How requests travel: TLS by rustls with ring, the machine's root certificates, and a proxy if there is one.

use std::env;
use std::time::Duration;

use aws_sdk_ec2::config::{RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::proxy::{ProxyConfig, ProxyError};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};

/// Connections that nobody used for so long are not used again: a server or a middlebox may have dropped them.
const IDLE: Duration = Duration::from_secs(10);

/// A client for EC2 and for whatever gives credentials.
pub(crate) fn client() -> Result<SharedHttpClient, ProxyError> {
    let proxy = proxy(|name| env::var(name).ok())?;
    let trust = roots();
    // As the SDK's own client is made, which would come with another TLS library.
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut builder = Connector::builder().pool_idle_timeout(IDLE).proxy_config(proxy.clone());
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        let mut builder = builder.tls_provider(Provider::Rustls(CryptoMode::Ring));
        if let Ok(context) = TlsContext::builder().with_trust_store(trust.clone()).build() {
            builder.set_tls_context(context);
        }
        builder.build()
    }))
}

/// The machine's root certificates: those of `SSL_CERT_FILE`, else of the usual places. Without any, TLS fails, and what
/// needs none goes on.
fn roots() -> TrustStore {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        tracing::warn!(
            errors = ?found.errors,
            "no root certificates: no server is believed over TLS. Install ca-certificates, or name a file by SSL_CERT_FILE"
        );
        return TrustStore::empty();
    }
    TrustStore::default()
}

/// The proxy for TLS, by the usual variables. What speaks plain HTTP is on the machine itself or is an emulator: the
/// metadata service and the agent of EKS Pod Identity are never asked through a proxy, whatever `HTTP_PROXY` says.
fn proxy(variable: impl Fn(&str) -> Option<String>) -> Result<ProxyConfig, ProxyError> {
    let first =
        |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()));
    let Some(url) = first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]) else {
        return Ok(ProxyConfig::disabled());
    };
    // A host without a scheme is one of HTTP, as in curl.
    let url = if url.contains("://") { url } else { format!("http://{url}") };
    let proxy = ProxyConfig::https(url)?;
    Ok(match first(&["NO_PROXY", "no_proxy"]) {
        Some(rules) => proxy.no_proxy(rules),
        None => proxy,
    })
}
