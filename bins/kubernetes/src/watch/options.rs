use std::time::Duration;

use kube::api::{ListParams, WatchParams};

use crate::client::jitter;

/// How to watch.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only objects whose fields are so.
    pub fields: Option<String>,
    /// Only objects with such labels.
    pub labels: Option<String>,
    /// Whether the names of all objects are kept, so that a new list tells what it lacks. Who listens can do that as
    /// well where it knows the objects by name: those of a large cluster take megabytes. See
    /// [`Event::Listing`](super::Event::Listing).
    pub keeps_names: bool,
    /// How many objects a list asks for at once: memory against requests.
    pub page_size: u32,
    /// How long a watch lasts before the server ends it and it is resumed; some jitter is added.
    pub duration: Duration,
    /// The longest pause after failures that follow one another.
    pub longest_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fields: None,
            labels: None,
            keeps_names: true,
            page_size: 500,
            duration: Duration::from_secs(240),
            longest_pause: Duration::from_secs(15),
        }
    }
}

impl Options {
    /// Only objects whose fields are so.
    #[must_use]
    pub fn fields(mut self, selector: impl Into<String>) -> Self {
        self.fields = Some(selector.into());
        self
    }

    /// Only objects with such labels.
    #[must_use]
    pub fn labels(mut self, selector: impl Into<String>) -> Self {
        self.labels = Some(selector.into());
        self
    }

    /// Leaves it to the listener to know what there was before a list.
    #[must_use]
    pub const fn without_names(mut self) -> Self {
        self.keeps_names = false;
        self
    }

    /// A page of a list.
    pub(super) fn list(&self) -> ListParams {
        ListParams {
            field_selector: self.fields.clone(),
            label_selector: self.labels.clone(),
            limit: Some(self.page_size),
            ..ListParams::default()
        }
    }

    /// A watch. Bookmarks are asked for.
    pub(super) fn watch(&self) -> WatchParams {
        let jittered = self.duration.mul_f64(1.0 + jitter() / 5.0).as_secs();
        WatchParams {
            field_selector: self.fields.clone(),
            label_selector: self.labels.clone(),
            timeout: Some(u32::try_from(jittered).unwrap_or(u32::MAX)),
            ..WatchParams::default()
        }
    }
}
