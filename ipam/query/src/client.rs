//! The client of EC2.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request as HttpRequest, header::CONTENT_TYPE};
use http_body_util::Full;
use ipam::ec2::{Action, Ec2, Error, Reply, Request};

use crate::{
    decode, encode,
    transport::{BadEndpoint, HttpError, Transport},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of the EC2 Query protocol, version 2016-11-15, for endpoints that ask for no signature. Cloning
/// it shares connections.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Transport,
}

impl Client {
    /// A client of the server at `http://host:port`, with a time limit of 30 s for each request.
    ///
    /// # Errors
    ///
    /// If the address is none.
    pub fn new(endpoint: &str) -> Result<Self, BadEndpoint> {
        Self::with_timeout(endpoint, PATIENCE)
    }

    /// A client with a time limit of one's own for each request.
    ///
    /// # Errors
    ///
    /// If the address is none.
    pub fn with_timeout(endpoint: &str, timeout: Duration) -> Result<Self, BadEndpoint> {
        Ok(Self { transport: Transport::new(endpoint, timeout)? })
    }

    async fn exchange(&self, action: Action, form: String) -> Result<http::Response<Bytes>, Error> {
        let unanswered = |error: &HttpError| Error::unanswered_because(action, error);
        let request = HttpRequest::builder()
            .method(Method::POST)
            .uri(self.transport.at("/"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .body(Full::new(Bytes::from(form)))
            .map_err(|error| unanswered(&error.into()))?;
        self.transport.send(request).await.map_err(|error| unanswered(&error))
    }
}

impl Ec2 for Client {
    async fn call(&self, request: Request) -> Result<Reply, Error> {
        let action = request.action();
        let response = self.exchange(action, encode::form(&request)).await?;
        let status = response.status();
        // What can't be read says nothing about what was done.
        let unreadable = |why: String| Error::unreadable(action, format!("HTTP {status}, {why}"));
        let text = std::str::from_utf8(response.body()).map_err(|error| unreadable(error.to_string()))?;
        let document = roxmltree::Document::parse(text).map_err(|error| unreadable(error.to_string()))?;
        if !status.is_success() {
            let (code, message) =
                decode::error(&document).ok_or_else(|| unreadable("without an error's code".to_owned()))?;
            return Err(Error::answered(action, code, message));
        }
        decode::reply(action, &document).map_err(|error| unreadable(error.to_string()))
    }
}
