//! What the SDK does not look at in an answer.

use aws_sdk_ec2::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_ec2::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_ec2::error::BoxError;

/// What an answer that is no error has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// The SDK reads a document that ends in its middle as if the rest were empty: half a list of interfaces as none.
    /// Each of EC2's answers ends with its root, `</…Response>`.
    Whole,
    /// Of actions that have nothing to tell, the SDK reads no answer at all: any page with status 200 would do. EC2
    /// answers `<return>true</return>`.
    Done,
}

/// An answer is not all that it should be.
#[derive(Debug, thiserror::Error)]
enum Lacking {
    #[error("the answer ends in its middle")]
    End,
    #[error("the answer has no <return>true</return>")]
    Return,
}

impl Check {
    fn pass(self, body: &[u8]) -> Result<(), Lacking> {
        const DONE: &[u8] = b"<return>true</return>";
        match self {
            Self::Whole if !body.trim_ascii_end().ends_with(b"Response>") => Err(Lacking::End),
            Self::Done if !body.windows(DONE.len()).any(|part| part == DONE) => Err(Lacking::Return),
            Self::Whole | Self::Done => Ok(()),
        }
    }
}

impl Intercept for Check {
    fn name(&self) -> &'static str {
        match self {
            Self::Whole => "Whole",
            Self::Done => "Done",
        }
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response();
        // Errors are read for their code, or have none.
        if !answer.status().is_success() {
            return Ok(());
        }
        Ok(self.pass(answer.body().bytes().unwrap_or_default())?)
    }
}
