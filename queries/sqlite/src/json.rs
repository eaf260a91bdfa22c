//! SQLite's values as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::ValueRef;
use serde_json::Value;

/// Writes a row as an object. `columns` are the names, each as JSON. It stops when there are more than `most` bytes: a row can be
/// a thousand times as long as any of its values, and it is the caller who refuses it.
pub(crate) fn row<'v>(
    json: &mut Vec<u8>,
    columns: &[String],
    most: usize,
    mut value: impl FnMut(usize) -> ValueRef<'v>,
) {
    json.push(b'{');
    for (at, column) in columns.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        json.extend_from_slice(column.as_bytes());
        json.push(b':');
        push(json, value(at));
        if json.len() > most {
            return;
        }
    }
    json.push(b'}');
}

fn push(json: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => json.extend_from_slice(b"null"),
        ValueRef::Integer(number) => json.extend_from_slice(number.to_string().as_bytes()),
        // JSON knows no infinity: serde_json makes it null.
        ValueRef::Real(number) => {
            json.extend_from_slice(Value::from(number).to_string().as_bytes());
        }
        ValueRef::Text(text) => {
            json.extend_from_slice(string(&String::from_utf8_lossy(text)).as_bytes());
        }
        ValueRef::Blob(blob) => json.extend_from_slice(string(&STANDARD.encode(blob)).as_bytes()),
    }
}

/// A JSON string.
pub(crate) fn string(text: &str) -> String {
    Value::from(text).to_string()
}
