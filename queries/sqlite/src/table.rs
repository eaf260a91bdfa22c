//! The rows of one evaluation, as the JSON that clients get, and what lies between two of them.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use moorline_core::Rows;

/// Rows in their order, as one JSON array. Equal rows have equal text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    json: Bytes,
    rows: Vec<Range<usize>>,
}

impl Table {
    pub(crate) fn rows(&self) -> Rows {
        Rows::new(self.rows.len() as u64, self.json.clone())
    }

    fn each(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.rows.iter().map(|range| &self.json[range.clone()])
    }
}

/// A table that is being written.
pub(crate) struct Draft {
    json: Vec<u8>,
    rows: Vec<Range<usize>>,
}

impl Draft {
    pub(crate) fn new() -> Self {
        Self { json: vec![b'['], rows: Vec::new() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How long the array would be if it ended here.
    pub(crate) fn bytes(&self) -> usize {
        self.json.len() + 1
    }

    /// Adds what `write` writes as a row.
    pub(crate) fn row(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.rows.is_empty() {
            self.json.push(b',');
        }
        let start = self.json.len();
        write(&mut self.json);
        self.rows.push(start..self.json.len());
    }

    fn copy(&mut self, row: &[u8]) {
        self.row(|json| json.extend_from_slice(row));
    }

    pub(crate) fn done(mut self) -> Table {
        self.json.push(b']');
        Table { json: self.json.into(), rows: self.rows }
    }
}

/// What leads from one table to another: each step with the rows that there are after it. None, when both have the same rows, in
/// whichever order. More than one only where one would be longer than `most` bytes.
pub(crate) fn steps(old: &Table, new: &Table, most: usize) -> VecDeque<(Rows, Table)> {
    let mut counts: HashMap<&[u8], usize> = HashMap::new();
    for row in new.each() {
        *counts.entry(row).or_default() += 1;
    }
    // Of equal rows, the first stay.
    let (mut stays, mut removed) = (Vec::new(), Vec::new());
    for row in old.each() {
        match counts.get_mut(row) {
            Some(count) if *count > 0 => {
                *count -= 1;
                stays.push(row);
            }
            _ => removed.push(row),
        }
    }
    // What is left over of a row has come last.
    let mut added = Vec::new();
    for row in new.each().rev() {
        if let Some(count) = counts.get_mut(row).filter(|count| **count > 0) {
            *count -= 1;
            added.push(row);
        }
    }
    added.reverse();
    split(&stays, &removed, &added, new, most)
}

fn split(
    stays: &[&[u8]],
    removed: &[&[u8]],
    added: &[&[u8]],
    new: &Table,
    most: usize,
) -> VecDeque<(Rows, Table)> {
    let changes =
        removed.iter().map(|row| (REMOVED, row)).chain(added.iter().map(|row| (ADDED, row)));
    let (mut steps, mut draft) = (VecDeque::new(), Draft::new());
    for (at, (start, row)) in changes.enumerate() {
        if draft.rows() > 0 && draft.bytes() + 1 + start.len() + row.len() + 1 > most {
            let change = std::mem::replace(&mut draft, Draft::new()).done().rows();
            // On the way, that which is still to go stands first.
            let mut between = Draft::new();
            let gone = at.min(removed.len());
            let come = at.saturating_sub(removed.len());
            removed[gone..]
                .iter()
                .chain(stays)
                .chain(&added[..come])
                .for_each(|row| between.copy(row));
            steps.push_back((change, between.done()));
        }
        draft.row(|json| {
            json.extend_from_slice(start);
            json.extend_from_slice(row);
            json.push(b'}');
        });
    }
    if draft.rows() > 0 {
        steps.push_back((draft.done().rows(), new.clone()));
    }
    steps
}

const REMOVED: &[u8] = br#"{"change":"removed","row":"#;
const ADDED: &[u8] = br#"{"change":"added","row":"#;

#[cfg(test)]
mod tests {
    use super::{Draft, Table, steps};

    fn table(rows: &[&str]) -> Table {
        let mut draft = Draft::new();
        rows.iter().for_each(|row| draft.copy(row.as_bytes()));
        draft.done()
    }

    fn told(old: &[&str], new: &[&str], most: usize) -> Vec<(String, String)> {
        let text = |json: &[u8]| String::from_utf8(json.to_vec()).unwrap();
        let steps = steps(&table(old), &table(new), most);
        steps.iter().map(|(change, then)| (text(&change.json), text(&then.json))).collect()
    }

    #[test]
    fn r42_a_table_is_one_json_array() {
        assert_eq!(&table(&[]).rows().json[..], b"[]");
        let rows = table(&["1", "[2]", "3"]).rows();
        assert_eq!((rows.count, &rows.json[..]), (3, &b"[1,[2],3]"[..]));
    }

    #[test]
    fn r42_equal_rows_are_counted() {
        assert_eq!(told(&["1", "2", "1"], &["2", "1", "1"], 999), []);
        assert_eq!(told(&[], &[], 999), []);
        let [(change, then)] = &told(&["1", "1", "2"], &["2", "1", "3", "3"], 999)[..] else {
            panic!()
        };
        assert_eq!(
            change,
            r#"[{"change":"removed","row":1},{"change":"added","row":3},{"change":"added","row":3}]"#
        );
        assert_eq!(then, "[2,1,3,3]");
    }

    #[test]
    fn r42_a_long_change_is_told_in_parts_each_with_its_rows() {
        // Two removed rows are 59 bytes with brackets and comma, two added ones 55.
        let steps = told(&["1", "2", "3"], &["3", "4", "5"], 59);
        let thens: Vec<_> = steps.iter().map(|(_, then)| then.as_str()).collect();
        assert_eq!(thens, ["[3]", "[3,4,5]"]);
        assert!(steps.iter().all(|(change, _)| change.len() <= 59), "{steps:?}");
        let thens: Vec<_> = told(&["1", "2", "3"], &["3", "4", "5"], 58)
            .into_iter()
            .map(|(_, then)| then)
            .collect();
        assert_eq!(thens, ["[2,3]", "[3,4]", "[3,4,5]"]);
        // One that is longer by itself goes by itself.
        assert_eq!(told(&["1", "2"], &[], 1).len(), 2);
    }
}
