//! All mutants of a file at once, each behind a switch.
//!
//! An expression `l != r` becomes `(if crate::mutant(18) { l == r } else { l != r })`, a match's arm gets a guard, and a function's
//! body an `if` around it. Only one is on at a time: what is written instead has no switches in it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::list::Mutant;

/// What the crate begins with: what does not make sense is tried too.
pub(super) const LENIENT: &str = "#![allow(warnings, arithmetic_overflow, unconditional_panic)]\n";

/// What is appended to the crate: the switch.
pub(super) const SWITCH: &str = r#"
pub(crate) fn mutant(id: usize) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("MOORLINE_MUTANT").ok()?.parse().ok());
    *chosen == Some(id)
}
"#;

/// A file with its mutants.
#[derive(Default)]
pub(super) struct Planted {
    pub(super) text: String,
    places: Vec<Place>,
}

/// Where in the text a mutant is.
struct Place {
    id: usize,
    /// What is written instead.
    inside: Range<usize>,
    /// That, and what it stands for.
    all: Range<usize>,
}

impl Planted {
    pub(super) fn ids(&self) -> impl Iterator<Item = usize> {
        self.places.iter().map(|place| place.id)
    }

    /// The mutants that have something of these bytes inside.
    pub(super) fn at(&self, bytes: &Range<usize>) -> Vec<usize> {
        let meets = |other: &Range<usize>| bytes.start < other.end && other.start < bytes.end;
        let there = self.places.iter().filter(|place| meets(&place.inside));
        there.map(|place| place.id).collect()
    }

    /// The smallest mutant that has all of these bytes in it.
    pub(super) fn around(&self, bytes: &Range<usize>) -> Option<usize> {
        let has = |all: &Range<usize>| all.start <= bytes.start && bytes.end <= all.end;
        let around = self.places.iter().filter(|place| has(&place.all));
        around.min_by_key(|place| place.all.len()).map(|place| place.id)
    }
}

/// Two texts to put in, around a part of the file.
struct Edit {
    id: usize,
    part: Range<usize>,
    before: String,
    after: &'static str,
}

/// Plants these into the file.
pub(super) fn plant(source: &str, mutants: &[(usize, &Mutant)]) -> Result<Planted, syn::Error> {
    // What asks the environment is not for constants.
    let source = source.replace("const fn", "      fn");
    let mut parts = Parts::default();
    parts.visit_file(&syn::parse_file(&source)?);
    let edits = mutants.iter().filter_map(|(id, mutant)| edit(&source, &parts, *id, mutant));
    let mut edits: Vec<Edit> = edits.collect();
    // What is around before what is inside.
    edits.sort_by_key(|edit| (edit.part.start, Reverse(edit.part.end)));
    let mut planting = Planting { source: &source, ..Planting::default() };
    for edit in edits {
        planting.close(edit.part.start);
        planting.open(edit);
    }
    planting.close(source.len());
    planting.copy(source.len());
    Ok(planting.planted)
}

/// A file of which a part is planted.
#[derive(Default)]
struct Planting<'a> {
    source: &'a str,
    copied: usize,
    planted: Planted,
    /// What is begun, the innermost last, and where in the text it is.
    open: Vec<(Edit, Range<usize>)>,
}

impl Planting<'_> {
    fn open(&mut self, edit: Edit) {
        self.copy(edit.part.start);
        let begun = self.planted.text.len();
        self.planted.text.push_str(&edit.before);
        self.open.push((edit, begun..self.planted.text.len()));
    }

    /// Ends what ends before that.
    fn close(&mut self, before: usize) {
        let ends = |(edit, _): &(Edit, Range<usize>)| edit.part.end <= before;
        while let Some((edit, inside)) =
            self.open.last().is_some_and(ends).then(|| self.open.pop()).flatten()
        {
            self.copy(edit.part.end);
            self.planted.text.push_str(edit.after);
            let all = inside.start..self.planted.text.len();
            self.planted.places.push(Place { id: edit.id, inside, all });
        }
    }

    fn copy(&mut self, to: usize) {
        self.planted.text.push_str(&self.source[self.copied..to]);
        self.copied = to;
    }
}

/// How that mutant is switched; `None` where there is no way.
fn edit(source: &str, parts: &Parts, id: usize, mutant: &Mutant) -> Option<Edit> {
    let [start, end] = mutant.span.map(|place| offset(source, place));
    let (start, end, new) = (start?, end?, &mutant.replacement);
    if parts.absent.iter().any(|absent| absent.contains(&start)) {
        return None;
    }
    let on = format!("crate::mutant({id})");
    let (part, before, after) = match mutant.genre.as_str() {
        "FnValue" => (start..end, format!("if {on} {{ {new} }} else {{ "), " }"),
        "MatchArm" => match parts.arms.get(&start)? {
            (_, Some(guard)) => (guard.clone(), format!("!{on} && ("), ")"),
            (pattern, None) => (*pattern..*pattern, format!(" if !{on}"), ""),
        },
        "MatchArmGuard" => (start..end, format!("(if {on} {{ {new} }} else {{ "), " })"),
        _ => {
            let part = parts.expressions.get(&(mutant.genre.clone(), start))?.clone();
            let (left, right) = (&source[part.start..start], &source[end..part.end]);
            (part, format!("(if {on} {{ {left}{new}{right} }} else {{ "), " })")
        }
    };
    Some(Edit { id, part, before, after })
}

/// Where a line's column begins, in bytes.
fn offset(source: &str, (line, column): (usize, usize)) -> Option<usize> {
    let before: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let (within, _) = source[before..].char_indices().nth(column - 1)?;
    Some(before + within)
}

/// Where things stand in a file.
#[derive(Default)]
struct Parts {
    /// Expressions, by what is changed of them, and where that begins.
    expressions: HashMap<(String, usize), Range<usize>>,
    /// By its begin: where an arm's pattern ends, and its guard.
    arms: HashMap<usize, (usize, Option<Range<usize>>)>,
    /// Functions for when a feature is off: all are on.
    absent: Vec<Range<usize>>,
}

impl<'ast> Visit<'ast> for Parts {
    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        let mut conditions = node.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg"));
        let is_not = |condition: &syn::Attribute| {
            condition.parse_args::<syn::MetaList>().is_ok_and(|inner| inner.path.is_ident("not"))
        };
        if conditions.any(is_not) {
            self.absent.push(node.span().byte_range());
        }
        visit::visit_item_fn(self, node);
    }

    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        let key = ("BinaryOperator".to_owned(), node.op.span().byte_range().start);
        self.expressions.insert(key, node.span().byte_range());
        visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast syn::ExprUnary) {
        let key = ("UnaryOperator".to_owned(), node.op.span().byte_range().start);
        self.expressions.insert(key, node.span().byte_range());
        visit::visit_expr_unary(self, node);
    }

    fn visit_expr_struct(&mut self, node: &'ast syn::ExprStruct) {
        for field in &node.fields {
            let key = ("StructField".to_owned(), field.span().byte_range().start);
            self.expressions.insert(key, node.span().byte_range());
        }
        visit::visit_expr_struct(self, node);
    }

    fn visit_arm(&mut self, node: &'ast syn::Arm) {
        let guard = node.guard.as_ref().map(|(_, guard)| guard.span().byte_range());
        self.arms.insert(node.span().byte_range().start, (node.pat.span().byte_range().end, guard));
        visit::visit_arm(self, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(genre: &str, line: usize, columns: Range<usize>, replacement: &str) -> Mutant {
        Mutant {
            name: String::new(),
            file: String::new(),
            genre: genre.to_owned(),
            replacement: replacement.to_owned(),
            span: [(line, columns.start), (line, columns.end)],
        }
    }

    fn planted(source: &str, mutants: &[Mutant]) -> String {
        let mutants: Vec<_> = mutants.iter().enumerate().collect();
        plant(source, &mutants).unwrap().text
    }

    #[test]
    fn a_change_inside_another_one_is_planted_too() {
        let mutants = [
            mutant("FnValue", 2, 1..8, "true"),
            mutant("UnaryOperator", 2, 6..7, ""),
            mutant("BinaryOperator", 2, 3..5, "||"),
        ];
        let expected = "fn f() -> bool {\nif crate::mutant(0) { true } else { \
            (if crate::mutant(2) { a || !b } else { \
            a && (if crate::mutant(1) { b } else { !b }) }) }\n}";
        assert_eq!(planted("fn f() -> bool {\na && !b\n}", &mutants), expected);
    }

    #[test]
    fn an_arm_is_guarded() {
        let source = "fn f() {\nmatch x {\n1 if y => 2,\n3 => 4,\n_ => 5,\n}\n}";
        let mutants = [
            mutant("MatchArm", 3, 1..13, ""),
            mutant("MatchArmGuard", 3, 6..7, "false"),
            mutant("MatchArm", 4, 1..8, ""),
        ];
        let text = planted(source, &mutants);
        let guarded =
            "1 if !crate::mutant(0) && ((if crate::mutant(1) { false } else { y })) => 2,";
        assert!(text.contains(guarded), "{text}");
        assert!(text.contains("3 if !crate::mutant(2) => 4,"), "{text}");
    }

    #[test]
    fn what_is_not_built_has_no_changes() {
        let source = "#[cfg(not(feature = \"x\"))]\nconst fn f() -> u8 {\n1\n}";
        let text = planted(source, &[mutant("FnValue", 3, 1..2, "0")]);
        assert_eq!(text, source.replace("const fn", "      fn"));
    }
}
