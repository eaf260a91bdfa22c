//! Whether docs/requirements.md names a test for each requirement, and each test and page that it names is there.

use std::collections::BTreeMap;
use std::fs;

use crate::cargo;

const DOCUMENT: &str = "docs/requirements.md";

/// The requirements are numbered from 1 to this.
const LAST: u32 = 55;

/// What begins a requirement's section: `### R12 Session id`.
const HEADING: &str = "### R";

/// What begins a line about the tests of one file: "- `core/tests/life.rs`: `r49_one`, `r49_another`".
const TESTS: &str = "- `";

/// Checks the document.
///
/// # Errors
///
/// When something is missing: all of it, a line each.
pub(crate) fn check() -> Result<String, String> {
    let root = cargo::root();
    let text =
        fs::read_to_string(root.join(DOCUMENT)).map_err(|error| format!("{DOCUMENT}: {error}"))?;
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    judge(&text, read)
}

/// `read` gives a file of the workspace.
fn judge(text: &str, read: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut faults = Vec::new();
    // How many tests each requirement has.
    let mut tests: BTreeMap<u32, usize> = BTreeMap::new();
    let mut current = None;
    for (at, line) in (1..).zip(text.lines()) {
        let mut fault = |what: String| faults.push(format!("{DOCUMENT}:{at}: {what}"));
        if let Some(rest) = line.strip_prefix(HEADING) {
            let number = rest.split(' ').next().and_then(|number| number.parse().ok());
            current = number;
            match number {
                Some(number) if !(1..=LAST).contains(&number) => {
                    fault(format!("there is no requirement R{number}"));
                }
                Some(number) if tests.insert(number, 0).is_some() => {
                    fault(format!("R{number} has two sections"));
                }
                Some(_) => {}
                None => fault(format!("`{line}` has no number: write `### R12 Its name`")),
            }
        } else if let (Some(number), Some(_)) = (current, line.strip_prefix(TESTS)) {
            let mut words = line.split('`').skip(1).step_by(2);
            let file = words.next().unwrap_or_default();
            let Some(source) = read(file) else {
                fault(format!("there is no file {file}"));
                continue;
            };
            for name in words {
                let is_there = |end| source.contains(&format!("fn {name}{end}"));
                if !is_there('(') && !is_there('<') {
                    fault(format!("{file} has no `fn {name}`: was it renamed, moved or removed?"));
                } else if !numbers(name).contains(&number) {
                    fault(format!(
                        "`{name}` does not begin with r{number}_: is it a test of R{number}?"
                    ));
                }
                *tests.entry(number).or_default() += 1;
            }
        }
        for (page, section) in links(line) {
            match read(&page) {
                None => fault(format!("there is no page {page}")),
                Some(text) if !section.is_empty() && !has_section(&text, section) => {
                    fault(format!("{page} has no section “{section}”"));
                }
                Some(_) => {}
            }
        }
    }
    for number in 1..=LAST {
        match tests.get(&number) {
            None => {
                let heading = format!("{HEADING}{number} …");
                faults.push(format!("{DOCUMENT}: R{number} is missing: add `{heading}`"));
            }
            Some(0) => faults.push(format!("{DOCUMENT}: R{number} names no test")),
            Some(_) => {}
        }
    }
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    Ok(format!("{LAST}, shown by {} tests that are named", tests.values().sum::<usize>()))
}

/// The requirements in a test's name: 10 and 11 of `r10_r11_a_handler_sees_no_id`.
fn numbers(name: &str) -> Vec<u32> {
    let number = |word: &str| word.strip_prefix('r').and_then(|digits| digits.parse().ok());
    name.split('_').map_while(number).collect()
}

/// The pages that a line links to, and the section of each: what stands behind it in “quotes”.
fn links(line: &str) -> impl Iterator<Item = (String, &str)> {
    line.split("](").skip(1).filter_map(|rest| {
        let (target, rest) = rest.split_once(')')?;
        let page = target.split('#').next()?;
        let page = page.strip_prefix("../").map_or_else(|| format!("docs/{page}"), str::to_owned);
        let section = rest.strip_prefix(", “").and_then(|rest| rest.split('”').next());
        Some((page, section.unwrap_or_default()))
    })
}

/// A heading, or what a page of the guide begins with.
fn has_section(page: &str, section: &str) -> bool {
    let title = |line: &str| line.trim_start_matches('#').trim_start() == section;
    let begins = page.lines().next().is_some_and(|line| line.trim_end_matches('.') == section);
    begins || page.lines().any(|line| line.starts_with('#') && title(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "fn r7_one() {}\nasync fn r8_r9_another(stage: Stage) {}\nfn third() {}\n\
    async fn r6_generic<R: Net>(runtime: R) {}\n";

    fn faults(text: &str) -> Vec<String> {
        let read = |path: &str| match path {
            "a.rs" => Some(SOURCE.to_owned()),
            "src/page.md" | "docs/page.md" => Some("What it is.\n\n## A part\n".to_owned()),
            _ => None,
        };
        let all = judge(text, read).unwrap_err();
        let rest = |line: &str| !line.ends_with("…`") && !line.ends_with("names no test");
        all.lines().filter(|line| rest(line)).map(str::to_owned).collect()
    }

    #[test]
    fn each_requirement_has_a_section_with_a_test() {
        let section = |number| format!("### R{number} name\n\n- `a.rs`: `r{number}_one`\n");
        let source: String =
            (1..=LAST).map(|number| format!("fn r{number}_one() {{}}\n")).collect();
        let judged = |text: &str| judge(text, |_| Some(source.clone()));
        let whole: String = (1..=LAST).map(section).collect();
        assert!(judged(&whole).is_ok());
        let error = judged(&whole.replace("### R12 ", "### ")).unwrap_err();
        assert!(error.contains("R12 is missing"), "{error}");
        let error = judged(&whole.replace("- `a.rs`: `r12_one`\n", "")).unwrap_err();
        assert_eq!(error, "docs/requirements.md: R12 names no test");
    }

    #[test]
    fn a_test_is_there_and_has_the_number() {
        let none: [&str; 0] = [];
        assert_eq!(faults("### R7 name\n- `a.rs`: `r7_one`"), none);
        assert_eq!(faults("### R9 name\n- `a.rs`: `r8_r9_another`"), none);
        assert_eq!(faults("### R6 name\n- `a.rs`: `r6_generic`"), none);
        let said = |text, words| {
            let faults = faults(text);
            assert!(faults.len() == 1 && faults[0].contains(words), "{faults:?}");
        };
        said("### R7 name\n- `a.rs`: `r7_on`", "a.rs has no `fn r7_on`");
        said("### R7 name\n- `a.rs`: `third`", "`third` does not begin with r7_");
        said("### R8 name\n- `a.rs`: `r7_one`", "does not begin with r8_");
        said("### R7 name\n- `b.rs`: `r7_one`", "no file b.rs");
    }

    #[test]
    fn pages_and_their_sections_are_there() {
        let none: [&str; 0] = [];
        let good = "[one](page.md#a-part), “A part”; [two](../src/page.md), “What it is”; [three](page.md)";
        assert_eq!(faults(good), none);
        assert_eq!(
            faults("[one](away.md)\n[two](page.md), “Another part”"),
            [
                "docs/requirements.md:1: there is no page docs/away.md",
                "docs/requirements.md:2: docs/page.md has no section “Another part”",
            ]
        );
    }
}
