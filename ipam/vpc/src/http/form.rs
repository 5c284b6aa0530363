//! Forms as the EC2 Query protocol has them: flat names with numbers, `Filter.1.Value.2=x`.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use crate::Refusal;

/// Parameters that are of the protocol, not of an action.
const OF_THE_PROTOCOL: [&str; 8] = [
    "Action",
    "Version",
    "AWSAccessKeyId",
    "Signature",
    "SignatureMethod",
    "SignatureVersion",
    "Timestamp",
    "SecurityToken",
];

/// A form, which remembers what was read of it.
#[derive(Debug)]
pub(super) struct Form {
    values: BTreeMap<String, String>,
    read: RefCell<BTreeSet<String>>,
}

impl Form {
    pub(super) fn parse(body: &[u8]) -> Self {
        let values = form_urlencoded::parse(body).into_owned().collect();
        Self { values, read: RefCell::default() }
    }

    /// A parameter; one that is empty was not given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.read.borrow_mut().insert(name.to_owned());
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Like [`Form::get`], but empty text is text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.read.borrow_mut().insert(name.to_owned());
        self.values.get(name).cloned()
    }

    pub(super) fn need(&self, name: &str) -> Result<String, Refusal> {
        self.get(name).map(str::to_owned).ok_or_else(|| Refusal::missing(name))
    }

    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        self.get(name).map(|value| parse(name, value)).transpose()
    }

    pub(super) fn need_parsed<T: FromStr>(&self, name: &str) -> Result<T, Refusal> {
        self.parsed(name)?.ok_or_else(|| Refusal::missing(name))
    }

    /// `Name.1`, `Name.2`, … in the order of their numbers.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let numbers = self.numbers(name);
        numbers.iter().filter_map(|number| self.text(&format!("{name}.{number}"))).collect()
    }

    pub(super) fn parsed_list<T: FromStr>(&self, name: &str) -> Result<Vec<T>, Refusal> {
        self.list(name).iter().map(|value| parse(name, value)).collect()
    }

    /// The beginnings of the names of a list of structures: `Name.1`, `Name.2`, …
    pub(super) fn items(&self, name: &str) -> Vec<String> {
        self.numbers(name).iter().map(|number| format!("{name}.{number}")).collect()
    }

    fn numbers(&self, name: &str) -> BTreeSet<u32> {
        let rests = self.values.keys().filter_map(|key| key.strip_prefix(name)?.strip_prefix('.'));
        rests.filter_map(|rest| rest.split('.').next()?.parse().ok()).collect()
    }

    /// Leaves out parameters that change nothing here.
    pub(super) fn ignore(&self, beginnings: &[&str]) {
        let of = |name: &str| beginnings.iter().any(|one| name.strip_prefix(one).is_some_and(is_end));
        let ignored = self.values.keys().filter(|name| of(name)).cloned();
        self.read.borrow_mut().extend(ignored);
    }

    /// That nothing was given that nobody read: what would be ignored silently is refused.
    pub(super) fn all_read(&self) -> Result<(), Refusal> {
        let read = self.read.borrow();
        let known = |name: &String| {
            read.contains(name) || OF_THE_PROTOCOL.contains(&name.as_str()) || name.starts_with("X-Amz-")
        };
        match self.values.keys().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => {
                let message = format!("The parameter {name} is not recognized");
                Err(Refusal::new("UnknownParameter", message))
            }
        }
    }
}

fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.')
}

fn parse<T: FromStr>(name: &str, value: &str) -> Result<T, Refusal> {
    value.parse().map_err(|_| Refusal::value(format!("Invalid value '{value}' for {name}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_the_order_of_their_numbers() {
        let form = Form::parse(b"A.10=j&A.2=b&A.1=a&B.1.X=1&B.2.Y=2&C=");
        assert_eq!(form.list("A"), ["a", "b", "j"]);
        assert_eq!(form.items("B"), ["B.1", "B.2"]);
        assert_eq!((form.get("C"), form.text("C")), (None, Some(String::new())));
    }

    #[test]
    fn what_nobody_reads_is_refused() {
        let form =
            Form::parse(b"Action=X&Version=2016-11-15&SubnetId=s&Placement.Tenancy=dedicated&PlacementX=1");
        assert_eq!(form.get("SubnetId"), Some("s"));
        form.ignore(&["Placement"]);
        let refusal = form.all_read().expect_err("PlacementX was not read");
        assert_eq!(refusal.code, "UnknownParameter");
        assert!(refusal.message.contains("PlacementX"), "{refusal}");
    }

    #[test]
    fn a_wrong_value_names_its_parameter() {
        let refusal = Form::parse(b"N=x").parsed::<u32>("N").expect_err("no number");
        assert_eq!(refusal.to_string(), "InvalidParameterValue: Invalid value 'x' for N.");
    }
}
