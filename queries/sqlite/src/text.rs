//! The text of a query, as far as it must be understood here: what is quoted, what is a comment, which words stand bare.

use std::collections::BTreeSet;

/// A query's text without what makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// Without comments and trailing semicolons, one space for white space.
    pub(crate) sql: String,
    /// Whether it may name a part of itself, as a view is named.
    pub(crate) says_with: bool,
    /// All that may be the name of a table, in lower case.
    names: BTreeSet<String>,
    /// Whether it may join by columns that it does not name one by one.
    pub(crate) says_using: bool,
}

impl Text {
    /// Reads a text. One that SQLite cannot read stays as unreadable as it is.
    pub(crate) fn of(query: &str) -> Self {
        let mut text = Self {
            sql: String::new(),
            names: BTreeSet::new(),
            says_with: false,
            says_using: false,
        };
        let mut rest = query;
        let mut gap = false;
        while let Some(first) = rest.chars().next() {
            let (kind, length) = token(rest, first);
            let (token, after) = rest.split_at(length);
            rest = after;
            if kind == Kind::Gap {
                gap = true;
                continue;
            }
            if kind == Kind::Word {
                text.says_with |= token.eq_ignore_ascii_case("with");
                text.says_using |= token.eq_ignore_ascii_case("using");
                text.says_using |= token.eq_ignore_ascii_case("natural");
            }
            let name = token.trim_matches(['\'', '"', '`', '[', ']']);
            text.names.insert(name.to_ascii_lowercase());
            if gap && !text.sql.is_empty() {
                text.sql.push(' ');
            }
            gap = false;
            text.sql.push_str(token);
        }
        text.sql.truncate(text.sql.trim_end_matches([';', ' ']).len());
        text
    }

    /// Whether it may name that table, in lower case.
    pub(crate) fn may_name(&self, table: &str) -> bool {
        // A quote in a name is doubled in a text, which is not read here.
        table.contains(['\'', '"', '`', '[', ']']) || self.names.contains(table)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// White space or a comment.
    Gap,
    /// A key word, a name or a number.
    Word,
    /// Something in quotes, or a sign.
    Other,
}

/// The token that `rest` starts with, by SQLite's rules, and its length in bytes.
fn token(rest: &str, first: char) -> (Kind, usize) {
    match first {
        ' ' | '\t' | '\n' | '\x0c' | '\r' => (Kind::Gap, 1),
        '\u{feff}' => (Kind::Gap, 3),
        '-' if rest.starts_with("--") => (Kind::Gap, rest.find('\n').unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") && rest.len() > 2 => {
            (Kind::Gap, rest[2..].find("*/").map_or(rest.len(), |end| end + 4))
        }
        '\'' | '"' | '`' => (Kind::Other, quoted(rest, first)),
        '[' => (Kind::Other, quoted(rest, ']')),
        _ if in_word(first) => (Kind::Word, rest.find(|c| !in_word(c)).unwrap_or(rest.len())),
        _ => (Kind::Other, first.len_utf8()),
    }
}

/// A doubled quote inside is read as the end of one token and the start of the next, which comes to the same.
fn quoted(rest: &str, end: char) -> usize {
    rest[1..].find(end).map_or(rest.len(), |found| found + 2)
}

fn in_word(character: char) -> bool {
    character.is_ascii_alphanumeric()
        || character == '_'
        || character == '$'
        || !character.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn r42_equal_queries_have_one_text() {
        let text = |query| Text::of(query).sql;
        assert_eq!(text(" SELECT\n a -- the first\n,b/* and */FROM t ; ; "), "SELECT a ,b FROM t");
        assert_eq!(text("SELECT a - -1"), "SELECT a - -1");
        assert_eq!(text("SELECT a  / b FROM t"), "SELECT a / b FROM t");
        assert_eq!(text("SELECT a  /*"), "SELECT a /*");
        assert_eq!(text("SELECT 'a  --b', \"c  d\", [e  f], `g  h`"), {
            "SELECT 'a  --b', \"c  d\", [e  f], `g  h`"
        });
        assert_eq!(text("SELECT 'it''s  /*'  , 1"), "SELECT 'it''s  /*' , 1");
        assert_eq!(text("SELECT 'open  "), "SELECT 'open");
        assert_eq!(text("SELECT a/**/b"), "SELECT a b");
        assert_eq!(text("SELECT 1 /* for  ever"), "SELECT 1");
        assert_eq!(text("SELECT 'é  ü',  ä"), "SELECT 'é  ü', ä");
        assert_eq!(text(" ;; /* nothing */ "), "");
        assert_ne!(text("SELECT A"), text("SELECT a"));
    }

    #[test]
    fn r42_a_table_that_is_named_is_found_however_it_is_quoted() {
        for query in
            ["FROM Menu", "FROM(menu)", "FROM main.\"mENU\"", "FROM'menu'", "FROM`menu`x", "[MENU]"]
        {
            assert!(Text::of(query).may_name("menu"), "{query}");
        }
        for query in ["FROM menus", "FROM [a menu]", "1 -- menu", "'a''menu'", "_menu"] {
            assert_eq!(Text::of(query).may_name("menu"), query.contains('\''), "{query}");
        }
        assert!(Text::of("").may_name("it's"));
    }

    #[test]
    fn r42_words_count_only_where_they_are_bare() {
        for (query, says_with, says_using) in [
            ("wItH a AS (SELECT 1) SELECT 1", true, false),
            ("SELECT 1 FROM a JOIN b UsinG(x)", false, true),
            ("SELECT 1 FROM a natural JOIN b", false, true),
            (
                "SELECT 'with using', \"natural\", [with], `using` -- with\n/* using */",
                false,
                false,
            ),
            ("SELECT without, using_, _with, with$", false, false),
            ("SELECT''with'' using", true, true),
        ] {
            let text = Text::of(query);
            assert_eq!((text.says_with, text.says_using), (says_with, says_using), "{query}");
        }
    }
}
