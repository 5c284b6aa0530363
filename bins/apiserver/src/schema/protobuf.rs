//! Built-in objects in protobuf, as clients made with Go send them.
//!
//! They are read only: whoever sends protobuf takes JSON for an answer. An object comes in an envelope, after four bytes:
//! its API version and kind, and its fields.

use serde_json::{Map, Value};

use super::{Schema, Type, Wire, builtin};

/// First bytes of an envelope.
const MAGIC: &[u8] = b"k8s\0";

/// Reads an object. `None`: it is cut off, or something else altogether, or of a kind whose fields are not known.
pub(crate) fn decode(body: &[u8]) -> Option<Value> {
    let mut envelope = Reader { bytes: body.strip_prefix(MAGIC)? };
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    while let Some((number, field)) = envelope.field()? {
        match (number, field) {
            (1, Field::Bytes(bytes)) => {
                let mut meta = Reader { bytes };
                while let Some((number, field)) = meta.field()? {
                    match (number, field) {
                        (1, Field::Bytes(bytes)) => version = text(bytes)?,
                        (2, Field::Bytes(bytes)) => kind = text(bytes)?,
                        _ => {}
                    }
                }
            }
            (2, Field::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let group = version.split_once('/').map_or("", |(group, _)| group).split('.').next().unwrap_or_default();
    let name =
        if group.is_empty() || kind == "DeleteOptions" { kind.clone() } else { format!("{group}.{kind}") };
    let schema = builtin::named(&name);
    // The schemas of definitions are kept as they are written, and have no numbers.
    if schema.wire.is_empty() || kind == "CustomResourceDefinition" {
        return None;
    }
    let mut object = message(schema, raw)?;
    object.insert("apiVersion".into(), version.into());
    object.insert("kind".into(), kind.into());
    Some(Value::Object(object))
}

fn text(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// A field as it is on the wire.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next field, if there is one; the outer `None` says that the bytes are none.
    #[expect(clippy::option_option, reason = "the end is not the same as an error")]
    fn field(&mut self) -> Option<Option<(u32, Field<'a>)>> {
        if self.bytes.is_empty() {
            return Some(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok()?;
        let field = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Bytes(self.take(4)?),
            _ => return None,
        };
        Some(Some((number, field)))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

fn message(schema: &Schema, bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut map = Map::new();
    let mut reader = Reader { bytes };
    while let Some((number, field)) = reader.field()? {
        match (schema.wire.get(&number), field) {
            (None, _) => {}
            (Some(Wire::Inline(inner)), Field::Bytes(bytes)) => map.append(&mut message(inner, bytes)?),
            (Some(Wire::Inline(_)), Field::Number(_)) => return None,
            (Some(Wire::Field(name)), field) => {
                let part = schema.field(name);
                match part.of {
                    Type::Array => {
                        let item = value(part.item(), field)?;
                        let list = map.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                        list.as_array_mut()?.push(item);
                    }
                    Type::Object if part.additional.is_some() => {
                        let Field::Bytes(bytes) = field else { return None };
                        let (key, value) = entry(part.additional.as_ref()?, bytes)?;
                        let entries = map.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
                        entries.as_object_mut()?.insert(key, value);
                    }
                    _ => {
                        let value = value(part, field)?;
                        if part.pointer || !is_zero(&value) {
                            map.insert(name.clone(), value);
                        }
                    }
                }
            }
        }
    }
    Some(map)
}

/// What Go writes for a value that was never set.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Array(_) => false,
    }
}

/// An entry of a map by text.
fn entry(schema: &Schema, bytes: &[u8]) -> Option<(String, Value)> {
    let mut reader = Reader { bytes };
    let (mut key, mut found) = (String::new(), None);
    while let Some((number, field)) = reader.field()? {
        match (number, field) {
            (1, Field::Bytes(bytes)) => key = text(bytes)?,
            (2, field) => found = Some(value(schema, field)?),
            _ => {}
        }
    }
    let empty = if schema.of == Type::Object { Value::Object(Map::new()) } else { Value::from("") };
    Some((key, found.unwrap_or(empty)))
}

fn value(schema: &Schema, field: Field<'_>) -> Option<Value> {
    let format = schema.rules.format.as_deref().unwrap_or_default();
    Some(match (schema.of, field) {
        (Type::Boolean, Field::Number(number)) => Value::Bool(number != 0),
        // Negative numbers are written in two's complement.
        (Type::Integer, Field::Number(number)) => Value::from(number.cast_signed()),
        (Type::String, Field::Bytes(bytes)) if format == "date-time" => time(bytes)?,
        (Type::String, Field::Bytes(bytes)) if format == "byte" => {
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes).into()
        }
        (Type::String, Field::Bytes(bytes)) => text(bytes)?.into(),
        (Type::IntOrString, Field::Bytes(bytes)) => int_or_string(bytes, format)?,
        (Type::Object, Field::Bytes(bytes)) if schema.preserve => raw(bytes)?,
        (Type::Object, Field::Bytes(bytes)) => Value::Object(message(schema, bytes)?),
        _ => return None,
    })
}

/// Seconds and nanoseconds; nothing at all is no time.
fn time(bytes: &[u8]) -> Option<Value> {
    let (mut seconds, mut nanos, mut reader) = (0, 0, Reader { bytes });
    while let Some((number, field)) = reader.field()? {
        match (number, field) {
            (1, Field::Number(number)) => seconds = number.cast_signed(),
            (2, Field::Number(number)) => nanos = i32::try_from(number).ok()?,
            _ => {}
        }
    }
    // Go's zero time is that of the year 1.
    if seconds <= 0 {
        return Some(Value::Null);
    }
    let time = jiff::Timestamp::new(seconds, nanos).ok()?;
    let format = if nanos == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%.6fZ" };
    Some(time.strftime(format).to_string().into())
}

/// A quantity is one text; the other has a type, a number and a text.
fn int_or_string(bytes: &[u8], format: &str) -> Option<Value> {
    let (mut of, mut number, mut string, mut reader) = (0, 0, String::new(), Reader { bytes });
    while let Some((at, field)) = reader.field()? {
        match (at, field) {
            (1, Field::Bytes(bytes)) if format == "quantity" => return Some(text(bytes)?.into()),
            (1, Field::Number(found)) => of = found,
            (2, Field::Number(found)) => number = found.cast_signed(),
            (3, Field::Bytes(bytes)) => string = text(bytes)?,
            _ => {}
        }
    }
    Some(if of == 0 && format != "quantity" { number.into() } else { string.into() })
}

/// JSON in an envelope of its own.
fn raw(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { bytes };
    while let Some((number, field)) = reader.field()? {
        if let (1, Field::Bytes(bytes)) = (number, field) {
            return serde_json::from_slice(bytes).ok();
        }
    }
    Some(Value::Null)
}

/// OpenAPI v2 in protobuf: only which kinds take which parameters of a patch, each by its path. That is all that `kubectl`
/// looks for in it.
pub(crate) fn document(kinds: &[(String, Value)]) -> Vec<u8> {
    let mut paths = Vec::new();
    for (path, kind) in kinds {
        let mut patch = Vec::new();
        for name in ["dryRun", "fieldManager", "fieldValidation"] {
            // ParametersItem > Parameter > NonBodyParameter > QueryParameterSubSchema: in, name, type.
            let mut query = Vec::new();
            put(&mut query, 2, b"query");
            put(&mut query, 4, name.as_bytes());
            put(&mut query, 6, b"string");
            put(&mut patch, 8, &wrapped(1, &wrapped(2, &wrapped(3, &query))));
        }
        // NamedAny: name, and Any with its YAML.
        let mut extension = Vec::new();
        put(&mut extension, 1, b"x-kubernetes-group-version-kind");
        put(&mut extension, 2, &wrapped(2, format!("{kind}\n").as_bytes()));
        put(&mut patch, 13, &extension);
        let mut item = Vec::new();
        put(&mut item, 1, path.as_bytes());
        put(&mut item, 2, &wrapped(8, &patch));
        put(&mut paths, 2, &item);
    }
    let mut info = Vec::new();
    put(&mut info, 1, b"Netloom's API server");
    put(&mut info, 2, b"v1.33.0");
    let mut document = Vec::new();
    put(&mut document, 1, b"2.0");
    put(&mut document, 2, &info);
    put(&mut document, 8, &paths);
    document
}

fn wrapped(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, number, bytes);
    out
}

/// Appends a field of bytes. Numbers are below 16.
fn put(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let mut meta = Vec::new();
        put(&mut meta, 1, version.as_bytes());
        put(&mut meta, 2, kind.as_bytes());
        let mut body = MAGIC.to_vec();
        put(&mut body, 1, &meta);
        put(&mut body, 2, raw);
        body
    }

    #[test]
    fn a_pod() {
        let mut container = wrapped(1, b"c");
        put(&mut container, 2, b"image");
        // ports: hostPort 0 (never set), containerPort 80.
        put(&mut container, 6, &[2 << 3, 0, 3 << 3, 80]);
        // limits: cpu 1
        let mut limit = wrapped(1, b"cpu");
        put(&mut limit, 2, &wrapped(1, b"1"));
        put(&mut container, 8, &wrapped(1, &limit));
        let mut spec = wrapped(2, &container);
        // volumes: an emptyDir, which is inline.
        let mut volume = wrapped(1, b"v");
        put(&mut volume, 2, &wrapped(2, b""));
        put(&mut spec, 1, &volume);
        let mut metadata = wrapped(1, b"p");
        put(&mut metadata, 2, b"");
        put(&mut metadata, 8, b"");
        let mut pod = wrapped(1, &metadata);
        put(&mut pod, 2, &spec);
        let found = decode(&envelope("v1", "Pod", &pod)).expect("a pod");
        assert_eq!(
            found,
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {
                "containers": [{"name": "c", "image": "image", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1"}}}],
                "volumes": [{"name": "v", "emptyDir": {}}]}})
        );
    }

    #[test]
    fn a_pointer_to_zero_is_kept() {
        let deployment = wrapped(2, &[1 << 3, 0, 5 << 3, 0]);
        let found = decode(&envelope("apps/v1", "Deployment", &deployment)).expect("a deployment");
        assert_eq!(found["spec"], json!({"replicas": 0}));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&envelope("v1", "Pod", &bytes));
            let _ = decode(&bytes);
        }
    }
}
