//! What a peer tells: `ok NAME`, `ok NAME: REMARK`, `FAILED NAME: WHY`, and `done COUNT` at its end.

/// The sum of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    done: Option<u64>,
}

impl Tally {
    /// Counts a line; whether it is worth showing.
    pub(super) fn add(&mut self, line: &str) -> bool {
        if let Some(case) = line.strip_prefix("ok ") {
            self.passed += 1;
            return case.contains(": ");
        }
        if line.starts_with("FAILED ") {
            self.failed += 1;
        } else if let Some(count) = line.strip_prefix("done ") {
            self.done = count.parse().ok();
            return false;
        }
        true
    }

    /// Counts a peer that did not come to its end as one failure more, and says so.
    pub(super) fn judge(&mut self, ended: &Result<(), String>) -> Option<String> {
        let all = self.passed + self.failed;
        let whole = all > 0 && self.done == Some(all);
        let complaint = match ended {
            Ok(()) if whole => return None,
            Err(_) if whole && self.failed > 0 => return None,
            Ok(()) => "it ended before its last case".to_owned(),
            Err(why) => why.clone(),
        };
        self.failed += 1;
        Some(format!("FAILED after {all} cases: {complaint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            tally.add(line);
        }
        tally
    }

    #[test]
    fn cases_are_counted() {
        let mut tally = told(&["ok 1.1", "ok 3.2: not strict", "FAILED 7.1: no answer", "done 3"]);
        assert_eq!(tally.judge(&Err("exit status: 1".into())), None);
        assert_eq!((tally.passed, tally.failed), (2, 1));
    }

    #[test]
    fn a_peer_that_breaks_off_has_failed() {
        assert_eq!(told(&["ok 1.1", "done 1"]).judge(&Ok(())), None);
        for (lines, ended) in [
            (&["ok 1.1"][..], Ok(())),
            (&["ok 1.1", "done 2"], Ok(())),
            (&["ok 1.1", "done 1"], Err("exit status: 1".to_owned())),
            (&["done 0"], Ok(())),
            (&[], Ok(())),
        ] {
            let mut tally = told(lines);
            assert!(tally.judge(&ended).is_some(), "{lines:?}");
            assert_eq!(tally.failed, 1, "{lines:?}");
        }
    }
}
