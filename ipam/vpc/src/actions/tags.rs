//! CreateTags and DeleteTags.

use ipam::ec2::Tags;

use crate::{Answer, Refusal, Region, refusal::Resource};

/// Tags that a resource may have.
const MOST: usize = 50;

impl Region {
    pub(super) fn create_tags(&mut self, resources: &[String], tags: &Tags) -> Result<Answer, Refusal> {
        if resources.is_empty() {
            return Err(Refusal::missing("ResourceId"));
        }
        check(tags)?;
        if tags.is_empty() {
            return Err(Refusal::missing("Tag"));
        }
        for id in resources {
            self.taggable(id)?;
            let has = self.state.tags_mut(id)?;
            let added = tags.keys().filter(|key| !has.contains_key(*key)).count();
            if has.len() + added > MOST {
                let message = "The maximum number of tags for this resource has been reached.";
                return Err(Refusal::new("TagLimitExceeded", message));
            }
        }
        for id in resources {
            self.state.tags_mut(id)?.extend(tags.clone());
            self.tags_changed(id);
        }
        Ok(Answer::Done)
    }

    pub(super) fn delete_tags(
        &mut self,
        resources: &[String],
        tags: &[(String, Option<String>)],
    ) -> Result<Answer, Refusal> {
        if resources.is_empty() {
            return Err(Refusal::missing("ResourceId"));
        }
        for id in resources {
            self.taggable(id)?;
            self.state.tags_mut(id)?;
        }
        for id in resources {
            let has = self.state.tags_mut(id)?;
            if tags.is_empty() {
                has.clear();
            }
            has.retain(|key, is| {
                !tags
                    .iter()
                    .any(|(gone, value)| gone == key && value.as_ref().is_none_or(|value| value == is))
            });
            self.tags_changed(id);
        }
        Ok(Answer::Done)
    }

    /// Interfaces that are too new to be known can't be tagged yet.
    fn taggable(&self, id: &str) -> Result<(), Refusal> {
        if Resource::of(id) == Some(Resource::Interface) {
            self.mine(id)?;
        }
        Ok(())
    }

    fn tags_changed(&mut self, id: &str) {
        if Resource::of(id) == Some(Resource::Interface) {
            self.changed(id);
        }
    }
}

/// What EC2 takes for a tag: keys of 1 to 127 characters that don't begin with `aws:`, values of up to 255.
fn check(tags: &Tags) -> Result<(), Refusal> {
    for (key, value) in tags {
        if key.to_ascii_lowercase().starts_with("aws:") {
            let message = "Tag keys starting with 'aws:' are reserved for internal use";
            return Err(Refusal::value(message));
        }
        if key.is_empty() || key.chars().count() > 127 {
            return Err(Refusal::value("Tag keys have 1 to 127 characters"));
        }
        if value.chars().count() > 255 {
            return Err(Refusal::value("Tag values have at most 255 characters"));
        }
    }
    Ok(())
}
