//! Cuts a case that fails down to what it takes to fail.

use serde_json::Value;

use crate::cluster::Case;

/// Leaves out whatever the failure does not need: objects, then fields and items within them.
#[must_use]
pub fn minimise(mut case: Case, fails: impl Fn(&Case) -> bool) -> Case {
    loop {
        let before = case.clone();
        for number in (0..case.objects.len()).rev() {
            let mut smaller = case.clone();
            smaller.objects.remove(number);
            keep_if(&mut case, smaller, &fails);
        }
        for number in 0..case.objects.len() {
            let mut at = 0;
            while let Some(smaller) = without(&case.objects[number], &mut at.clone()) {
                let candidate = Case { objects: replaced(&case.objects, number, smaller), ..case.clone() };
                // Where something went, another thing is in its place.
                if !keep_if(&mut case, candidate, &fails) {
                    at += 1;
                }
            }
        }
        let (no_names, settings) = (Default::default(), Default::default());
        let smaller = Case { names: no_names, ..case.clone() };
        keep_if(&mut case, smaller, &fails);
        let smaller = Case { settings, ..case.clone() };
        keep_if(&mut case, smaller, &fails);
        if case.objects == before.objects {
            return case;
        }
    }
}

fn keep_if(case: &mut Case, smaller: Case, fails: impl Fn(&Case) -> bool) -> bool {
    let keep = fails(&smaller);
    if keep {
        *case = smaller;
    }
    keep
}

fn replaced(objects: &[Value], number: usize, object: Value) -> Vec<Value> {
    let mut objects = objects.to_vec();
    objects[number] = object;
    objects
}

/// The value without its `at`th part, counted from the outside in; none where there are not so many.
fn without(value: &Value, at: &mut usize) -> Option<Value> {
    match value {
        Value::Array(items) => {
            for number in 0..items.len() {
                let mut smaller = items.clone();
                if *at == 0 {
                    smaller.remove(number);
                    return Some(smaller.into());
                }
                *at -= 1;
                if let Some(item) = without(&items[number], at) {
                    smaller[number] = item;
                    return Some(smaller.into());
                }
            }
            None
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                let mut smaller = fields.clone();
                if *at == 0 {
                    smaller.remove(key);
                    return Some(smaller.into());
                }
                *at -= 1;
                if let Some(field) = without(field, at) {
                    smaller[key] = field;
                    return Some(smaller.into());
                }
            }
            None
        }
        _ => None,
    }
}
