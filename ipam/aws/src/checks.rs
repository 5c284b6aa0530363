//! What the SDK does not look at in an answer.

use aws_sdk_ec2::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;

/// The SDK reads a document that ends in its middle as if the rest were empty: half a list of interfaces as none. Each of
/// EC2's answers ends with its root, `</…Response>`.
#[derive(Debug)]
pub(crate) struct Whole;

/// Of actions that have nothing to tell, the SDK reads no answer at all: any page with status 200 would do. EC2 answers
/// `<return>true</return>`.
#[derive(Debug)]
pub(crate) struct SaysSo;

/// An answer is not all that it should be.
#[derive(Debug, thiserror::Error)]
enum Lacking {
    #[error("the answer ends in its middle")]
    End,
    #[error("the answer has no <return>true</return>")]
    Return,
}

impl Intercept for Whole {
    fn name(&self) -> &'static str {
        "Whole"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_whole = |body: &[u8]| body.trim_ascii_end().ends_with(b"Response>");
        demand(context, is_whole, Lacking::End)
    }
}

impl Intercept for SaysSo {
    fn name(&self) -> &'static str {
        "SaysSo"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        const DONE: &[u8] = b"<return>true</return>";
        let says_so = |body: &[u8]| body.windows(DONE.len()).any(|part| part == DONE);
        demand(context, says_so, Lacking::Return)
    }
}

/// Of answers that are no errors: those are read for their code, or have none.
fn demand(
    context: &AfterDeserializationInterceptorContextRef<'_>,
    holds: impl Fn(&[u8]) -> bool,
    otherwise: Lacking,
) -> Result<(), BoxError> {
    let answer = context.response();
    if !answer.status().is_success() || answer.body().bytes().is_some_and(holds) {
        return Ok(());
    }
    Err(otherwise.into())
}
