//! The request that an operation of the manager belongs to.

use std::{net::IpAddr, sync::Arc};

use http::{Extensions, HeaderMap, header, request::Parts};

use super::VerifierInner;
use crate::{
    event::{Client, truncated_user_agent},
    problem::Recipient,
};

/// How the application finds the address of a client.
pub(crate) type ClientIp = dyn Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync;

/// The request that an operation belongs to: whom an error is for, and who caused an event.
pub(crate) struct RequestContext {
    pub(crate) recipient: Recipient,
    pub(crate) client: Arc<Client>,
}

impl RequestContext {
    pub(super) fn new(recipient: Recipient, headers: &HeaderMap, ip: Option<IpAddr>) -> Arc<Self> {
        let user_agent = headers.get(header::USER_AGENT);
        let user_agent =
            user_agent.map(|value| truncated_user_agent(String::from_utf8_lossy(value.as_bytes()).into_owned()));
        Arc::new(Self { recipient, client: Arc::new(Client { user_agent, ip }) })
    }
}

impl VerifierInner {
    /// Whether the application has a part in what the context of a request is.
    pub(super) fn needs_request(&self) -> bool {
        !self.renderer.is_default() || self.client_ip.is_some()
    }

    pub(crate) fn context(&self, parts: &Parts) -> Arc<RequestContext> {
        let ip = self.client_ip(&parts.headers, &parts.extensions);
        RequestContext::new(self.renderer.recipient(parts), &parts.headers, ip)
    }

    /// Returns the context of a request of which only this is known.
    pub(super) fn partial_context(&self, headers: &HeaderMap, extensions: &Extensions) -> Arc<RequestContext> {
        RequestContext::new(Recipient::of(headers), headers, self.client_ip(headers, extensions))
    }

    fn client_ip(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        self.client_ip.as_ref().and_then(|find| find(headers, extensions))
    }
}
