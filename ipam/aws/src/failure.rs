//! Errors of the SDK, as the core classifies them.

use std::error::Error as StdError;
use std::iter::successors;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use ipam::ec2::{Action, Error};

/// What an error means. EC2's model has no errors, so that they are known by their codes alone; what has no code
/// is no answer of EC2's, and tells nothing about what was done.
pub(crate) fn of<E>(action: Action, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let Some(code) = error.code() {
        return Error::answered(action, code, error.message().unwrap_or_default());
    }
    if let Some(response) = error.raw_response() {
        let status = response.status().as_u16();
        let why = Error::unanswered_because(action, error).message;
        return Error::unreadable(action, format!("HTTP {status}, {why}"));
    }
    // Credentials are asked for before anything is sent.
    if causes(error).any(<dyn StdError>::is::<CredentialsError>) {
        return Error::without_credentials(action, error);
    }
    Error::unanswered_because(action, error)
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    successors(Some(error), |&error| error.source())
}
